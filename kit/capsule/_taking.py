"""From an exception to a capsule."""

from __future__ import annotations

import linecache
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Literal

from kit.capsule._classes import class_name, is_a
from kit.capsule._record import Capsule, Frame, Raised, Source, Value
from kit.capsule._values import Describer
from kit.known_secrets import KnownSecrets
from kit.models import RunSpec

__all__ = ["Place", "files_of", "secrets_in", "take"]

_SECONDS = 3.0
"""How long reading all values may take; they are read twice, once for the secrets among them."""
_RAISED = 8
_FRAMES = 60
_FIRST_FRAMES = 15
_MESSAGE = 4000
_AROUND_OWN, _AROUND = 250, 12
"""Lines before and after one that failed that are kept, of the project's code and of a library's."""
_SOURCE_LINES = 6000
_LINE = 400
_NO_VARIABLE = (ModuleType, type, type(lambda: None), type(len))
_SOMEWHERE_ELSE = {"site-packages", "dist-packages", ".venv", "venv"}


@dataclass(frozen=True, slots=True)
class Place:
    """What the crash is read with.

    Attributes:
        root: The folder that the run was made from; what lies there and is nobody's package is its own code.
        secrets: What is masked wherever it turns up.
        skipped: Beginnings of the paths of code that is on the way to the task only.
    """

    root: Path
    secrets: KnownSecrets
    skipped: tuple[str, ...] = ()

    def is_own(self, file: str) -> bool:
        """Whether it is the project's code."""
        try:
            parts = Path(file).relative_to(self.root).parts
        except ValueError:
            return False
        return not _SOMEWHERE_ELSE.intersection(parts)


def take(error: BaseException, spec: RunSpec, place: Place, *, at: datetime) -> Capsule:
    """The capsule of what a run raised. What `secrets_in` found is masked if it is among the place's secrets."""
    files = {frame.f_code.co_filename for frame in _frames(error, place)}
    describer = Describer(place.secrets, until=time.monotonic() + _SECONDS)
    raised = [_raised(one, because, place, describer) for one, because in _chain(error)]
    snapshot = spec.snapshot
    return Capsule(
        run_id=spec.run_id,
        name=spec.name,
        experiment=spec.experiment,
        task=spec.task,
        commit=snapshot.code.commit,
        dirty=snapshot.code.dirty,
        python=snapshot.environment.python,
        host=snapshot.host.name,
        at=at,
        raised=tuple(reversed(raised)),
        sources=tuple(_sources(raised, {place.secrets.mask(file): file for file in files}, place.secrets)),
    )


def secrets_in(error: BaseException, place: Place) -> set[str]:
    """What has a secret name in any frame: to be masked wherever else it stands, in the traceback too."""
    describer = Describer(place.secrets, until=time.monotonic() + _SECONDS)
    for frame in reversed(_frames(error, place)):
        describer.variables(frame.f_locals)
        describer.variables(_names(frame))
    return describer.met


def _frames(error: BaseException, place: Place) -> list[FrameType]:
    return [frame for raised, _ in _chain(error) for frame, _ in _walked(raised.__traceback__, place)]


def files_of(error: BaseException, place: Place) -> list[str]:
    """The project's own files that the traceback goes through."""
    files = {frame.f_code.co_filename for frame in _frames(error, place)}
    return sorted(file for file in files if place.is_own(file))


def _chain(error: BaseException) -> list[tuple[BaseException, Literal["cause", "context", "member"] | None]]:
    """What was raised last comes first, after it what it came from."""
    chain: list[tuple[BaseException, Literal["cause", "context", "member"] | None]] = [(error, None)]
    seen = {id(error)}

    def add(one: BaseException | None, because: Literal["cause", "context", "member"]) -> None:
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            chain.append((one, because))

    for raised, _ in chain:
        if len(chain) >= _RAISED:
            break
        if is_a(raised, BaseExceptionGroup):
            for member in BaseExceptionGroup.exceptions.__get__(raised)[:_RAISED]:
                add(member, "member")
        if raised.__cause__ is not None:
            add(raised.__cause__, "cause")
        elif not raised.__suppress_context__:
            add(raised.__context__, "context")
    return chain[:_RAISED]


def _walked(trace: TracebackType | None, place: Place) -> list[tuple[FrameType, int]]:
    """Frames and lines, the outermost first, without those before the task."""
    walked = []
    while trace is not None:
        walked.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    while walked and walked[0][0].f_code.co_filename.startswith(place.skipped or ("\0",)):
        walked.pop(0)
    return walked if len(walked) <= _FRAMES else [*walked[:_FIRST_FRAMES], *walked[_FIRST_FRAMES - _FRAMES :]]


