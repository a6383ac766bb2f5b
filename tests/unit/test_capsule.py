"""Crash capsules: what is kept of a crash, how it reads, and what may be read back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kit import capsule
from kit.capsule import Capsule, Place
from kit.errors import UserError
from kit.known_secrets import KnownSecrets
from tests.conftest import write
from tests.factories import INSTANT, spec

SECRET = "hunter2-correct-horse"

MODULE = f'''
"""A module that fails in many ways."""

LIMIT = 5
API_KEY = "{SECRET}"


class Model:
    def __init__(self, depth: int) -> None:
        self.depth = depth

    def step(self, batch, rate=0.5):
        return rate * sum(batch) / (self.depth - 3)


def divides(rows, *, scale=2):
    model = Model(3)
    return model.step(rows[:LIMIT], scale)


def wraps():
    try:
        divides([1, 2])
    except ZeroDivisionError as error:
        raise ValueError("no loss") from error


def wraps_again(rows):
    try:
        divides(rows)
    except ZeroDivisionError as error:
        raise ValueError("no loss") from error


def while_handling():
    try:
        divides([1])
    except ZeroDivisionError:
        return {{}}["missing"]


def hides():
    try:
        divides([1])
    except ZeroDivisionError:
        raise ValueError("only this") from None


def several():
    raise ExceptionGroup("two", [_raised(ValueError("first")), _raised(KeyError("second"))])


def _raised(error):
    try:
        raise error
    except Exception as raised:
        return raised


def recurses(n):
    return recurses(n + 1)


def in_a_library():
    import json

    return json.loads("{{not json")


def tells(password, other):
    message = f"cannot connect with {{password}}"
    uses = API_KEY
    raise RuntimeError(message)


def cannot_say():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    raise Mute


def with_notes():
    error = ValueError("x")
    error.add_note("found in row 7")
    raise error
'''


@pytest.fixture
def crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Capsule]:
    """Call a function of the module, and give the capsule of what it raises."""
    write(tmp_path, {"failing.py": MODULE})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing", raising=False)

    def make(function: str, *arguments: object, secrets: KnownSecrets | None = None) -> Capsule:
        module = __import__("failing")
        try:
            getattr(module, function)(*arguments)
        except Exception as error:  # noqa: BLE001 - it is to raise whatever it wants
            place = Place(tmp_path, secrets or KnownSecrets(), (__file__,))
            place = replace(place, secrets=place.secrets.adding(capsule.secrets_in(error, place)))
            return capsule.take(error, spec(), place, at=INSTANT)
        raise AssertionError(f"{function} raised nothing")

    return make


def test_frames_have_their_code_and_variables(crash: Callable[..., Capsule], tmp_path: Path) -> None:
    (raised,) = crash("divides", [1, 2, 3]).raised
    assert (raised.type, raised.message) == ("ZeroDivisionError", "division by zero")
    outer, inner = raised.frames
    assert (outer.file, outer.function, outer.module, outer.own) == (
        str(tmp_path / "failing.py"), "divides", "failing", True,
    )  # fmt: skip
    assert outer.arguments == ("rows", "scale")
    assert list(outer.values) == ["rows", "scale", "model"]
    assert outer.names.keys() == {"LIMIT"}
    assert (inner.function, inner.arguments) == ("step", ("self", "batch", "rate"))


def test_it_reads_like_a_traceback_with_code_and_variables(crash: Callable[..., Capsule], tmp_path: Path) -> None:
    text = capsule.as_text(crash("divides", [1, 2, 3]))
    lines = text.splitlines()
    assert lines[0] == "run abc123 (baseline) failed at 2026-03-01 12:00:00 UTC"
    assert f"{tmp_path}/failing.py:12 in step" in lines
    assert "  >    12          return rate * sum(batch) / (self.depth - 3)" in lines
    assert "      self  = Model(depth=3)" in lines
    assert "      batch = [1, 2, 3]" in lines
    assert "      LIMIT = 5" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("wraps", [("ZeroDivisionError", "cause"), ("ValueError", None)]),
        ("while_handling", [("ZeroDivisionError", "context"), ("KeyError", None)]),
        ("hides", [("ValueError", None)]),
        ("several", [("KeyError", "member"), ("ValueError", "member"), ("ExceptionGroup", None)]),
    ],
)
def test_what_led_to_it_comes_before_it(
    crash: Callable[..., Capsule], function: str, expected: list[tuple[str, str | None]]
) -> None:
    made = crash(function)
    assert [(raised.type, raised.because) for raised in made.raised] == expected
    assert capsule.as_text(made).count("> ") >= len(expected)


def test_variables_are_shown_once(crash: Callable[..., Capsule]) -> None:
    made = crash("wraps_again", [1])
    assert capsule.as_text(made).count("(its variables are as above)") == 1
    assert capsule.as_text(made).count("rows  = [1]") + capsule.as_text(made).count("rows = [1]") == 2


def test_an_endless_recursion_is_cut_in_the_middle(crash: Callable[..., Capsule]) -> None:
    made = crash("recurses", 0)
    (raised,) = made.raised
    assert raised.type == "RecursionError"
    assert len(raised.frames) == 60
    assert raised.left_out > 500
    assert f"... {raised.left_out} calls left out ..." in capsule.as_text(made)
    assert len(msgspec.json.encode(made)) < 200_000


def test_a_librarys_frames_are_there_and_the_innermost_in_full(crash: Callable[..., Capsule]) -> None:
    made = crash("in_a_library")
    frames = made.raised[0].frames
    assert [frame.own for frame in frames] == [True, False, False, False]
    assert "s = '{not json'" in " ".join(capsule.as_text(made).split())


def test_secrets_are_masked_wherever_they_come(crash: Callable[..., Capsule]) -> None:
    made = crash("tells", SECRET, {"deep": [f"uses {SECRET}"]})
    whole = msgspec.json.encode(made).decode() + capsule.as_text(made)
    assert SECRET not in whole
    assert made.raised[0].message == "cannot connect with ***"
    assert 'API_KEY = "***"' in "\n".join(line for source in made.sources for line in source.lines)


def test_what_cannot_say_what_it_is_has_a_capsule_all_the_same(crash: Callable[..., Capsule]) -> None:
    (raised,) = crash("cannot_say").raised
    assert raised.message == "<its message cannot be read: RuntimeError>"


def test_notes_belong_to_the_message(crash: Callable[..., Capsule]) -> None:
    assert capsule.as_text(crash("with_notes")).endswith("ValueError: x\nfound in row 7\n")


def test_it_is_written_for_its_owner_only_and_read_back(crash: Callable[..., Capsule], tmp_path: Path) -> None:
    made = crash("wraps")
    folder = tmp_path / "crash"
    capsule.write(made, capsule.as_text(made), folder)
    for path in (folder, *folder.iterdir()):
        assert path.stat().st_mode & 0o077 == 0
    for named in (folder, tmp_path, folder / capsule.DUMP, folder / capsule.READABLE):
        assert capsule.read(named) == made


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "not a crash capsule"),
        ("[]", "not a crash capsule"),
        ("{}", "not a crash capsule"),
        ('{"raised": 1}', "not a crash capsule"),
        ("[" * 100_000, "not a crash capsule"),
        ("\udcff", "not a crash capsule"),
    ],
)
def test_what_is_no_capsule_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "crash.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=said):
        capsule.read(path)


def test_of_another_format_it_says_so(crash: Callable[..., Capsule], tmp_path: Path) -> None:
    plain = msgspec.to_builtins(crash("wraps")) | {"format": 99}
    (tmp_path / "crash.json").write_bytes(msgspec.json.encode(plain))
    with pytest.raises(UserError, match="format 99"):
        capsule.read(tmp_path)


def test_where_there_is_none_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no crash capsule there"):
        capsule.read(tmp_path)


def test_what_a_terminal_would_obey_is_defused(crash: Callable[..., Capsule], tmp_path: Path) -> None:
    plain = msgspec.to_builtins(crash("wraps")) | {"name": "\x1b]0;owned\x07 \x9b31m \u202e"}
    (tmp_path / "crash.json").write_bytes(msgspec.json.encode(plain))
    read = capsule.read(tmp_path)
    assert read.name == r"\x1b]0;owned\x07 \x9b31m \x202e"
