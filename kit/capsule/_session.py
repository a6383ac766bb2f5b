"""A capsule opened with pdb: real frames and a real traceback, in which the values are what was recorded.

Each frame is made by running `0/0` in a code object that has the recorded function's name, file and line. So pdb,
whichever version, walks frames as it always does; the lines come from the capsule, not from what lies on this machine.
"""

from __future__ import annotations

import ast
import linecache
import pdb  # noqa: T100 - the debugger is what this is for
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NoReturn

from kit.capsule._record import Capsule, Frame, Raised, Source, Value
from kit.capsule._text import notation

__all__ = ["opened", "post_mortem", "recalled"]

_LITERALS = {"NoneType", "bool", "int", "str", "bytes", "complex"}
_CONTAINERS: dict[str, Callable[[Iterable[Any]], object]] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset
}  # fmt: skip


class NotRecordedError(Exception):
    """The capsule does not have this."""


class Recalled:
    """What an object was recorded with: its attributes and elements, as far as they were kept."""

    _recorded: Value

    def __init__(self, value: Value) -> None:
        self._recorded = value
        self.__dict__.update({name: recalled(held) for name, held in value.fields.items() if name != "_recorded"})

    def __repr__(self) -> str:
        return notation(self._recorded, 1000)

    def __getattr__(self, name: str) -> NoReturn:
        kept = ", ".join(self._recorded.fields) or "nothing of it"
        raise AttributeError(f"{name!r} of this {self._recorded.type} was not recorded, but {kept}")

    def __len__(self) -> int:
        value = self._recorded
        if value.length is not None and not value.fields:
            return value.length
        kept = value.items if value.items is not None else value.pairs
        if kept is None:
            raise TypeError(f"the length of this {value.type} was not recorded")
        return len(kept)

    def __bool__(self) -> bool:
        raise NotRecordedError(f"whether this {self._recorded.type} is true was not recorded")

    def __iter__(self) -> Any:  # noqa: ANN401
        for kept in self._recorded.items or self._keys():
            yield recalled(kept)
        if self._recorded.length is not None:
            raise NotRecordedError(f"only the first {len(self._recorded.items or self._keys())} were recorded")

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401
        for known, held in self._recorded.pairs or ():
            if recalled(known) == key:
                return recalled(held)
        items = self._recorded.items or ()
        if isinstance(key, int) and 0 <= key < len(items):
            return recalled(items[key])
        if isinstance(key, slice) and items and 0 <= (key.start or 0) <= (key.stop or len(self)) <= len(items):
            return [recalled(item) for item in items[key]]
        raise NotRecordedError(f"[{key!r}] of this {self._recorded.type} was not recorded: {notation(self._recorded)}")

    def _keys(self) -> list[Value]:
        return [key for key, _ in self._recorded.pairs or ()]


class _Text(str):
    """A text of which the beginning was recorded."""

    __slots__ = ("length",)
    length: int

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return f"{str.__repr__(self)}… ({self.length:,} characters)"


def recalled(value: Value) -> Any:  # noqa: ANN401
    """The value itself, where all of it was recorded and its class is Python's own; else what stands for it."""
    if value.length is None:
        if value.items is not None and value.type in _CONTAINERS:
            return _contained(value, value.items)
        if value.pairs is not None and value.type == "dict":
            return _mapped(value, value.pairs)
    if value.text is not None and not value.fields:
        return _plain(value, value.text)
    return _class_of(value)(value)


def _contained(value: Value, items: tuple[Value, ...]) -> object:
    try:
        return _CONTAINERS[value.type](map(recalled, items))
    except TypeError:  # a set of what can no longer be hashed
        return _class_of(value)(value)


def _mapped(value: Value, pairs: tuple[tuple[Value, Value], ...]) -> object:
    try:
        return {recalled(key): recalled(held) for key, held in pairs}
    except TypeError:
        return _class_of(value)(value)


