"""`kit reproduce`: an old run again, whatever has happened to the project since, and a verdict on the result."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kit.errors import ExitCode
from tests.conftest import git, write
from tests.support import (
    Done,
    commit_all,
    environment,
    kit,
    mlflow_runs,
    new_project,
    on_screen,
    processes_of,
    start_kit,
    until,
)

FILES = {
    "pyproject.toml": """
        [project]
        name = "tiny"
        version = "0.1.0"

        [tool.kit]
        package = "tiny"
        snapshot-max-bytes = 2000
        """,
    ".gitignore": "__pycache__/\n.kit/\nmlflow.db*\nmlruns/\n",
    "src/tiny/learn.py": '''
        """Learning that takes no time, from data, seed and configuration."""

        import csv
        import pickle
        from pathlib import Path

        import kit
        import numpy as np


        def points(cfg: dict) -> tuple[np.ndarray, np.ndarray]:
            with Path(cfg["data"]).open() as file:
                rows = np.array([[float(value) for value in row] for row in csv.reader(file)])
            return rows[:, :-1], rows[:, -1]


        def scikit(cfg: dict, run: kit.Run) -> dict[str, float]:
            from sklearn.ensemble import RandomForestRegressor

            x, y = points(cfg)
            model = RandomForestRegressor(n_estimators=cfg["trees"], random_state=run.seed).fit(x, y)
            for step in range(3):
                seen = slice(10 * (step + 1))
                run.log({"error": float(np.abs(model.predict(x[seen]) - y[seen]).mean())}, step)
            (run.dir / "model.pickle").write_bytes(pickle.dumps(model))
            run.artifact(run.dir / "model.pickle")
            return {"score": float(model.score(x, y))}


        def torch(cfg: dict, run: kit.Run) -> dict[str, float]:
            import torch

            from tiny.layers import network

            x, y = (torch.tensor(part, dtype=torch.float32) for part in points(cfg))
            model = network(x.shape[1])
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            for step in range(20):
                chosen = torch.randperm(len(x))[:16]
                loss = ((model(x[chosen])[:, 0] - y[chosen]) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log({"loss": loss}, step)
            torch.save(model.state_dict(), run.dir / "model.pt")
            run.artifact(run.dir / "model.pt")
            return {"loss": float(loss)}


        def chance(cfg: dict, run: kit.Run) -> dict[str, float]:
            return {"luck": float(np.random.default_rng().random())}


        def wobbles(cfg: dict, run: kit.Run) -> dict[str, float]:
            import wobble

            return {"value": wobble.VALUE}


        def secretive(cfg: dict, run: kit.Run) -> dict[str, float]:
            print("the password is", cfg["db"]["password"])
            return {"length": len(cfg["db"]["password"])}
        ''',
    "conf/config.yaml": "defaults: [_self_, experiment: scikit]\nseed: 7\ndata: data/points.csv\ntrees: 5\n",
    **{
        f"conf/experiment/{name}.yaml": f"# @package _global_\ntask: tiny.learn.{name}\n"
        for name in ("scikit", "torch", "chance", "wobbles", "secretive")
    },
}
LAYERS = '''
    """Not committed yet."""

    from torch import nn


    def network(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 1))
    '''


def dvc(root: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"}
    )


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def csv_of(seed: int) -> str:
    numbers = random.Random(seed)
    rows = [[numbers.random() for _ in range(3)] for _ in range(60)]
    return "".join(f"{a:.6f},{b:.6f},{c:.6f}\n" for a, b, c in rows)


class Laboratory:
    """A project with data under DVC, and what there is of it that no command may change."""

    def __init__(self, folder: Path) -> None:
        self.env = environment(folder / "home", KIT_FORKSERVER="on")
        self.root = new_project(folder / "tiny", FILES)
        dvc(self.root, "init", "--quiet")
        write(self.root, {"data/points.csv": csv_of(1)})
        dvc(self.root, "add", "--quiet", "data/points.csv")
        commit_all(self.root, "data")

    def run(self, *arguments: str, **env: str) -> str:
        return str(kit(self.root, "run", "--json", *arguments, env=self.env | env).json()["run_id"])

    def reproduce(self, run: str, *arguments: str, code: int = 0, **env: str) -> dict[str, Any]:
        done = kit(self.root, "reproduce", run, "--json", *arguments, env=self.env | env, code=code)
        found: dict[str, Any] = done.json()
        return found

    def refused(self, *arguments: str, code: int) -> Done:
        return kit(self.root, *arguments, env=self.env, code=code)

    def state(self) -> dict[str, str]:
        """The user's files, index, branches, stash and cache, as hashes."""
        found = {}
        kept = [self.root / ".git/index", self.root / ".git/HEAD", self.root / ".git/config"]
        for path in [*kept, *sorted(self.root.rglob("*"))]:
            parts = path.relative_to(self.root).parts
            inside = parts[0] not in {".git", ".kit", "mlflow.db", "mlruns"} and parts[:2] != (".dvc", "tmp")
            if path.is_file() and (inside or path in kept) and "__pycache__" not in parts:
                mode = path.stat().st_mode
                found["/".join(parts)] = f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        refs = git(self.root, "for-each-ref", "--format=%(refname) %(objectname)")
        found["refs"] = "\n".join(line for line in refs.splitlines() if not line.startswith("refs/kit/"))
        found["stash"] = git(self.root, "stash", "list")
        return found

    def worktrees(self) -> list[str]:
        listed = git(self.root, "worktree", "list", "--porcelain").split("\n\n")
        return [tree for tree in listed if tree.strip()][1:]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("reproduce"))


