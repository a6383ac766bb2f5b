"""Records cross processes as JSON, and are masked before anyone keeps them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.models import Launch, Limits, Origin, Request, RunRecord, RunSpec, from_json, masked, to_json
from kit.redact import MASK
from tests.factories import INSTANT, claimed, record, spec

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(config=st.dictionaries(texts, values, max_size=5), overrides=st.lists(texts, max_size=4), note=st.none() | texts)
def test_a_spec_comes_back_from_json_as_it_was(
    config: dict[str, object], overrides: list[str], note: str | None
) -> None:
    made = spec(
        config=config,
        overrides=tuple(overrides),
        note=note,
        origin=Origin("sweep", "sweep-1", 3),
        limits=Limits(timeout=1.5, grace=0.1, log_bytes=7),
        tags={"team": "ü"},
    )
    assert from_json(to_json(made), RunSpec) == made


def test_what_a_run_was_claimed_with_comes_back_from_json() -> None:
    origin = Origin("schedule", "nightly", 2, INSTANT)
    request = Request(("lr=0.1",), "mine", {"team": "ü"}, "why", Limits(timeout=5.0), origin, None, ("months",))
    assert from_json(to_json(request), Request) == request
    launch = Launch("abc123", "/project", Limits(grace=1.0), resumed=7)
    assert from_json(to_json(launch), Launch) == launch


def test_a_claimed_record_takes_over_what_is_planned() -> None:
    before = claimed(tags={"asked": "1"}, heartbeat_at=INSTANT)
    made = spec(origin=before.origin, tags={"team": "x"})
    after = before.planned(made, {"depth": "3"})
    assert after == replace(
        RunRecord.queued(made, at=INSTANT, params={"depth": "3"}),
        tags={"asked": "1", "team": "x"},
        heartbeat_at=INSTANT,
    )


@pytest.mark.parametrize(
    ("begun", "changes"),
    [
        (False, {"exit_code": 2}),
        (True, {"exit_code": 4}),
        (True, {"exit_code": 2, "started_at": INSTANT}),
        (True, {"exit_code": 2, "origin": Origin("schedule", "nightly", 1, INSTANT)}),
    ],
)
def test_only_a_mistake_that_somebody_waits_to_be_told_is_no_run(begun: bool, changes: dict[str, Any]) -> None:
    assert replace(record(), **changes).began is begun


def test_what_is_not_a_spec_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        from_json(b'{"run_id": 5}', RunSpec)


def test_a_record_begins_with_what_the_spec_says() -> None:
    made = spec(tags={"a": "b"}, note="why", origin=Origin("sweep", "s1", 2))
    begun = type(record()).queued(made, at=INSTANT, params={"depth": "3"})
    assert (begun.status, begun.created_at, begun.tracked) == ("queued", INSTANT, False)
    assert (begun.tags, begun.note, begun.origin) == (made.tags, "why", made.origin)
    assert (begun.commit, begun.dirty, begun.seed) == ("c" * 40, False, 7)
    assert (begun.started_at, begun.ended_at, begun.exit_code) == (None, None, None)


def test_a_run_lasts_from_its_start_to_its_end() -> None:
    waiting = record()
    assert waiting.duration(INSTANT) is None
    running = replace(waiting, started_at=INSTANT)
    assert running.duration(INSTANT + timedelta(seconds=5)) == 5
    ended = replace(running, ended_at=INSTANT + timedelta(seconds=2))
    assert ended.duration(INSTANT + timedelta(days=1)) == 2


def test_a_stored_spec_has_no_secrets() -> None:
    secret = "hunter2-hunter2"
    made = spec(
        config={"db": {"password": secret, "url": f"postgresql://me:{secret}@host/db"}, "depth": 3},
        overrides=(f"db.password={secret}", "depth=3"),
        tracking_uri=f"https://me:{secret}@mlflow.example",
        note=f"used password={secret}",
        tags={"url": f"https://me:{secret}@host"},
    )
    public = masked(made)
    assert secret not in to_json(public).decode()
    assert public.config["depth"] == 3
    assert public.overrides[1] == "depth=3"
    assert masked(public) == public


def test_a_tag_with_a_secret_name_is_masked() -> None:
    assert masked(spec(tags={"api_key": "hunter2", "team": "pricing"})).tags == {"api_key": MASK, "team": "pricing"}


def test_what_was_made_from_a_secret_is_masked_whatever_its_name() -> None:
    made = spec(
        config={"db": {"auth": "hunter2", "port": 5}, "hosts": [{"entry": "hunter2"}, "b"], "pin": 1234, "no": None},
        secrets=("db.auth", "hosts.0.entry", "pin", "no", "gone"),
    )
    public = masked(made)
    assert public.config == {"db": {"auth": MASK, "port": 5}, "hosts": [{"entry": MASK}, "b"], "pin": MASK, "no": None}
    assert masked(from_json(to_json(public), RunSpec)) == public
