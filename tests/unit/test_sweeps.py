"""A sweep before its trials run, and what is decided as they end.

The store and its records are real; in place of processes, which take seconds, is what ends as a test says. How real
trials go is in tests/integration/test_sweep.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import _clock, runs, sweeps
from kit.cli import main, render
from kit.errors import HostError, UserError
from kit.models import Origin, RunRecord, RunSpec
from kit.outcomes import ABANDONED
from kit.project import Project, open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery
from kit.sweeps import Board, Goal, OnError, Options, ranked
from kit.sweeps._options import smaller_is_better
from kit.sweeps._pool import cores
from kit.sweeps._work import is_finished
from tests.factories import INSTANT, record, snapshot

END = INSTANT + timedelta(seconds=1)


class Executor:
    """In place of processes: each trial ends as `ends` says, when it is let go."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.ends: dict[int, list[RunStatus]] = {}
        self.reasons: dict[int, str] = {}
        self.metrics: dict[int, dict[str, float]] = {}
        self.started: list[int] = []
        self.stuck: set[int] = set()
        self.most = 0
        self.environment: dict[int, dict[str, str]] = {}
        self._under_way: set[str] = set()
        self.hold = threading.Event()
        self.hold.set()

    def plan(self, _project: Project, drafted: runs.Draft, **_: object) -> Any:
        return drafted

    def start(self, project: Project, drafted: runs.Draft, **_: object) -> Handle:
        origin = drafted.request.origin
        index = origin.index or 0
        self.started.append(index)
        self.environment[index] = {name: os.environ[name] for name in os.environ if name.startswith(("KIT_SL", "CUDA"))}
        made = replace(record(drafted.run_id, at=_clock.now()), origin=origin, overrides=drafted.composed.overrides)
        spec = RunSpec(made.run_id, "n", "p", "e", "t", made.overrides, {}, snapshot(), str(project.root), "")
        project.store.create(spec, replace(made, status=RunStatus.STARTING))
        self._under_way.add(made.run_id)
        self.most = max(self.most, len(self._under_way))
        return Handle(self, drafted.run_id, index)

    def end(self, run_id: str, index: int) -> None:
        store, left = self.project.store, self.ends.get(index, [RunStatus.SUCCEEDED])
        status = left.pop(0) if len(left) > 1 else left[0]
        store.set_metrics(run_id, self.metrics.get(index, {"score": float(index)}))
        store.transition(run_id, RunStatus.RUNNING, at=INSTANT)
        code = 0 if status is RunStatus.SUCCEEDED else 1
        reason = None if code == 0 else self.reasons.get(index, "ValueError: no")
        store.transition(run_id, status, at=END, exit_code=code, reason=reason)
        self._under_way.discard(run_id)


class Handle:
    def __init__(self, executor: Executor, run_id: str, index: int) -> None:
        self.executor, self.run_id, self.index = executor, run_id, index
        self.cancelled = threading.Event()

    def wait(self, _timeout: float | None = None) -> bool:
        assert (self.cancelled if self.index in self.executor.stuck else self.executor.hold).wait(60)
        self.executor.end(self.run_id, self.index)
        return True

    def cancel(self, **_: bool) -> None:
        self.cancelled.set()
        self.executor.ends[self.index] = [RunStatus.CANCELLED]
        self.executor.hold.set()


@pytest.fixture
def executor(project: Path, monkeypatch: pytest.MonkeyPatch) -> Executor:
    executor = Executor(open_project(project))
    monkeypatch.setattr(runs, "plan", executor.plan)
    monkeypatch.setattr(runs, "start", executor.start)
    # The tracker is told by a process, and MLflow is not what these tests are about.
    monkeypatch.setattr("kit.sweeps._ending.tell_tracker_of_sweep", lambda *_: None)
    return executor


@pytest.fixture
def untouched(executor: Executor) -> Iterator[Executor]:
    yield executor
    assert executor.started == []


def swept(executor: Executor, *overrides: str, **options: Any) -> Board:
    request = runs.Request(overrides=overrides)
    return sweeps.sweep(executor.project, request, Options(**options), show=lambda _board: None)


