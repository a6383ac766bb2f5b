"""The search for a cause, on imagined experiments whose results depend on what is held. Real runs: see integration."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from kit._probe import GENERATOR, HASH_ORDER, HELD, NATIVE_THREADS, THREADS, TIME, Asked
from kit._repeating import CONFIG, INPUTS, Ended, findings
from kit.determinism import Cause, Trial, Verdict, search
from kit.evidence import Evidence, Point
from kit.models import MetricPoint
from kit.states import RunStatus
from kit.verdicts import Suspect, SuspectKind
from tests.factories import record, spec

Values = Mapping[str, float]
_NUMBERS = itertools.count()


def ended(
    values: Values | list[tuple[str, int, float]],
    *,
    held: tuple[str, ...] = (),
    asked: tuple[Asked, ...] = (),
    status: RunStatus = RunStatus.SUCCEEDED,
    params: Mapping[str, str] | None = None,
    artifacts: Mapping[str, str] | None = None,
) -> Ended:
    """A run that logged these values, in this order."""
    rows = values if isinstance(values, list) else [(name, 0, value) for name, value in values.items()]
    points = tuple(MetricPoint(name, value, step, 0.0) for name, step, value in rows)
    series: dict[str, tuple[Point, ...]] = {}
    for point in points:
        series[point.key] = (*series.get(point.key, ()), Point(point.step, point.value))
    run_id = f"run{next(_NUMBERS)}"
    made = Evidence(run_id, status, series, params or {}, artifacts or {})
    return Ended(replace(record(run_id), status=status), spec(run_id), made, points, held, asked)


def place(kind: str) -> Asked:
    return Asked(kind, "call()", "src/tiny/train.py", 3, "call()")


class Imagined:
    """An experiment whose metrics depend on what is held; what is not held gives a new number each time."""

    def __init__(
        self, depends: Mapping[str, set[str]], *, fails: Callable[[tuple[str, ...]], bool] | None = None
    ) -> None:
        self._depends = depends
        self._fails = fails or (lambda _: False)
        self.held: list[tuple[str, ...]] = []

    def run(self, held: tuple[str, ...] = ()) -> Ended:
        self.held.append(held)
        status = RunStatus.TIMED_OUT if self._fails(held) else RunStatus.SUCCEEDED
        values = {
            name: float(next(_NUMBERS) if causes - set(held) else 1000 + len(held))
            for name, causes in self._depends.items()
        }
        noted = {kind for causes in self._depends.values() for kind in causes} & set(held)
        asked = tuple(place(kind) for kind in sorted(noted - {NATIVE_THREADS, CONFIG, INPUTS}))
        return ended(values, held=held, asked=asked, status=status)

    def findings(self, old: Ended, new: Ended) -> tuple[object, ...]:
        return findings(old, new)


def looked_for(
    imagined: Imagined, *, times: int = 3, changed: tuple[tuple[Suspect, ...], tuple[Suspect, ...]] = ((), ())
) -> Verdict:
    plain = (imagined.run(), imagined.run())
    return search(imagined, Verdict(plain, findings(*plain)), changed, times=times)  # type: ignore[arg-type]


def told(verdict: Verdict) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(cause.kinds, tuple(name for _, name in cause.explains)) for cause in verdict.causes]


@pytest.mark.parametrize("kind", HELD)
def test_what_makes_the_difference_go_away_is_the_cause(kind: str) -> None:
    found = looked_for(Imagined({"steady": set(), "loss": {kind}}))
    assert told(found) == [((kind,), ("loss",))]
    assert len(found.causes[0].run_ids) == 3
    assert [asked.kind for asked in found.causes[0].places] == ([] if kind == NATIVE_THREADS else [kind])


def test_what_nobody_asked_for_is_not_tried_alone() -> None:
    imagined = Imagined({"loss": {TIME}})
    looked_for(imagined)
    assert imagined.held == [(), (), HELD, HELD, (TIME,), (TIME,), (TIME,)]


def test_each_has_its_own_cause_that_of_the_first_difference_first() -> None:
    found = looked_for(Imagined({"seconds": {TIME}, "loss": {GENERATOR}, "score": {GENERATOR}}))
    assert told(found) == [((TIME,), ("seconds",)), ((GENERATOR,), ("loss", "score"))]


def test_what_takes_several_is_told_so() -> None:
    found = looked_for(Imagined({"loss": {GENERATOR}, "at": {TIME}, "both": {GENERATOR, TIME}}))
    assert told(found)[-1] == ((GENERATOR, TIME), ("both",))
    assert found.trials[-1].held == (GENERATOR, TIME)
    alone = looked_for(Imagined({"loss": {THREADS, HASH_ORDER}}))
    assert told(alone) == [((THREADS, HASH_ORDER), ("loss",))]


def test_what_is_not_known_is_said_not_to_be() -> None:
    found = looked_for(Imagined({"loss": {"cosmic rays", TIME}}))
    assert told(found) == [((), ("loss",))]
    assert [asked.kind for asked in found.causes[0].places] == [TIME]
    assert [trial.held for trial in found.trials] == [HELD, (INPUTS,)]


def test_the_cause_of_something_later_does_not_hide_that_the_first_is_not_known() -> None:
    found = looked_for(Imagined({"loss": {"cosmic rays"}, "at": {TIME}}))
    assert told(found) == [((), ("loss",))]


def test_files_that_a_run_left_are_tried_last() -> None:
    changed = (Suspect(SuspectKind.CODE, "left.txt"),)
    found = looked_for(Imagined({"loss": {INPUTS}}), changed=((), changed))
    assert told(found) == [((INPUTS,), ("loss",))]
    assert found.causes[0].changed == changed


def test_a_config_is_held_only_where_it_was_not_the_same() -> None:
    changed = (Suspect(SuspectKind.CONFIG, "drawn", "1", "2"),)
    found = looked_for(Imagined({"loss": {CONFIG}}), changed=(changed, ()))
    assert told(found) == [((CONFIG,), ("loss",))]
    assert found.causes[0].changed == changed
    assert all(CONFIG not in trial.held for trial in looked_for(Imagined({"loss": {TIME}})).trials)


def test_where_holding_everything_fails_each_thing_is_held_alone() -> None:
    found = looked_for(Imagined({"loss": {THREADS}}, fails=lambda held: len(held) > 1))
    assert told(found) == [((THREADS,), ("loss",))]
    assert found.trials[0] == Trial(HELD, found.trials[0].run_ids, asked=found.trials[0].asked, failed="timed_out")


def test_a_trial_that_fails_shows_nothing() -> None:
    found = looked_for(Imagined({"loss": {THREADS}}, fails=lambda held: THREADS in held))
    assert told(found) == [((), ("loss",))]
    assert {trial.failed for trial in found.trials if THREADS in trial.held} == {"timed_out"}


def test_a_race_that_comes_out_the_same_by_chance_is_seen_through() -> None:
    """Two runs agree, the third does not: that is why there are more than two."""

    class Lucky(Imagined):
        def run(self, held: tuple[str, ...] = ()) -> Ended:
            run = super().run(held)
            same = len(held) > 1 or (held == (GENERATOR,) and self.held.count(held) < 3)
            return ended({"loss": 5.0}, held=held, asked=run.asked) if same else run

    found = looked_for(Lucky({"loss": {GENERATOR, "a race"}}))
    assert (GENERATOR,) not in [cause.kinds for cause in found.causes if len(cause.run_ids) == 3]
    assert found.trials[1].settled == frozenset()


def test_findings_come_in_the_order_in_which_they_were_logged() -> None:
    old = ended([("b", 0, 1.0), ("a", 0, 1.0), ("b", 1, 2.0), ("a", 1, 2.0)], params={"n": "1"}, artifacts={"m": "x"})
    new = ended([("b", 0, 1.0), ("a", 0, 9.0), ("b", 1, 9.0), ("a", 1, 9.0)], params={"n": "2"}, artifacts={"m": "y"})
    found = findings(old, new)
    assert [(finding.kind, finding.name, finding.step) for finding in found] == [
        ("metric", "a", 0),
        ("metric", "b", 1),
        ("parameter", "n", None),
        ("artifact", "m", None),
    ]


def test_a_run_that_failed_says_more_than_the_points_that_it_lacks() -> None:
    old = ended([("a", 0, 1.0), ("a", 1, 2.0)])
    new = ended([("a", 0, 1.0)], status=RunStatus.FAILED)
    assert [finding.kind for finding in findings(old, new)] == ["status", "metric"]
    earlier = ended([("a", 0, 5.0)], status=RunStatus.FAILED)
    assert [finding.kind for finding in findings(old, earlier)] == ["metric", "status"]


def test_a_runs_own_name_is_no_difference() -> None:
    old, new = (ended({"a": 1.0}) for _ in range(2))
    named = [
        replace(
            run,
            evidence=replace(
                run.evidence,
                params={"out": f"runs/{run.record.run_id}/x"},
                artifacts={f"{run.record.run_id}.txt": "abc"},
            ),
        )
        for run in (old, new)
    ]
    assert findings(*named) == ()


def test_what_may_differ_is_left_out() -> None:
    old, new = ended({"fit_seconds": 1.0, "loss": 2.0}), ended({"fit_seconds": 3.0, "loss": 2.0})
    assert [finding.name for finding in findings(old, new)] == ["fit_seconds"]
    assert findings(old, new, ignore=("*_seconds",)) == ()


def test_a_cause_that_is_not_known_has_no_kind() -> None:
    assert Cause(()).kinds == ()