def _plain(value: Value, text: str) -> object:
    try:
        if value.type in _LITERALS:
            literal = ast.literal_eval(text)
            if value.length is None:
                return literal
            if isinstance(literal, str):
                cut = _Text(literal)
                cut.length = value.length
                return cut
        elif value.type == "float":
            return float(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass  # masked, or not told
    return _class_of(value)(value)


def _class_of(value: Value) -> type[Recalled]:
    return type(value.type.rpartition(".")[2] or "object", (Recalled,), {"__module__": value.type.rpartition(".")[0]})


def opened(raised: Raised, sources: Iterable[Source]) -> TracebackType | None:
    """A traceback with frames that have what was recorded; None if there was none."""
    _teach_lines(sources)
    trace: TracebackType | None = None
    for frame in reversed(raised.frames):
        own = _framed(frame)
        trace = TracebackType(trace, own.tb_frame, own.tb_lasti, own.tb_lineno)
    return trace


def _framed(frame: Frame) -> TracebackType:
    offset = max(0, frame.line - frame.first_line)
    code = compile("\n" * offset + "0/0", frame.file, "exec").replace(
        co_name=frame.function, co_qualname=frame.function, co_firstlineno=max(1, frame.line - offset)
    )
    values: dict[str, object] = {name: recalled(value) for name, value in frame.values.items()}
    names: dict[str, object] = {name: recalled(value) for name, value in frame.names.items()}
    try:
        exec(code, names | {"__name__": frame.module}, values)  # noqa: S102 - the line above is all of it
    except ZeroDivisionError as reached:
        if reached.__traceback__ is not None and reached.__traceback__.tb_next is not None:
            return reached.__traceback__.tb_next
    raise RuntimeError("a frame could not be made")


def _teach_lines(sources: Iterable[Source]) -> None:
    """Have Python's own tools find the recorded lines, whatever lies at those paths here."""
    files: dict[str, list[str]] = {}
    for source in sources:
        lines = files.setdefault(source.file, [])
        lines += ["\n"] * (source.first - 1 + len(source.lines) - len(lines))
        lines[source.first - 1 : source.first - 1 + len(source.lines)] = [f"{line}\n" for line in source.lines]
    for file, lines in files.items():
        # Without a time of change it is never looked for on the disk.
        linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


_RUNNING = {
    "c", "cont", "continue", "s", "step", "n", "next", "unt", "until", "r", "return", "j", "jump", "run", "restart",
    "debug", "b", "break", "tbreak",
}  # fmt: skip


class _PostMortem(pdb.Pdb):
    """pdb over what was: there is nothing that could go on."""

    def __init__(self, capsule: Capsule) -> None:
        super().__init__(nosigint=True, readrc=False)
        self._capsule = capsule
        self._shown = len(capsule.raised) - 1

    def open(self) -> None:
        """Show the failing frame, and ask what to do."""
        self.reset()
        raised = self._capsule.raised[self._shown]
        self.interaction(None, opened(raised, self._capsule.sources))

    def onecmd(self, line: str) -> bool:
        """One command, but for those that would go on."""
        command = self.parseline(line)[0]
        if command in _RUNNING:
            self.error("nothing runs here: this is the record of a crash; `q` leaves")
            return False
        return bool(super().onecmd(line))

    def do_args(self, arg: str) -> bool | None:  # noqa: ARG002 - as pdb has it
        """a(rgs)

        Print what the function was called with.
        """
        frame = self._capsule.raised[self._shown].frames[self.curindex]
        for name in frame.arguments:
            self.message(f"{name} = {notation(frame.values[name])}")
        return None

    do_a = do_args

    def do_locals(self, arg: str) -> None:  # noqa: ARG002
        """locals

        Print every variable of this frame, and those of the module that it uses.
        """
        frame = self._capsule.raised[self._shown].frames[self.curindex]
        for name, value in (frame.values | frame.names).items():
            self.message(f"{name} = {notation(value)}")

    def do_exceptions(self, arg: str) -> None:
        """exceptions [number]

        List what was raised on the way to this, or look at another of it.
        """
        raised = self._capsule.raised
        if not arg:
            for number, one in enumerate(raised):
                self.message(f"{'>' if number == self._shown else ' '} {number}  {one.type}: {one.message}"[:200])
        elif arg.isdigit() and int(arg) < len(raised) and raised[int(arg)].frames:
            self._shown = int(arg)
            self.setup(None, opened(raised[self._shown], self._capsule.sources))
            self.print_stack_entry(self.stack[self.curindex])
        else:
            self.error(f"0 to {len(raised) - 1}, as `exceptions` lists them; one without frames cannot be looked at")


def post_mortem(capsule: Capsule) -> None:
    """Open a session at the failing frame, on the terminal; returns when it is left."""
    _PostMortem(capsule).open()
