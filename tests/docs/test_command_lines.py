"""Every `kit ...` that the documentation names can be typed: the command is there, and so are its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.cli import app, check
from tests.conftest import REPOSITORY

PAGES = sorted(
    path
    for path in (
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "template").rglob("*.md"),
    )
)
_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SHELL = ("console", "sh", "shell", "bash")
_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1", "#", "...", "…"}
_WRAPPERS = ("uv run ", "! ", "sudo ", "exec ")


def command_lines(page: str) -> Iterator[str]:
    """What begins with `kit` in the shell's blocks, in synopses and in the text."""
    for language, block in _FENCE.findall(page):
        joined = re.sub(r"\\\n *>? *", "", block)
        if language == "console":
            joined = "\n".join(line[2:] for line in joined.splitlines() if line.startswith("$ "))
        if language in _SHELL:
            yield from filter(None, map(_kit, re.split(r"\n|&&|\|\|", joined)))
    prose = _FENCE.sub("", page)
    yield from filter(None, map(_kit, re.findall(r"^    (kit .*)$", prose, re.MULTILINE)))
    yield from filter(None, (_kit(code.replace("\\|", "|")) for code in _CODE.findall(prose)))


def _kit(line: str) -> str | None:
    """The call of kit that a line is, without what stands before it."""
    line = re.sub(r"^(\w+=\S+ +)+", "", line.strip())
    for wrapper in _WRAPPERS:
        line = line.removeprefix(wrapper)
    return line if re.match(r"kit [a-z-]", line) else None


def words(line: str) -> list[str]:
    """As the shell has them, as far as they are kit's; without the brackets of a synopsis."""
    try:
        found = shlex.split(re.sub(r"(?<!\S)\[|\](?!\S)", "", line))
    except ValueError:
        found = line.split()
    end = next((at for at, word in enumerate(found) if word in _ENDS or word[0] in "><"), len(found))
    return found[1:end]


def fault(line: str) -> str | None:
    """Why a line cannot be typed."""
    rest = words(line)
    if not rest or rest[0].isupper() or rest == ["--version"]:
        return None
    if rest[0] not in {name for lines in app.FAMILIES.values() for name in lines}:
        return None if rest[0].startswith("-") else f"no command {rest[0]!r}"
    command: Any = app._load(rest.pop(0))
    if rest[:1] == ["determinism"]:
        command, rest = check._determinism(), rest[1:]
    while (commands := getattr(command, "commands", {})) and rest and not rest[0].startswith("-"):
        if rest[0].isupper() or rest[0] == "...":
            return None
        names = rest.pop(0).split("|")
        if missing := [name for name in names if name not in commands]:
            return None if _takes_more(command) else f"no command {missing[0]!r}"
        command = commands[names[0]]
    return _unknown_option(command, rest)


def _takes_more(command: Any) -> bool:
    """Whether a command with others below it does something by itself with what follows."""
    return any(param.param_type_name == "argument" for param in command.params)


def _unknown_option(command: Any, rest: list[str]) -> str | None:
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"-h", "--help"}
    for word in rest:
        if word == "--":
            return None
        name = word.partition("=")[0]
        if word.startswith("--") and any(option not in known for option in name.split("|") if option.startswith("-")):
            return f"no option {name!r}"
        short = re.fullmatch(r"-[A-Za-z]", word)
        if short and word not in known:
            return f"no option {word!r}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_line_can_be_typed(page: Path) -> None:
    lines = dict.fromkeys(command_lines(page.read_text()))
    assert {line: why for line in lines if (why := fault(line))} == {}


def test_lines_are_found() -> None:
    page = (
        "`kit runs \\| head -1` and `kitten` and `kit`\n\n    kit gc [--runs] [--older-than AGE]\n\n"
        "```console\n$ A=1 kit run -m \\\n      x=1,2 && kit runs\nkit is output\n```\n```python\nkit = 1\n```\n"
    )
    assert list(command_lines(page)) == [
        "kit run -m x=1,2",
        "kit runs",
        "kit gc [--runs] [--older-than AGE]",
        "kit runs | head -1",
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kit run -m x=1 --on slurm", None),
        ("kit runs --where 'a>1' | head --lines 3", None),
        ("kit schedule history NAME", None),
        ("kit forkserver status|stop", None),
        ("kit runz", "no command 'runz'"),
        ("kit schedule histroy x", "no command 'histroy'"),
        ("kit check determinism -n 5 --vary-hash", None),
        ("kit check determinism --select KIT101", "no option '--select'"),
        ("kit check --selcet KIT101", "no option '--selcet'"),
        ("kit run --overwrite", "no option '--overwrite'"),
        ("kit run --timeout=3 --sed", "no option '--sed'"),
        ("kit runs -x", "no option '-x'"),
    ],
)
def test_what_cannot_be_typed_is_told(line: str, why: str | None) -> None:
    assert fault(line) == why
