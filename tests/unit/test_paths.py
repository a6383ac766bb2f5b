"""Names become paths only when they are safe, and a project is found from anywhere in it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import UserError
from kit.paths import ProjectPaths, find_project, safe_name
from tests.conftest import write


@pytest.mark.parametrize("name", ["a", "A1", "0cafe", "run-1_b.c", "a" * 100])
def test_a_plain_name_is_given_back(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "-rf", "a..b", "a b", "a\n", "ü", "a\0", "~", "a" * 101],
)
def test_an_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be used as a name") as caught:
        safe_name(name)
    assert caught.value.fix is not None


@given(name=st.text())
def test_a_name_that_passes_stays_in_its_folder(name: str) -> None:
    paths = ProjectPaths(Path("/project"))
    try:
        root = paths.run(name).root
    except UserError:
        return
    assert root.resolve() == root
    assert root.parent == paths.runs


def test_every_file_of_a_run_lies_in_its_folder() -> None:
    run = ProjectPaths(Path("/project")).run("abc")
    parts = [run.spec, run.config, run.log, run.supervisor_log, run.spool, run.sent, run.result]
    parts += [run.artifacts, run.checkpoints]
    assert {part.parent for part in parts} == {Path("/project/.kit/runs/abc")}
    assert len(set(parts)) == len(parts)


def test_every_file_of_kit_lies_in_its_state() -> None:
    paths = ProjectPaths(Path("/project"))
    files = [paths.store, paths.store_lock, paths.data_lock, paths.unfinished_data, paths.omitted_hashes]
    files += [paths.data_hashes, paths.sweep("sweep-1"), paths.run("abc").root]
    assert all(file.is_relative_to("/project/.kit") for file in files)
    assert len(set(files)) == len(files)
    with pytest.raises(UserError):
        paths.sweep("../x")


def test_the_state_is_private_and_ignored(tmp_path: Path) -> None:
    paths = ProjectPaths(tmp_path)
    paths.create_state()
    paths.create_state()
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (paths.state, paths.locks, paths.runs)] == [0o700] * 3
    assert (paths.state / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("text", ["[tool.kit]\n", "[project]\n[tool.kit]\n", "[tool.kit.sub]\nx = 1\n"])
def test_a_project_is_found_from_below(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": text, "src/deep/x.py": ""})
    assert find_project(tmp_path / "src" / "deep").root == tmp_path.resolve()


def test_the_nearest_project_counts_and_others_are_passed_by(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "[tool.kit]\n",
            "inner/pyproject.toml": "[tool.kit]\n",
            "plain/pyproject.toml": "[tool.other]\n# [tool.kit]\n",
        },
    )
    (tmp_path / "inner" / "src").mkdir()
    assert find_project(tmp_path / "inner" / "src").root == (tmp_path / "inner").resolve()
    assert find_project(tmp_path / "plain").root == tmp_path.resolve()


def test_outside_of_any_project_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a kit project") as caught:
        find_project(tmp_path)
    assert caught.value.where == str(tmp_path.resolve())
