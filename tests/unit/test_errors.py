"""Errors say what, where and what to do, and cross processes whole."""

from __future__ import annotations

import errno
import pickle

import pytest

from kit import errors
from kit.errors import Cancelled, DataError, ExitCode, HostError, KitError, RunError, ServiceError, TimedOut, UserError

KINDS = {UserError: 2, HostError: 3, ServiceError: 4, DataError: 4, RunError: 1, TimedOut: 124, Cancelled: 130}


@pytest.mark.parametrize(("kind", "code"), KINDS.items())
def test_each_kind_has_its_exit_code(kind: type[KitError], code: int) -> None:
    assert kind("it broke").exit_code == code
    assert ExitCode(code) is kind.exit_code


def test_no_kind_is_forgotten() -> None:
    public = [getattr(errors, name) for name in errors.__all__]
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, KitError)}
    assert kinds == {KitError, *KINDS}


@pytest.mark.parametrize(
    ("where", "fix", "text"),
    [
        (None, None, "it broke"),
        ("conf/a.yaml", None, "it broke (conf/a.yaml)"),
        (None, "Mend it.", "it broke. Mend it."),
        ("conf/a.yaml", "Mend it.", "it broke (conf/a.yaml). Mend it."),
    ],
)
def test_an_error_reads_as_one_line(where: str | None, fix: str | None, text: str) -> None:
    assert str(KitError("it broke", where=where, fix=fix)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling(kind: type[KitError]) -> None:
    again = pickle.loads(pickle.dumps(kind("it broke", where="here", fix="Mend it.")))
    assert type(again) is kind
    assert (again.what, again.where, again.fix) == ("it broke", "here", "Mend it.")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EPERM, "not permitted"),
        (errno.EMFILE, "too many open files"),
    ],
)
def test_what_the_system_refuses_has_a_fix(number: int, words: str) -> None:
    error = errors.from_os_error(OSError(number, "as the system says", "/data/x"))
    assert words in error.what
    assert error.where == "/data/x"
    assert error.fix is not None


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_no_refusal_is_without_a_fix(number: int) -> None:
    assert errors.from_os_error(OSError(number, "as the system says")).fix


def test_an_unusual_refusal_keeps_the_systems_words() -> None:
    assert errors.from_os_error(OSError(errno.ELOOP, "Too many levels", "/x")).what == "too many levels"
    assert errors.from_os_error(OSError("no number at all")).what == "no number at all"
