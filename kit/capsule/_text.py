"""A capsule as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from kit.capsule._record import Capsule, Frame, Raised, Source, Value

__all__ = ["as_text", "notation", "notes_on"]

_AROUND = 3
_WIDTH = 110
_TWO_LINES = 240
_BECAUSE = {
    "cause": "That was the direct cause of what follows:",
    "context": "While that was handled, this happened:",
    "member": "That was one of those that follow together:",
}
_BRACKETS = {
    "tuple": ("(", ")"), "set": ("{", "}"), "frozenset": ("frozenset({", "})"), "collections.deque": ("deque([", "])"),
}  # fmt: skip


def as_text(capsule: Capsule) -> str:
    """What `crash.txt` holds: each exception with its frames, the last call last."""
    shown: list[Frame] = []
    lines = [f"run {capsule.run_id} ({capsule.name}) failed at {capsule.at:%Y-%m-%d %H:%M:%S} UTC", *notes_on(capsule)]
    sources = _Lines(capsule.sources)
    for index, raised in enumerate(capsule.raised):
        if index:
            lines += ["", _BECAUSE[capsule.raised[index - 1].because or "context"]]
        lines += ["", *_raised(raised, sources, shown)]
    return "\n".join(lines) + "\n"


def notes_on(capsule: Capsule) -> list[str]:
    """Which run it was."""
    code = f"{capsule.commit[:10]}{' (with uncommitted work)' if capsule.dirty else ''}"
    return [
        f"task {capsule.task} of experiment {capsule.experiment}",
        f"code {code}, Python {capsule.python}, host {capsule.host}",
    ]


def _raised(raised: Raised, sources: _Lines, shown: list[Frame]) -> Iterator[str]:
    for index, frame in enumerate(raised.frames):
        if index == raised.gap:
            yield f"... {raised.left_out} calls left out ...\n"
        yield f"{frame.file}:{frame.line} in {frame.function}"
        last = index == len(raised.frames) - 1
        yield from _code(frame, sources, _AROUND if frame.own or last else 0)
        if (frame.own or last) and (frame.values or frame.names):
            as_before = any(frame.first_line == other.first_line and frame.values == other.values for other in shown)
            yield from ["      (its variables are as above)"] if as_before else _variables(frame)
            shown.append(frame)
        yield ""
    yield f"{raised.type}: {raised.message}" if raised.message else raised.type
    yield from raised.notes


def _code(frame: Frame, sources: _Lines, around: int) -> Iterator[str]:
    for number in range(max(1, frame.line - around), frame.line + around + 1):
        text = sources.line(frame.file, number)
        if text is not None:
            yield f"{'  > ' if number == frame.line else '    '}{number:>5}  {text}".rstrip()


def _variables(frame: Frame) -> Iterator[str]:
    width = min(max(map(len, (*frame.values, *frame.names)), default=0), 20)
    for values in (frame.values, frame.names):
        for name, value in values.items():
            yield f"      {name:<{width}} = {notation(value, _TWO_LINES)}"


def notation(value: Value, room: int = _WIDTH) -> str:
    """A value in about so many characters, as Python would write it where that is short enough."""
    text = _written(value, room)
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _written(value: Value, room: int) -> str:
    name = value.type.rpartition(".")[2]
    if value.items is not None:
        opening, closing = _BRACKETS.get(value.type, ("[", "]"))
        single = "," if value.type == "tuple" and len(value.items) == 1 and value.length is None else ""
        entries = (notation(item, room) for item in value.items)
        return f"{opening}{_joined(entries, value, len(value.items))}{single}{closing}"
    if value.pairs is not None:
        entries = (f"{_written(key, room)}: {notation(held, room)}" for key, held in value.pairs)
        return f"{{{_joined(entries, value, len(value.pairs))}}}"
    if value.text is not None:
        more = "" if value.length is None else f"… ({value.length:,} characters)"
        return f"<{name}: {value.text}>" if value.fields else f"{value.text}{more}"
    fields = (f"{key}={notation(held, room)}" for key, held in value.fields.items())
    return f"{name}({_joined(fields, value, len(value.fields))})"


def _joined(entries: Iterator[str], value: Value, kept: int) -> str:
    more = [] if value.length is None else [f"… {value.length - kept:,} more"]
    return ", ".join([*entries, *more])


class _Lines:
    """The lines of all sources."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self._lines: dict[tuple[str, int], str] = {}
        for source in sources:
            self._lines |= {(source.file, source.first + index): line for index, line in enumerate(source.lines)}

    def line(self, file: str, number: int) -> str | None:
        return self._lines.get((file, number))
