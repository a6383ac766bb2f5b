"""Time zones as what they are to a scheduler: an offset from UTC, and the instants it changes at. Pure functions.

Reads the IANA database through `zoneinfo`: the host's, or the `tzdata` package where the host has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from kit._near import did_you_mean, nearest
from kit.errors import UserError

__all__ = ["Change", "changes", "offset_at", "to_instant", "to_wall", "wall_reached", "zone"]

_STEP = timedelta(hours=12)
"""No zone has two changes that undo each other within this time."""
_SECOND = timedelta(seconds=1)
_NOT_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Files beside the zones: other machines have other contents, or none; `right/` counts leap seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """A zone's offset from UTC changes at the instant `at` (UTC): forward (a gap) or back (hours come twice)."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        return self.after > self.before

    @property
    def wall_before(self) -> datetime:
        """What clocks show as they are changed; a gap begins here."""
        return (self.at + self.before).replace(tzinfo=None)

    @property
    def wall_after(self) -> datetime:
        """What clocks show once they are changed; a gap ends here."""
        return (self.at + self.after).replace(tzinfo=None)


@lru_cache(maxsize=1024)
def zone(key: str) -> ZoneInfo:
    """The IANA zone of that name, `Europe/Berlin`.

    Raises:
        UserError: If there is none.
    """
    if not key.startswith(_NOT_ZONES):
        try:
            return ZoneInfo(key)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise UserError(f"no time zone {key!r}", fix=_nearest(key))


def _nearest(key: str) -> str:
    known = sorted(name for name in _known() if not name.startswith(_NOT_ZONES))
    wanted = key.strip().lower().replace(" ", "_")
    near: str | None
    by_place: dict[str, str] = {}
    for name in known:
        by_place.setdefault(name.rpartition("/")[2].lower(), name)
    lower = {name.lower(): name for name in known}
    if wanted in lower or wanted in by_place:
        near = lower.get(wanted) or by_place[wanted]
    else:
        near = lower.get(nearest(wanted, lower) or "") or by_place.get(
            nearest(wanted.rpartition("/")[2], by_place) or ""
        )
    return did_you_mean(near) or "Give an IANA name such as 'Europe/Berlin', or 'UTC'."


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def offset_at(key: str, instant: datetime) -> timedelta:
    """How far the zone's clocks are ahead of UTC at that instant."""
    offset = instant.astimezone(zone(key)).utcoffset()
    return offset or timedelta()


def to_wall(key: str, instant: datetime) -> datetime:
    """What the zone's clocks show at that instant, without a time zone."""
    return instant.astimezone(zone(key)).replace(tzinfo=None)


def to_instant(key: str, wall: datetime) -> datetime:
    """The instant (UTC) at which the zone's clocks first show `wall`; the end of the gap if they never do.

    Args:
        wall: Without a time zone.
    """
    local = wall.replace(tzinfo=zone(key), fold=0)
    instant = local.astimezone(UTC)
    if to_wall(key, instant) == wall:
        return instant
    early = local.replace(fold=1).astimezone(UTC)  # in a gap, fold 1 reads the offset after it: PEP 495
    return next((change.at for change in changes(key, early, instant)), instant)


def wall_reached(key: str, instant: datetime) -> datetime:
    """The last wall-clock time `w` with `to_instant(w) <= instant`; in hours that come again, the end of the first."""
    local = instant.astimezone(zone(key))
    if local.fold == 0:
        return local.replace(tzinfo=None)
    back = list(changes(key, instant - timedelta(days=1), instant))[-1]
    return back.wall_before - timedelta(microseconds=1)


def changes(key: str, after: datetime, until: datetime) -> Iterator[Change]:
    """The changes in (after, until], oldest first."""
    for year in range(after.astimezone(UTC).year, until.astimezone(UTC).year + 1):
        for change in _changes_in(key, year):
            if after < change.at <= until:
                yield change


@lru_cache(maxsize=4096)
def _changes_in(key: str, year: int) -> tuple[Change, ...]:
    """All changes of one year (UTC)."""
    found = []
    at, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    at -= _SECOND  # a change at the very start of the year belongs to it
    before = offset_at(key, at)
    while at < end - _SECOND:
        later = min(at + _STEP, end - _SECOND)
        after = offset_at(key, later)
        if after != before:
            found.append(Change(_bisect(key, at, later), before, after))
        at, before = later, after
    return tuple(found)


def _bisect(key: str, low: datetime, high: datetime) -> datetime:
    """The first second with the offset of `high`; `low` has another."""
    wanted = offset_at(key, high)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        low, high = (low, middle) if offset_at(key, middle) == wanted else (middle, high)
    return high
