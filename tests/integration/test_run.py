"""`kit run`, end to end: real processes, git, DVC and MLflow. Runs that many tests look at are made once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import git, write
from tests.support import (
    KIT,
    Done,
    MlflowRun,
    closed_port,
    commit_all,
    environment,
    kit,
    mlflow_runs,
    new_project,
    processes_of,
    start_kit,
    until,
)

SECRET = "hunter2-correct-horse"

TASKS = {
    "src/tiny/tasks.py": '''
        """What tasks do, and should not."""

        import os
        import random
        import signal
        import subprocess
        import sys
        import threading

        import kit


        def logs(cfg: dict, run: kit.Run) -> dict[str, float]:
            import mlflow
            from sklearn.linear_model import LogisticRegression

            mlflow.autolog(log_models=False, silent=True)
            mlflow.log_param("own_param", "mine")
            mlflow.log_metric("own_metric", 0.5)
            LogisticRegression(C=0.5).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
            run.params({"rows": 336})
            for step in range(3):
                run.log({"loss": 1.0 / (step + 1), "odd": float("nan")})
            report = run.dir / "report.txt"
            report.write_text("fine")
            run.artifact(report, "reports/report.txt")
            print("first line of the task")
            print("to stderr", file=sys.stderr)
            os.write(1, b"from below python\\n")
            subprocess.run(["echo", "from a child"], check=True)
            print("last line of the task")
            return {"score": 0.75}


        def raises(cfg: dict) -> None:
            return _deeper({"password": "x"})


        def _deeper(table: dict) -> None:
            print("about to fail")
            raise KeyError("no such column: speed")


        def junk(cfg: dict) -> list:
            return [1, 2]


        def bad_metric(cfg: dict) -> dict:
            return {"name": "a text"}


        def leaves(cfg: dict) -> None:
            sys.exit(3)


        def leaves_well(cfg: dict) -> None:
            sys.exit(0)


        def vanishes(cfg: dict) -> None:
            print("soon gone", flush=True)
            os._exit(0)


        def crashes(cfg: dict) -> None:
            os.kill(os.getpid(), signal.SIGSEGV)


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            run.log({"loss": 0.5})
            try:
                while True:
                    try:
                        threading.Event().wait()
                    except Exception:  # as loops over batches have it: a stop is not a failure of one of them
                        continue
            finally:
                (run.dir / "finally").touch()


        def deaf(cfg: dict, run: kit.Run) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("started", flush=True)
            while True:
                threading.Event().wait(1)


        def daemon(cfg: dict, run: kit.Run) -> None:
            code = """
        import os, signal, sys, threading
        if os.fork(): os._exit(0)
        os.setsid()
        if os.fork(): os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
        open(sys.argv[1], "w").write(str(os.getpid()))
        while True: threading.Event().wait(1)
        """
            subprocess.run([sys.executable, "-c", code, str(run.dir / "daemon")], check=True)
            waits(cfg, run)


        def leaves_a_daemon(cfg: dict, run: kit.Run) -> dict:
            subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"], cwd=run.dir)
            return {"score": 1.0}


        def draws(cfg: dict, run: kit.Run) -> dict[str, float]:
            import numpy

            return {
                "seed": run.seed,
                "python": random.random(),
                "numpy": float(numpy.random.random()),
                "hash": hash("a text") % 1_000_003,
                "order": float("".join(str(" abcdef".index(letter)) for letter in set("abcdef"))),
            }


        def panel(cfg: dict, run: kit.Run) -> dict[str, float]:
            pause = threading.Event()
            for number in run.progress(range(40), "a description that is quite long, too long for a line"):
                print("row", number)
                run.log({f"a_metric_with_a_long_name_{key}": number / 7 for key in "abcdefgh"})
                pause.wait(0.05)
            print("partial line without its end", end="")
            return {"score": 0.5}


        def redraws(cfg: dict) -> None:
            for percent in (0, 50, 100):
                print(f"\\r{percent}% done", end="", flush=True)
                threading.Event().wait(0.3)
            print()


        def asks(cfg: dict) -> None:
            print("hello", input("your name? "))


        def tells(cfg: dict, run: kit.Run) -> dict[str, float]:
            print("config:", cfg)
            print("token:", os.environ.get("API_TOKEN"))
            return {"length": len(cfg["db"]["password"])}
        ''',
}


def experiment(task: str, **config: str) -> str:
    lines = [f"{key}: {value}" for key, value in config.items()]
    return "\n".join(["# @package _global_", f"task: tiny.tasks.{task}", *lines, ""])


NAMES = sorted(re.findall(r"^        def ([a-z]\w*)", TASKS["src/tiny/tasks.py"], re.MULTILINE))
FILES = TASKS | {f"conf/experiment/{name}.yaml": experiment(name) for name in NAMES}


class Place:
    """A project, its environment, and what was found out about its runs."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None, **variables: str) -> None:
        self.env = environment(folder / "home", KIT_FORKSERVER="on", **variables)
        self.root = new_project(folder / "tiny", FILES | (files or {}))

    def kit(self, *arguments: str, code: int | None = 0, **variables: str) -> Done:
        return kit(self.root, *arguments, env=self.env | variables, code=code)

    def run(self, *arguments: str, code: int = 0, **variables: str) -> dict[str, Any]:
        """Run an experiment and give what `--json` says of it."""
        found: dict[str, Any] = self.kit("run", "--json", *arguments, code=code, **variables).json()
        return found

    def show(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kit("show", run_id, "--json").json()
        return found

    def tracked(self, run_id: str) -> MlflowRun:
        return mlflow_runs(self.root)[run_id]

    def folder(self, run_id: str) -> Path:
        return self.root / ".kit" / "runs" / run_id

    def newest(self) -> str:
        return str(self.kit("runs", "--json", "--limit", "1").json()[0]["run_id"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One project for all tests of this file that leave it as it is."""
    return Place(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[..., Place]:
    """A project of a test's own."""
    return lambda files=None, **variables: Place(tmp_path, files, **variables)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Done, dict[str, Any]]:
    place = Place(tmp_path_factory.mktemp("one"))
    env = place.env
    write(place.root, {"data/table.csv": "a,b\n1,2\n"})
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["init", "--quiet"], ["add", "--quiet", "data/table.csv"]):
        subprocess.run([*dvc, *command], cwd=place.root, env=env, check=True, capture_output=True)
    commit_all(place.root, "data")
    write(place.root, {"notes.txt": "untracked work\n", "conf/model/small.yaml": "depth: 4\nrate: 0.1\n"})
    done = kit(
        place.root,
        *("run", "experiment=logs", "model.rate=0.25", "steps=4"),
        *("--name", "my first", "--tag", "team=pricing", "--tag", "why=x=y", "--note", "a first try"),
        env=env,
    )
    return place, done, place.show("last")


@pytest.fixture(scope="module")
def tracked(made: tuple[Place, Done, dict[str, Any]]) -> MlflowRun:
    place, _, shown = made
    return place.tracked(shown["run_id"])


class TestOneRun:
    """Everything that one run with data, uncommitted work and MLflow of its own leaves behind."""

    def test_the_screen_shows_the_output_and_then_the_result(self, made: tuple[Place, Done, dict[str, Any]]) -> None:
        _, done, shown = made
        for line in ("first line of the task", "from below python", "from a child", "last line of the task"):
            assert f"{line}\n" in done.out
        result = done.out.split("last line of the task\n")[1]
        assert shown["run_id"] in result
        assert "succeeded" in result
        assert re.search(r"score\t0\.75\n", result)
        assert f"kit show {shown['run_id'][:4]}" in result
        assert "Traceback" not in done.err

    def test_the_store_knows_how_it_ended(self, made: tuple[Place, Done, dict[str, Any]]) -> None:
        _, _, shown = made
        facts = {key: shown[key] for key in ("status", "exit_code", "reason", "tracked", "name", "note", "dirty")}
        assert facts == {
            "status": "succeeded",
            "exit_code": 0,
            "reason": None,
            "tracked": True,
            "name": "my first",
            "note": "a first try",
            "dirty": True,
        }
        assert shown["tags"] == {"team": "pricing", "why": "x=y"}
        assert shown["overrides"] == ["experiment=logs", "model.rate=0.25", "steps=4"]
        assert shown["params"]["model.rate"] == "0.25"

    def test_the_store_has_the_last_metrics(self, made: tuple[Place, Done, dict[str, Any]]) -> None:
        metrics = made[2]["metrics"]
        assert (metrics["loss"], metrics["score"], metrics["odd"]) == (pytest.approx(1 / 3), 0.75, "nan")

    def test_mlflow_knows_it_finished(self, tracked: MlflowRun) -> None:
        assert (tracked.status, tracked.name) == ("FINISHED", "my first")

    def test_mlflow_has_the_series(self, tracked: MlflowRun) -> None:
        assert tracked.metrics["loss"] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
        assert tracked.metrics["score"] == [(0, 0.75)]
        assert tracked.tags["kit.nonfinite.odd"] == "nan at step 2"

    def test_mlflow_has_flat_parameters(self, tracked: MlflowRun) -> None:
        expected = {"model.depth": "4", "model.rate": "0.25", "steps": "4", "seed": "7", "rows": "336"}
        assert expected.items() <= tracked.params.items()

    def test_users_own_mlflow_calls_land_in_the_same_run(
        self, made: tuple[Place, Done, dict[str, Any]], tracked: MlflowRun
    ) -> None:
        place, _, _ = made
        assert tracked.params["own_param"] == "mine"
        assert tracked.metrics["own_metric"] == [(0, 0.5)]
        assert tracked.params["C"] == "0.5"  # autologged
        assert "training_accuracy_score" in tracked.metrics
        assert len(mlflow_runs(place.root)) == 1

    def test_mlflow_has_the_tags_that_find_it(
        self, made: tuple[Place, Done, dict[str, Any]], tracked: MlflowRun
    ) -> None:
        _, _, shown = made
        expected = {
            "kit.run_id": shown["run_id"],
            "kit.experiment": "logs",
            "kit.dirty": "true",
            "kit.host": os.uname().nodename,
            "team": "pricing",
            "mlflow.source.git.commit": shown["commit"],
            "mlflow.note.content": "a first try",
        }
        assert expected.items() <= tracked.tags.items()
        assert tracked.tags["kit.command"].startswith("kit run experiment=logs")

    def test_mlflow_has_the_data_with_its_md5(
        self, made: tuple[Place, Done, dict[str, Any]], tracked: MlflowRun
    ) -> None:
        place, _, shown = made
        pointer = yaml.safe_load((place.root / "data" / "table.csv.dvc").read_text())
        md5 = pointer["outs"][0]["md5"]
        assert tracked.datasets == {"data/table.csv": md5}
        recorded = shown["spec"]["snapshot"]["data"]
        assert [(data["path"], data["md5"], data["state"]) for data in recorded] == [("data/table.csv", md5, "matches")]

    def test_mlflow_has_config_spec_console_and_artifacts(self, tracked: MlflowRun) -> None:
        files = {str(path.relative_to(tracked.artifacts)) for path in tracked.artifacts.rglob("*") if path.is_file()}
        assert {"config.yaml", "spec.json", "logs/console.log", "reports/report.txt"} <= files
        config = yaml.safe_load((tracked.artifacts / "config.yaml").read_text())
        assert config["model"] == {"depth": 4, "rate": 0.25}
        assert json.loads((tracked.artifacts / "spec.json").read_text())["name"] == "my first"

    def test_the_console_log_in_mlflow_is_whole(
        self, made: tuple[Place, Done, dict[str, Any]], tracked: MlflowRun
    ) -> None:
        place, _, shown = made
        log = (tracked.artifacts / "logs" / "console.log").read_text()
        assert log == (place.folder(shown["run_id"]) / "console.log").read_text()
        wanted = ["first line of the task", "to stderr", "from below python", "from a child", "last line of the task"]
        assert [line for line in log.splitlines() if line in wanted] == wanted
        assert place.kit("logs", "last").out == log

    def test_the_snapshot_is_the_exact_working_tree(self, made: tuple[Place, Done, dict[str, Any]]) -> None:
        place, _, shown = made
        commit = shown["commit"]
        assert git(place.root, "rev-parse", f"refs/kit/runs/{shown['run_id']}") == commit
        assert git(place.root, "show", f"{commit}:notes.txt") == "untracked work"
        assert git(place.root, "show", f"{commit}:conf/model/small.yaml").startswith("depth: 4")
        assert git(place.root, "rev-parse", f"{commit}^") == git(place.root, "rev-parse", "HEAD")
        assert "?? notes.txt" in git(place.root, "status", "--porcelain")
        assert git(place.root, "ls-tree", "-r", "--name-only", commit, ".kit", "mlflow.db") == ""

    def test_show_is_for_people(self, made: tuple[Place, Done, dict[str, Any]]) -> None:
        place, _, shown = made
        out = place.kit("show", shown["run_id"][:6]).out
        for text in ("my first", "succeeded", shown["commit"], "uncommitted work", "team=pricing", "a first try"):
            assert text in out
        assert re.search(r"data data/table.csv +[0-9a-f]{32} matches", out)

    def test_the_folder_of_a_run_is_private(self, made: tuple[Place, Done, dict[str, Any]]) -> None:
        place, _, shown = made
        assert place.folder(shown["run_id"]).stat().st_mode & 0o777 == 0o700


class TestFailures:
    """However a task fails, the store and MLflow say that it did."""

    def ended(self, place: Place, *arguments: str, code: int) -> tuple[dict[str, Any], MlflowRun, Done]:
        done = place.kit("run", "--json", *arguments, code=code)
        record = done.json()
        return record, place.tracked(record["run_id"]), done

    def test_an_exception_shows_the_users_own_frames(self, place: Place) -> None:
        record, tracked, done = self.ended(place, "experiment=raises", code=1)
        assert (record["status"], record["exit_code"], record["tracked"]) == ("failed", 1, True)
        assert record["reason"] == "KeyError: 'no such column: speed'"
        assert (tracked.status, tracked.tags["kit.reason"]) == ("FAILED", record["reason"])
        assert done.err.count("Traceback") == 1
        assert re.findall(r'File "(.+?)", line \d+, in (\w+)', done.err) == [
            (str(place.root / "src/tiny/tasks.py"), "raises"),
            (str(place.root / "src/tiny/tasks.py"), "_deeper"),
        ]
        assert "about to fail" in (tracked.artifacts / "logs" / "console.log").read_text()
        assert "KeyError" in (tracked.artifacts / "logs" / "console.log").read_text()

    def test_a_result_that_is_no_metrics_is_explained(self, place: Place) -> None:
        record, tracked, done = self.ended(place, "experiment=junk", code=1)
        assert (record["status"], tracked.status) == ("failed", "FAILED")
        assert "the task returned list, not its metrics" in done.err
        assert "tiny.tasks.junk" in done.err
        assert "Traceback" not in done.err

    def test_a_metric_that_is_no_number_fails_the_run(self, place: Place) -> None:
        record, tracked, _ = self.ended(place, "experiment=bad_metric", code=1)
        assert (record["status"], tracked.status) == ("failed", "FAILED")
        assert "could not convert" in record["reason"]

    def test_an_exit_code_of_the_tasks_own_is_kept(self, place: Place) -> None:
        record, tracked, _ = self.ended(place, "experiment=leaves", code=3)
        assert (record["status"], record["exit_code"], tracked.status) == ("failed", 3, "FAILED")

    def test_leaving_with_zero_is_no_success(self, place: Place) -> None:
        record, tracked, _ = self.ended(place, "experiment=leaves_well", code=1)
        assert (record["status"], tracked.status) == ("failed", "FAILED")

    @pytest.mark.parametrize(
        ("name", "reason"), [("vanishes", "os._exit"), ("crashes", "killed by SIGSEGV")], ids=["os._exit(0)", "SIGSEGV"]
    )
    def test_leaving_without_a_word_is_a_failure(self, place: Place, name: str, reason: str) -> None:
        record, tracked, _ = self.ended(place, f"experiment={name}", code=1)
        assert (record["status"], record["tracked"]) == ("failed", True)
        assert reason in record["reason"]
        assert tracked.status == "FAILED"
        assert reason in tracked.tags["kit.reason"]
        assert (tracked.artifacts / "logs" / "console.log").exists()


class TestStopping:
    """A run that is stopped is gone with all it started, and is known as stopped."""

    def test_a_time_limit_ends_everything(self, place: Place) -> None:
        """Three tasks at once: one that tidies up, one that ignores to be asked, one with a daemon like that."""
        names = ["waits", "deaf", "daemon"]
        asked = [("run", "--json", f"experiment={name}", "--timeout", "30") for name in names]
        clients = [start_kit(place.root, *arguments, env=place.env) for arguments in asked]
        ended = [(client.communicate(timeout=200), client.returncode) for client in clients]
        assert [code for _, code in ended] == [124] * 3, ended
        waits, deaf, daemon = (json.loads(out) for (out, _), _ in ended)
        for record in (waits, deaf, daemon):
            assert (record["status"], record["reason"]) == ("timed_out", "stopped at its time limit of 30 s")
            assert place.tracked(record["run_id"]).status == "KILLED"
            assert place.tracked(record["run_id"]).tags["kit.reason"] == record["reason"]
        assert (place.folder(waits["run_id"]) / "finally").exists()
        assert "started" in (place.folder(deaf["run_id"]) / "console.log").read_text()
        pid = int((place.folder(daemon["run_id"]) / "daemon").read_text())
        assert not Path(f"/proc/{pid}").exists()
        assert processes_of(place.root) == []

    def test_a_run_that_is_stopped_before_it_is_tracked_is_tracked_as_stopped(self, place: Place) -> None:
        write(
            place.root, {"src/tiny/slow.py": "import threading\nthreading.Event().wait()\ndef train(cfg: dict): ...\n"}
        )
        record = place.run("task=tiny.slow.train", "--timeout", "1", code=124)
        assert record["started_at"] is None
        assert place.show(record["run_id"])["tracked"] is True
        assert place.tracked(record["run_id"]).status == "KILLED"

    def test_what_a_successful_task_leaves_behind_is_ended(self, place: Place) -> None:
        record = place.run("experiment=leaves_a_daemon")
        assert record["status"] == "succeeded"
        assert processes_of(place.root) == []

    def started(self, place: Place, name: str) -> tuple[subprocess.Popen[str], str]:
        before = set(place.root.glob(".kit/runs/*"))
        client = start_kit(place.root, "run", f"experiment={name}", env=place.env)
        run = until(lambda: set(place.root.glob(".kit/runs/*")) - before, "the run's folder").pop()
        until(lambda: (run / "console.log").exists() and "started" in (run / "console.log").read_text(), "the task")
        return client, run.name

    @pytest.mark.parametrize(
        "number",
        [
            signal.SIGINT,
            pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
            pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        ],
    )
    def test_a_polite_stop_lets_the_task_tidy_up(self, place: Place, number: signal.Signals) -> None:
        client, run_id = self.started(place, "waits")
        client.send_signal(number)
        out, err = client.communicate(timeout=100)
        assert client.returncode == 130
        record = place.show(run_id)
        assert (record["status"], record["exit_code"], record["reason"]) == ("cancelled", 130, "cancelled on request")
        assert (place.folder(run_id) / "finally").exists()
        assert place.tracked(run_id).status == "KILLED"
        assert place.tracked(run_id).metrics["loss"] == [(0, 0.5)]
        assert ("once more to kill it" in err) == (number is signal.SIGINT)
        assert "Traceback" not in out + err
        assert processes_of(place.root) == []

    def test_a_second_ctrl_c_does_not_wait(self, place: Place) -> None:
        client, run_id = self.started(place, "deaf")
        client.send_signal(signal.SIGINT)
        assert client.stderr is not None
        until(lambda: "once more" in client.stderr.readline(), "the first to be taken")  # type: ignore[union-attr]
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=100)
        assert client.returncode == 130
        record = place.show(run_id)
        assert record["status"] == "cancelled"
        # Its grace of 10 s was not waited for: that it went on after the first is what `deaf` is for.
        assert processes_of(place.root) == []
        assert until(lambda: place.tracked(run_id).status == "KILLED", "MLflow to be told")

    def test_another_command_can_cancel_it(self, place: Place) -> None:
        client, run_id = self.started(place, "waits")
        assert run_id in place.kit("cancel", run_id[:5]).out
        client.communicate(timeout=100)
        assert client.returncode == 130
        assert place.show(run_id)["status"] == "cancelled"
        again = place.kit("cancel", run_id, code=2)
        assert again.err.startswith("error: ")
        assert "is not running" in again.err


