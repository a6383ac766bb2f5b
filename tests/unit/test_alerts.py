"""Alerts: how they are worded, where they go, and what happens to those that cannot be sent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import filelock
import pytest

from kit.alerting import Alert, AlertKind, OutboxEntry
from kit.alerts import Delivered, check_url, compose_message, deliver, deliver_pending, send
from kit.errors import ServiceError, UserError
from tests.support import closed_port

FIRE = datetime(2026, 3, 1, 2, tzinfo=UTC)
NOW = FIRE + timedelta(minutes=5)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class MemoryOutbox:
    """An outbox in memory; `history` is what was noted, in order."""

    def __init__(self, *entries: OutboxEntry) -> None:
        self.entries = {entry.entry_id: entry for entry in entries}
        self.history: list[tuple[str, str]] = []

    def pending_alerts(self, now: datetime) -> list[OutboxEntry]:
        due = [entry for entry in self.entries.values() if entry.next_try_at is not None and entry.next_try_at <= now]
        return sorted(due, key=lambda entry: entry.created_at)

    def alert_sent(self, entry_id: str, at: datetime) -> None:
        self.history.append((entry_id, "sent"))
        self._change(entry_id, next_try_at=None, sent_at=at, error=None)

    def alert_failed(
        self,
        entry_id: str,
        at: datetime,  # noqa: ARG002
        error: str,
        next_try_at: datetime | None,
        taken: str = "",
    ) -> None:
        self.history.append((entry_id, error))
        self._change(entry_id, next_try_at=next_try_at, error=error, taken=taken)

    def _change(self, entry_id: str, **changes: object) -> None:
        old = self.entries[entry_id]
        self.entries[entry_id] = replace(old, tries=old.tries + 1, **changes)  # type: ignore[arg-type]


def entry(
    entry_id: str = "m1", *, schedule: str | None = "nightly", kind: str = "failure", **more: object
) -> OutboxEntry:
    made = OutboxEntry(entry_id, schedule, kind, f"title of {entry_id}", "line 1\nline 2", NOW, next_try_at=NOW)
    return replace(made, **more)  # type: ignore[arg-type]


def to(*urls: str) -> Callable[[str | None], Sequence[str]]:
    return lambda _: urls


def dead() -> str:
    """A target that nobody answers for, with secrets everywhere."""
    return f"json://{SECRETS[0]}:{SECRETS[1]}@localhost:{closed_port()}/{SECRETS[2]}?+X-Token={SECRETS[3]}"


SECRETS = ("benutzer", "gEheim99", "hookT0ken", "headerT0ken")


# Wording


@pytest.mark.parametrize(
    ("alert", "title", "first", "commands"),
    [
        (
            Alert(AlertKind.FAILURE, FIRE, "exit code 1", 1),
            "[flights] nightly failed",
            "The fire of 2026-03-01 03:00 Europe/Berlin (02:00 UTC) failed.",
            ["kit logs 0301-ab", "kit schedule history nightly"],
        ),
        (
            Alert(AlertKind.FAILURE, FIRE, "exit code 1", 5),
            "[flights] nightly failed (5 times)",
            "The fire of 2026-03-01 03:00 Europe/Berlin (02:00 UTC) failed.",
            ["kit logs 0301-ab", "kit schedule history nightly"],
        ),
        (
            Alert(AlertKind.RECOVERY, FIRE, None, 3),
            "[flights] nightly works again",
            "The fire of 2026-03-01 03:00 Europe/Berlin (02:00 UTC) succeeded, after 3 that failed.",
            ["kit logs 0301-ab", "kit schedule history nightly"],
        ),
        (
            Alert(AlertKind.MISSED, FIRE, "nobody was there", 1),
            "[flights] nightly was missed",
            "The fire of 2026-03-01 03:00 Europe/Berlin (02:00 UTC) did not run.",
            ["kit schedule history nightly", "kit run --schedule nightly --at 2026-03-01T02:00:00+00:00"],
        ),
        (
            Alert(AlertKind.LATE, FIRE, "not started 900 s after it was due", 1),
            "[flights] nightly is late",
            "The fire of 2026-03-01 03:00 Europe/Berlin (02:00 UTC) is late.",
            ["kit status", "kit schedule history nightly"],
        ),
    ],
)
def test_a_message_says_what_when_why_and_what_to_type(
    alert: Alert, title: str, first: str, commands: list[str]
) -> None:
    said, body = compose_message(
        "nightly", alert, project="flights", now=NOW, timezone="Europe/Berlin", run_id="0301-ab"
    )
    lines = body.splitlines()
    assert said == title
    assert lines[0] == first
    assert [line.strip() for line in lines if line.startswith("  ")] == commands
    assert lines[-1] == "Written 2026-03-01 03:05 Europe/Berlin (02:05 UTC)"
    assert (alert.reason is None) or f"Reason: {alert.reason}" in lines
    held = f"It is the last of {alert.count}; the others have not been told of."
    assert (held in lines) == (alert.count > 1 and alert.kind is not AlertKind.RECOVERY)


def test_every_kind_of_alert_has_words() -> None:
    for kind in AlertKind:
        title, body = compose_message("nightly", Alert(kind, FIRE, "why", 2), project="p", now=NOW)
        assert title.startswith("[p] nightly ")
        assert "kit schedule history nightly" in body


def test_an_instant_is_told_in_the_zone_of_the_schedule_and_in_utc() -> None:
    def first(instant: datetime, timezone: str | None) -> str:
        alert = Alert(AlertKind.MISSED, instant, None, 1)
        return compose_message("n", alert, project="p", now=NOW, timezone=timezone)[1].splitlines()[0]

    assert "2026-03-01 02:00 UTC did" in first(FIRE, "UTC")
    assert "2026-02-28 18:00 America/Los_Angeles (2026-03-01 02:00 UTC)" in first(FIRE, "America/Los_Angeles")
    assert "02:00:07 UTC" in first(FIRE + timedelta(seconds=7), "UTC")


def test_without_a_zone_it_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST-5:30")
    time.tzset()
    try:
        body = compose_message("n", Alert(AlertKind.LATE, FIRE, None, 1), project="p", now=NOW)[1]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "2026-03-01 07:30 XST (02:00 UTC)" in body


def test_a_reason_is_one_short_line_without_secrets() -> None:
    reason = "password=hunter22 in\nline 2 " + "x" * 2000
    body = compose_message("n", Alert(AlertKind.FAILURE, FIRE, reason, 1), project="p", now=NOW)[1]
    assert "hunter22" not in body
    line = next(line for line in body.splitlines() if line.startswith("Reason: "))
    assert "line 2" in line
    assert len(line) < 520


# Targets


@pytest.mark.parametrize(
    "url",
    [
        "json://localhost:8080/path",
        "mailto://me:secret@example.com?to=you@example.com",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "file:///tmp/alerts.txt",
        "file:///tmp/with%20blank/alerts%231.txt?optional=yes",
    ],
)
def test_a_good_url_is_nothing_to_talk_about(url: str) -> None:
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "not a URL"),
        ("me@example.com", "not a URL"),
        ("slak://TokenA/TokenB/TokenC", "no service is called 'slak'. Did you mean 'slack'?"),
        ("qqqqqqqq://x", "apprise --details"),
        ("slack://", "not a complete URL for Slack"),
        ("mailto://", "not a complete URL for E-Mail"),
        ("https://intranet.invalid/hook", "write `jsons://` instead of `https://`"),
        ("http://intranet.invalid/hook", "write `json://` instead of `http://`"),
        ("file://alerts.txt", "three slashes"),
        ("file:///tmp/", "three slashes"),
        ("file://", "three slashes"),
        ("windows://", "is not for this machine"),
        ("growl://localhost", "needs the package gntp"),
    ],
)
def test_a_bad_url_is_told_with_what_to_do(url: str, said: str) -> None:
    problem = check_url(url)
    assert problem is not None
    assert said in problem
    assert "Token" not in problem
    with pytest.raises(ServiceError) as caught:
        send([url], entry())
    assert said in str(caught.value)
    assert caught.value.fix


def test_a_file_gets_one_block_for_each_message(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "100% #1" / "alerts.txt"
    url = f"file://{path}".replace("%", "%25").replace(" ", "%20")
    send([url], entry("m1", body="line 1\n\nline <b>3</b> *x* \\n"))
    send([url], entry("m2", title="two\nlines"))
    lines = path.read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines if line[:1].isdigit()] == ["title of m1", "two lines"]
    assert datetime.fromisoformat(lines[0].partition(" ")[0]).utcoffset() == timedelta()
    assert lines[1:4] == ["  line 1", "", "  line <b>3</b> *x* \\n"]


def test_a_target_that_did_not_take_it_is_named_without_its_secrets(tmp_path: Path) -> None:
    good = tmp_path / "alerts.txt"
    bad = tmp_path / "folder"
    bad.mkdir()
    with pytest.raises(ServiceError) as caught:
        send([dead(), f"file://{good}", f"file://{bad}"], entry())
    said = str(caught.value)
    assert "json://***: " in said
    assert "onnection" in said
    assert not any(secret in said for secret in SECRETS)
    assert f"file://{bad}: {bad}: Is a directory" in said
    assert good.read_text().count("title of m1") == 1


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ServiceError, match=r"no answer within 0\.2 s"):
        send([f"file://{pipe}"], entry(), timeout=0.2)


def test_apprise_is_loaded_only_to_send_or_to_check() -> None:
    command = [sys.executable, "-c", "import sys, kit.alerts; print('apprise' in sys.modules)"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "False"


# Delivering


def test_each_message_is_delivered_once(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    outbox = MemoryOutbox(entry("m1"), entry("m2", kind="scheduler", schedule=None), entry("m3", schedule="gone"))
    urls = {"nightly": [f"file://{one}", f"file://{one}"], None: [f"file://{one}", f"file://{two}"], "gone": []}
    assert deliver(outbox, urls.__getitem__, NOW) == Delivered(sent=2, failed=0, dropped=1)
    assert deliver(outbox, urls.__getitem__, NOW + DAY) == Delivered()
    assert one.read_text().count("title of m1") == 1
    assert one.read_text().count("title of m2") == two.read_text().count("title of m2") == 1
    assert [what for _, what in outbox.history] == ["sent", "sent", "sent"]


def test_a_message_that_is_not_due_waits(tmp_path: Path) -> None:
    outbox = MemoryOutbox(entry(next_try_at=NOW + MINUTE))
    assert deliver(outbox, to(f"file://{tmp_path}/a"), NOW) == Delivered()
    assert deliver(outbox, to(f"file://{tmp_path}/a"), NOW + MINUTE).sent == 1


def test_what_fails_is_tried_ever_later_and_given_up_after_a_day(tmp_path: Path) -> None:
    outbox = MemoryOutbox(entry())
    blocked = f"file://{tmp_path}"  # a folder
    tried = []
    while (at := outbox.entries["m1"].next_try_at) is not None:
        assert deliver(outbox, to(blocked), at) == Delivered(failed=1)
        tried.append(at)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses[:8] == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 16 * MINUTE, 32 * MINUTE, HOUR, HOUR]
    assert set(pauses[6:]) == {HOUR}
    assert DAY <= tried[-1] - NOW < DAY + HOUR
    left = outbox.entries["m1"]
    assert left.sent_at is None
    assert left.error is not None
    assert "Is a directory" in left.error


def test_a_machine_that_slept_for_a_week_still_tries(tmp_path: Path) -> None:
    outbox = MemoryOutbox(entry())
    at: datetime | None = NOW + 7 * DAY
    for _ in range(9):
        assert at is not None
        deliver(outbox, to(f"file://{tmp_path}"), at)
        at = outbox.entries["m1"].next_try_at
    assert at is not None
    assert deliver(outbox, to(f"file://{tmp_path}/now.txt"), at).sent == 1


def test_only_the_targets_that_failed_get_it_again(tmp_path: Path) -> None:
    good, late = tmp_path / "good.txt", tmp_path / "late" / "late.txt"
    late.mkdir(parents=True)
    outbox = MemoryOutbox(entry())
    urls = to(f"file://{good}", f"file://{late}")
    assert deliver(outbox, urls, NOW).failed == 1
    late.rmdir()
    assert deliver(outbox, urls, NOW + MINUTE) == Delivered(sent=1)
    assert good.read_text().count("title of m1") == late.read_text().count("title of m1") == 1
    assert "good" not in outbox.entries["m1"].taken


def test_no_secret_of_a_url_is_kept_with_the_error() -> None:
    outbox = MemoryOutbox(entry())
    deliver(outbox, to(dead()), NOW)
    kept = repr(outbox.entries) + repr(outbox.history)
    assert "json://***" in kept
    assert not any(secret in kept for secret in SECRETS)


def test_a_target_that_is_down_does_not_hold_up_the_others(tmp_path: Path) -> None:
    folder, good = tmp_path / "folder", tmp_path / "good.txt"
    folder.mkdir()
    outbox = MemoryOutbox(*(entry(f"m{i}", schedule="bad") for i in range(9)), entry("last"))
    urls: dict[str | None, list[str]] = {"bad": [f"file://{folder}"], "nightly": [f"file://{good}"]}
    assert deliver(outbox, urls.__getitem__, NOW) == Delivered(sent=1, failed=9)
    errors = [what for name, what in outbox.history if name != "last"]
    assert ["Is a directory" in error for error in errors] == [True] * 3 + [False] * 6
    assert all("down, not tried" in error for error in errors[3:])
    assert all(left.next_try_at is not None for name, left in outbox.entries.items() if name != "last")


def test_targets_that_cannot_be_read_now_are_read_later(tmp_path: Path) -> None:
    outbox = MemoryOutbox(entry("m1", schedule="broken"), entry("m2"))

    def urls(schedule: str | None) -> list[str]:
        if schedule == "broken":
            raise UserError("unknown key 'too'", where="conf/schedule/broken.yaml", fix="password=hunter22")
        return [f"file://{tmp_path}/alerts.txt"]

    assert deliver(outbox, urls, NOW) == Delivered(sent=1, failed=1)
    error = outbox.entries["m1"].error
    assert error is not None
    assert "conf/schedule/broken.yaml" in error
    assert "hunter22" not in error


def test_a_fault_of_kits_own_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        deliver(MemoryOutbox(entry()), lambda _: 1 // 0, NOW)  # type: ignore[arg-type, return-value]


def test_who_comes_second_leaves(tmp_path: Path) -> None:
    lock, target = tmp_path / "alerts.lock", tmp_path / "alerts.txt"
    outbox = MemoryOutbox(entry())
    with filelock.FileLock(lock):
        deliver_pending(outbox, to(f"file://{target}"), lock=lock, clock=lambda: NOW)
    assert not target.exists()
    deliver_pending(outbox, to(f"file://{target}"), lock=lock, clock=lambda: NOW)
    assert target.read_text().count("title of m1") == 1


def test_what_comes_while_others_are_sent_is_sent_too(tmp_path: Path) -> None:
    outbox = MemoryOutbox(entry("m1"))

    def urls(_: str | None) -> list[str]:
        outbox.entries.setdefault("m2", entry("m2"))
        return [f"file://{tmp_path}/alerts.txt"]

    deliver_pending(outbox, urls, lock=tmp_path / "alerts.lock", clock=lambda: NOW)
    assert [what for _, what in outbox.history] == ["sent", "sent"]
