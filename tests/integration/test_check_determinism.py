"""`kit check determinism` on real runs: faults of every kind that are planted, and experiments without any."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    commit_all,
    environment,
    kit,
    new_project,
    on_screen,
    processes_of,
    start_kit,
    stop_forkservers,
    until,
)

Check = Callable[..., Any]

PLAIN = "def train(cfg, run: kit.Run):"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp("home"), OMP_NUM_THREADS="4", KIT_FORKSERVER="on")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("projects") / "tiny"
    yield new_project(root, {".gitignore": "__pycache__/\n.kit/\nmlflow.db*\nmlruns/\n*.tmp\n"})
    stop_forkservers(root)


@pytest.fixture
def check(root: Path, env: dict[str, str]) -> Check:
    """Check a task in the project, and give the verdict as JSON."""

    def check(name: str, code: str, *options: str, code_is: int) -> Any:
        add(root, name, code)
        done = kit(root, "check", "determinism", f"experiment={name}", "--json", *options, env=env, code=code_is)
        assert "Traceback" not in done.err
        return done.json()

    return check


def add(root: Path, name: str, code: str) -> None:
    (root / f"src/tiny/{name}.py").write_text(f"import kit\n{code}")
    (root / f"conf/experiment/{name}.yaml").write_text(f"# @package _global_\ntask: tiny.{name}.train\n")
    commit_all(root, name)


def place_of(root: Path, name: str, marker: str) -> tuple[str, int]:
    """File and line of what is marked in a task."""
    file = f"src/tiny/{name}.py"
    return file, next(n for n, line in enumerate((root / file).read_text().splitlines(), 1) if marker in line)


NUMPY = f"""
import numpy as np
{PLAIN}
    rng = np.random.default_rng()  # here
    for step in range(4):
        run.log({{"steady": float(np.random.rand())}}, step=step)
        run.log({{"loss": float(np.random.rand() if step < 2 else rng.normal())}}, step=step)
    return {{"score": float(rng.normal())}}
"""
RANDOM = f"""
import random
{PLAIN}
    draw = random.Random()  # here
    (run.dir / "sample.txt").write_text(str(draw.random()))
    run.artifact(run.dir / "sample.txt")
    return {{"score": 1.0}}
"""
THREADS = f"""
import os, threading, time
VALUES = (1e16, 3.14, -1e16, 2.5e15, -2.5e15, 7.7, 1e-3, 3e14, -3e14, 1.0)
{PLAIN}
    done = []
    def work(number):
        time.sleep((os.getpid() * 7 + number * 5) % 13 / 400)
        done.append(VALUES[number])
    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(VALUES))]
    for worker in workers:
        worker.start()  # here
    for worker in workers:
        worker.join()
    total = 0.0
    for step, value in enumerate(done):
        total = total / 3 + value
    return {{"total": total}}
"""
POOL = f"""
import zlib
from concurrent.futures import ThreadPoolExecutor, as_completed
def work(number):
    for _ in range(100):
        zlib.compress(b"x" * 100_000)
    return 1 / (number + 1.1)
{PLAIN}
    total = 0.0
    with ThreadPoolExecutor(8) as pool:
        for future in as_completed([pool.submit(work, number) for number in range(30)]):  # here
            total = total / 1.01 + future.result()
    return {{"total": total}}
"""
NATIVE = f"""
import numpy as np
from sklearn.cluster import KMeans
{PLAIN}
    data = np.random.default_rng(0).normal(size=(20_000, 8))
    for step in range(25):  # each may come out in one of two ways
        run.log({{"inertia": KMeans(8, n_init=1, random_state=step, max_iter=10).fit(data).inertia_}}, step=step)
"""
WORDS = f"""
import os, subprocess, sys
ASK = "print(sum(n * int(w[4:]) for n, w in enumerate({{f'word{{i}}' for i in range(100)}})))"
{PLAIN}
    clean = {{key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}}
    total = subprocess.run([sys.executable, "-c", ASK], env=clean, capture_output=True, check=True).stdout  # here
    return {{"total": float(total)}}