TELLS = {
    "conf/experiment/tells.yaml": experiment("tells")
    + "db:\n  password: changeme-please\n  url: postgresql://me:${db.password}@host/db\n"
    + "api_token: ${oc.env:API_TOKEN}\nplain: visible\n",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str, list[Done]]:
    place = Place(tmp_path_factory.mktemp("secrets"), TELLS, API_TOKEN=f"env-{SECRET}")
    asked = ["experiment=tells", f"db.password={SECRET}", f"+hook=https://me:{SECRET}@host/x"]
    done = place.kit("run", *asked, "--tag", f"url=https://me:{SECRET}@h", "--note", f"password={SECRET}")
    run_id = place.newest()
    says = [place.kit("show", run_id), place.kit("show", run_id, "--json"), place.kit("runs", "--json")]
    return place, run_id, [done, *says, place.kit("run", "--dry-run", *asked)]


class TestSecrets:
    """What is secret stays with the task."""

    def test_the_task_itself_has_them(self, told: tuple[Place, str, list[Done]]) -> None:
        place, run_id, _ = told
        log = (place.folder(run_id) / "console.log").read_text()
        assert f"token: env-{SECRET}" in log
        assert f"me:{SECRET}@host/db" in log
        assert place.show(run_id)["metrics"]["length"] == len(SECRET)

    def test_nothing_that_is_kept_has_them(self, told: tuple[Place, str, list[Done]]) -> None:
        place, _, _ = told
        kept = [place.root / "mlflow.db", *(place.root / ".kit").rglob("*"), *(place.root / "mlruns").rglob("*")]
        files = [path for path in kept if path.is_file() and path.name != "console.log"]
        assert {"store.db", "spec.json", "config.yaml", "mlflow.db"} <= {path.name for path in files}
        assert [path for path in files if SECRET.encode() in path.read_bytes()] == []

    def test_nothing_that_is_shown_has_them(self, told: tuple[Place, str, list[Done]]) -> None:
        _, _, says = told
        assert [done.out for done in says[1:] if SECRET in done.out + done.err] == []
        own = says[0].out.split("succeeded")
        assert SECRET in own[0]  # the task printed it
        assert SECRET not in own[1]

    def test_what_is_no_secret_stays_readable(self, told: tuple[Place, str, list[Done]]) -> None:
        place, run_id, _ = told
        params = place.tracked(run_id).params
        assert (params["plain"], params["api_token"]) == ("visible", "***")
        assert params["db.url"] == "***"  # a value that a secret variable went into is withheld whole


