"""`kit data` as it is typed: what it prints, on a pipe, and what it leaves with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kit.cli import main, render
from kit.project import Project
from tests.conftest import git
from tests.unit.test_datasets import Made, made, project, run

__all__ = ["made", "project"]

Kit = Callable[..., str]


@pytest.fixture(autouse=True)
def _fresh_console() -> Iterator[None]:
    render.console.cache_clear()
    yield
    render.console.cache_clear()


@pytest.fixture
def kit(project: Project, made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kit:
    """Call `kit data ...` in the project; what it printed on both streams."""
    monkeypatch.chdir(project.root)
    run(project, "a1b2c3", made.first)

    def call(*arguments: str, code: int = 0) -> str:
        render.console.cache_clear()
        assert main(["data", *arguments]) == code
        said = capsys.readouterr()
        return said.out + said.err

    return call


def shape(text: str) -> Any:
    return json.loads(text)


def test_status_is_a_table_with_what_is_to_be_done(kit: Kit, project: Project) -> None:
    (project.root / "parts/b.csv").write_text("n\n7\n")
    rows = [line.split("\t") for line in kit("status", "--offline").splitlines()]
    assert rows[0] == ["output", "version", "state", "size", "rows", "used by"]
    assert [row[0] for row in rows[1:4]] == ["doubled.csv", "parts", "raw.csv"]
    assert [row[2] for row in rows[1:4]] == ["as recorded, stale", "modified", "as recorded"]
    assert rows[1][5] == "1 run, makes"
    assert rows[3][4:] == ["3", "waits, stage double"]
    assert rows[4:] == [
        ["doubled.csv is stale: raw.csv modified"],
        ["next: kit data add parts  or  dvc repro double"],
    ]


def test_status_as_json_has_all_that_is_known(kit: Kit) -> None:
    found = shape(kit("status", "--offline", "--json"))
    assert (found["well"], found["notes"]) == (False, [])
    raw = found["outputs"][2]
    assert raw["columns"] == {"city": "", "price": "", "size": ""}
    assert (raw["rows"], raw["pushed"], raw["cached"], raw["stages"]) == (3, None, True, ["double"])


def test_where_dvc_keeps_nothing_it_says_how_it_would(kit: Kit, project: Project) -> None:
    for name in ("raw.csv.dvc", "parts.dvc", "dvc.yaml", "dvc.lock"):
        (project.root / name).unlink()
    assert "`kit data add PATH`" in kit("status", "--offline")


def test_log_lists_versions_with_their_changes(kit: Kit, project: Project) -> None:
    commits = git(project.root, "log", "--format=%h", "--abbrev=8", "--", "raw.csv.dvc").split("\n")
    rows = [line.split("\t") for line in kit("log", "raw.csv").splitlines()]
    assert rows[0] == ["version", "commit", "when", "size", "rows", "change", "runs", "subject"]
    assert [row[1] for row in rows[1:3]] == commits
    assert [row[4:] for row in rows[1:3]] == [["3", "+1", "", "second data"], ["2", "", "a1b2", "first data"]]
    assert rows[3] == [f"{rows[1][0]} columns: + size"]
    newest, oldest = shape(kit("log", "raw.csv", "--json"))
    assert (newest["more_rows"], newest["schema_changes"], oldest["runs"]) == (1, ["+ size"], ["a1b2c3"])
    assert len(shape(kit("log", "raw.csv", "-n", "1", "--json"))) == 1


def test_paths_count_from_where_one_is(kit: Kit, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root / "conf")
    assert "second data" in kit("log", "../raw.csv")
    assert "DVC has no output 'conf/raw.csv'" in kit("log", "raw.csv", code=2)


def test_diff_tells_what_differs_in_the_words_of_kit_diff(kit: Kit) -> None:
    lines = kit("diff", "HEAD~1").splitlines()
    assert lines[:2] == ["old  commit HEAD~1", "new  the working tree"]
    assert lines[3] == "data  2 changed"
    assert lines[-1].endswith("2 → 3 rows, + column size")
    found = shape(kit("diff", "a1b2", "HEAD", "--json"))
    assert (found["old"], found["new"]) == ("run a1b2c3", "commit HEAD")
    assert [change["path"] for change in found["changes"]] == ["parts", "raw.csv"]
    assert found["changes"][1]["files"][0]["added_columns"] == ["size"]
    assert kit("diff").endswith("data  the same\n")


def test_add_says_what_to_tell_git(kit: Kit, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "raw.csv").write_text("city,price\nRome,1\n")
    lines = kit("add", "raw.csv").splitlines()
    assert lines[0].endswith("18 B, 1 row (-2), - size")
    assert lines[1] == "next: git add .gitignore raw.csv.dvc"
    (project.root / "new").mkdir()
    (project.root / "new/a.csv").write_text("a\n1\n2\n")
    monkeypatch.chdir(project.root / "new")
    (added,) = shape(kit("add", ".", "--json"))
    assert (added["path"], added["before"], added["rows"], added["source"]) == ("new", None, 2, "new.dvc")


def test_check_leaves_with_4_if_a_contract_is_broken(kit: Kit, project: Project) -> None:
    assert kit("check", "sales") == "holds  sales  raw.csv  tiny.contracts:SALES  3 rows\n"
    assert kit("check", "sales").endswith("3 rows, known from before\n")
    assert kit("check", "--again").endswith("3 rows\n")
    (project.root / "raw.csv").write_text("city,price\nRome,0\nOslo,5\n")
    assert kit("check", code=4).splitlines() == [
        "broken  again  raw.csv  tiny.contracts:SALES  2 rows",
        "  price: greater_than(0) does not hold (1 row)",
        "      raw.csv row 0: 0",
    ]
    (found,) = shape(kit("check", "sales", "--json", code=4))
    assert (found["config"], found["holds"]) == ("sales", False)
    assert found["findings"][0]["rows"] == [{"file": "raw.csv", "number": 0, "value": "0"}]
    assert "`kit data infer PATH`" in kit("check", "plain")


def test_infer_prints_or_writes_a_module(kit: Kit, project: Project) -> None:
    assert "RAW = pa.DataFrameSchema(" in kit("infer", "raw.csv")
    assert kit("infer", "raw.csv", "--name", "PRICES", "-o", "src/tiny/prices.py").splitlines() == [
        "written: src/tiny/prices.py",
        "read and mend it, then name it in conf/data: `contract: tiny.prices:PRICES`",
    ]
    assert "there is such a file already" in kit("infer", "raw.csv", "-o", "src/tiny/prices.py", code=2)
    shutil.copy(project.root / "raw.csv", project.root / "2013-01.csv")
    assert "DATA_2013_01 = " in kit("infer", "2013-01.csv")
    assert "nothing to learn from" in kit("infer", "nothing.csv", code=2)
