"""What tests of runs on clusters share: a project, and `kit` in it as a user of the cluster has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kit.models import RunRecord
from kit.project import Project, open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery
from tests.support import Done, environment, kit, mlflow_runs, new_project, until

__all__ = ["FILES", "ClusterPlace"]

FILES = {
    "src/tiny/tasks.py": """
        import json
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
        """,
    "conf/experiment/steps.yaml": "# @package _global_\ntask: tiny.tasks.steps\nx: 1\nsteps: 3\npause: 0\n",
    "conf/experiment/waits.yaml": "# @package _global_\ntask: tiny.tasks.waits\n",
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

    def log(self, run_id: str) -> str:
        log = self.project.paths.run(run_id).log
        return log.read_text() if log.exists() else ""

    def trials(self) -> list[RunRecord]:
        return [record for record in self.project.store.runs(RunQuery()) if record.origin.kind == "sweep"]

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
