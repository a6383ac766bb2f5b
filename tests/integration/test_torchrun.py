"""Tasks that several processes work on: real torchrun, real gloo, on this machine."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kit.project import open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery
from tests.support import environment, kit, mlflow_runs, new_project, processes_of, start_kit, until

pytest.importorskip("torch", reason="`make torch` puts it there", exc_type=ImportError)

pytestmark = pytest.mark.slow

FILES = {
    "src/tiny/ranks.py": """
        import os
        import threading
        from dataclasses import dataclass

        import torch
        import torch.distributed as dist

        import kit


        @dataclass(frozen=True)
        class Config:
            model: dict[str, float]
            steps: int = 3
            password: str = ""


        def train(cfg: Config, run: kit.Run) -> dict[str, float]:
            dist.init_process_group("gloo")
            try:
                print(f"rank {run.rank} of {run.ranks} draws {torch.rand(1).item():.4f}", flush=True)
                found = run.latest_checkpoint()
                for step in range(0 if found is None else found[0] + 1, cfg.steps):
                    total = torch.tensor([float(run.rank + 1 + step)])
                    dist.all_reduce(total)
                    run.log({"total": total}, step=step)
                    with run.checkpoint(step) as folder:
                        torch.save(total, folder / "total.pt")
                assert cfg.password == "hunter2.hunter2"
                return {"score": total.item()}
            finally:
                dist.destroy_process_group()


        def fails(cfg: dict, run: kit.Run) -> None:
            dist.init_process_group("gloo")
            if run.rank == 1:
                raise ValueError("no such thing")
            dist.barrier()


        def dies(cfg: dict, run: kit.Run) -> None:
            if run.rank == 1:
                os._exit(7)
            threading.Event().wait()


        def waits(cfg: dict, run: kit.Run) -> None:
            print("started", flush=True)
            try:
                threading.Event().wait()
            finally:
                (run.dir / f"tidied-{run.rank}").touch()
        """,
} | {
    f"conf/experiment/{name}.yaml": (
        f"# @package _global_\ntask: tiny.ranks.{name}\npassword: ''\nresources: {{ranks: 2}}\n"
    )
    for name in ("train", "fails", "dies", "waits")
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("ranks") / "tiny", FILES)


@pytest.fixture
def env(root: Path) -> dict[str, str]:
    return environment(root.parent / "home")


def test_ranks_share_a_task_and_the_first_one_tracks(root: Path, env: dict[str, str]) -> None:
    done = kit(root, "run", "experiment=train", "password=hunter2.hunter2", "--json", env=env)
    run_id = done.json()["run_id"]
    project = open_project(root)
    record, run = project.store.get(run_id), project.paths.run(run_id)
    assert record.status is RunStatus.SUCCEEDED
    assert record.metrics == {"total": 7.0, "score": 7.0}
    series = {k: v for k, v in mlflow_runs(root)[run_id].metrics.items() if not k.startswith("system/")}
    assert series == {"total": [(0, 3.0), (1, 5.0), (2, 7.0)], "score": [(0, 7.0)]}  # once, not once a rank
    first, second = run.log.read_text(), (run.root / "ranks" / "rank-1.log").read_text()
    assert "rank 0 of 2 draws" in first
    assert "rank 1 of 2 draws" in second
    assert first.split("draws ")[1][:6] == second.split("draws ")[1][:6]  # all begin from the run's seed
    assert "rank 1" not in first
    assert [path.name[-1] for path in sorted(run.checkpoints.iterdir())] == ["0", "1", "2"]
    left = [path for path in run.root.rglob("*") if path.is_file() and b"hunter2.hunter2" in path.read_bytes()]
    assert left == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [("fails", "rank 1 failed: ValueError: no such thing"), ("dies", "rank 1 ended with exit code 7")],
)
def test_a_rank_that_fails_ends_the_run_and_the_others(root: Path, env: dict[str, str], name: str, reason: str) -> None:
    done = kit(root, "run", f"experiment={name}", env=env, code=1)
    record = open_project(root).store.runs(RunQuery(limit=1))[0]
    assert (record.status, record.exit_code) == (RunStatus.FAILED, 1)
    assert record.reason == reason
    assert reason in done.out + done.err
    assert processes_of(root) == []
    if name == "fails":
        log = open_project(root).paths.run(record.run_id).root / "ranks" / "rank-1.log"
        assert "ranks.py" in log.read_text()


def test_ctrl_c_reaches_every_rank(root: Path, env: dict[str, str]) -> None:
    command = start_kit(root, "run", "experiment=waits", env=env)
    try:
        project = open_project(root)

        def folder() -> Path | None:
            found = [each for each in project.store.runs(RunQuery(limit=1)) if each.experiment == "waits"]
            if not found:
                return None
            run = project.paths.run(found[0].run_id)
            said = [log.read_text() for log in (run.log, run.root / "ranks" / "rank-1.log") if log.exists()]
            return run.root if sum("started" in each for each in said) == 2 else None

        found = until(folder, "both ranks to start", seconds=300)
        assert found is not None
        command.send_signal(signal.SIGINT)
        assert command.wait() == 130
    finally:
        command.kill()
        command.communicate()
    assert {path.name for path in found.glob("tidied-*")} == {"tidied-0", "tidied-1"}
    assert project.store.get(found.name).status is RunStatus.CANCELLED
    assert processes_of(root) == []