def first_suspicion(found: Mapping[str, Any]) -> tuple[str, str]:
    return found["suspects"][0]["kind"], found["suspects"][0]["name"]


@pytest.mark.slow
def test_identical_after_all_that_can_happen_to_a_project(tmp_path: Path) -> None:
    """A dirty tree, an untracked module, data that is gone; then another branch, other data and another config."""
    pytest.importorskip("torch")
    lab = Laboratory(tmp_path)
    write(lab.root, {"src/tiny/layers.py": LAYERS})
    learn = lab.root / "src/tiny/learn.py"
    learn.write_text(learn.read_text().replace("lr=0.01", "lr=0.02"))
    (lab.root / "data/loose.csv").write_text("1,2,3\n")  # untracked, and nobody's business
    learned = lab.run("experiment=torch", "trees=6")
    grown = lab.run("trees=6")

    git(lab.root, "stash", "--quiet")
    git(lab.root, "switch", "--quiet", "--create", "other")
    (lab.root / "src/tiny/layers.py").unlink()
    write(
        lab.root, {"data/points.csv": csv_of(2), "conf/config.yaml": "defaults: [_self_, experiment: torch]\nseed: 1\n"}
    )
    dvc(lab.root, "add", "--quiet", "data/points.csv")
    commit_all(lab.root, "everything is new")
    (lab.root / "data/points.csv").unlink()
    learn.write_text("raise SystemExit('broken')\n")
    before, known = lab.state(), mlflow_runs(lab.root)

    for run in (learned, grown):
        found = lab.reproduce(run)
        assert (found["verdict"], found["findings"]) == ("identical", []), found
        assert found["compared"]["artifacts"] == 1
    assert found["compared"]["points"] == 4
    assert lab.state() == before
    assert {run: mlflow_runs(lab.root)[run] for run in known} == known
    assert lab.worktrees() == []
    assert list((lab.root / ".kit/worktrees").iterdir()) == []
    shown = kit(lab.root, "show", found["new"][0], env=lab.env).out
    assert f"repeats {grown}" in " ".join(shown.split())
    again = kit(lab.root, "show", found["new"][0], "--json", env=lab.env).json()
    assert again["origin"] == {"kind": "reproduce", "parent": grown, "index": None, "scheduled_at": None}


