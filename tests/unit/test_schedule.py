"""What a schedule's file means, and every mistake in it named by key and file."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.alerting import AlertKind, AlertPolicy
from kit.errors import UserError
from kit.models import Limits, from_json, to_json
from kit.policies import CatchUp, CatchUpMode, Overlap, Retry
from kit.schedule import Schedule, masked, parse_schedule, reference_errors
from kit.states import RunStatus
from kit.triggers import After, Cron, Interval, Once, OnData, Trigger

WHERE = "conf/schedule/nightly.yaml"
CRON = {"cron": "0 2 * * *"}


def parse(**mapping: Any) -> Schedule:
    return parse_schedule("nightly", {"trigger": CRON} | mapping, where=WHERE)


def test_a_trigger_is_enough() -> None:
    assert parse() == Schedule("nightly", Cron("0 2 * * *"))


def test_everything_can_be_said() -> None:
    schedule = parse(
        trigger={"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
        experiment="baseline",
        overrides=["lr=0.1", "+note=x"],
        executor="gpu",
        repro=["ingest", "features"],
        retry={"attempts": 5, "delay": "30 s", "factor": 3, "max_delay": "1 h", "jitter": 0.2, "when": ["lost", 75]},
        timeout="2 h",
        grace="1 m",
        overlap="queue",
        catch_up={"mode": "all", "window": "30 d", "count": 12, "tolerance": "1 m"},
        slots={"gpu": 2},
        priority=3,
        alert={"to": ["file:///tmp/alerts"], "when": ["failure", "recovery"], "late": "15 m", "every": "1 d"},
        enabled=False,
    )
    assert schedule == Schedule(
        name="nightly",
        trigger=Cron("0 2 * * *", "Europe/Berlin"),
        experiment="baseline",
        overrides=("lr=0.1", "+note=x"),
        executor="gpu",
        repro=("ingest", "features"),
        retry=Retry(5, 30, 3, 3600, 0.2, (RunStatus.LOST, 75)),
        timeout=7200,
        grace=60,
        overlap=Overlap.QUEUE,
        catch_up=CatchUp(CatchUpMode.ALL, 30 * 86400, 12, 60),
        slots={"gpu": 2},
        priority=3,
        alert=AlertPolicy(("file:///tmp/alerts",), (AlertKind.FAILURE, AlertKind.RECOVERY), 900, 86400),
        enabled=False,
    )
    assert schedule.limits == Limits(timeout=7200, grace=60)
    assert schedule.arguments == ("experiment=baseline", "lr=0.1", "+note=x")


def test_short_forms_stand_for_the_long_ones() -> None:
    schedule = parse(
        retry=3,
        catch_up="all",
        slots="gpu",
        alert="file:///tmp/alerts",
        overrides="lr=1",
        repro="ingest",
        timeout=90,
        experiment=None,
    )
    assert schedule.retry == Retry(attempts=3) == parse(retry={}).retry
    assert schedule.catch_up == CatchUp(CatchUpMode.ALL)
    assert schedule.slots == {"gpu": 1} == parse(slots=["gpu"]).slots
    assert schedule.alert == AlertPolicy(to=("file:///tmp/alerts",))
    assert (schedule.overrides, schedule.timeout, schedule.experiment) == (("lr=1",), 90, None)
    assert schedule.repro == ("ingest",)
    assert schedule.arguments == ("lr=1",)


def test_bounds_that_are_not_given_follow_those_that_are() -> None:
    assert parse(retry={"delay": "3 h"}).retry.max_delay == 3 * 3600
    assert parse(catch_up={"window": "1 m"}).catch_up.tolerance == 60
    assert parse(retry={"when": "lost"}).retry.when == (RunStatus.LOST,)
    assert parse(retry=2).retry.resume
    assert not parse(retry={"resume": False}).retry.resume
    assert parse(alert={"to": "file:///x", "when": "failure"}).alert.when == (AlertKind.FAILURE,)


@pytest.mark.parametrize(
    ("mapping", "trigger"),
    [
        ({"interval": "90 m"}, Interval(5400)),
        (
            {"interval": 60, "anchor": "2026-01-01T00:30+01:00"},
            Interval(60, datetime(2025, 12, 31, 23, 30, tzinfo=UTC)),
        ),
        ({"once": "2026-03-29T02:00:00Z"}, Once(datetime(2026, 3, 29, 2, tzinfo=UTC))),
        ({"once": "2026-07-01 02:00"}, Once(datetime(2026, 7, 1, 2, tzinfo=UTC))),
        ({"once": "2026-07-01 02:00", "timezone": "Europe/Berlin"}, Once(datetime(2026, 7, 1, 0, tzinfo=UTC))),
        ({"once": "2026-03-29 02:30", "timezone": "Europe/Berlin"}, Once(datetime(2026, 3, 29, 1, tzinfo=UTC))),
        ({"once": datetime(2026, 3, 29, 2, tzinfo=UTC)}, Once(datetime(2026, 3, 29, 2, tzinfo=UTC))),
        ({"data": "data/raw"}, OnData("data/raw")),
        (
            {"data": "data/raw", "rev": "main", "remote": "origin", "every": "5 m"},
            OnData("data/raw", "main", "origin", 300),
        ),
        ({"after": "ingest"}, After("ingest")),
    ],
)
def test_each_trigger(mapping: dict[str, Any], trigger: Trigger) -> None:
    schedule = parse(trigger=mapping)
    assert schedule.trigger == trigger
    assert from_json(to_json(schedule), Schedule) == schedule


@pytest.mark.parametrize(
    ("mapping", "what", "fix"),
    [
        ({"triger": CRON}, "unknown key 'triger'", "Did you mean 'trigger'?"),
        ({"catch-up": "all"}, "unknown key 'catch-up'", "Did you mean 'catch_up'?"),
        ({"zzz": 1}, "unknown key 'zzz'", "Known keys: trigger, experiment"),
        ({"trigger": None}, "trigger: no value", "cron"),
        ({"trigger": "0 2 * * *"}, "trigger: expected a mapping", "cron"),
        ({"trigger": {}}, "trigger: needs one of cron, interval, once, data, after, has none", "Keep one"),
        ({"trigger": {**CRON, "interval": 5}}, "has cron and interval", "Keep one"),
        ({"trigger": {"corn": "x"}}, "trigger: unknown key 'corn'", "'cron'"),
        ({"trigger": {**CRON, "anchor": "2026-01-01"}}, "trigger: unknown key 'anchor'", "cron, timezone"),
        ({"trigger": {"cron": 5}}, "trigger.cron: expected a text, got int 5", ""),
        ({"trigger": {"cron": "0 0 30 2 *"}}, "trigger.cron: cron '0 0 30 2 *' would never run", "day of month"),
        ({"trigger": {**CRON, "timezone": "berlin"}}, "trigger.timezone: no time zone 'berlin'", "'Europe/Berlin'"),
        ({"trigger": {"interval": "0.5 s"}}, "trigger.interval: an interval of 0.5 s", "1 s"),
        ({"trigger": {"interval": "soon"}}, "trigger.interval: 'soon' is not a length of time", "`1 d`"),
        ({"trigger": {"once": "soon"}}, "trigger.once: 'soon' is not an instant", "2026-12-01"),
        ({"trigger": {"data": "../x"}}, "trigger: '../x' is not a path in the project", "project root"),
        ({"trigger": {"after": "nightly"}}, "trigger.after: a schedule cannot come after itself", "another"),
        ({"trigger": {"after": "../x"}}, "trigger.after: '../x' cannot be used as a name", "letters"),
        ({"experiment": ""}, "experiment: expected a text", ""),
        ({"overrides": {"lr": 1}}, "overrides: expected a list of texts", ""),
        ({"overrides": ["a=1", 5]}, "overrides: expected a text, got int 5", ""),
        ({"retry": "x"}, "retry: expected a whole number", ""),
        ({"retry": 0}, "retry: attempts: 0 is not from 1 to 100", ""),
        ({"retry": {"atempts": 3}}, "retry: unknown key 'atempts'", "'attempts'"),
        ({"retry": {True: ["lost"]}}, "retry: unknown key 'True'", "write `when`"),
        ({"retry": {"when": ["failled"]}}, "retry.when: expected one of failed, timed_out, lost,", "'failed'"),
        ({"retry": {"when": [True]}}, "retry.when: expected one of", ""),
        ({"retry": {"factor": True}}, "retry.factor: expected a number", ""),
        ({"retry": {"resume": "maybe"}}, "retry.resume: expected true or false", ""),
        ({"retry": {"delay": "2 h", "max_delay": "1 h"}}, "retry: delay: more than max_delay", ""),
        ({"timeout": "2 hourz"}, "timeout: '2 hourz' is not a length of time", "`2 h`"),
        ({"timeout": True}, "timeout: expected a length of time", ""),
        ({"timeout": 0}, "timeout: expected more than 0 s", ""),
        ({"grace": -1}, "grace: -1 is not a length of time", ""),
        ({"overlap": "qeue"}, "overlap: expected one of skip, queue, replace", "'queue'"),
        ({"catch_up": "al"}, "catch_up: expected one of none, latest, all", "'all'"),
        ({"catch_up": {"count": 0}}, "catch_up: count: 0 is not from 1 to 10000", ""),
        ({"slots": {"gpu": 0}}, "slots: 0 slots of 'gpu'", ""),
        ({"slots": {"gpu": "2"}}, "slots: expected a whole number", ""),
        ({"slots": ["../x"]}, "slots: '../x' cannot be used as a name", ""),
        ({"priority": 1.5}, "priority: expected a whole number", ""),
        ({"priority": 10**9}, "priority: 1000000000 is not from -1000 to 1000", ""),
        ({"alert": {"when": ["failure"]}}, "alert.to: no value", "Add `to: ...`."),
        ({"alert": {"to": "x", "when": "failures"}}, "alert.when: expected one of", "'failure'"),
        ({"alert": {"to": "x", "late": 0}}, "alert: late: not more than 0 s", ""),
        ({"enabled": "yes"}, "enabled: expected true or false, got str 'yes'", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_its_key_and_file(mapping: dict[Any, Any], what: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_schedule("nightly", {"trigger": CRON} | mapping, where=WHERE)
    assert what in caught.value.what
    assert caught.value.where == WHERE
    assert caught.value.fix
    assert fix in caught.value.fix


@pytest.mark.parametrize("mapping", [None, [], "x", 5])
def test_what_is_no_mapping_is_refused(mapping: object) -> None:
    with pytest.raises(UserError, match="expected a mapping"):
        parse_schedule("nightly", mapping, where=WHERE)


def test_a_name_must_be_safe() -> None:
    with pytest.raises(UserError, match="cannot be used as a name"):
        parse_schedule("../x", {"trigger": CRON}, where=WHERE)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1 h", "gpu", "all"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4) | st.sampled_from(["mode", "to"]), inner)
    ),
    max_leaves=4,
)
keys = st.sampled_from(["trigger", "retry", "timeout", "grace", "overlap", "catch_up", "slots", "priority", "alert"])


@given(mapping=st.dictionaries(keys, junk, max_size=3))
def test_whatever_the_file_holds_is_a_schedule_or_a_users_mistake(mapping: dict[str, Any]) -> None:
    with suppress(UserError):
        schedule = parse_schedule("nightly", {"trigger": CRON} | mapping, where=WHERE)
        assert from_json(to_json(schedule), Schedule) == schedule


def chain(**after: str | None) -> dict[str, Schedule]:
    return {name: Schedule(name, After(other) if other else Cron("0 2 * * *")) for name, other in after.items()}


def errors_of(*others: str, **after: str | None) -> dict[str, UserError]:
    return reference_errors(chain(**after), where="conf/schedule/{}.yaml".format, others=others)


def test_schedules_that_follow_each_other_lead_somewhere() -> None:
    assert errors_of(ingest=None, train="ingest", report="train", notify="train") == {}


@pytest.mark.parametrize(
    ("after", "fix"),
    [
        ({"ingest": None, "train": "ingst", "report": "train"}, "Did you mean 'ingest'?"),
        ({"ingest": None, "train": "zzz", "report": "train"}, "The schedules: ingest, report, train."),
    ],
)
def test_one_that_waits_for_nobody_is_named_and_those_behind_it_are_not(after: dict[str, str], fix: str) -> None:
    errors = errors_of(**after)
    assert list(errors) == ["train"]
    assert errors["train"].what == f"trigger.after: no schedule {after['train']!r}"
    assert errors["train"].where == "conf/schedule/train.yaml"
    assert errors["train"].fix == fix


def test_one_that_waits_for_a_broken_one_waits_for_somebody() -> None:
    assert errors_of("ingest", train="ingest") == {}


def test_everyone_in_a_circle_is_named_and_those_who_lead_into_it_are_not() -> None:
    errors = errors_of(a="b", b="c", c="d", d="b", z="a", y=None)
    assert {name: error.what for name, error in errors.items()} == {
        "b": "trigger.after: b after c after d after b: none of them ever runs",
        "c": "trigger.after: c after d after b after c: none of them ever runs",
        "d": "trigger.after: d after b after c after d: none of them ever runs",
    }
    assert {error.where for error in errors.values()} == {f"conf/schedule/{name}.yaml" for name in "bcd"}


def test_a_long_chain_and_a_large_circle_are_followed_once() -> None:
    chain_of = {f"s{i}": f"s{i + 1}" for i in range(20_000)}
    assert errors_of(**chain_of, s20000=None) == {}
    errors = errors_of(**chain_of, s20000="s0")
    assert len(errors) == 20_001
    assert errors["s5"].what.startswith("trigger.after: s5 after s6 after")
    assert errors["s5"].what.endswith("after ... after s5: none of them ever runs")


def test_what_is_stored_and_shown_holds_no_secret() -> None:
    schedule = parse(
        alert=["slack://T0/B0/secret", "hidden", "mailto://me:pw@example.com"], overrides=["db.password=hunter2"]
    )
    shown = to_json(masked(schedule)).decode()
    assert masked(schedule).alert.to == ("slack://***", "***", "mailto://***")
    assert not any(secret in shown for secret in ("secret", "hidden", "pw@", "hunter2"))


def test_a_mistake_shows_no_secret_either() -> None:
    with pytest.raises(UserError) as caught:
        parse(alert={"to": {"slack": "slack://T0/B0/secret", "password": "hunter2"}})
    assert "secret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
