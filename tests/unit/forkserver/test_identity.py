"""When what a server has imported is not what an interpreter would import."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kit.forkserver._identity import Identity
from kit.forkserver._preload import Preloaded, state_of


def identity(root: Path, **variables: str) -> Identity:
    return Identity(root, Preloaded(environment=variables, read={"READ"}), since=time.time())


def test_nothing_has_changed(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("1")
    os.utime(tmp_path / "uv.lock", (1, 1))
    assert identity(tmp_path).changed() in {None, f"{tmp_path}/uv.lock has changed"}
    assert Identity(tmp_path, Preloaded(), since=time.time() + 60).changed() is None


def test_what_changed_while_it_was_imported_counts_as_changed(tmp_path: Path) -> None:
    since = time.time() - 60
    (tmp_path / "uv.lock").write_text("1")
    assert Identity(tmp_path, Preloaded(), since).changed() == f"{tmp_path}/uv.lock has changed"


@pytest.mark.parametrize("change", ["write", "remove", "create", "replace"])
def test_a_file_that_was_read_is_looked_at(tmp_path: Path, change: str) -> None:
    file = tmp_path / "settings"
    if change != "create":
        file.write_text("1")
    before = Identity(tmp_path, Preloaded(files={str(file): state_of(str(file))}), since=time.time() + 60)
    assert before.changed() is None
    if change == "remove":
        file.unlink()
    elif change == "replace":
        (tmp_path / "other").write_text("2")
        (tmp_path / "other").replace(file)
    else:
        file.write_text("22")
    assert before.changed() == f"{file} has changed"


def test_a_file_that_another_environment_gets_too_is_as_it_was(tmp_path: Path) -> None:
    """uv links a package into each environment; conda, too."""
    file, since = tmp_path / "module.py", time.time()
    file.write_text("1")
    os.utime(file, (1, 1))
    (tmp_path / "cache.py").hardlink_to(file)
    before = Identity(tmp_path, Preloaded(files={str(file): state_of(str(file))}), since)
    (tmp_path / "other.py").hardlink_to(file)
    assert before.changed() is None
    (tmp_path / "other.py").unlink()
    assert before.changed() is None
    with file.open("a") as opened:
        opened.write("2")
    assert before.changed() == f"{file} has changed"


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        ({}, {"OTHER": "1"}, None),
        ({}, {"READ": "1"}, "READ is another in the environment"),
        ({"READ": "1"}, {}, "READ is another in the environment"),
        ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}, "OMP_NUM_THREADS is another in the environment"),
        ({}, {"OMP_WAIT_POLICY": "PASSIVE"}, None),
        ({}, {"OMP_WAIT_POLICY": "ACTIVE"}, "OMP_WAIT_POLICY is another in the environment"),
        ({"PYTHONHASHSEED": "0"}, {"PYTHONUNBUFFERED": "1"}, None),
        ({}, {"PYTHONPATH": "x"}, "PYTHONPATH is another in the environment"),
        ({}, {"COV_CORE_SOURCE": "x"}, "COV_CORE_SOURCE is another in the environment"),
    ],
)
def test_variables_that_were_read_must_be_the_same(
    tmp_path: Path, ours: dict[str, str], theirs: dict[str, str], why: str | None
) -> None:
    assert identity(tmp_path, **ours).differs(theirs) == why


def test_a_hook_of_git_s_has_its_programs_before_the_others_which_changes_nothing(tmp_path: Path) -> None:
    made = Identity(tmp_path, Preloaded(environment={"PATH": "/bin"}, read={"PATH"}), since=time.time())
    assert made.differs({"PATH": "/git/core:/bin", "GIT_EXEC_PATH": "/git/core"}) is None
    assert made.differs({"PATH": "/bin", "GIT_EXEC_PATH": "/git/core"}) is None
    for other in ({"PATH": "/git/core:/bin"}, {"PATH": "/mine:/git/core:/bin", "GIT_EXEC_PATH": "/git/core"}, {}):
        assert made.differs(other) == "PATH is another in the environment"


def test_what_importing_has_set_is_no_difference_for_who_was_forked(tmp_path: Path) -> None:
    """MLflow puts an id into the environment: a command that was forked asks for its runs with it."""
    preloaded = Preloaded(read={"READ"}, added={"READ": "theirs"})
    made = Identity(tmp_path, preloaded, since=time.time())
    assert made.differs({"READ": "theirs"}) is None
    assert made.differs({}) is None
    assert made.differs({"READ": "another"}) == "READ is another in the environment"
