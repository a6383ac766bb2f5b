"""Pages that are made from the code: commands, configuration, the rules of `kit check`, the Python API."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from importlib.util import find_spec
from typing import Any

import griffe
import msgspec

from docs._site.pages import Page, summary, title

__all__ = ["API", "generate"]

API = {
    "For tasks": {"kit.run.Run": "kit.Run", "kit.artifacts": "kit.artifacts", "kit.tasks": "kit.tasks"},
    "For tests": {"kit.testing": "kit.testing", "kit.testing.behaviour": "kit.testing.behaviour"},
    "Errors": {"kit.errors": "kit.errors"},
}
"""What is promised: headings, and below each where things are and what users call them."""


def generate(written: Mapping[str, Page]) -> dict[str, Page]:
    """All pages that come from the code; one that somebody wrote stays."""
    pages = [
        Page("reference/commands.md", "\n".join(_commands(written))),
        Page("reference/configuration.md", "\n".join(_configuration())),
        Page("reference/python-api.md", "\n".join(_api())),
    ]
    if find_spec("kit.checks.registry") and "reference/rules/index.md" not in written:
        pages.append(Page("reference/rules/index.md", "\n".join(_rules(written))))
    return {page.path: page for page in pages if page.path not in written}


# Commands


def _commands(written: Mapping[str, Page]) -> Iterator[str]:
    from kit.cli import app

    yield "# Commands\n"
    yield "Every command with all of its arguments and options, as `kit COMMAND --help` has them.\n"
    root: Any = app.application()
    yield from _table(
        ("option of `kit` itself", "what it is"), _parameters(root, root.context_class(root, info_name="kit"))
    )
    for lines in app.FAMILIES.values():
        for name in lines:
            yield from _command(app._load(name), f"kit {name}", written, level=2)  # noqa: SLF001 - loaded one by one


def _command(command: Any, name: str, written: Mapping[str, Page], *, level: int) -> Iterator[str]:  # noqa: ANN401
    ctx = command.context_class(command, info_name=name)
    yield f"{'#' * level} `{name}`\n"
    yield f"{_paragraphs(command.help or '')}\n"
    for page in written.values():
        if page.folder == "reference" and f"`{name}`" in title(page):
            yield f"More in [its page]({page.name}.md).\n"
    below = getattr(command, "commands", {})
    parameters = list(_parameters(command, ctx))
    if parameters or not below:
        yield f"```text\n{command.get_usage(ctx)}\n```\n"
        yield from _table(("argument or option", "what it is"), parameters)
    if name == "kit check":  # its one subcommand looks like a path, and is found by the command itself
        from kit.cli import check

        below = {"determinism": check._determinism()}  # noqa: SLF001
    for inner, child in below.items():
        yield from _command(child, f"{name} {inner}", written, level=level + 1)


def _parameters(command: Any, ctx: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for param in command.get_params(ctx):
        if getattr(param, "hidden", False) or "--help" in param.opts:
            continue
        usage, words = param.get_help_record(ctx) or (param.make_metavar(ctx), getattr(param, "help", "") or "")
        yield f"`{usage}`", words


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(block.split()) for block in text.replace("\b", "").split("\n\n"))


# Configuration


def _configuration() -> Iterator[str]:
    from kit import schedule, settings, triggers

    yield "# Configuration\n"
    yield "Every key that kit itself reads, its type, and what it is when you say nothing."
    yield "An unknown key is refused, with the nearest known one.\n"
    yield "## `[tool.kit]` in `pyproject.toml`\n"
    yield from _keys(settings.Settings, as_key=_dashed)
    for key, kind, named in _inside(settings.Settings):
        yield f"## `[tool.kit.{_dashed(key)}{'.NAME' if named else ''}]`\n"
        yield f"{_first_line(kind)}\n"
        yield from _keys(kind, as_key=_dashed)
    yield "## `conf/schedule/NAME.yaml`\n"
    yield "What each key does, with examples, has [a page of its own](schedule.md)."
    yield "Where a number counts seconds, a length of time will do, `2 h`.\n"
    yield from _keys(schedule.Schedule, left_out=("name",))
    for key, kind, _ in _inside(schedule.Schedule):
        yield f"### `{key}`\n"
        yield f"{_first_line(kind)}\n"
        yield from _keys(kind)
    own = {"expression": "cron", "every": "interval", "at": "once", "path": "data", "schedule": "after"}
    for trigger in (triggers.Cron, triggers.Interval, triggers.Once, triggers.OnData, triggers.After):
        first = msgspec.structs.fields(trigger)[0].name
        yield f"### `trigger: {{{own[first]}: ...}}`\n"
        yield f"{_first_line(trigger)}\n"
        yield from _keys(trigger, as_key=lambda name, first=first: own[name] if name == first else name)  # type: ignore[misc]


def _inside(kind: type) -> Iterator[tuple[str, type, bool]]:
    """The keys that are tables of their own, with their records, and whether each is named by whoever writes it."""
    for name, hint in typing.get_type_hints(kind).items():
        inner = typing.get_args(hint)[-1] if typing.get_origin(hint) is dict else hint
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            yield name, inner, inner is not hint


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _keys(kind: type, *, as_key: Callable[[str], str] = str, left_out: Sequence[str] = ()) -> Iterator[str]:
    """A table of the keys of a record, with what its docstring says of each."""
    said = _attributes(kind)
    hints = typing.get_type_hints(kind, include_extras=False)
    rows = []
    for name, default in _defaults(kind):
        if name not in left_out:
            rows.append((f"`{as_key(name)}`", _type(hints[name]), default, said.get(name, "")))
    yield from _table(("key", "type", "default", "what it is"), rows)


def _attributes(kind: type) -> dict[str, str]:
    sections = griffe.Docstring(inspect.cleandoc(kind.__doc__ or ""), parser="google").parse()
    return {
        item.name: " ".join(item.description.split())
        for section in sections
        if section.kind is griffe.DocstringSectionKind.attributes
        for item in section.value
    }


def _defaults(kind: type) -> Iterator[tuple[str, str]]:
    """The fields of a dataclass or a struct, with what they are by default, as text."""
    fields: Any = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else msgspec.structs.fields(kind)
    for field in fields:
        made = field.default_factory not in _MISSING
        yield field.name, _default(field.default_factory() if made else field.default)


def _default(value: object) -> str:
    if value in _MISSING:
        return "must be given"
    if value is None or value in ((), {}):
        return "none"
    if dataclasses.is_dataclass(value):
        return "see below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(_default(item) for item in value)
    return f"`{value.value if isinstance(value, Enum) else value}`"


_MISSING = (dataclasses.MISSING, msgspec.NODEFAULT)
_WORDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", datetime: "instant"}


def _type(hint: Any) -> str:  # noqa: ANN401
    """A type in the words of whoever writes the file."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_type(one) for one in arguments if one is not types.NoneType))
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in {tuple, dict}:
        return f"list of: {_type(arguments[0])}" if origin is tuple else f"table of: {_type(arguments[1])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    return _WORDS.get(hint, "table")


