"""The clock: S3 refuses who is a quarter of an hour off, and schedules begin when it says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kit import _clock
from kit.doctor._finding import Finding, Place
from kit.doctor._mlflow import server_of
from kit.trackers.asking import NoReply, get

__all__ = ["judge", "look_at_clock"]

_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this there was no kit."""
_MOST = 60.0
"""Seconds; an answer may have been on its way for some."""
_FIX = "Have it set: `timedatectl set-ntp true`, or `chronyc makestep`."


def look_at_clock(place: Place) -> Iterator[Finding]:
    """This machine's, beside the MLflow server's if there is one."""
    uri, told = server_of(place), None
    if uri is not None:
        try:
            told = get(uri, "/health").date
        except NoReply:
            told = None  # what is wrong with it another look says
    yield judge(_clock.now(), told)


def judge(now: datetime, told: str | None) -> Finding:
    """What a server's `Date` says of this machine's clock."""
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _BUILT:
        return Finding("clock", ok=False, what=f"{shown}: before kit was made", fix=_FIX)
    try:
        theirs = None if told is None else parsedate_to_datetime(told)
    except ValueError:
        theirs = None
    if theirs is None:
        return Finding("clock", ok=True, what=f"{shown}; nobody to compare it with")
    off = (now - theirs).total_seconds()
    if abs(off) > _MOST:
        what = f"{shown}: {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the MLflow server's"
        return Finding("clock", ok=False, what=what, fix=_FIX)
    return Finding("clock", ok=True, what=f"{shown}, as the MLflow server's")