class TestSeeds:
    def test_the_same_seed_gives_the_same_numbers_and_another_does_not(self, place: Place) -> None:
        """The first has none of its own: one is drawn and recorded."""
        first = place.run("experiment=draws", "~seed")
        again, other = (place.run("experiment=draws", f"seed={seed}") for seed in (first["seed"], first["seed"] ^ 1))
        assert first["metrics"]["seed"] == first["seed"]
        assert again["metrics"] == first["metrics"]
        same = {name for name in first["metrics"] if first["metrics"][name] == other["metrics"][name]}
        assert "hash" in same  # the order of a set is no experiment
        assert not same & {"seed", "python", "numpy"}


class TestDryRun:
    def test_each_value_has_its_origin(self, place: Place) -> None:
        before = len(place.kit("runs", "--json", "--limit", "1000").json())
        found = place.kit("run", "--dry-run", "--json", "experiment=deep", "model.rate=0.5").json()
        assert {key: (value["value"], value["origin"]) for key, value in found.items()} == {
            "model.depth": ("9", "conf/model/large.yaml"),
            "model.rate": ("0.5", "command line"),
            "seed": ("7", "conf/config.yaml"),
            "steps": ("5", "conf/experiment/deep.yaml"),
            "task": ("tiny.train.train", "conf/experiment/deep.yaml"),
        }
        lines = place.kit("run", "--dry-run", "experiment=deep").out.splitlines()
        assert lines[0].split("\t") == ["key", "value", "from"]
        assert "model.depth\t9\tconf/model/large.yaml" in lines
        assert len(place.kit("runs", "--json", "--limit", "1000").json()) == before