@pytest.mark.slow
def test_what_is_not_the_same_is_named(laboratory: Laboratory, tmp_path: Path) -> None:
    """One byte of data, one value of the config, one package, one file of code, and one seed, in turn."""
    lab = laboratory
    packages = {}
    for version in ("1.0", "2.0"):
        packages[version] = str(tmp_path / version)
        write(
            tmp_path / version,
            {
                "wobble.py": f"VALUE = {version}\n",
                f"wobble-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: wobble\nVersion: {version}\n",
            },
        )
    run = lab.run()

    config = lab.reproduce(run, "trees=6", code=ExitCode.DIFFERENT)
    assert first_suspicion(config) == ("config", "trees")
    seed = lab.reproduce(run, "seed=8", code=ExitCode.DIFFERENT)
    assert first_suspicion(seed) == ("seed", "seed")
    assert {"error", "score", "model.pickle"} <= {finding["name"] for finding in seed["findings"]}

    wobbled = lab.run("experiment=wobbles", PYTHONPATH=packages["1.0"])
    package = lab.reproduce(wobbled, "--here", code=ExitCode.DIFFERENT, PYTHONPATH=packages["2.0"])
    assert first_suspicion(package) == ("environment", "wobble")
    (finding,) = package["findings"]
    assert (finding["name"], finding["old"], finding["new"]) == ("value", 1.0, 2.0)
    assert "wobble 1.0 → 2.0" in package["notes"][0]

    (kept,) = [path for path in (lab.root / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    sound = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(sound.replace(b"0.", b"1.", 1))
    kept.chmod(0o444)
    data = lab.reproduce(run, code=ExitCode.DIFFERENT)
    kept.chmod(0o644)
    kept.write_bytes(sound)
    assert first_suspicion(data) == ("data", "data/points.csv")

    helper = lab.root / "src/tiny/helper.py"
    helper.write_text(f"# {'long ' * 500}\nVALUE = 3.0\n")  # too large to be kept with the code, but for its hash
    write(
        lab.root,
        {"src/tiny/helped.py": "from tiny.helper import VALUE\n\n\ndef helped(cfg, run):\n    return {'v': VALUE}\n"},
    )
    helped = lab.run("task=tiny.helped.helped")
    assert lab.reproduce(helped)["verdict"] == "identical"
    helper.write_text(helper.read_text().replace("3.0", "4.0"))
    code = lab.reproduce(helped, code=ExitCode.DIFFERENT)
    assert first_suspicion(code) == ("code", "src/tiny/helper.py")


@pytest.mark.slow
def test_chance_is_found_out_by_repeating(laboratory: Laboratory) -> None:
    run = laboratory.run("experiment=chance")
    found = laboratory.reproduce(run, "--repeats", "3", code=ExitCode.DIFFERENT)
    assert first_suspicion(found) == ("nondeterminism", "luck")
    assert len(found["new"]) == 3

    tolerated = laboratory.reproduce(run, "--tolerance", "luck=1")
    assert tolerated["verdict"] == "equal"
    shown = on_screen(laboratory.root, "reproduce", run, "--tolerance", "2", env=laboratory.env)
    assert any(line.startswith("equal  run") for line in shown), shown
    assert max(map(len, shown)) <= 80


def test_a_secret_of_the_command_line_is_asked_for(laboratory: Laboratory) -> None:
    run = laboratory.run("experiment=secretive", "+db.password=xyzzy-plugh-1")
    done = laboratory.refused("reproduce", run, code=ExitCode.USER)
    assert "db.password" in done.err
    assert "xyzzy" not in done.err
    found = laboratory.reproduce(run, "+db.password=xyzzy-plugh-1")
    assert found["verdict"] == "identical"
    told = laboratory.run("experiment=secretive", "+db.password=${oc.env:DB_PASSWORD}", DB_PASSWORD="xyzzy-plugh-1")
    assert laboratory.reproduce(told, DB_PASSWORD="xyzzy-plugh-1")["verdict"] == "identical"
    gone = kit(laboratory.root, "reproduce", told, env=laboratory.env | {"DB_PASSWORD": ""}, code=ExitCode.USER)
    assert "db.password held a secret" in gone.err
    kept = [path for path in (laboratory.root / ".kit/runs").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"xyzzy" in path.read_bytes() and path.name != "console.log"]


@pytest.mark.slow
def test_what_cannot_be_repeated_is_refused(laboratory: Laboratory) -> None:
    lab = laboratory
    run = lab.run("experiment=chance", "+unsaved=1")
    bad = lab.refused("reproduce", run, "--tolerance", "luck=much", code=ExitCode.USER)
    assert "'much' is no tolerance" in bad.err

    append(lab.root / "src/tiny/learn.py", "# not committed\n")
    dirty = lab.run("experiment=chance")
    git(lab.root, "checkout", "--quiet", "src/tiny/learn.py")
    git(lab.root, "update-ref", "-d", f"refs/kit/runs/{dirty}")
    git(lab.root, "prune", "--expire=now")
    gone = lab.refused("reproduce", dirty, code=ExitCode.USER)
    assert "no commit" in gone.err
    assert "git fetch" in gone.err
    assert lab.worktrees() == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive), signal.SIGKILL])
def test_whenever_it_is_stopped_the_users_own_is_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    lab = Laboratory(tmp_path)
    append(lab.root / "src/tiny/learn.py", "# not committed\n")
    run = lab.run()
    began = time.monotonic()
    lab.reproduce(run)
    took = time.monotonic() - began
    before = lab.state()
    moments = [took * part for part in (0.1, 0.3, 0.45, 0.6, 0.8)]
    for moment in moments:
        process = start_kit(lab.root, "reproduce", run, env=lab.env)
        time.sleep(moment)  # not a condition to wait for: at this moment, wherever it is
        process.send_signal(number)
        process.communicate(timeout=60)
        until(lambda: not processes_of(lab.root), "everything that it started to be gone")
        assert lab.state() == before
    assert lab.reproduce(run)["verdict"] == "identical"
    assert lab.worktrees() == []
    assert list((lab.root / ".kit/worktrees").iterdir()) == []
