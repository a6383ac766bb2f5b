"""What people do with schedules: run one now or for the past, pause it, and see what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from kit.board import Board, Moves, advance, request
from kit.errors import UserError
from kit.fires import Fire, FireOrigin, FireQuery, Gap, ScheduleState
from kit.project import Project
from kit.redact import mask
from kit.schedule import Schedule
from kit.scheduler import put_into_words, rules_of
from kit.schedules import Loaded
from kit.states import FIRE_TRANSITIONS, FireStatus
from kit.triggers import After, OnData, iter_due, latest_due

__all__ = [
    "BACKFILL_LIMIT",
    "Claimed",
    "backfill",
    "begin",
    "claim",
    "due_for_backfill",
    "due_instant",
    "history",
    "pause",
    "resume",
]

BACKFILL_LIMIT = 10_000
"""How many fires one backfill asks for at most; a mistyped year is not a million runs."""
_AHEAD = timedelta(minutes=5)
"""How far the clock of who asks may be ahead of this machine's."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What asking for fires came to.

    Attributes:
        fires: Those that will run now.
        known: Those that ran, or are under way: the same instant twice runs once.
    """

    fires: tuple[Fire, ...]
    known: tuple[Fire, ...]


def claim(
    project: Project, schedule: Schedule, instants: Sequence[datetime], now: datetime, *, origin: FireOrigin
) -> Claimed:
    """Ask for these very fires; whoever runs schedules runs them in their turn.

    Raises:
        UserError: If one of them is yet to come.
    """
    if instants and (last := max(instants)) > now + _AHEAD:
        raise UserError(
            f"{last.isoformat(sep=' ')} is yet to come",
            where=f"schedule {schedule.name}",
            fix="Give an instant of the past: what runs now for a later one does not run again when that is due.",
        )
    loaded = Loaded({schedule.name: schedule}, {})
    rules = rules_of(project, loaded)
    claimed: list[Fire] = []
    known: list[Fire] = []

    def decide(board: Board) -> Moves:
        moves, fires = request(board, rules, now, schedule, instants, origin)
        claimed[:] = fires
        there = board.known([(schedule.name, instant) for instant in instants])
        known[:] = [fire for key, fire in there.items() if key not in moves.fires]
        return moves

    project.store.fires.act(decide, names=[schedule.name])
    return Claimed(tuple(claimed), tuple(known))


def due_for_backfill(
    project: Project, schedule: Schedule, start: datetime, end: datetime, now: datetime
) -> tuple[tuple[datetime, ...], tuple[Fire, ...]]:
    """What `backfill` would do: the instants that would be asked for, and the fires that ran, or are under way.

    Raises:
        UserError: As by `backfill`.
    """
    instants = _due(schedule, start, min(end, now))
    query = FireQuery(schedule=schedule.name, since=instants[0], until=instants[-1])
    there = {fire.scheduled_at: fire for fire in project.store.fires.fires(query) if not _may_still_run(fire)}
    wanted = tuple(instant for instant in instants if instant not in there)
    return wanted, tuple(there[instant] for instant in instants if instant in there)


def backfill(project: Project, schedule: Schedule, start: datetime, end: datetime, now: datetime) -> Claimed:
    """Ask for every fire of a schedule that was due from `start` up to but not including `end`, and is not yet to come.

    Raises:
        UserError: If its trigger does not go by the clock, nothing was due, or too much.
    """
    instants = _due(schedule, start, min(end, now))
    return claim(project, schedule, instants, now, origin=FireOrigin.BACKFILL)


def _may_still_run(fire: Fire) -> bool:
    """Whether it never ran, so that somebody may ask for it."""
    return FireStatus.PENDING in FIRE_TRANSITIONS[fire.status]


def _due(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """Raises:
    UserError: If nothing was due, or too much.
    """
    where = f"schedule {schedule.name}"
    if isinstance(schedule.trigger, OnData | After):
        fix = f"Give the instants one by one: `kit run --schedule {schedule.name} --at INSTANT`."
        raise UserError("its trigger does not go by the clock", where=where, fix=fix)
    resolution = datetime.resolution
    due = takewhile(lambda instant: instant < end, iter_due(schedule.trigger, start - resolution))
    instants = list(islice(due, BACKFILL_LIMIT + 1))
    if not instants:
        first, last = (f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC" for instant in (start, end))
        what = f"nothing was due from {first} to {last} (the end is not included)"
        raise UserError(what, where=where, fix=f"See its instants with `kit schedule next {schedule.name}`.")
    if len(instants) > BACKFILL_LIMIT:
        raise UserError(f"more than {BACKFILL_LIMIT} fires were due", where=where, fix="Ask for a shorter time.")
    return instants


def due_instant(schedule: Schedule, now: datetime) -> datetime:
    """The last instant at which the schedule was due.

    Raises:
        UserError: If the clock does not say when it is due, or it never was.
    """
    instant = latest_due(schedule.trigger, now)
    if instant is None:
        raise UserError(
            f"schedule {schedule.name} was never due by the clock", where="--at due", fix="Give the instant itself."
        )
    return instant


def begin(project: Project, schedule: Schedule, now: datetime) -> None:
    """Count from now on: what was due before is nobody's."""
    state = ScheduleState(schedule.name, schedule.trigger, now, schedule.enabled)
    project.store.fires.act(lambda _board: Moves(now, states={schedule.name: state}))


def pause(project: Project, schedule: Schedule, now: datetime, *, why: str | None = None) -> None:
    """Begin nothing of a schedule until it is resumed, but what is asked for; what runs goes on."""
    why = None if why is None else mask(" ".join(why.split()))
    _set(
        project,
        schedule,
        now,
        lambda state: replace(state, paused_at=state.paused_at or now, paused_why=why or state.paused_why),
    )


def resume(project: Project, schedule: Schedule, now: datetime) -> None:
    """Go on with a schedule; what was due meanwhile stays skipped.

    Raises:
        UserError: If it is not paused.
    """
    state = project.store.fires.states().get(schedule.name)
    if state is None or state.paused_at is None:
        raise UserError(f"schedule {schedule.name} is not paused", fix="See it with `kit schedule list`.")
    _set(project, schedule, now, lambda state: replace(state, paused_at=None, paused_why=None))


def _set(project: Project, schedule: Schedule, now: datetime, change: Callable[[ScheduleState], ScheduleState]) -> None:
    """Change a schedule's state; what was due before counts by how it was before."""
    rules = rules_of(project, Loaded({schedule.name: schedule}, {}), due=[schedule.name], owns=lambda _name: False)

    def decide(board: Board) -> Moves:
        moves = put_into_words(advance(board, rules, now), rules)
        moves.states[schedule.name] = change(moves.states.get(schedule.name) or board.states[schedule.name])
        return moves

    project.store.fires.act(decide, names=[schedule.name])


def history(project: Project, name: str | None, *, limit: int) -> list[Fire | Gap]:
    """What became of a schedule's instants, the latest first."""
    fires = project.store.fires
    found: list[Fire | Gap] = [*fires.fires(FireQuery(schedule=name, limit=limit)), *fires.gaps(name, limit=limit)]
    return sorted(found, key=_instant, reverse=True)[:limit]


def _instant(event: Fire | Gap) -> datetime:
    return event.scheduled_at if isinstance(event, Fire) else event.last
