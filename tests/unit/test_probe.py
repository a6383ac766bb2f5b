"""What a probe holds fixed, and whom it names: each in an interpreter of its own, since it changes the interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from kit._probe import GENERATOR, HASH_ORDER, THREADS, TIME, Asked, read

HARNESS = """
import importlib, sys
from pathlib import Path
from kit import _probe
out, held = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, str(Path.cwd()))
with _probe.loading((held,), seed=7, now=1e9, out=out, source=Path.cwd()):
    task = importlib.import_module("task")
print(task.train())
"""


def held(folder: Path, kind: str, code: str, *, name: str = "asked") -> tuple[str, tuple[Asked, ...]]:
    """What a task gives with this held fixed, and who asked."""
    (folder / "task.py").write_text(dedent(code).lstrip("\n"))
    out = folder / f"{name}.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, str(out), kind], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), read(out)


def twice(folder: Path, kind: str, code: str) -> tuple[str, tuple[Asked, ...]]:
    """The same, after two runs agreed."""
    first, second = (held(folder, kind, code, name=name) for name in ("first", "second"))
    assert first == second
    return first


@pytest.mark.parametrize(
    "expression",
    [
        "os.urandom(8).hex()",
        "random.Random().random()",
        "random.SystemRandom().random()",
        "[random.seed(), random.random()][1]",
        "secrets.token_hex()",
        "str(uuid.uuid4())",
        "numpy.random.default_rng().random()",
        "numpy.random.RandomState().rand()",
        "[numpy.random.seed(), numpy.random.rand()][1]",
    ],
)
def test_a_generator_without_a_seed_gets_the_same_one_in_every_run(tmp_path: Path, expression: str) -> None:
    code = f"import os, random, secrets, uuid\nimport numpy\n\ndef train():\n    return {expression}\n"
    _, asked = twice(tmp_path, GENERATOR, code)
    assert [(place.file, place.line, place.through) for place in asked] == [("task.py", 5, None)]
    assert asked[0].code == f"return {expression}"


def test_two_generators_are_not_the_same(tmp_path: Path) -> None:
    code = """
        import random
        def train():
            return [random.Random().random() for _ in range(3)] + [random.Random().random()]
        """
    shown, asked = twice(tmp_path, GENERATOR, code)
    assert len(set(shown.split(","))) == 4
    assert len(asked) == 1


def test_a_generator_with_a_seed_is_left_alone(tmp_path: Path) -> None:
    code = """
        import random
        import numpy as np
        def train():
            return random.Random(3).random(), float(np.random.default_rng(3).random())
        """
    import random

    shown, asked = held(tmp_path, GENERATOR, code)
    assert shown.startswith(f"({random.Random(3).random()}, ")
    assert asked == ()


def test_what_reads_the_device_itself_is_named(tmp_path: Path) -> None:
    code = """
        def train():
            with open("/dev/urandom", "rb") as device:
                return len(device.read(4))
        """
    _, asked = held(tmp_path, GENERATOR, code)
    assert [(place.line, place.call) for place in asked] == [(2, "open('/dev/urandom')")]


def test_pytorch_seeds_anew_alike(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code = """
        import torch
        def train():
            own = torch.Generator()
            own.seed()
            torch.seed()
            other = isinstance(torch.default_generator, torch.Generator)
            return torch.rand(1, generator=own).item(), torch.rand(1).item(), other
        """
    shown, asked = twice(tmp_path, GENERATOR, code)
    assert shown.endswith("True)")
    assert [place.line for place in asked] == [4, 5]


def test_clocks_say_the_same(tmp_path: Path) -> None:
    code = """
        import time
        from time import perf_counter
        import datetime as module
        from datetime import date, datetime, timezone
        class Holder:
            clock = time.monotonic
        def train():
            return (
                time.time(), time.time_ns(), perf_counter(), Holder().clock(), time.strftime("%S"), time.gmtime()[:6],
                datetime.now(), datetime.now(timezone.utc), datetime.utcnow(), date.today(), module.datetime.today(),
            )
        """
    shown, asked = twice(tmp_path, TIME, code)
    assert shown.startswith("(1000000000.01, 1000000000020000000, 1000000000.03, 1000000000.04, ")
    assert {place.line for place in asked} == {9, 10}


def test_dates_are_still_dates(tmp_path: Path) -> None:
    code = """
        import pickle, datetime as real, sys
        from datetime import date, datetime, timedelta
        class Own(datetime):
            pass
        def train():
            now, then = datetime.now(), datetime(2020, 1, 2)
            assert isinstance(now, datetime) and isinstance(then, datetime) and isinstance(now, date)
            assert not isinstance(now, Own) and isinstance(Own(2020, 1, 1), datetime)
            assert then - now > timedelta(days=1)
            return pickle.loads(pickle.dumps(then)) == then, datetime.fromisoformat("2020-01-02") == then
        """
    assert held(tmp_path, TIME, code)[0] == "(True, True)"


def test_reading_a_given_time_is_no_question(tmp_path: Path) -> None:
    code = """
        import time
        def train():
            return time.gmtime(0)[0], time.strftime("%Y", time.gmtime(0))
        """
    assert held(tmp_path, TIME, code) == ("(1970, '1970')", ())


def test_whoever_waits_by_the_clock_does_not_wait_for_ever(tmp_path: Path) -> None:
    code = """
        import queue, threading, time
        def train():
            until, rounds = time.monotonic() + 5, 0
            while time.monotonic() < until:
                rounds += 1
            try:
                queue.Queue().get(timeout=0.05)
            except queue.Empty:
                return rounds
        """
    shown, asked = twice(tmp_path, TIME, code)
    assert int(shown) == 499
    assert {place.line for place in asked} == {3, 4}


def test_threads_come_one_after_the_other(tmp_path: Path) -> None:
    code = """
        import threading, time
        def train():
            done = []
            def work(number):
                time.sleep((7 - number) * 0.02)
                done.append(number)
            workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return done
        """
    shown, asked = held(tmp_path, THREADS, code)
    assert shown == "[0, 1, 2, 3, 4, 5]"
    assert [place.line for place in asked] == [9]


def test_a_thread_that_waits_for_a_later_one_is_not_waited_for(tmp_path: Path) -> None:
    code = """
        import threading
        def train():
            meet = threading.Barrier(3)
            workers = [threading.Thread(target=meet.wait) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return meet.broken
        """
    assert held(tmp_path, THREADS, code)[0] == "False"


def test_results_come_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    code = """
        import time
        from concurrent.futures import ThreadPoolExecutor, as_completed
        from multiprocessing.pool import ThreadPool
        def work(number):
            time.sleep((5 - number) * 0.02)
            return number
        def train():
            with ThreadPoolExecutor(4) as pool:
                done = [future.result() for future in as_completed({pool.submit(work, n) for n in range(5)})]
            with ThreadPool(4) as pool:
                return done + list(pool.imap_unordered(work, range(5)))
        """
    shown, asked = held(tmp_path, THREADS, code)
    assert shown == "[0, 1, 2, 3, 4, 0, 1, 2, 3, 4]"
    assert {9, 11} <= {place.line for place in asked}


def test_objects_in_a_set_have_the_order_in_which_they_came(tmp_path: Path) -> None:
    code = """
        from dataclasses import dataclass
        class Plain:
            def __init__(self, number):
                self.number = number
        @dataclass(frozen=True)
        class Value:
            number: int
        class Named:
            def __hash__(self):
                return 5
        def train():
            things = {Plain(number) for number in range(3000)}
            assert Value(1) in {Value(1)} and hash(Named()) == 5 and hash(Value(2)) == hash((2,))
            assert len({id(thing) for thing in things}) == 3000
            first = next(iter(things))
            assert hash(first) == hash(first) and id(first) == id(first)
            return [thing.number for thing in things] == list(range(3000))
        """
    shown, asked = held(tmp_path, HASH_ORDER, code)
    assert shown == "True"
    assert asked[0] == Asked(
        HASH_ORDER, "hash(Plain)", "task.py", 12, "things = {Plain(number) for number in range(3000)}"
    )


def test_another_interpreter_gets_the_hash_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    code = """
        import subprocess, sys
        def train():
            ask = [sys.executable, "-c", "print(hash('word'))"]
            return [
                subprocess.run(ask, env=env, capture_output=True, text=True).stdout
                for env in (None, {}, {"PYTHONHASHSEED": "random"})
            ]
        """
    shown, asked = twice(tmp_path, HASH_ORDER, code)
    assert len(set(shown.strip("[]").split(", "))) == 1
    assert [place.line for place in asked] == [5]


def test_kit_and_the_tracker_are_not_held(tmp_path: Path) -> None:
    code = """
        import uuid, mlflow
        from mlflow.utils.time import get_current_time_millis
        def train():
            return mlflow.__version__ and get_current_time_millis() > 1.1e12
        """
    assert held(tmp_path, TIME, code) == ("True", ())


def test_secrets_on_a_line_are_masked(tmp_path: Path) -> None:
    code = """
        import random
        def train():
            return random.Random().random() and len(dict(password="hunter2-and-more"))
        """
    _, asked = held(tmp_path, GENERATOR, code)
    assert "hunter2" not in (tmp_path / "asked.jsonl").read_text()
    assert "random.Random()" in asked[0].code


def test_nothing_was_noted_where_nothing_is(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == ()
    (tmp_path / "torn").write_text('{"kind": "time", "call": "c", "file": "f", "line": 3}\n{"kind": "ti')
    assert read(tmp_path / "torn") == (Asked("time", "c", "f", 3),)


def test_interpreters_that_the_task_starts_join_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/sitecustomize.py").write_text("import sys\nsys.mine = True\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "theirs"))
    code = """
        import subprocess, sys
        ASK = "import task, sys; print(task.draw(), sys.mine, 'first' in str(sys.path) or 'second' in str(sys.path))"
        def draw():
            import random
            return random.Random().random()
        def train():
            done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True)
            return done.stdout + done.stderr
        """
    shown, asked = twice(tmp_path, GENERATOR, code)
    assert shown.endswith(" True False")
    assert [place.line for place in asked] == [5]


def test_processes_of_a_pool_join_in(tmp_path: Path) -> None:
    code = """
        import multiprocessing, time
        def work(number):
            return time.time()
        def train():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return pool.map(work, range(2))
        """
    shown, asked = twice(tmp_path, TIME, code)
    assert shown == "[1000000000.01, 1000000000.02]"
    assert [place.line for place in asked] == [3]