class TestTrackingIsDown:
    """Tracking never kills a run, and loses nothing."""

    def test_the_run_succeeds_and_says_so_once(self, fresh: Callable[..., Place]) -> None:
        place = fresh(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{closed_port()}")
        done = place.kit("run", "--json", "steps=4")
        record = done.json()
        assert (record["status"], record["exit_code"], record["tracked"]) == ("succeeded", 0, False)
        assert record["metrics"]["score"] == pytest.approx(0.3)
        assert len([line for line in done.err.splitlines() if line.startswith("warning: ")]) == 1
        assert "MLflow does not answer" in done.err
        assert "Traceback" not in done.err
        assert "MLflow does not know" in place.kit("show", record["run_id"]).out

    @pytest.mark.slow
    def test_what_was_logged_is_delivered_later_and_once(self, fresh: Callable[..., Place], tmp_path: Path) -> None:
        """The server needs a password, in the URI: it is kept nowhere, and known to whoever delivers."""
        port = closed_port()
        place = fresh(MLFLOW_TRACKING_URI=f"http://me:{SECRET}@127.0.0.1:{port}")
        run_id = place.run("steps=4")["run_id"]
        assert SECRET not in (place.folder(run_id) / "spec.json").read_text()
        settle = [sys.executable, "-P", "-m", "kit._worker", "--settle", str(place.folder(run_id))]
        failed = subprocess.run(settle, env=place.env, cwd=place.root, capture_output=True, text=True, check=False)
        assert failed.returncode == 4
        assert place.show(run_id)["tracked"] is False
        with mlflow_server(tmp_path, port, place.env):
            for _ in range(2):  # told twice, it is sent once
                subprocess.run(settle, env=place.env, cwd=place.root, check=True, capture_output=True)
        assert place.show(run_id)["tracked"] is True
        found = mlflow_runs(tmp_path / "server")
        assert list(found) == [run_id]
        assert found[run_id].status == "FINISHED"
        assert found[run_id].metrics["loss"] == [(step, 1 / (step + 1)) for step in range(4)]
        assert found[run_id].params["steps"] == "4"
        names = {path.name for path in (tmp_path / "server" / "artifacts").rglob("*") if path.is_file()}
        assert {"console.log", "config.yaml", "spec.json"} <= names


@contextlib.contextmanager
def mlflow_server(folder: Path, port: int, env: dict[str, str]) -> Iterator[None]:
    """A real one, whose store and artifacts lie in `folder/server`; it is up when this is entered."""
    (folder / "server").mkdir()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{folder}/server/mlflow.db", "--workers", "1"),
            *("--artifacts-destination", str(folder / "server" / "artifacts")),
        ],
        cwd=folder / "home",
        env={name: value for name, value in env.items() if not name.startswith("MLFLOW_TRACKING")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: _answers(port), "the server to answer")
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _answers(port: int) -> bool:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