"""
OBJECTS = f"""
class Thing:
    def __init__(self, number):
        self.value = 1 / (number + 1)
{PLAIN}
    things = {{Thing(number) for number in range(20_000)}}  # here
    total = 0.0
    for thing in things:
        total = total / 1.01 + thing.value
    return {{"total": total}}
"""
CLOCK = f"""
import time
{PLAIN}
    began = time.time()  # here
    run.log({{"loss": 0.5}})
    return {{"seconds": time.time() - began}}
"""


def test_a_generator_without_a_seed(root: Path, check: Check) -> None:
    found = check("numpy_fault", NUMPY, code_is=5)
    assert found["verdict"] == "different"
    first = found["findings"][0]
    assert (first["kind"], first["name"], first["step"]) == ("metric", "loss", 2)
    assert len(set(first["values"])) == 2
    assert {finding["name"] for finding in found["findings"]} == {"loss", "score"}
    [cause] = found["causes"]
    assert cause["kinds"] == ["generator"]
    assert {name["name"] for name in cause["explains"]} == {"loss", "score"}
    [place] = cause["places"]
    assert (place["file"], place["line"]) == place_of(root, "numpy_fault", "# here")
    assert place["code"] == "rng = np.random.default_rng()  # here"


@pytest.mark.parametrize(
    ("name", "code", "kind", "named"),
    [
        pytest.param("random_fault", RANDOM, "generator", "sample.txt", marks=pytest.mark.exhaustive),
        pytest.param("pool_fault", POOL, "threads", "total", marks=pytest.mark.slow),
        pytest.param("words_fault", WORDS, "hash order", "total", marks=pytest.mark.exhaustive),
        pytest.param("objects_fault", OBJECTS, "hash order", "total", marks=pytest.mark.slow),
        pytest.param("clock_fault", CLOCK, "time", "seconds", marks=pytest.mark.exhaustive),
    ],
)
def test_a_fault_is_named_with_its_place(root: Path, check: Check, name: str, code: str, kind: str, named: str) -> None:
    found = check(name, code, code_is=5)
    assert found["findings"][0]["name"] == named
    assert found["causes"][0]["kinds"] == [kind]
    places = [(place["file"], place["line"]) for place in found["causes"][0]["places"]]
    assert place_of(root, name, "# here") in places


@pytest.mark.slow
def test_threads_that_race(root: Path, check: Check) -> None:
    found = check("threads_fault", THREADS, code_is=5)
    assert found["findings"][0]["name"] == "total"
    assert found["causes"][0]["kinds"] == ["threads"]
    [place] = found["causes"][0]["places"]
    assert (place["file"], place["line"]) == place_of(root, "threads_fault", "# here")


@pytest.mark.exhaustive
def test_threads_of_libraries(check: Check) -> None:
    found = check("native_fault", NATIVE, code_is=5)
    assert found["findings"][0]["name"] == "inertia"
    assert found["causes"][0]["kinds"] == ["native threads"]


@pytest.mark.exhaustive
def test_every_cause_is_found_where_there_are_several(root: Path, check: Check) -> None:
    code = f"""
import random, time
{PLAIN}
    draw = random.Random()  # chance
    run.log({{"loss": draw.random()}})
    (run.dir / "model.txt").write_text(f"{{draw.random()}} {{time.time()}}")  # both
    run.artifact(run.dir / "model.txt")
    return {{"at": time.time()}}  # time
"""
    found = check("two_faults", code, code_is=5)
    causes = [(cause["kinds"], [name["name"] for name in cause["explains"]]) for cause in found["causes"]]
    assert causes == [(["generator"], ["loss"]), (["time"], ["at"]), (["generator", "time"], ["model.txt"])]


@pytest.mark.exhaustive
def test_what_a_run_leaves_for_the_next(check: Check) -> None:
    code = f"""
