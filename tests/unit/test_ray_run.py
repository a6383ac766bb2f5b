"""Runs that are taken along to other processes; into real workers of Ray they go in `integration/test_ray`."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import _ray_run
from kit._ray_run import TravellingRun, let_runs_travel
from kit.errors import UserError
from kit.run import Run
from kit.testing import fake_run
from kit.trackers.spool import each_point


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    let_runs_travel()
    yield fake_run(tmp_path, seed=5)
    copyreg.dispatch_table.pop(Run)


def arrive(run: Run, monkeypatch: pytest.MonkeyPatch, rank: int, ranks: int, apart: str | None = None) -> Run:
    """The run in another process, of which Ray says that it is this one."""
    monkeypatch.setattr(_ray_run, "_place", lambda: (rank, ranks, apart))
    arrived = pickle.loads(pickle.dumps(run))
    assert isinstance(arrived, TravellingRun)
    return arrived


def points(path: Path) -> list[tuple[str, float, int]]:
    return [(point.key, point.value, point.step) for point in each_point(path)]


def test_rank_0_logs_as_the_run_and_the_task_goes_on_after_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.log({"loss": 4.0})
    first = arrive(run, monkeypatch, 0, 2)
    assert (first.id, first.name, first.seed, first.rank, first.ranks) == (run.id, run.name, 5, 0, 2)
    first.log({"loss": 3.0}, step=1)
    first.log({"loss": 2.0, "more": 0.5}, step=2)
    run.log({"loss": 1.0})
    assert points(run.dir / "spool.jsonl") == [
        ("loss", 4.0, 0),
        ("loss", 3.0, 1),
        ("loss", 2.0, 2),
        ("more", 0.5, 2),
        ("loss", 1.0, 3),
    ]
    assert run.metrics == {"loss": 1.0, "more": 0.5}
    run.log({"loss": 0.5})
    assert points(run.dir / "spool.jsonl")[-1] == ("loss", 0.5, 4)


def test_the_other_ranks_and_trials_log_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = arrive(run, monkeypatch, 1, 2)
    other.log({"loss": 3.0})
    with other.checkpoint(0) as folder:
        (folder / "x").touch()
    trial = arrive(run, monkeypatch, 0, 1, "trial-a1")
    trial.log({"loss": 5.0})
    assert points(run.dir / "spool.jsonl") == []
    assert points(run.dir / "ranks" / "1" / run.id / "spool.jsonl") == [("loss", 3.0, 0)]
    assert points(run.dir / "ranks" / "trial-a1" / run.id / "spool.jsonl") == [("loss", 5.0, 0)]
    assert run.latest_checkpoint() is None


def test_it_may_travel_on_before_and_after_it_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.params({"depth": 3})
    once = arrive(run, monkeypatch, 1, 2)
    twice = arrive(once, monkeypatch, 0, 2)
    twice.log({"loss": 1.0})
    with pytest.raises(ValueError, match="'depth' is '3' already"):
        twice.params({"depth": 4})
    thrice = arrive(twice, monkeypatch, 0, 2)
    thrice.log({"loss": 2.0})
    assert points(run.dir / "spool.jsonl") == [("loss", 1.0, 0), ("loss", 2.0, 1)]


def test_a_worker_that_is_started_again_logs_nothing_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.log({"loss": 9.0})
    pickled = pickle.dumps(run)
    monkeypatch.setattr(_ray_run, "_place", lambda: (0, 1, None))
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    for worker in (first, second):
        worker.log({"loss": 8.0})
    second.log({"loss": 7.0})
    assert points(run.dir / "spool.jsonl") == [("loss", 9.0, 0), ("loss", 8.0, 1), ("loss", 7.0, 2)]


def test_what_a_run_does_not_have_it_does_not_have_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = arrive(run, monkeypatch, 0, 1)
    with pytest.raises(AttributeError, match="nothing"):
        arrived.nothing  # type: ignore[attr-defined]  # noqa: B018 - it is asked for


def test_elsewhere_it_cannot_be_used(run: Run) -> None:
    pytest.importorskip("ray")
    arrived = pickle.loads(pickle.dumps(run))
    with pytest.raises(UserError, match=r"process \d+, which is neither"):
        arrived.log({"loss": 1.0})