# Rules, and the Python API


def _rules(written: Mapping[str, Page]) -> Iterator[str]:
    registry = importlib.import_module("kit.checks.registry")
    yield "# The rules of `kit check`\n"
    known = {rule.code: (rule.name, rule.severity.value, rule.summary) for rule in registry.every()}
    for page in written.values():  # the engine's own, which are no rules that could be left out
        if page.folder == "reference/rules" and page.name not in known:
            kind = re.search(r"^\*(Error|Warning|Info)\b", page.text, re.MULTILINE)
            name = title(page).removeprefix(f"{page.name} ")
            known[page.name] = (name, kind[1].lower() if kind else "", summary(page).rstrip("."))
    rows = [
        (f"[{code}]({code}.md)" if f"reference/rules/{code}.md" in written else code, *known[code])
        for code in sorted(known)
    ]
    yield from _table(("code", "name", "is", "what it finds"), rows)


def _api() -> Iterator[str]:
    yield "# Python API\n"
    yield "What other code may rely on. Whatever is not on this page may change with any release.\n"
    for heading, names in API.items():
        yield f"## {heading}\n"
        for name, called in names.items():
            yield f"::: {name}\n    options:\n      heading: {called}\n      toc_label: {called}\n"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    body = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    if body:
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        yield "\n".join(body) + "\n"