def outcomes(board: Board) -> dict[int | None, str]:
    return {each.origin.index: each.status.value for each in board.records}


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("seed=1,foo", "trial 1 (seed=foo): seed: expected"),
        ("seed=1,2,-3", "trial 2 (seed=-3): seed: expected"),
        (f"seed=1,{2**63}", f"trial 1 (seed={2**63}): seed: expected"),
        ("task=tiny.train.train,oops", "trial 1 (task=oops): task: 'oops'"),
    ],
)
def test_a_mistake_in_the_last_trial_is_told_before_the_first_runs(
    untouched: Executor, override: str, named: str
) -> None:
    with pytest.raises(UserError) as caught:
        swept(untouched, override)
    assert caught.value.what.startswith(named)
    assert caught.value.fix
    assert not untouched.project.paths.sweeps.exists()


def test_trials_are_known_before_they_run(project: Path) -> None:
    wanted = runs.Request(overrides=("seed=1,2", "model=small,large"))
    found = sweeps.trials(open_project(project), wanted, Options())
    assert found == [(f"seed={seed}", f"model={model}") for seed in (1, 2) for model in ("small", "large")]
    assert sweeps.trials(open_project(project), wanted, Options(trials=3)) == found[:3]
    assert not (project / ".kit").exists()
    with pytest.raises(UserError, match="trial 1"):
        sweeps.trials(open_project(project), runs.Request(overrides=("seed=1,foo",)), Options())


