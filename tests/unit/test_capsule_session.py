"""A capsule opened with pdb."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import capsule
from kit.capsule import Capsule, Place
from kit.known_secrets import KnownSecrets
from tests.conftest import write
from tests.factories import INSTANT, spec

MODULE = """
LIMIT = 5


def outer(rows, flag=False):
    error = "a variable of that name"
    try:
        inner(rows[:LIMIT], scale={"by": 2})
    except TypeError as failure:
        raise ValueError("outer failed") from failure


def inner(rows, *, scale):
    total = sum(rows)
    deep = {"table": [rows, {"name": "x"}]}
    return total / scale
"""

Session = Callable[..., str]


@pytest.fixture
def crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capsule:
    write(tmp_path, {"failing.py": MODULE})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing", raising=False)
    try:
        __import__("failing").outer([1, 2, 3])
    except ValueError as error:
        made = capsule.take(error, spec(), Place(tmp_path, KnownSecrets(), (__file__,)), at=INSTANT)
    (tmp_path / "failing.py").write_text("# by now, something else lies here\n" * 100)
    capsule.write(made, "", tmp_path / "crash")
    return capsule.read(tmp_path)


@pytest.fixture
def session(crash: Capsule, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Session:
    """Type commands; what the debugger answers to each."""

    def typed(*commands: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{command}\n" for command in commands)))
        capsule.post_mortem(crash)
        return capsys.readouterr().out

    return typed


def test_it_begins_where_it_failed_and_shows_the_code_that_ran(session: Session) -> None:
    said = session("q")
    assert "failing.py(9)outer()" in said
    assert '-> raise ValueError("outer failed") from failure' in said
    assert "something else" not in session("l", "ll", "w", "q")


def test_variables_are_values_to_work_with(session: Session) -> None:
    said = session("exceptions 0", "p total + 1", "p deep['table'][1]['name'].upper()", "p len(rows), scale['by']", "q")
    assert "(Pdb) 7\n" in said
    assert "(Pdb) 'X'\n" in said
    assert "(Pdb) (3, 2)\n" in said


def test_frames_are_walked_up_and_down(session: Session) -> None:
    said = session("exceptions 0", "w", "u", "p LIMIT, flag", "d", "p total", "u", "u", "q")
    assert "-> return total / scale" in said
    assert "-> inner(rows[:LIMIT]" in said
    assert "(Pdb) (5, False)\n" in said
    assert "(Pdb) 6\n" in said
    assert "Oldest frame" in said


def test_the_whole_function_is_listed(session: Session) -> None:
    said = session("exceptions 0", "ll", "q")
    assert "def inner(rows, *, scale):" in said
    assert "->\t    return total / scale" in said
    assert "def outer" not in said.partition("(Pdb)")[2].partition("(Pdb)")[2]


def test_arguments_and_locals(session: Session) -> None:
    said = session("a", "exceptions 0", "a", "locals", "q")
    assert "rows = [1, 2, 3]\nflag = False\n(Pdb)" in said
    assert "rows = [1, 2, 3]\nscale = {'by': 2}\n(Pdb)" in said
    assert "deep = {'table': [[1, 2, 3], {'name': 'x'}]}" in said


def test_what_led_to_it_can_be_chosen(session: Session) -> None:
    said = session("exceptions", "exceptions 0", "exceptions 7", "q")
    assert "  0  TypeError: unsupported operand" in said
    assert "> 1  ValueError: outer failed" in said
    assert "*** 0 to 1" in said


@pytest.mark.parametrize("command", ["n", "next", "s", "c", "until", "return", "jump 3", "run", "break 5"])
def test_nothing_goes_on(session: Session, command: str) -> None:
    said = session(command, "p flag", "q")
    assert "*** nothing runs here" in said
    assert "(Pdb) False\n" in said


def test_a_mistake_is_answered_and_the_end_of_input_leaves(session: Session) -> None:
    said = session("p no_such_name", "p rows[99]", "p 1 +")
    assert "*** NameError" in said
    assert "*** IndexError" in said
    assert "*** SyntaxError" in said


def test_a_name_of_its_own_is_not_in_the_way(session: Session) -> None:
    assert "(Pdb) 'a variable of that name'\n" in session("p error", "q")


def test_no_file_of_the_user_is_read(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".pdbrc").write_text("p 'own' + 'ed'\n")
    Path(os.environ["HOME"], ".pdbrc").write_text("p 'own' + 'ed'\n")
    assert "owned" not in session("q")
