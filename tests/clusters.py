"""What tests of runs on clusters share: a project, and `kit` in it as a user of the cluster has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from datetime import UTC, timedelta
from pathlib import Path

from kit import _clock
from kit._process import is_alive, marked
from kit.fires import FireQuery
from kit.models import RunRecord
from kit.project import Project, open_project
from kit.states import FIRE_TERMINAL, FireStatus, RunStatus
from kit.stores.base import RunQuery
from tests.conftest import write
from tests.support import Done, environment, kit, mlflow_runs, new_project, start_kit, until

__all__ = ["FILES", "TRIALS", "ClusterPlace"]

TRIALS = 60
"""Of the sweep that loses a node: more than all nodes have room for at a time."""

FILES = {
    "src/tiny/tasks.py": """
        import json
        import os
        import threading

        import kit


        def steps(cfg: dict, run: kit.Run) -> dict[str, float]:
            found = run.latest_checkpoint()
            first = 0 if found is None else found[0] + 1
            print(f"begins at {first}", flush=True)
            for step in range(first, cfg["steps"]):
                run.log({"loss": 1.0 / (step + 1)}, step=step)
                with run.checkpoint(step) as folder:
                    (folder / "step").write_text(json.dumps(step))
                threading.Event().wait(cfg["pause"])
            return {"score": cfg["x"] * 2.0}


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            threading.Event().wait()


        def tries(cfg: dict, run: kit.Run) -> dict[str, float]:
            attempt = int(os.environ["KIT_ATTEMPT"])
            print(f"attempt {attempt} of {os.environ['KIT_SCHEDULED_AT']}", flush=True)
            while attempt <= cfg["waits"] and not (run.dir / "go").exists():
                threading.Event().wait(0.05)
            return {"attempt": float(attempt)}
        """,
    "conf/experiment/steps.yaml": "# @package _global_\ntask: tiny.tasks.steps\nx: 1\nsteps: 3\npause: 0\n",
    "conf/experiment/waits.yaml": "# @package _global_\ntask: tiny.tasks.waits\n",
    "conf/experiment/tries.yaml": "# @package _global_\ntask: tiny.tasks.tries\nwaits: 1\n",
}


class ClusterPlace:
    """A project whose runs a cluster takes; the submitter's environment is `env`."""

    def __init__(self, folder: Path, on: str, cluster: Mapping[str, str]) -> None:
        self.root = new_project(folder / "tiny", FILES)
        self.on = on
        self.env: Mapping[str, str] = environment(folder / "home", **cluster)

    def kit(self, *arguments: str, code: int | None = 0, env: Mapping[str, str] | None = None) -> Done:
        return kit(self.root, *arguments, env=self.env if env is None else env, code=code)

    @property
    def project(self) -> Project:
        return open_project(self.root)

    def submit(self, *arguments: str) -> str:
        return str(self.kit("run", "--on", self.on, "--json", *arguments).json()["run_id"])

    def record(self, run_id: str) -> RunRecord:
        return self.project.store.get(run_id)

    def ended(self, run_id: str) -> RunRecord:
        until(lambda: self.record(run_id).status.is_terminal, f"the end of {run_id}")
        return self.record(run_id)

    def gone(self, run_id: str) -> RunRecord:
        """It has ended, and so has what supervised it, which tells its tracker last."""
        supervisor = self.ended(run_id).supervisor
        assert supervisor is not None
        until(lambda: not is_alive(supervisor), f"the supervisor of {run_id} to leave")
        return self.record(run_id)

    def log(self, run_id: str) -> str:
        log = self.project.paths.run(run_id).log
        return log.read_text() if log.exists() else ""

    def records(self) -> list[RunRecord]:
        return self.project.store.runs(RunQuery())

    def trials(self) -> list[RunRecord]:
        return [record for record in self.records() if record.origin.kind == "sweep"]

    def schedule(
        self, name: str, *overrides: str, trigger: str = "{interval: 1 h}", on: str = "", more: str = ""
    ) -> None:
        """Have an experiment run there by a schedule."""
        does = f"executor: {on or self.on}\nexperiment: tries\noverrides: [{', '.join(overrides)}]\n"
        write(self.root, {f"conf/schedule/{name}.yaml": f"trigger: {trigger}\n{does}{more}"})

    def attempts(self, schedule: str) -> list[RunRecord]:
        """The runs that its fires came to, the first one first."""
        return self.project.store.runs(RunQuery(parent=schedule, descending=False))

    def expect_retried(self) -> None:
        """Of a scheduled run the first attempt is killed hard where it runs: another one follows, and counts."""
        due = _clock.now() + timedelta(seconds=3)
        retry = "retry: {attempts: 3, delay: 0 s}\n"
        self.schedule("night", trigger=f"{{once: '{due.isoformat()}'}}", more=retry)
        scheduler = start_kit(self.root, "scheduler", env=self.env)
        try:
            (first,) = until(lambda: self.attempts("night"), "the schedule to be due")
            until(lambda: "attempt 1" in self.log(first.run_id), "the first attempt to begin")
            begun = self.record(first.run_id)
            assert (begun.status, begun.executor, begun.token) == (RunStatus.RUNNING, self.on, 1)
            assert begun.supervisor is not None
            os.kill(begun.supervisor.pid, signal.SIGKILL)

            fires = self.project.store.fires
            over = FireQuery(schedule="night", statuses=FIRE_TERMINAL)
            (ended,) = until(lambda: fires.fires(over), "the fire to be over")
            assert (ended.status, ended.attempt) == (FireStatus.SUCCEEDED, 2)
        finally:
            scheduler.send_signal(signal.SIGTERM)
            scheduler.communicate()
        lost, well = self.attempts("night")
        assert (lost.status, lost.executor) == (RunStatus.LOST, self.on)
        assert (well.status, well.executor, well.metrics) == (RunStatus.SUCCEEDED, self.on, {"attempt": 2.0})
        assert self.log(well.run_id) == f"attempt 2 of {due.astimezone(UTC).isoformat()}\n"
        for record in (lost, well):
            until(lambda: not marked("KIT_RUN_ID", record.run_id), "no process of it to be left")  # noqa: B023
            until(lambda: self.record(record.run_id).tracked, "MLflow to know")  # noqa: B023
        mlflow = mlflow_runs(self.root)
        assert [mlflow[each.run_id].status for each in (lost, well)] == ["FAILED", "FINISHED"]

    def expect_resumed(self) -> str:
        """A run that was cancelled goes on there, and comes out as one that never was; gives its id."""
        run_id = self.submit("experiment=steps", "steps=12", "pause=1")
        folder = self.project.paths.run(run_id)
        until(lambda: len([*folder.checkpoints.glob("step-*[0-9]")]) > 2, "some checkpoints")
        self.kit("cancel", run_id)
        stopped = self.gone(run_id)
        assert stopped.status is RunStatus.CANCELLED
        reached = max(int(path.name[5:]) for path in folder.checkpoints.glob("step-*[0-9]"))
        tasks = self.root / "src/tiny/tasks.py"
        text = tasks.read_text()
        tasks.write_text("not Python any more")

        said = self.kit("run", "--resume", run_id, "--follow")
        tasks.write_text(text)
        ended = self.record(run_id)
        assert f"goes on from its checkpoint of step {reached}, on {self.on}" in said.err
        assert f"begins at {reached + 1}\n" in said.out
        assert (ended.status, ended.executor, ended.metrics["score"]) == (RunStatus.SUCCEEDED, self.on, 2.0)
        assert ended.job != stopped.job
        assert (ended.token or 0) > (stopped.token or 0)
        until(lambda: self.record(run_id).tracked, "MLflow to know")
        mine = mlflow_runs(self.root)[run_id]
        assert (mine.status, mine.tags["kit.resumed"]) == ("FINISHED", "1")
        assert mine.metrics["loss"] == [(step, 1.0 / (step + 1)) for step in range(12)]
        return run_id

    def expect_swept(self, trials: int) -> None:
        """Every trial of `steps` once, as they come out here, and MLflow with the same."""
        found = self.trials()
        assert sorted(record.metrics["score"] for record in found) == [2.0 * x for x in range(trials)]
        assert {record.status for record in found} == {RunStatus.SUCCEEDED}
        until(lambda: all(record.tracked for record in self.trials()), "MLflow to know all")
        mlflow = mlflow_runs(self.root)
        for record in found:
            mine = mlflow[record.run_id]
            assert mine.status == "FINISHED"
            assert mine.metrics["score"] == [(0, record.metrics["score"])]
            assert mine.metrics["loss"] == [(step, 1.0 / (step + 1)) for step in range(3)]  # as one here has
        assert len([run for run in mlflow.values() if run.tags.get("kit.run_id")]) == trials