from pathlib import Path
{PLAIN}
    left = Path("warm.tmp")
    before = int(left.read_text()) if left.exists() else 0
    left.write_text(str(before + 1))
    return {{"score": before}}
"""
    found = check("left_fault", code, code_is=5)
    assert found["causes"][0]["kinds"] == ["inputs"]


@pytest.mark.exhaustive
def test_a_config_that_is_another_each_time(root: Path, env: dict[str, str]) -> None:
    add(root, "config_fault", f"{PLAIN}\n    return {{'score': float(cfg.drawn)}}\n")
    (root / "conf/experiment/config_fault.yaml").write_text(
        "# @package _global_\ntask: tiny.config_fault.train\ndrawn: ${now:%f}\n"
    )
    commit_all(root, "drawn")
    done = kit(root, "check", "determinism", "experiment=config_fault", "--json", env=env, code=5).json()
    assert {finding["name"] for finding in done["findings"]} == {"score", "drawn"}
    assert done["causes"][0]["kinds"] == ["config"]
    assert done["causes"][0]["changed"][0]["name"] == "drawn"


@pytest.mark.exhaustive
def test_it_says_when_it_does_not_know(root: Path, env: dict[str, str]) -> None:
    add(root, "pid_fault", f"import os\n{PLAIN}\n    return {{'pid': os.getpid()}}\n")
    done = kit(root, "check", "determinism", "experiment=pid_fault", "-n", "2", env=env, code=5)
    assert "cause: not known" in done.out
    assert "\nnext: kit diff " in done.out


@pytest.mark.exhaustive
def test_processes_that_seed_themselves_are_suspected(root: Path, env: dict[str, str]) -> None:
    # Which worker gets which piece of work is chance as well, so that there may be more to it, or no telling.
    code = f"""
import numpy as np
from joblib import Parallel, delayed
def work(number):
    return float(np.random.rand())
{PLAIN}
    return {{"score": sum(Parallel(n_jobs=2)(delayed(work)(number) for number in range(4)))}}
"""
    add(root, "jobs_fault", code)
    done = kit(root, "check", "determinism", "experiment=jobs_fault", "-n", "2", env=env, code=5)
    assert "src/tiny/jobs_fault.py:6  return float(np.random.rand())" in done.out


@pytest.mark.exhaustive
def test_texts_in_a_set_are_safe_until_the_hash_seed_is_another(check: Check) -> None:
    code = f"{PLAIN}\n    return {{'score': sum(n * len(w) for n, w in enumerate({{'w' * i for i in range(50)}}))}}\n"
    assert check("set_fault", code, "-n", "2", code_is=0)["verdict"] == "identical"
    found = check("set_fault_again", code, "-n", "2", "--vary-hash", code_is=5)
    assert found["causes"][0]["kinds"] == ["hash seed"]
    assert len(found["runs"]) == 2
    assert found["varied"] not in {None, *found["runs"]}


SKLEARN = f"""
import numpy as np
from sklearn.ensemble import RandomForestClassifier
{PLAIN}
    data = np.random.rand(400, 5)
    target = data[:, 0] + np.random.normal(size=400) > 0.5
    model = RandomForestClassifier(20, random_state=run.seed, n_jobs=2).fit(data, target)
    np.save(run.dir / "chances.npy", model.predict_proba(data))
    run.artifact(run.dir / "chances.npy")
    return {{"score": model.score(data, target)}}
