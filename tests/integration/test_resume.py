"""`kit run --resume`: a run that was stopped goes on, and nobody can tell from its series that it ever stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.paths import ProjectPaths
from kit.trackers.spool import points_of
from tests.support import (
    Done,
    MlflowRun,
    environment,
    kit,
    mlflow_runs,
    new_project,
    processes_of,
    until,
)

SECRET = "hunter2-correct-horse"

FILES = {
    "src/tiny/learning.py": '''
        """Training that goes on from its checkpoint, and can be made to die."""

        import json
        import os
        import random
        import signal
        import time

        import kit

        VERSION = 1


        def learns(cfg: dict, run: kit.Run) -> dict[str, float]:
            run.log({"rows": 336})
            run.params({"features": 21})
            generator, weight, first = random.Random(run.seed), 0.0, 0
            if (latest := run.latest_checkpoint()) is not None:
                step, folder = latest
                weight, state = json.loads((folder / "state.json").read_text())
                generator.setstate((state[0], tuple(state[1]), state[2]))
                first = step + 1
            print(f"begins at {first}, version {VERSION}", flush=True)
            for step in run.progress(range(first, cfg["steps"])):
                for _ in range(2):
                    weight += generator.random()
                    run.log({"batch_loss": weight})
                run.log({"loss": weight, "accuracy": 1 - 1 / (step + 2)}, step=step)
                if step % 3 == 2:
                    with run.checkpoint(step) as folder:
                        (folder / "state.json").write_text(json.dumps([weight, generator.getstate()]))
                die(run, cfg, step)
                time.sleep(cfg["pause"])
            return {"score": weight, "letters": len((cfg.get("db") or {}).get("password") or "")}


        def die(run: kit.Run, cfg: dict, step: int) -> None:
            mark = run.dir / f"died-at-{step}"
            if step in cfg["die_at"] and not mark.exists():
                mark.touch()
                if cfg["how"] == "raise":
                    raise RuntimeError("the machine is on fire")
                os.kill(os.getpid(), signal.SIGKILL)
        ''',
    "conf/experiment/learning.yaml": """
        # @package _global_
        task: tiny.learning.learns
        steps: 12
        die_at: []
        how: kill
        pause: 0
        """,
    "conf/experiment/secret.yaml": """
        # @package _global_
        defaults:
          - learning
          - _self_

        db:
          password: ${oc.env:DB_PASSWORD}
        """,
}


@dataclass(frozen=True)
class World:
    """A project whose runs die and are resumed, and a run of it that did not."""

    root: Path
    env: dict[str, str]
    control: str

    def kit(self, *arguments: str, code: int | None = 0, **more: str) -> Done:
        return kit(self.root, *arguments, env=self.env | more, code=code)

    def run(self, *arguments: str, code: int) -> dict[str, Any]:
        told: dict[str, Any] = self.kit("run", "--json", *arguments, code=code).json()
        return told

    def spool(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        series: dict[str, list[tuple[int, float]]] = {}
        for point in points_of(ProjectPaths(self.root).run(run_id).spool):
            series.setdefault(point.key, []).append((point.step, point.value))
        return series

    def mlflow(self, run_id: str) -> MlflowRun:
        return mlflow_runs(self.root)[run_id]

    def series(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """As MLflow has them, without what it measures itself."""
        found = self.mlflow(run_id).metrics
        return {key: points for key, points in sorted(found.items()) if not key.startswith("system/")}

    def log(self, run_id: str) -> str:
        return ProjectPaths(self.root).run(run_id).log.read_text()

    def is_as_if_never_stopped(self, run_id: str) -> None:
        assert self.spool(run_id) == self.spool(self.control)
        assert self.series(run_id) == self.series(self.control)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("resume")
    env = environment(folder / "home", DB_PASSWORD=SECRET)
    root = new_project(folder / "tiny", FILES)
    control = kit(root, "run", "experiment=learning", "--json", env=env).json()["run_id"]
    yield World(root, env, control)
    until(lambda: processes_of(root) == [], "everything of every run to be gone")


def test_a_run_that_was_killed_twice_ends_as_one_that_was_not(world: World) -> None:
    first = world.run("experiment=learning", "die_at=[4,7]", code=1)
    again = world.run("--resume", "last", code=1)
    last = world.run("--resume", first["run_id"][:6], code=0)
    assert first["run_id"] == again["run_id"] == last["run_id"]
    assert [first["status"], again["status"], last["status"]] == ["failed", "failed", "succeeded"]
    assert (last["exit_code"], last["reason"]) == (0, None)
    world.is_as_if_never_stopped(last["run_id"])
    assert last["metrics"] == world.kit("show", "--json", world.control).json()["metrics"]

    tracked = world.mlflow(last["run_id"])
    assert tracked.status == "FINISHED"
    assert tracked.tags["kit.resumed"] == "2"
    assert "kit.reason" not in tracked.tags
    assert tracked.params["features"] == "21"
    assert [line for line in world.log(last["run_id"]).splitlines() if line.startswith("begins at")] == [
        "begins at 0, version 1",
        "begins at 3, version 1",
        "begins at 6, version 1",
    ]
    assert world.kit("runs", "--json", "--status", "succeeded").json()[0]["run_id"] == last["run_id"]