WIDTH = 80


class Screen:
    """What a terminal shows, and whether anything was too wide for it: enough of one for what rich sends."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self.row = self.column = self.widest = 0
        self.unknown: set[str] = set()

    def feed(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.|[\r\n]|[^\x1b\r\n]+", text):
            self._take(piece)

    def _take(self, piece: str) -> None:
        if piece == "\r":
            self.column = 0
        elif piece == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif piece.startswith("\x1b"):
            self._command(piece)
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + piece + line[self.column + len(piece) :]
            self.column += len(piece)
            self.widest = max(self.widest, self.column)

    def _command(self, piece: str) -> None:
        count = int(piece[2:-1]) if piece[2:-1].isdigit() else 1
        match piece[-1]:
            case "A":
                self.row = max(self.row - count, 0)
            case "K":
                self.lines[self.row] = "" if count == 2 else self.lines[self.row][: self.column]
            case "m" | "h" | "l":  # colours, and the cursor itself
                pass
            case _:
                self.unknown.add(piece)


def on_a_terminal(place: Place, *arguments: str, prompt: str = "", answer: str = "") -> tuple[Screen, str, int]:
    """Run the command on a terminal of 80 columns; what it showed, all that it sent, and its exit code.

    When the prompt is there, the answer is typed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    process = subprocess.Popen(
        [str(KIT), *arguments],
        cwd=place.root,
        env=place.env | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    sent = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(ours, 1 << 16):
            sent += data
            if answer and prompt.encode() in sent:
                os.write(ours, f"{answer}\n".encode())
                answer = ""
    os.close(ours)
    screen = Screen()
    screen.feed(sent.decode())
    return screen, sent.decode(), process.wait()


class TestTerminal:
    """One live panel while it runs, and nothing of it afterwards; plain lines where there is no terminal."""

    def test_the_panel_fits_and_leaves_nothing_behind(self, place: Place) -> None:
        screen, sent, code = on_a_terminal(place, "run", "experiment=panel")
        assert code == 0
        assert screen.unknown == set()
        assert screen.widest <= WIDTH
        assert "●" in sent  # there was a panel
        assert re.search(r"\d+/40", sent)  # with how far it is
        assert "a description that is quite long" in sent
        shown = "\n".join(line.rstrip() for line in screen.lines)
        assert "●" not in shown
        assert not re.search(r"\d+/40", shown)
        assert [line for line in shown.splitlines() if line.startswith("row ")] == [f"row {n}" for n in range(40)]
        assert "partial line without its end" in shown
        assert re.search(r"^score +0\.5$", shown, re.MULTILINE)
        assert sent.count("\x1b[?25h") >= sent.count("\x1b[?25l")  # the cursor is back

    def test_lists_fit_too(self, place: Place) -> None:
        place.run("experiment=panel", "--name", "a name that is as long as anyone would want it to be, and longer")
        screen, _, code = on_a_terminal(place, "runs")
        assert (code, screen.unknown) == (0, set())
        assert screen.widest <= WIDTH

    def test_a_bar_of_the_tasks_own_leaves_its_last_state(self, place: Place) -> None:
        screen, _, _ = on_a_terminal(place, "run", "experiment=redraws")
        lines = [line.rstrip() for line in screen.lines]
        assert "100% done" in lines
        assert not any("50% done" in line for line in lines)

    def test_a_prompt_is_seen_and_its_answer_arrives(self, place: Place) -> None:
        screen, sent, code = on_a_terminal(place, "run", "experiment=asks", prompt="your name? ", answer="Bob")
        assert code == 0
        assert sent.index("your name? ") < sent.index("hello Bob")
        assert "●" not in "\n".join(screen.lines)

    def test_a_pipe_gets_plain_lines(self, place: Place) -> None:
        done = place.kit("run", "experiment=panel")
        assert "\x1b" not in done.out + done.err
        assert "●" not in done.out
        assert done.out.startswith("row 0\nrow 1\n")

    def test_json_keeps_standard_output_to_itself(self, place: Place) -> None:
        done = place.kit("run", "--json", "experiment=panel")
        assert done.json()["status"] == "succeeded"
        assert done.err.startswith("row 0\nrow 1\n")


class TestManyAtOnce:
    @pytest.mark.slow
    def test_twenty_first_runs_at_the_same_moment(self, fresh: Callable[..., Place]) -> None:
        place = fresh()
        clients = [start_kit(place.root, "run", "--json", f"steps={number}", env=place.env) for number in range(1, 21)]
        ended = [(client.communicate(timeout=500), client.returncode) for client in clients]
        assert [code for _, code in ended] == [0] * 20, "\n".join(err for (_, err), _ in ended)
        ids = {json.loads(out)["run_id"] for (out, _), _ in ended}
        listed = place.kit("runs", "--json", "--limit", "100").json()
        assert {run["run_id"] for run in listed} == ids
        assert [run["status"] for run in listed] == ["succeeded"] * 20
        assert all(run["tracked"] for run in listed)
        found = mlflow_runs(place.root)
        assert set(found) == ids
        assert [run.status for run in found.values()] == ["FINISHED"] * 20
        assert sorted(len(run.metrics["loss"]) for run in found.values()) == list(range(1, 21))
