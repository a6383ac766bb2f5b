"""What DVC's files declare is read once, and never remembered wrongly."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kit import _dvc_known, _working_tree
from kit._dvc_files import Output, read_outputs
from kit._dvc_known import known_outputs
from kit.errors import UserError
from tests.conftest import git, write

DVC = "outs:\n- md5: {md5}\n  size: 1\n  hash: md5\n  path: {name}\n"
FILES = {
    ".dvc/config": "",
    "params.yaml": "name: made.csv\n",
    "a.csv.dvc": DVC.format(md5="a" * 32, name="a.csv"),
    "dvc.yaml": "stages: {s: {cmd: x, deps: [a.csv], outs: ['${name}']}}\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write(root, FILES)
    git(root, "init", "--quiet")
    return root


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were old."""
    monkeypatch.setattr(_working_tree, "_YOUNG", -(10**18))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The projects whose files were read as YAML."""
    found: list[Path] = []

    def reading(root: Path, files: _working_tree.WorkingTree) -> list[Output]:
        found.append(root)
        return read_outputs(root, files)

    monkeypatch.setattr(_dvc_known, "read_outputs", reading)
    return found


@pytest.mark.usefixtures("settled")
def test_what_did_not_change_is_read_once(project: Path, tmp_path: Path, readings: list[Path]) -> None:
    cache = tmp_path / "known.json"
    first = known_outputs(project, cache)
    assert known_outputs(project, cache) == first == read_outputs(project)
    assert [(output.path, output.dependencies) for output in first] == [
        ("a.csv", ()),
        ("made.csv", (project / "a.csv",)),
    ]
    assert readings == [project]


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.dvc", DVC.format(md5="b" * 32, name="a.csv")),
        ("params.yaml", "name: else.csv\n"),
        ("dvc.yaml", "stages: {}\n"),
        ("dvc.lock", "stages: {s: {outs: [{path: made.csv, md5: " + "c" * 32 + "}]}}\n"),
        ("sub/b.csv.dvc", DVC.format(md5="a" * 32, name="b.csv")),
    ],
)
def test_a_change_is_seen_in_the_same_moment_and_with_an_old_mtime(
    project: Path, tmp_path: Path, readings: list[Path], name: str, content: str
) -> None:
    cache = tmp_path / "known.json"
    known_outputs(project, cache)
    path = project / name
    before = path.stat() if path.exists() else project.stat()
    path.parent.mkdir(exist_ok=True)
    with path.open("r+" if path.exists() else "w") as file:
        file.write(content)
        file.truncate()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert known_outputs(project, cache) == read_outputs(project)
    assert readings == [project] * 2


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_gone_or_ignored_declares_nothing(project: Path, tmp_path: Path) -> None:
    cache = tmp_path / "known.json"
    known_outputs(project, cache)
    (project / ".gitignore").write_text("*.dvc\n")
    assert [output.path for output in known_outputs(project, cache)] == ["made.csv"]
    (project / "dvc.yaml").unlink()
    assert known_outputs(project, cache) == []


@pytest.mark.usefixtures("settled")
def test_a_copy_of_a_project_is_not_the_project(project: Path, tmp_path: Path) -> None:
    known_outputs(project, project / "known.json")
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    assert {output.file.parent for output in known_outputs(copy, copy / "known.json")} == {copy}


def test_young_files_are_read_again(project: Path, tmp_path: Path, readings: list[Path]) -> None:
    for name in FILES:
        os.utime(project / name, (1e9, 1e9))  # the ctime tells
    known_outputs(project, tmp_path / "known.json")
    known_outputs(project, tmp_path / "known.json")
    assert readings == [project] * 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"form": "0"}', b"\xff"])
def test_what_cannot_be_made_sense_of_is_read_anew(project: Path, tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "known.json"
    cache.write_bytes(content)
    assert known_outputs(project, cache) == read_outputs(project)
    assert cache.read_bytes() != content


@pytest.mark.usefixtures("settled")
def test_a_mistake_is_told_each_time_and_a_missing_folder_minded_never(project: Path, tmp_path: Path) -> None:
    assert known_outputs(project, tmp_path / "no/folder.json")
    (project / "dvc.yaml").write_text("stages: [\n")
    for _ in range(2):
        with pytest.raises(UserError, match="not valid YAML"):
            known_outputs(project, tmp_path / "known.json")