def test_a_dry_sweep_lists_its_trials(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    render.console.cache_clear()
    assert main(["run", "-m", "--dry-run", "seed=1,2", "+api_key=hunter2-hunter2"]) == 0
    assert capsys.readouterr().out == ("trial\toverrides\n0\tseed=1 '+api_key=***'\n1\tseed=2 '+api_key=***'\n")
    render.console.cache_clear()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only some systems bind processes to cores")
def test_as_many_at_a_time_as_there_are_cores_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores() == 2


@pytest.mark.parametrize("jobs", [1, 3, 20])
def test_all_run_and_never_more_at_a_time_than_allowed(executor: Executor, jobs: int) -> None:
    board = swept(executor, "seed=range(0,7)", jobs=jobs)
    assert sorted(executor.started) == list(range(7))
    assert executor.most <= jobs
    assert board.exit_code == 0
    assert board.total == 7
    assert board.best is not None
    assert board.best.origin.index == 6


def test_a_free_place_is_taken_at_once_also_across_batches(executor: Executor) -> None:
    """Hydra's `max_batch_size` would have the second wait for the first."""
    executor.hold.clear()
    seen: list[int] = []

    def show(board: Board) -> None:
        seen.append(len(board.running))
        if len(board.running) == 3:
            executor.hold.set()

    request = runs.Request(overrides=("seed=1,2,3", "hydra.sweeper.max_batch_size=1"))
    sweeps.sweep(executor.project, request, Options(jobs=3), show=show)
    assert max(seen) == 3


def test_one_that_fails_or_is_lost_stops_none(executor: Executor) -> None:
    executor.ends = {1: [RunStatus.FAILED], 2: [RunStatus.LOST], 3: [RunStatus.TIMED_OUT]}
    board = swept(executor, "seed=range(0,5)", jobs=2)
    assert outcomes(board) == {0: "succeeded", 1: "failed", 2: "lost", 3: "timed_out", 4: "succeeded"}
    assert board.exit_code == 1
    assert board.stopped is None


def test_on_error_stop_starts_no_other(executor: Executor) -> None:
    executor.ends = {1: [RunStatus.FAILED]}
    board = swept(executor, "seed=range(0,5)", jobs=1, on_error=OnError.STOP)
    assert outcomes(board) == {0: "succeeded", 1: "failed"}
    assert board.stopped == "trial 1 failed"


def test_on_error_retry_tries_twice_more(executor: Executor) -> None:
    executor.ends = {0: [RunStatus.FAILED, RunStatus.LOST, RunStatus.SUCCEEDED], 1: [RunStatus.FAILED]}
    board = swept(executor, "seed=0,1", jobs=1, on_error=OnError.RETRY)
    assert executor.started.count(0) == 3
    assert executor.started.count(1) == 3
    assert outcomes(board) == {0: "succeeded", 1: "failed"}
    assert len(board.attempts) == 4
    assert len({each.run_id for each in (*board.attempts, *board.records)}) == 6


def test_fewer_trials_than_there_are(executor: Executor) -> None:
    board = swept(executor, "seed=range(0,9)", jobs=1, trials=2)
    assert sorted(executor.started) == [0, 1]
    assert board.total == 2


def test_a_time_budget_that_is_used_up_starts_no_other(executor: Executor) -> None:
    board = swept(executor, "seed=range(0,9)", jobs=1, time_budget=0.0)
    assert executor.started == []
    assert board.stopped == "the time budget is used up"
    assert board.exit_code == 0


def test_slots_bound_how_many_and_tell_each_trial_which(
    make_project: Any, monkeypatch: pytest.MonkeyPatch, executor: Executor
) -> None:
    pyproject = executor.project.paths.pyproject
    pyproject.write_text(pyproject.read_text() + "\n[tool.kit.slots]\ngpu = 2\n")
    executor.project = open_project(executor.project.root)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    executor.hold.clear()

    def show(board: Board) -> None:
        if len(board.running) == 2:
            executor.hold.set()

    request = runs.Request(overrides=("seed=range(0,4)",))
    sweeps.sweep(executor.project, request, Options(slots={"gpu": 1}), show=show)
    assert executor.most == 2
    assert executor.environment[0] == {"KIT_SLOT_GPU": "0", "CUDA_VISIBLE_DEVICES": "4"}
    assert executor.environment[1] == {"KIT_SLOT_GPU": "1", "CUDA_VISIBLE_DEVICES": "7"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_a_trial_that_needs_more_slots_than_there_are(untouched: Executor) -> None:
    with pytest.raises(UserError, match="a trial needs 2 slots of 'gpu', and there are 1"):
        swept(untouched, "seed=1,2", slots={"gpu": 2})


def test_one_that_cannot_be_started_ends_the_others(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor.hold.clear()

    def start(project: Project, drafted: runs.Draft, **more: object) -> Handle:
        if len(executor.started) == 2:
            raise HostError("no more processes can be started", fix="End some.")
        return executor.start(project, drafted, **more)

    monkeypatch.setattr(runs, "start", start)
    with pytest.raises(HostError):
        swept(executor, "seed=range(0,5)", jobs=5)
    ended = executor.project.store.runs(RunQuery())
    assert [each.status.value for each in ended] == ["cancelled", "cancelled"]


def interrupted(executor: Executor, *overrides: str, after: int, **options: Any) -> str:
    """A sweep that is stopped when so many trials have ended; gives its id."""
    found: list[str] = []

    def show(board: Board) -> None:
        found.append(board.sweep_id)
        if len(board.records) >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeps.sweep(executor.project, runs.Request(overrides=overrides), Options(**options), show=show)
    return found[0]


def resumed(executor: Executor, name: str, **changes: Any) -> Board:
    for state in (executor.started, executor.ends, executor.stuck):
        state.clear()
    return sweeps.resume(executor.project, name, lambda options: replace(options, **changes), show=lambda _board: None)


def test_a_sweep_goes_on_with_what_did_not_finish(executor: Executor) -> None:
    executor.ends, executor.stuck = {1: [RunStatus.FAILED]}, {3}
    sweep_id = interrupted(executor, "seed=range(0,5)", "steps=2", jobs=1, after=3)
    board = resumed(executor, sweep_id)
    assert board.sweep_id == sweep_id
    assert executor.started == [3, 4]
    assert sorted(index for index in outcomes(board) if index is not None) == [0, 1, 2, 3, 4]
    assert outcomes(board)[1] == "failed"  # it had finished
    assert {each.overrides[1] for each in board.records} == {"steps=2"}
    again = resumed(executor, "last")
    assert executor.started == []
    assert len(again.records) == 5


def test_what_was_under_way_runs_again_and_what_failed_if_asked(executor: Executor) -> None:
    executor.ends = {0: [RunStatus.FAILED], 1: [RunStatus.FAILED], 2: [RunStatus.LOST]}
    executor.reasons = {1: ABANDONED}
    sweep_id = interrupted(executor, "seed=range(0,4)", jobs=1, after=4)
    board = resumed(executor, sweep_id.removeprefix("sweep-")[:4])
    assert executor.started == [1, 2]
    assert outcomes(board) == {0: "failed", 1: "succeeded", 2: "succeeded", 3: "succeeded"}
    assert resumed(executor, sweep_id, on_error=OnError.RETRY).exit_code == 0
    assert executor.started == [0]


def test_a_sweep_with_a_secret_on_its_command_line_cannot_go_on(executor: Executor) -> None:
    sweep_id = interrupted(executor, "seed=1,2", "+api_key=hunter2-hunter2", jobs=1, after=1)
    kept = (executor.project.paths.sweep(sweep_id) / "sweep.json").read_text()
    assert "hunter2" not in kept
    with pytest.raises(UserError, match="secret on its command line"):
        resumed(executor, sweep_id)


def test_a_sweep_that_there_is_not(untouched: Executor) -> None:
    with pytest.raises(UserError, match="there is no sweep"):
        resumed(untouched, "last")
    with pytest.raises(UserError, match="there is no sweep 'sweep-'"):
        resumed(untouched, "sweep-")


def test_two_commands_are_not_at_one_sweep(executor: Executor) -> None:
    tried: list[str] = []

    def show(board: Board) -> None:
        if not tried:
            tried.append(board.sweep_id)
            with pytest.raises(UserError, match="is under way"):
                sweeps.resume(executor.project, board.sweep_id, lambda options: options, show=lambda _board: None)

    sweeps.sweep(executor.project, runs.Request(overrides=("seed=1,2",)), Options(jobs=1), show=show)
    assert tried


@pytest.mark.parametrize(
    ("status", "reason", "finished"),
    [
        (RunStatus.SUCCEEDED, None, True),
        (RunStatus.FAILED, "ValueError: no", True),
        (RunStatus.FAILED, ABANDONED, False),
        (RunStatus.TIMED_OUT, "stopped at its time limit", True),
        (RunStatus.CANCELLED, "cancelled on request", False),
        (RunStatus.CANCELLED, "pruned: loss was 3", True),
        (RunStatus.LOST, "its supervisor was killed", False),
    ],
)
def test_what_has_finished(status: RunStatus, reason: str | None, finished: bool) -> None:
    assert is_finished(replace(record(), status=status, reason=reason)) is finished


@pytest.mark.parametrize(
    ("metric", "smaller"),
    [
        ("loss", True),
        ("valid_loss", True),
        ("val/RMSE", True),
        ("test.mae", True),
        ("auc", False),
        ("accuracy", False),
        ("glossary_hits", False),
    ],
)
def test_which_way_is_better_by_its_name(metric: str, smaller: bool) -> None:
    assert smaller_is_better(metric) is smaller


@given(st.lists(st.floats(allow_nan=True) | st.none(), max_size=8), st.booleans())
def test_ranking(values: list[float | None], maximize: bool) -> None:
    made: list[RunRecord] = [
        replace(
            record(f"r{index}"),
            status=RunStatus.SUCCEEDED,
            origin=Origin("sweep", "s", index),
            metrics={} if value is None else {"m": value},
        )
        for index, value in enumerate(values)
    ]
    found = ranked(made, Goal("m", maximize))
    kept = [each.metrics["m"] for each in found]
    assert kept == sorted(kept, reverse=maximize)
    assert len(found) == sum(value is not None and value == value for value in values)  # noqa: PLR0124
    failed = [replace(each, status=RunStatus.FAILED) for each in made]
    assert ranked(failed, Goal("m", maximize)) == []