def _raised(
    error: BaseException, because: Literal["cause", "context", "member"] | None, place: Place, describer: Describer
) -> Raised:
    walked = _walked(error.__traceback__, place)
    # The innermost first: should time or room be short, it is there that they are needed.
    frames = [_frame(frame, line, place, describer) for frame, line in reversed(walked)]
    length = sum(1 for _ in _lines_of(error.__traceback__))
    notes = getattr(error, "__notes__", ())
    return Raised(
        type=class_name(type(error)),
        message=place.secrets.cut(_said(error), _MESSAGE),
        frames=tuple(reversed(frames)),
        because=because,
        notes=tuple(place.secrets.cut(note, _MESSAGE) for note in islice(notes, 10) if type(note) is str),
        gap=_FIRST_FRAMES if length > _FRAMES else None,
        left_out=max(0, length - _FRAMES),
    )


def _lines_of(trace: TracebackType | None) -> Iterator[int]:
    while trace is not None:
        yield trace.tb_lineno
        trace = trace.tb_next


def _said(error: BaseException) -> str:
    """Its message. What it says has been printed by now, so it can be asked."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - a class that cannot say what it is
        return f"<its message cannot be read: {class_name(type(failure))}>"


def _frame(frame: FrameType, line: int, place: Place, describer: Describer) -> Frame:
    code = frame.f_code
    values = _arguments_first(code, frame.f_locals)
    return Frame(
        file=place.secrets.mask(code.co_filename),
        line=line,
        first_line=code.co_firstlineno,
        function=code.co_name,
        module=str(frame.f_globals.get("__name__", "")),
        own=place.is_own(code.co_filename),
        arguments=tuple(name for name in _arguments(code) if name in values),
        values=describer.variables(values),
        names=describer.variables(_names(frame)),
    )


def _arguments(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    return code.co_varnames[:count]


def _arguments_first(code: CodeType, values: Mapping[str, object]) -> dict[str, object]:
    arguments = {name: values[name] for name in _arguments(code) if name in values}
    # The task's own variables begin a module's: what it imported says nothing.
    rest = {name: value for name, value in values.items() if code.co_name != "<module>" or _is_variable(value)}
    return arguments | rest


def _names(frame: FrameType) -> dict[str, Value] | dict[str, object]:
    """The module's variables that the function uses."""
    if frame.f_globals is frame.f_locals:
        return {}
    held = frame.f_globals
    return {name: held[name] for name in frame.f_code.co_names if name in held and _is_variable(held[name])}


def _is_variable(value: object) -> bool:
    return not is_a(value, *_NO_VARIABLE)


def _sources(raised: list[Raised], files: Mapping[str, str], secrets: KnownSecrets) -> Iterator[Source]:
    """The code around every line of every frame; the most of that where it failed.

    Args:
        files: Paths as they are shown, and as they are.
    """
    room = _SOURCE_LINES
    wanted: dict[str, set[int]] = {}
    for one in raised:
        for frame in reversed(one.frames):
            around = _AROUND_OWN if frame.own else _AROUND
            lines = set(range(max(1, frame.line - around), frame.line + around + 1))
            if frame.first_line > frame.line - 4 * around:
                lines |= set(range(frame.first_line, frame.line))
            new = lines - wanted.get(frame.file, set())
            if len(new) <= room:
                wanted.setdefault(frame.file, set()).update(new)
                room -= len(new)
    for file, numbers in wanted.items():
        lines_of_file = linecache.getlines(files[file])
        for first, last in _runs_of(number for number in sorted(numbers) if number <= len(lines_of_file)):
            yield Source(file, first, _masked_lines(lines_of_file[first - 1 : last], secrets))


def _runs_of(numbers: Iterator[int]) -> Iterator[tuple[int, int]]:
    """1, 2, 3, 7, 8 as (1, 3) and (7, 8)."""
    first = last = next(numbers, None)
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def _masked_lines(lines: list[str], secrets: KnownSecrets) -> tuple[str, ...]:
    plain = [line.rstrip("\r\n")[: 10 * _LINE] for line in lines]
    masked = secrets.mask_code("\n".join(plain)).split("\n")
    if len(masked) == len(plain):
        return tuple(line[:_LINE] for line in masked)
    return tuple("" if not line.strip() else "***" for line in plain)  # a secret of several lines, a private key
