"""What differs in the data of two runs. The versions are made by DVC itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kit import _clock, compare_data, data
from kit._shapes import Shape
from kit.compare import compare
from kit.compare_data import Content, DataChange, FileChange, Limits, Reader, compare_versions
from kit.models import RunRecord
from kit.project import Project, open_project
from kit.snapshot import DataVersion
from tests.conftest import git, write
from tests.factories import snapshot, spec
from tests.support import new_project
from tests.unit.test_data import dvc

FIRST = {
    "d/changed.csv": "a,b\n1,2\n",
    "d/gone.csv": "a\n1\n2\n",
    "d/here.csv": "a\nx\n",
    "d/same.csv": "a\n1\n",
    "d/notes.txt": "one",
    "one.csv": "a\n1\n",
}
SECOND = {
    "d/changed.csv": "a,c\n1,2\n3,4\n5,6\n",
    "d/made.csv": "a\n1\n2\n3\n",
    "d/there/here.csv": "a\nx\n",
    "d/same.csv": "a\n1\n",
    "d/notes.txt": "one and two",
    "one.csv": "a\n1\n2\n",
}


@dataclass(frozen=True)
class Made:
    root: Path
    old: tuple[DataVersion, ...]
    new: tuple[DataVersion, ...]


def put(root: Path, files: dict[str, str]) -> tuple[DataVersion, ...]:
    shutil.rmtree(root / "d", ignore_errors=True)
    write(root, files)
    dvc(root, "add", "--quiet", "d", "one.csv")
    return data.versions(root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = new_project(tmp_path_factory.mktemp("compare") / "tiny")
    dvc(root, "init", "--quiet")
    write(root, FIRST)
    table = pa.table({"a": [1, 2], "x": [1.0, 2.0]})
    (root / "d").mkdir(exist_ok=True)
    pq.write_table(table, root / "d" / "t.parquet")
    dvc(root, "add", "--quiet", "d", "one.csv")
    old = data.versions(root)
    shutil.rmtree(root / "d")
    write(root, SECOND)
    pq.write_table(pa.table({"a": ["1", "2", "3"], "x": [1.0, 2.0, 3.0]}), root / "d" / "t.parquet")
    dvc(root, "add", "--quiet", "d", "one.csv")
    return Made(root, old, data.versions(root))


@pytest.fixture
def opened(made: Made, tmp_path: Path) -> Project:
    shutil.copytree(made.root, tmp_path / "tiny", symlinks=True)
    return open_project(tmp_path / "tiny")


def run(project: Project, run_id: str, versions: Sequence[DataVersion]) -> RunRecord:
    taken = spec(run_id, snapshot=snapshot(data=tuple(versions)))
    project.store.create(taken, RunRecord.queued(taken, at=_clock.now(), params={}))
    return project.store.get(run_id)


def changes(
    project: Project, old: Sequence[DataVersion], new: Sequence[DataVersion], limits: Limits | None = None
) -> dict[str, DataChange]:
    found = compare_data.compare_data(project, run(project, "a1", old), run(project, "b2", new), limits=limits)
    return {change.path: change for change in found}


def files(change: DataChange) -> dict[str, FileChange]:
    return {file.path: file for file in change.files}


def rows(change: FileChange) -> tuple[int | None, int | None]:
    old, new = (None if side is None or side.shape is None else side.shape.rows for side in (change.old, change.new))
    return old, new


def test_equal_data_has_no_changes(opened: Project, made: Made) -> None:
    assert changes(opened, made.old, made.old) == {}


def test_each_file_of_a_folder_is_told_with_its_size_and_rows(opened: Project, made: Made) -> None:
    found = files(changes(opened, made.old, made.new)["d"])
    assert {path: change.kind for path, change in found.items()} == {
        "changed.csv": "changed",
        "gone.csv": "removed",
        "made.csv": "added",
        "notes.txt": "changed",
        "t.parquet": "changed",
        "there/here.csv": "moved",
    }
    assert found["there/here.csv"].was == "here.csv"
    assert rows(found["changed.csv"]) == (1, 3)
    assert (found["changed.csv"].rows, found["gone.csv"].rows, found["made.csv"].rows) == (2, -2, 3)
    sizes = [side.size for side in (found["notes.txt"].old, found["notes.txt"].new) if side is not None]
    assert sizes == [3, 11]
    assert found["notes.txt"].rows is None
    assert all(change.note is None for change in found.values())


def test_columns_are_compared_and_their_types_where_the_file_has_any(opened: Project, made: Made) -> None:
    found = files(changes(opened, made.old, made.new)["d"])
    assert (found["changed.csv"].added_columns, found["changed.csv"].removed_columns) == (("c",), ("b",))
    assert found["t.parquet"].retyped_columns == (("a", "int64", "string"),)
    assert found["t.parquet"].new is not None
    assert found["t.parquet"].new.shape == Shape(3, {"a": "string", "x": "double"})
    assert found["made.csv"].added_columns == ()  # there is nothing to compare it with


def test_the_rows_of_an_output_are_those_of_all_its_tables(opened: Project, made: Made) -> None:
    found = changes(opened, made.old, made.new)
    assert found["d"].rows == 2 - 2 + 3 + 1
    assert found["one.csv"].rows == 1


def test_a_file_is_a_change_of_its_own(opened: Project, made: Made) -> None:
    (change,) = changes(opened, made.old, made.new)["one.csv"].files
    assert (change.path, change.kind, rows(change)) == ("one.csv", "changed", (1, 2))


def test_an_output_that_only_one_run_has_lists_all_its_files(opened: Project, made: Made) -> None:
    only_file = [version for version in made.new if version.path == "one.csv"]
    found = changes(opened, only_file, made.new)["d"]
    assert found.old is None
    assert {change.kind for change in found.files} == {"added"}
    assert len(found.files) == len(SECOND)  # with the Parquet file, without one.csv
    gone = compare_data.compare_data(opened, opened.store.get("b2"), opened.store.get("a1"))
    assert [(change.path, {file.kind for file in change.files}) for change in gone] == [("d", {"removed"})]


def test_a_folder_that_became_a_file_is_compared_too(opened: Project, made: Made) -> None:
    one = next(version for version in made.old if version.path == "one.csv")
    folder = next(version for version in made.new if version.path == "d")
    (found,) = changes(opened, [replace(one, path="x")], [replace(folder, path="x")]).values()
    assert files(found)["same.csv"].was == "x"
    assert files(found)["made.csv"].kind == "added"


def test_a_version_that_is_not_in_the_cache_is_told_with_what_gets_it(opened: Project, made: Made) -> None:
    md5 = next(version.md5 or "" for version in made.old if version.path == "d")
    (opened.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    shutil.rmtree(opened.root / "d")
    found = changes(opened, made.old, made.new)
    assert found["d"].files == ()
    assert found["d"].note == "the old version is not in the cache here: `kit diff a1 b2 --fetch` gets it"
    assert found["one.csv"].note is None
    assert not (opened.root / "d").exists()  # nothing is brought


def test_a_file_whose_content_is_not_in_the_cache_is_named_all_the_same(opened: Project, made: Made) -> None:
    md5 = next(version.md5 or "" for version in made.old if version.path == "d")
    listing = (opened.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).read_bytes()
    shutil.rmtree(opened.root / ".dvc" / "cache")
    path = opened.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(listing)
    (found,) = changes(opened, [version for version in made.old if version.path == "d"], []).values()
    change = files(found)["gone.csv"]
    assert change.old is not None
    assert (change.kind, change.old.size, change.rows) == ("removed", None, None)
    assert change.note == "not in the cache here: `kit diff a1 b2 --fetch` gets it"
    assert files(found)["notes.txt"].note == change.note


def test_what_dvc_was_never_told_of_is_nowhere(opened: Project, made: Made) -> None:
    unknown = tuple(replace(version, state="modified", found="e" * 32 + ".dir") for version in made.old)
    found = changes(opened, unknown, made.new)["d"]
    assert found.note is not None
    assert "in the workspace only (modified)" in found.note
    assert "--fetch" not in found.note


def test_a_version_that_dvc_heard_of_later_is_the_same_data(opened: Project, made: Made) -> None:
    unrecorded = tuple(replace(version, md5=None, state="unrecorded", found=version.md5) for version in made.old)
    assert changes(opened, unrecorded, made.old) == {}
    assert compare(opened, opened.store.get("a1"), opened.store.get("b2")).data == ()


def test_a_damaged_cache_is_a_note(opened: Project, made: Made) -> None:
    md5 = next(version.md5 or "" for version in made.old if version.path == "d")
    path = opened.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    path.chmod(0o644)
    path.write_text("[")
    found = changes(opened, made.old, made.new)["d"]
    assert found.note is not None
    assert "damaged" in found.note
    assert str(path) in found.note


def test_settings_that_dvc_refuses_are_a_note(opened: Project, made: Made) -> None:
    write(opened.root, {".dvc/config": "[cache\n"})
    found = changes(opened, made.old, made.new)
    assert all("where its cache is" in (change.note or "") for change in found.values())


def test_a_project_that_left_dvc_has_no_cache(opened: Project, made: Made) -> None:
    shutil.rmtree(opened.root / ".dvc")
    found = changes(opened, made.old, made.new)
    assert {change.note for change in found.values()} == {"this project has no `.dvc` any more"}


def test_what_is_too_large_is_not_counted(opened: Project, made: Made) -> None:
    found = files(changes(opened, made.old, made.new, Limits(csv_bytes=8))["d"])
    assert found["changed.csv"].note == "too large to count its rows"
    assert rows(found["changed.csv"]) == (1, None)
    assert rows(found["gone.csv"]) == (2, None)
    assert rows(found["t.parquet"]) == (2, 3)  # only its end is read


def test_all_together_are_not_read_for_ever(opened: Project, made: Made) -> None:
    few = files(changes(opened, made.old, made.new, Limits(tables=2))["d"])
    assert rows(few["changed.csv"]) == (1, 3)
    assert few["gone.csv"].note == "more than 2 tables differ: its rows are not counted"


def test_all_csv_files_together_have_a_limit(opened: Project, made: Made) -> None:
    found = files(changes(opened, made.old, made.new, Limits(all_csv_bytes=28))["d"])
    assert rows(found["changed.csv"]) == (1, 3)
    assert found["made.csv"].note == "too large to count its rows"


def test_the_workspace_is_as_it_was(opened: Project, made: Made) -> None:
    def state() -> dict[str, tuple[int, int]]:
        found = [path for path in opened.root.rglob("*") if ".kit" not in path.parts]
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in found}

    git(opened.root, "status", "--short")
    before = state()
    changes(opened, made.old, made.new)
    assert state() == before


def test_a_large_csv_file_is_counted_once(opened: Project) -> None:
    (opened.root / "one.csv").write_text("a,api_key=hunter2-hunter2\n" + "1,2\n" * 300_000)
    dvc(opened.root, "add", "--quiet", "one.csv")
    new = data.versions(opened.root)
    opened.paths.create_state()

    def counted(most: int) -> Content | None:
        reader = Reader(opened, "fix", limits=Limits(csv_bytes=most))
        (change,) = compare_versions((), [version for version in new if version.path == "one.csv"], reader)
        return change.files[0].new

    first = counted(10**8)
    assert first is not None
    assert first.shape is not None
    assert first.shape.rows == 300_000
    assert counted(10) == first
    assert "hunter2" not in opened.paths.data_shapes.read_text()
    opened.paths.data_shapes.write_text("[")
    again = counted(10)
    assert again is not None
    assert again.shape is None
