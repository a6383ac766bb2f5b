"""What every store must do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit._process import ProcessId
from kit.errors import UserError
from kit.models import Origin, RunRecord
from kit.outcomes import Outcome
from kit.states import IllegalTransition, RunStatus
from kit.stores import Comparison, MemoryStore, RunQuery, Store
from kit.stores.base import Fenced
from kit.stores.sql import SqlStore
from tests.databases import Postgres
from tests.factories import INSTANT, claimed, record, spec
from tests.support import claim


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        made = server.empty_store()
    else:
        made = MemoryStore() if request.param == "memory" else SqlStore(tmp_path / "store.db", lock=tmp_path / "lock")
    with closing(made.hold()):
        yield made
    made.close()


def add(store: Store, run_id: str, *, minutes: int = 0, **changes: Any) -> RunRecord:
    made = replace(record(run_id, at=INSTANT + timedelta(minutes=minutes)), **changes)
    store.create(spec(run_id), made)
    return made


def ids(store: Store, **query: Any) -> list[str]:
    return [found.run_id for found in store.runs(RunQuery(**query))]


def test_a_run_comes_back_as_it_went_in(store: Store) -> None:
    made = add(
        store,
        "a1",
        tags={"team": "pricing", "=?": ""},
        note="first\nsecond",
        origin=Origin("sweep", "sweep-1", 4),
        params={"model.rate": "0.2", "text": "ü 'quoted' \x00"[:-1]},
        overrides=("model.rate=0.2", "name='a b'"),
    )
    assert store.get("a1") == made
    assert store.spec("a1") == spec("a1")


def test_an_id_is_used_once(store: Store) -> None:
    add(store, "a1")
    with pytest.raises(Exception, match=r"(?i)exists|unique"):
        add(store, "a1")


@pytest.mark.parametrize("ask", ["get", "spec"])
def test_a_run_that_is_not_there_is_a_users_mistake(store: Store, ask: str) -> None:
    with pytest.raises(UserError, match="no run 'nope'") as caught:
        getattr(store, ask)("nope")
    assert caught.value.fix is not None


def test_a_run_moves_through_its_life(store: Store) -> None:
    add(store, "a1")
    store.transition("a1", RunStatus.STARTING, at=INSTANT)
    started = store.transition("a1", RunStatus.RUNNING, at=INSTANT + timedelta(seconds=1))
    ended = store.transition(
        "a1", RunStatus.FAILED, at=INSTANT + timedelta(seconds=3), exit_code=1, reason="killed by SIGKILL"
    )
    assert (started.started_at, started.ended_at) == (INSTANT + timedelta(seconds=1), None)
    assert (ended.status, ended.exit_code, ended.reason) == (RunStatus.FAILED, 1, "killed by SIGKILL")
    assert ended.duration(INSTANT) == 2.0
    assert store.get("a1") == ended


def test_a_run_that_starts_gives_a_sign_of_life(store: Store) -> None:
    claim(store, claimed("a1", starter=ProcessId(12, 3456, "boot")))
    started = store.transition("a1", RunStatus.STARTING, at=INSTANT + timedelta(hours=5))
    assert started.heartbeat_at == INSTANT + timedelta(hours=5)
    assert store.get("a1") == started
    assert started.starter == ProcessId(12, 3456, "boot")


def test_a_claimed_run_has_no_plan(store: Store) -> None:
    made = claimed("a1")
    claim(store, made)
    assert store.get("a1") == made
    assert store.spec("a1") is None
    assert ids(store, parent="nightly") == ["a1"]
    assert ids(store, statuses=frozenset({RunStatus.QUEUED})) == ["a1"]


def test_a_claimed_run_gets_its_plan(store: Store) -> None:
    origin = claimed().origin
    claim(store, claimed("a1"))
    before = store.transition("a1", RunStatus.STARTING, at=INSTANT)
    made = spec("a1", origin=origin, tags={"team": "x"}, note="why", name="mine", experiment="deep")
    store.planned(made, {"model.rate": "0.2"})
    found = store.get("a1")
    assert store.spec("a1") == made
    assert (found.name, found.experiment, found.task) == ("mine", "deep", "tiny.train.train")
    assert (found.commit, found.dirty, found.seed) == ("c" * 40, False, 7)
    assert (found.overrides, found.tags, found.note) == (("model.rate=0.2",), {"team": "x"}, "why")
    assert found.params == {"model.rate": "0.2"}
    kept = ("run_id", "status", "created_at", "origin", "heartbeat_at", "supervisor", "tracked", "started_at")
    assert [getattr(found, name) for name in kept] == [getattr(before, name) for name in kept]


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.LOST])
def test_a_run_that_does_not_start_gets_no_plan(store: Store, status: RunStatus) -> None:
    claim(store, claimed("a1", status=status))
    with pytest.raises(IllegalTransition):
        store.planned(spec("a1"), {})
    assert store.spec("a1") is None
    assert store.get("a1").commit is None


def test_a_plan_for_nothing_is_refused(store: Store) -> None:
    with pytest.raises(UserError):
        store.planned(spec("nope"), {})


def test_an_attempt_at_a_fire_is_made_once(store: Store) -> None:
    def attempt(run_id: str, number: int, at: datetime = INSTANT, schedule: str = "nightly") -> None:
        add(store, run_id, origin=Origin("schedule", schedule, number, at))

    attempt("a1", 1)
    attempt("a2", 2)
    attempt("a3", 1, INSTANT + timedelta(microseconds=1))
    attempt("a4", 1, schedule="weekly")
    with pytest.raises(Exception, match=r"(?i)exists|unique"):
        attempt("a5", 1)
    assert ids(store, descending=False) == ["a1", "a2", "a3", "a4"]
    for run_id in ("b1", "b2"):  # trials have no instant, and manual runs have nothing
        add(store, run_id, origin=Origin("sweep", "s1", 0))
        add(store, f"{run_id}x")


def test_an_illegal_transition_changes_nothing(store: Store) -> None:
    add(store, "a1")
    with pytest.raises(IllegalTransition, match="queued cannot become succeeded"):
        store.transition("a1", RunStatus.SUCCEEDED, at=INSTANT)
    assert store.get("a1").status is RunStatus.QUEUED


@pytest.mark.parametrize("end", [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.LOST])
def test_a_run_that_ended_badly_begins_once_more(store: Store, end: RunStatus) -> None:
    add(store, "a1")
    store.transition("a1", RunStatus.STARTING, at=INSTANT)
    started = store.transition("a1", RunStatus.RUNNING, at=INSTANT)
    one, other = ProcessId(1, 2, "boot"), ProcessId(3, 4, "boot")
    store.attach("a1", supervisor=one, process=one, mlflow_run_id="m1", tracked=True)
    store.set_metrics("a1", {"loss": 0.5})
    store.transition("a1", end, at=INSTANT, exit_code=1, reason="killed")
    later = INSTANT + timedelta(days=1)
    resumed = store.resume("a1", at=later, starter=other)
    assert resumed == store.get("a1")
    assert resumed == replace(
        started,
        status=RunStatus.STARTING,
        heartbeat_at=later,
        starter=other,
        mlflow_run_id="m1",
        metrics={"loss": 0.5},
    )
    assert (resumed.supervisor, resumed.process, resumed.ended_at, resumed.tracked) == (None, None, None, False)
    store.transition("a1", RunStatus.RUNNING, at=later)
    assert store.transition("a1", RunStatus.SUCCEEDED, at=later, exit_code=0).ended_at == later


@pytest.mark.parametrize("steps", range(4))
def test_a_run_that_has_not_ended_or_has_succeeded_is_not_resumed(store: Store, steps: int) -> None:
    add(store, "a1")
    for status in [RunStatus.STARTING, RunStatus.RUNNING, RunStatus.SUCCEEDED][:steps]:
        store.transition("a1", status, at=INSTANT)
    before = store.get("a1")
    with pytest.raises(IllegalTransition):
        store.resume("a1", at=INSTANT + timedelta(days=1), starter=ProcessId(3, 4, "boot"))
    assert store.get("a1") == before


def test_resuming_nothing_is_refused(store: Store) -> None:
    with pytest.raises(UserError, match="no run 'a1'"):
        store.resume("a1", at=INSTANT, starter=ProcessId(3, 4, "boot"))


def test_the_attempts_at_a_fire_are_found_by_its_instant(store: Store) -> None:
    for number, (schedule, hours) in enumerate([("nightly", 0), ("nightly", 1), ("hourly", 0)]):
        origin = Origin("schedule", schedule, 1, INSTANT + timedelta(hours=hours))
        claim(store, claimed(f"r{number}", origin=origin))
    assert ids(store, parent="nightly", scheduled_at=INSTANT) == ["r0"]
    assert sorted(ids(store, scheduled_at=INSTANT)) == ["r0", "r2"]


def test_facts_are_attached_without_touching_others(store: Store) -> None:
    add(store, "a1")
    supervisor = ProcessId(12, 3456, "boot")
    store.attach("a1", supervisor=supervisor, mlflow_run_id="m1")
    store.attach("a1", heartbeat_at=INSTANT, tracked=True)
    found = store.get("a1")
    assert (found.supervisor, found.process, found.mlflow_run_id) == (supervisor, None, "m1")
    assert (found.heartbeat_at, found.tracked) == (INSTANT, True)


def test_attaching_to_nothing_is_refused(store: Store) -> None:
    with pytest.raises(UserError):
        store.attach("nope", tracked=True)


def test_the_last_value_of_a_metric_counts_also_one_that_is_no_number(store: Store) -> None:
    add(store, "a1")
    store.set_metrics("a1", {"loss": 1.0, "auc": 0.1 + 0.2, "kept": 5.0})
    store.set_metrics("a1", {"loss": math.nan, "auc": math.inf, "low": -math.inf})
    found = store.get("a1").metrics
    assert math.isnan(found["loss"])
    assert (found["auc"], found["low"], found["kept"]) == (math.inf, -math.inf, 5.0)


def test_metrics_stay_in_the_order_they_were_first_logged(store: Store) -> None:
    add(store, "a1")
    store.set_metrics("a1", {"roc_auc": 0.6, "loss": 1.0})
    store.set_metrics("a1", {"a": 1.0, "loss": 0.5})
    assert list(store.get("a1").metrics.items()) == [("roc_auc", 0.6), ("loss", 0.5), ("a", 1.0)]


def test_parameters_are_added(store: Store) -> None:
    add(store, "a1")
    store.set_params("a1", {"features": "21", "model.rate": "0.3"})
    assert store.get("a1").params == {"model.rate": "0.3", "features": "21"}


def test_the_newest_run_comes_first(store: Store) -> None:
    for minutes, run_id in enumerate(["a1", "b2", "c3"]):
        add(store, run_id, minutes=minutes)
    assert ids(store) == ["c3", "b2", "a1"]
    assert ids(store, descending=False) == ["a1", "b2", "c3"]
    assert ids(store, limit=2) == ["c3", "b2"]


def test_sorting_by_a_metric_puts_those_without_it_last(store: Store) -> None:
    for minutes, (run_id, value) in enumerate({"a1": 0.5, "b2": None, "c3": 0.9, "d4": math.nan, "e5": 0.7}.items()):
        add(store, run_id, minutes=minutes)
        if value is not None:
            store.set_metrics(run_id, {"auc": value})
    assert ids(store, sort="auc")[:3] == ["c3", "e5", "a1"]
    assert ids(store, sort="auc", descending=False)[:3] == ["a1", "e5", "c3"]
    assert set(ids(store, sort="auc")[3:]) == {"b2", "d4"}


def test_runs_are_chosen_by_what_is_known_of_them(store: Store) -> None:
    add(store, "a1", experiment="baseline", tags={"team": "x"})
    add(store, "b2", experiment="deep", origin=Origin("sweep", "s1", 0), minutes=1)
    store.transition("b2", RunStatus.STARTING, at=INSTANT)
    store.transition("b2", RunStatus.CANCELLED, at=INSTANT)
    assert ids(store, experiment="deep") == ["b2"]
    assert ids(store, statuses=frozenset({RunStatus.QUEUED})) == ["a1"]
    assert ids(store, tags={"team": "x"}) == ["a1"]
    assert ids(store, tags={"team": "y"}) == []
    assert ids(store, parent="s1") == ["b2"]
    store.attach("a1", tracked=True)
    assert (ids(store, tracked=True), ids(store, tracked=False)) == (["a1"], ["b2"])


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("auc", ">", "0.6", {"b2"}),
        ("auc", ">=", "0.5", {"a1", "b2"}),
        ("auc", "<", "0.7", {"a1"}),
        ("auc", "<=", "0.4", set()),
        ("auc", "=", "0.5", {"a1"}),
        ("auc", "!=", "0.5", {"b2"}),
        ("depth", "=", "3", {"a1"}),
        ("depth", "!=", "3", {"b2"}),
        ("kind", "=", "hgb", {"a1"}),
        ("kind", ">", "a", set()),
        ("nothing", "=", "1", set()),
    ],
)
def test_runs_are_chosen_by_metrics_and_parameters(
    store: Store, key: str, operator: Any, value: str, expected: set[str]
) -> None:
    add(store, "a1", params={"depth": "3", "kind": "hgb"})
    add(store, "b2", params={"depth": "9"})
    store.set_metrics("a1", {"auc": 0.5})
    store.set_metrics("b2", {"auc": 0.75})
    assert set(ids(store, where=(Comparison(key, operator, value),))) == expected


def test_runs_are_counted_by_status(store: Store) -> None:
    assert store.counts() == {}
    for run_id in ("a1", "a2", "a3"):
        add(store, run_id)
    store.transition("a2", RunStatus.CANCELLED, at=INSTANT)
    assert store.counts() == {RunStatus.QUEUED: 2, RunStatus.CANCELLED: 1}


def test_a_prefix_means_itself(store: Store) -> None:
    for minutes, run_id in enumerate(["ab1", "ab2", "b_3"]):
        add(store, run_id, minutes=minutes)
    assert store.ids("ab", limit=5) == ["ab2", "ab1"]
    assert store.ids("ab", limit=1) == ["ab2"]
    assert store.ids("b_", limit=5) == ["b_3"]
    assert store.ids("%", limit=5) == []


def test_a_deleted_run_leaves_nothing(store: Store) -> None:
    add(store, "a1")
    store.set_metrics("a1", {"auc": 0.5})
    store.delete("a1")
    store.delete("a1")
    assert ids(store) == []
    add(store, "a1")
    assert store.get("a1").metrics == {}


def test_more_runs_than_a_statement_has_variables(store: Store) -> None:
    for number in range(600):
        add(store, f"r{number:04}", minutes=number, tags={"n": str(number)})
    found = store.runs(RunQuery())
    assert len(found) == 600
    assert all(run.tags == {"n": str(int(run.run_id[1:]))} for run in found)


def test_names_may_be_long_and_are_sorted_by_their_bytes(store: Store) -> None:
    """As words are sorted by people, `a` comes before `B`; a store that did so would page in another order."""
    names = ["_", "B", "a", "\u00c4", "a" * 32]
    for name in names:
        add(store, name, experiment="long/" * 100 + name, params={"key/" * 100: name})
    assert ids(store, descending=False) == sorted(names)
    assert ids(store, experiment="long/" * 100 + "B", where=(Comparison("key/" * 100, "=", "B"),)) == ["B"]


def test_what_is_no_number_is_neither_more_nor_less(store: Store) -> None:
    for name, value in (("a", math.nan), ("b", math.inf), ("c", 1.0), ("d", -math.inf)):
        add(store, name)
        store.set_metrics(name, {"loss": value})
    assert ids(store, where=(Comparison("loss", ">", "0"),), descending=False) == ["b", "c"]
    assert ids(store, where=(Comparison("loss", "<=", "inf"),), descending=False) == ["b", "c", "d"]
    assert math.isnan(store.get("a").metrics["loss"])


def on_cluster(store: Store) -> ProcessId:
    add(store, "a1", executor="slurm", job="17")
    return ProcessId(7, 8, "boot")


WELL = Outcome(RunStatus.SUCCEEDED, 0, None)


def test_of_several_copies_of_a_run_the_last_one_has_the_say(store: Store) -> None:
    holder = on_cluster(store)
    assert (store.get("a1").executor, store.get("a1").job, store.get("a1").token) == ("slurm", "17", None)
    first = store.lease("a1", at=INSTANT, holder=holder)
    assert (first.token, first.status, first.supervisor, first.heartbeat_at) == (1, RunStatus.STARTING, holder, INSTANT)
    store.transition("a1", RunStatus.RUNNING, at=INSTANT, token=1)
    assert store.beat("a1", 1, at=INSTANT + timedelta(minutes=1), process=holder)
    assert store.get("a1").heartbeat_at == INSTANT + timedelta(minutes=1)

    second = store.lease("a1", at=INSTANT, holder=replace(holder, pid=9))
    assert (second.token, second.status, second.process) == (2, RunStatus.STARTING, None)
    assert not store.beat("a1", 1, at=INSTANT + timedelta(hours=1))
    with pytest.raises(Fenced, match="copy 1 of run a1 has no say any more"):
        store.transition("a1", RunStatus.RUNNING, at=INSTANT, token=1)
    with pytest.raises(Fenced):
        store.finish("a1", WELL, at=INSTANT, metrics={"auc": 0.1}, params={"late": "1"}, token=1)
    assert store.get("a1") == second

    store.transition("a1", RunStatus.RUNNING, at=INSTANT, token=2)
    ended = store.finish("a1", WELL, at=INSTANT, metrics={"auc": 0.9}, params={}, token=2)
    assert (ended.status, ended.metrics, ended.ended_at) == (RunStatus.SUCCEEDED, {"auc": 0.9}, INSTANT)
    assert store.get("a1") == ended


@pytest.mark.parametrize("tracked", [False, True])
def test_an_end_says_whether_the_tracker_has_it_all(store: Store, tracked: bool) -> None:
    add(store, "a1", status=RunStatus.RUNNING)
    ended = store.finish("a1", WELL, at=INSTANT, metrics={}, params={}, tracked=tracked)
    assert ended == store.get("a1")
    assert (ended.status, ended.tracked) == (RunStatus.SUCCEEDED, tracked)


def test_what_has_ended_gets_no_other_copy(store: Store) -> None:
    holder = on_cluster(store)
    store.lease("a1", at=INSTANT, holder=holder)
    store.finish("a1", Outcome(RunStatus.CANCELLED, 130, "x"), at=INSTANT, metrics={}, params={})
    with pytest.raises(IllegalTransition):
        store.lease("a1", at=INSTANT, holder=holder)
    assert not store.beat("a1", 1, at=INSTANT)
    with pytest.raises(IllegalTransition):
        store.finish("a1", WELL, at=INSTANT, metrics={"auc": 1.0}, params={}, token=1)
    assert store.get("a1").metrics == {}


def test_a_run_that_was_planned_here_waits_for_an_engine_and_is_nobodys(store: Store) -> None:
    here, later = ProcessId(1, 2, "boot"), INSTANT + timedelta(minutes=5)
    add(store, "a1", status=RunStatus.STARTING, supervisor=here, process=here, heartbeat_at=INSTANT)
    before = store.get("a1")
    handed = store.hand_over("a1", "slurm", at=later, starter=here)
    assert handed == store.get("a1")
    assert handed == replace(
        before,
        status=RunStatus.QUEUED,
        executor="slurm",
        heartbeat_at=later,
        starter=here,
        supervisor=None,
        process=None,
    )
    assert store.lease("a1", at=later, holder=here).token == 1


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.STARTING}))
def test_what_was_given_up_meanwhile_is_not_handed_over(store: Store, status: RunStatus) -> None:
    before = add(store, "a1", status=status)
    with pytest.raises(IllegalTransition):
        store.hand_over("a1", "slurm", at=INSTANT, starter=ProcessId(1, 2, "boot"))
    assert store.get("a1") == before
    with pytest.raises(UserError, match="no run 'a2'"):
        store.hand_over("a2", "slurm", at=INSTANT, starter=ProcessId(1, 2, "boot"))


def test_a_run_that_is_resumed_elsewhere_is_out_of_the_hands_of_its_copies(store: Store) -> None:
    holder = on_cluster(store)
    store.lease("a1", at=INSTANT, holder=holder)
    store.finish("a1", Outcome(RunStatus.LOST, 1, "x"), at=INSTANT, metrics={}, params={}, token=1)
    resumed = store.resume("a1", at=INSTANT, starter=holder)
    assert (resumed.executor, resumed.job, resumed.token) == (None, None, 2)
    assert not store.beat("a1", 1, at=INSTANT)
    store.attach("a1", job="18")
    assert store.get("a1").job == "18"