"""
TORCH = f"""
import torch
{PLAIN}
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(32, 1))
    data = torch.randn(256, 8)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(20):
        optimizer.zero_grad()
        loss = (model(data) - data[:, :1]).pow(2).mean()
        loss.backward()
        optimizer.step()
        run.log({{"loss": loss}}, step=step)
    torch.save(model.state_dict(), run.dir / "model.pt")
    run.artifact(run.dir / "model.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("sklearn", SKLEARN), ("torch", TORCH)])
def test_what_is_the_same_is_said_to_be(check: Check, name: str, code: str) -> None:
    pytest.importorskip(name)
    found = check(f"with_{name}", code, code_is=0)
    assert found["verdict"] == "identical"
    assert found["findings"] == found["causes"] == found["trials"] == []
    assert found["compared"]["artifacts"] == 1
    assert len(found["runs"]) == 3


def test_the_cause_need_not_be_looked_for_and_what_may_differ_is_left_out(root: Path, env: dict[str, str]) -> None:
    add(root, "quick_fault", f"import time\n{PLAIN}\n    return {{'fit_seconds': time.time(), 'score': 1}}\n")
    lines = on_screen(root, "check", "determinism", "experiment=quick_fault", "-n", "2", "--no-cause", env=env, code=5)
    assert all(len(line) <= 80 for line in lines)
    shown = "\n".join(lines)
    assert "different  quick_fault  2 runs with seed 7 gave two results" in shown
    assert "first in fit_seconds at step 0:" in shown
    assert "cause" not in shown.replace("--no-cause", "")
    arguments = ("check", "determinism", "experiment=quick_fault", "-n", "2", "--ignore", "*_seconds")
    done = kit(root, *arguments, env=env)
    assert "identical  quick_fault  2 runs with seed 7, bit for bit: " in done.out
    assert "not compared: *_seconds" in done.out
    tagged = kit(root, "runs", "--tag", "kit.check=determinism", "--json", env=env).json()
    assert {run["tags"]["kit.check"] for run in tagged} == {"determinism"}


def test_an_experiment_that_fails_or_gives_nothing(root: Path, env: dict[str, str]) -> None:
    add(root, "failing", f"{PLAIN}\n    raise ValueError('no such column')\n")
    done = kit(root, "check", "determinism", "experiment=failing", env=env, code=1)
    assert "ValueError: no such column" in done.err
    assert "`kit logs " in done.err
    add(root, "silent", f"{PLAIN}\n    pass\n")
    assert "nothing to compare" in kit(root, "check", "determinism", "experiment=silent", env=env, code=2).err
    assert "--times" in kit(root, "check", "determinism", "-n", "1", env=env, code=2).err
    assert "nonsense" in kit(root, "check", "determinism", "nonsense=1", env=env, code=2).err


@pytest.mark.exhaustive
def test_secrets_on_the_line_that_is_named_are_not_shown(root: Path, env: dict[str, str]) -> None:
    secret = "s3cr3t-do-not-show"
    code = (
        f"import random\n{PLAIN}\n    return {{'score': random.Random().random() + len(dict(password='{secret}'))}}\n"
    )
    add(root, "secret_fault", code)
    done = kit(root, "check", "determinism", "experiment=secret_fault", "-n", "2", env=env, code=5)
    assert "random.Random()" in done.out
    assert secret not in done.out + done.err
    noted = list((root / ".kit/runs").glob("*/asked.jsonl"))
    assert noted
    assert not any(secret in path.read_text() for path in noted)


def test_an_interrupt_ends_the_runs(root: Path, env: dict[str, str], tmp_path: Path) -> None:
    add(root, "endless", f"import time\n{PLAIN}\n    open({str(tmp_path / 'began')!r}, 'w')\n    time.sleep(987)\n")
    client = start_kit(root, "check", "determinism", "experiment=endless", env=env)
    until((tmp_path / "began").exists, "the first run to begin")
    os.kill(client.pid, signal.SIGINT)
    out, err = client.communicate(timeout=100)
    assert client.returncode == 130
    assert out == ""
    assert err == "cancelled\n"
    assert processes_of(root) == []
    [run] = kit(root, "runs", "--limit", "1", "--json", env=env).json()
    assert run["status"] == "cancelled"
