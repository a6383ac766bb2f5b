"""A run that goes on after it was stopped: what it does a second time is logged once."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import checkpoints
from kit.paths import RunPaths
from kit.run import Run
from kit.testing import fake_run
from kit.trackers.past import Past
from kit.trackers.spool import Spool, points_of

Series = dict[str, list[tuple[int, float]]]


def series(folder: Path) -> Series:
    found: Series = {}
    for point in points_of(RunPaths(folder / "run").spool):
        found.setdefault(point.key, []).append((point.step, point.value))
    return found


class Killed(BaseException):
    """What ends a process, as far as a test of one process can have it."""


@dataclass
class Plan:
    """What a task does in each of its epochs, and how many values it logs there."""

    epochs: int
    every: int
    counted: int
    placed: int
    repeated: int
    asks: bool


def work(run: Run, plan: Plan, breathe: Callable[[], None]) -> None:
    """Training whose values follow from its state alone. It may be stopped wherever it breathes."""
    run.log({"rows": 336.0, "seed": 7.0})
    run.log({"size": 21.0}, step=0)
    state, first = 0.0, 0
    latest = run.latest_checkpoint() if plan.asks else None
    if latest is not None:
        state = json.loads((latest[1] / "state").read_text())
        first = latest[0] + 1
    run.log({"batches": 12.0}, step=0)
    for epoch in range(first, plan.epochs):
        for _ in range(plan.counted):
            state += 1
            run.log({"batch_loss": 1 / state})
            breathe()
        for number in range(plan.placed):
            run.log({f"loss{number}": state * number, "mixed": state} if number else {"loss0": state}, step=epoch)
            breathe()
        for _ in range(plan.repeated):
            state += 0.5
            run.log({"of_a_step": state}, step=epoch)
            breathe()
        if (epoch + 1) % plan.every == 0:
            with run.checkpoint(epoch) as folder:
                (folder / "state").write_text(json.dumps(state))
                breathe()
        breathe()
    run.log({"score": state})


def stopped_after(breaths: int) -> Callable[[], None]:
    left = breaths

    def breathe() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    return breathe


plans = st.builds(
    Plan,
    epochs=st.integers(1, 8),
    every=st.integers(1, 4),
    counted=st.integers(0, 3),
    placed=st.integers(0, 3),
    repeated=st.sampled_from([0, 0, 2, 3]),
    asks=st.booleans(),
)


@given(plan=plans, tries=st.lists(st.integers(0, 40), max_size=6))
def test_wherever_it_is_stopped_its_series_are_those_of_a_run_that_never_was(plan: Plan, tries: list[int]) -> None:
    # In memory, where there is a place for it: every checkpoint is synced.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        straight, stopped = Path(name, "straight"), Path(name, "stopped")
        work(fake_run(straight), plan, lambda: None)
        for breaths in tries:
            try:
                work(fake_run(stopped), plan, stopped_after(breaths))
            except Killed:
                continue
        work(fake_run(stopped), plan, lambda: None)
        assert series(stopped) == series(straight)


def trained(run: Run, epochs: range) -> None:
    for epoch in epochs:
        run.log({"loss": 1 / (epoch + 1)})
        with run.checkpoint(epoch):
            run.log({"inside": epoch})


def test_what_was_logged_after_the_checkpoint_is_not_logged_again(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    trained(run, range(2))
    run.log({"loss": 0.25})
    again = fake_run(tmp_path)
    assert again.latest_checkpoint() is not None
    again.log({"loss": 0.26})  # not bit for bit the same, as on a GPU: what was said first stays
    again.log({"loss": 0.2, "new": 1})
    assert series(tmp_path)["loss"] == [(0, 1.0), (1, 0.5), (2, 0.25), (3, 0.2)]
    assert series(tmp_path)["new"] == [(0, 1.0)]


def test_metrics_are_what_they_were_when_the_checkpoint_was_made(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    run.log({"auc": 0.7, "odd": math.nan})
    with run.checkpoint(0):
        pass
    run.log({"auc": 0.8})
    again = fake_run(tmp_path)
    assert again.metrics == {}
    again.latest_checkpoint()
    assert again.metrics["auc"] == 0.7
    assert math.isnan(again.metrics["odd"])


def test_a_checkpoint_of_its_own_is_no_beginning(tmp_path: Path) -> None:
    """Who loads the last checkpoint at the end of the training does not begin from it."""
    run = fake_run(tmp_path)
    trained(run, range(3))
    run.log({"loss": 0.1})
    run.latest_checkpoint()
    run.log({"loss": 0.05})
    assert [step for step, _ in series(tmp_path)["loss"]] == [0, 1, 2, 3, 4]
    anew = fake_run(tmp_path)
    trained(anew, range(1))  # makes one before it asks
    anew.latest_checkpoint()
    anew.log({"loss": 0.5})
    assert [step for step, _ in series(tmp_path)["loss"]] == [0, 1, 2, 3, 4]


def test_asking_twice_begins_once(tmp_path: Path) -> None:
    trained(fake_run(tmp_path), range(2))
    run = fake_run(tmp_path)
    assert run.latest_checkpoint() == run.latest_checkpoint()
    run.log({"loss": 0.3})
    run.latest_checkpoint()
    run.log({"loss": 0.25})
    assert [step for step, _ in series(tmp_path)["loss"]] == [0, 1, 2, 3]


def test_a_line_that_was_torn_off_takes_no_other_with_it(tmp_path: Path) -> None:
    fake_run(tmp_path).log({"loss": 1})
    spool = RunPaths(tmp_path / "run").spool
    with spool.open("ab") as file:
        file.write(b'{"metrics":[["loss",0.5,')
    fake_run(tmp_path).log({"loss": 0.5}, step=1)
    assert series(tmp_path)["loss"] == [(0, 1.0), (1, 0.5)]


def test_a_run_begins_from_the_checkpoint_of_another(tmp_path: Path) -> None:
    first, second = RunPaths(tmp_path / "first"), RunPaths(tmp_path / "second")
    first.root.mkdir()
    second.root.mkdir()
    trained(Run(first, name="first", seed=0, spool=Spool(first.spool)), range(2))
    made = checkpoints.latest(first)
    assert made is not None
    checkpoints.begin_from(second, made)

    run = Run(second, name="second", seed=0, spool=Spool(second.spool))
    assert run.latest_checkpoint() == (1, made.files)
    run.log({"loss": 0.3})
    assert [(point.key, point.step) for point in points_of(second.spool)] == [("loss", 2)]
    with run.checkpoint(2):
        pass
    assert run.latest_checkpoint() == (2, second.checkpoints / "step-000000000002" / "files")
    assert (found := checkpoints.latest(first)) is not None
    assert found.step == 1


def test_a_checkpoint_of_another_run_that_is_gone_is_none(tmp_path: Path) -> None:
    first, second = RunPaths(tmp_path / "first"), RunPaths(tmp_path / "second")
    second.root.mkdir()
    checkpoints.begin_from(second, checkpoints.Checkpoint("first", 1, first.checkpoints))
    assert checkpoints.latest(second) is None


def test_a_checkpoint_holds_the_tasks_files_and_no_others(tmp_path: Path) -> None:
    run = fake_run(tmp_path)
    with run.checkpoint(3) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "model.pt").write_bytes(b"weights")
    latest = run.latest_checkpoint()
    assert latest is not None
    assert [path.relative_to(latest[1]).as_posix() for path in latest[1].rglob("*")] == ["deep", "deep/model.pt"]


@pytest.mark.parametrize("step", [-(2**63), 2**63 - 1])
def test_steps_may_be_as_large_as_they_may_be_logged(tmp_path: Path, step: int) -> None:
    fake_run(tmp_path).log({"loss": 1}, step=step)
    past = Past(points_of(RunPaths(tmp_path / "run").spool))
    assert past.has("loss", step)
    assert not past.has("loss", step)
