"""What is in git and should be in DVC, and what DVC's files, cache and remote say of the data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.checks.engine import check
from kit.checks.registry import rule
from kit.checks.rule import Finding
from kit.checks.tree import Tree
from kit.project import open_project
from tests.conftest import git
from tests.unit.checks.projects import found, project_of

LARGE = "x,y\n" + "1,2\n" * 30_000


def test_a_large_table_in_git_is_found_and_a_small_one_or_a_tests_is_not() -> None:
    findings = found(rule("KIT201"), {"data/raw.csv": LARGE, "data/codes.csv": "a\n", "tests/data/known.csv": LARGE})

    assert [finding.path for finding in findings] == ["data/raw.csv"]
    assert findings[0].message.startswith("0.1 MB of data in git")
    assert "git rm --cached data/raw.csv && dvc add data/raw.csv" in findings[0].hint


def test_a_table_that_git_does_not_track_or_git_lfs_keeps_is_not_in_git() -> None:
    lfs = {".gitattributes": "*.csv filter=lfs -text\n", "data/raw.csv": LARGE}

    assert found(rule("KIT201"), {"data/raw.csv": LARGE}, untracked=["data/raw.csv"]) == []
    assert found(rule("KIT201"), lfs) == []


def test_a_model_in_git_is_found_whatever_its_size() -> None:
    findings = found(rule("KIT202"), {"models/best.pkl": "x", "models/README.md": "x", "tests/models/old.pkl": "x"})

    assert [finding.path for finding in findings] == ["models/best.pkl"]


PIPELINE = "stages:\n  ingest:\n    cmd: python -m tiny.data\n    outs:\n      - data/raw.csv\n"
DVC = {".dvc/config": "", "dvc.yaml": PIPELINE}


def test_an_output_of_dvc_that_git_tracks_is_found() -> None:
    findings = found(rule("KIT203"), DVC | {"data/raw.csv": "x\n"})

    assert [(finding.path, finding.line) for finding in findings] == [("dvc.yaml", 5)]
    assert "git rm -r --cached data/raw.csv" in findings[0].hint
    assert found(rule("KIT203"), DVC | {"data/.gitignore": "/raw.csv\n"}) == []


def test_files_in_a_folder_that_dvc_keeps_are_counted() -> None:
    pipeline = PIPELINE.replace("data/raw.csv", "data/raw")
    (finding,) = found(
        rule("KIT203"), {".dvc/config": "", "dvc.yaml": pipeline, "data/raw/1.csv": "", "data/raw/2.csv": ""}
    )

    assert finding.message == "data/raw is an output of DVC, and git tracks 2 of its files as well"


def test_an_output_that_git_would_take_is_found_and_the_mend_has_git_ignore_it() -> None:
    files = DVC | {"data/raw.csv": "x\n", "data/.gitignore": "/other"}
    (finding,) = found(rule("KIT204"), files, untracked=["data/raw.csv"])

    assert (finding.path, finding.line) == ("dvc.yaml", 5)
    assert finding.fix is not None
    assert (finding.fix.path, finding.fix.text) == ("data/.gitignore", "/other\n/raw.csv\n")
    assert found(rule("KIT204"), files | {"data/.gitignore": finding.fix.text}) == []


def test_mends_are_made_once_for_each_output(tmp_path: Path) -> None:
    pipeline = PIPELINE + "      - data/more\n      - top.csv\n"
    files = {".dvc/config": "", "dvc.yaml": pipeline, "data/raw.csv": "x\n", "data/more/1.csv": "x\n", "top.csv": "x\n"}
    root = project_of(tmp_path / "project", files, untracked=["data/raw.csv", "data/more/1.csv", "top.csv"])
    report = check(open_project(root), codes=["KIT204"], fix=True)

    assert report.found == ()
    assert [(mended.path, len(mended.codes)) for mended in report.mended] == [(".gitignore", 1), ("data/.gitignore", 2)]
    assert sorted((root / "data" / ".gitignore").read_text().split()) == ["/more", "/raw.csv"]


def test_what_is_not_there_yet_dvc_will_have_git_ignore() -> None:
    assert found(rule("KIT204"), DVC) == []


# A real DVC repository, made once: the rules only look.

REMOTE = "[core]\n    remote = here\n    analytics = false\n['remote \"here\"']\n    url = ../.storage\n"


def _dvc(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of `dvc add` and of a stage: recorded, in the cache, and in no remote."""
    root = tmp_path_factory.mktemp("dvc") / "project"
    project_of(
        root,
        {
            ".dvc/config": REMOTE,
            ".gitignore": ".storage/\n.kit/\n",
            "dvc.yaml": "stages:\n  make:\n    cmd: mkdir -p out && echo 1 > out/1.csv\n    outs:\n      - out\n",
            "data/raw.csv": "x\n",
        },
        untracked=["data/raw.csv"],
    )
    _dvc(root, "add", "--quiet", "data/raw.csv")
    _dvc(root, "repro", "--quiet")
    git(root, "add", "--all")
    return root


@pytest.fixture
def look(recorded: Path) -> Callable[[str], list[Finding]]:
    return lambda code: list(rule(code).check(Tree(open_project(recorded))))


@pytest.mark.parametrize("code", ["KIT203", "KIT204", "KIT205", "KIT206"])
def test_nothing_is_found_in_what_dvc_has_made_itself(code: str, look: Callable[[str], list[Finding]]) -> None:
    assert look(code) == []


def test_data_that_was_never_pushed_is_found_and_what_a_stage_made_is_told(
    look: Callable[[str], list[Finding]], recorded: Path
) -> None:
    (added,) = look("KIT207")
    (made,) = look("KIT208")

    assert (added.path, added.line) == ("data/raw.csv.dvc", 5)
    assert added.message == "data/raw.csv was never pushed: only this machine has it"
    assert (made.path, made.message) == ("dvc.lock", "out was never pushed: elsewhere, 'make' makes it again")

    _dvc(recorded, "push", "--quiet")
    try:
        assert look("KIT207") == look("KIT208") == []
        listed = next(
            path for path in (recorded / ".storage").rglob("*") if path.is_file() and path.read_text() == "1\n"
        )
        listed.unlink()  # the listing of the folder is there, and not the file that it names
        assert [finding.message for finding in look("KIT208")] == [made.message]
    finally:
        for path in (recorded / ".storage").rglob("*"):
            if path.is_file():
                path.unlink()


def test_a_remote_that_is_no_folder_here_is_not_judged(look: Callable[[str], list[Finding]], recorded: Path) -> None:
    config = recorded / ".dvc" / "config"
    for url in ("s3://bucket/path", "/nowhere/mounted"):
        config.write_text(REMOTE.replace("../.storage", url))
        try:
            assert look("KIT207") == look("KIT208") == []
        finally:
            config.write_text(REMOTE)


def test_data_without_a_remote_is_found_once(look: Callable[[str], list[Finding]], recorded: Path) -> None:
    config = recorded / ".dvc" / "config"
    config.write_text("")
    try:
        (finding,) = look("KIT207")
    finally:
        config.write_text(REMOTE)

    assert finding.message == "data/raw.csv: DVC has no default remote to push it to"


def test_data_that_is_not_what_is_recorded_is_found(look: Callable[[str], list[Finding]], recorded: Path) -> None:
    changes = {recorded / "data/raw.csv": "changed\n", recorded / "out" / "2.csv": "more\n"}
    before = (recorded / "data/raw.csv").read_text()
    for path, text in changes.items():
        path.unlink(missing_ok=True)  # DVC may have made it a link into the cache
        path.write_text(text)
    try:
        findings = look("KIT205")
    finally:
        (recorded / "data/raw.csv").write_text(before)
        (recorded / "out" / "2.csv").unlink()

    assert {finding.path: finding.message for finding in findings} == {
        "data/raw.csv.dvc": "data/raw.csv is not what data/raw.csv.dvc records",
        "dvc.lock": "out is not what dvc.lock records",
    }
    assert any("dvc repro make" in finding.hint for finding in findings)
    assert not (recorded / ".kit").exists()  # who only looks, leaves nothing


def test_an_output_that_no_lock_records_is_found() -> None:
    made = DVC | {"data/raw.csv": "x\n", "data/.gitignore": "/raw.csv\n"}
    (finding,) = found(rule("KIT206"), made)

    assert finding.message == "data/raw.csv was made, and dvc.lock has no version of it"
    assert found(rule("KIT206"), DVC) == []


def test_a_lock_that_git_ignores_is_found() -> None:
    (finding,) = found(rule("KIT206"), DVC | {".gitignore": "*.lock\n"})

    assert (finding.path, finding.message) == ("dvc.yaml", "git ignores dvc.lock")


CONFIG = {
    "conf/config.yaml": "defaults: [_self_, experiment: baseline]\ndata:\n  train: train.csv\n  test: test.csv\n",
    "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.train.train\n",
}


def _table(numbers: range, *, index: bool = False) -> str:
    rows = (f"{place}," * index + f"{number},{number * number}" for place, number in enumerate(numbers))
    return "\n".join(["," * index + "x,y", *rows]) + "\n"


@pytest.mark.parametrize("index", [False, True])
def test_rows_of_the_test_table_that_were_learnt_from_are_found(index: bool) -> None:
    tables = {"train.csv": _table(range(80), index=index), "test.csv": _table(range(70, 100), index=index)}
    (finding,) = found(rule("KIT209"), CONFIG | tables)

    assert finding.message == "33% of the rows of test.csv are in train.csv as well"
    assert (finding.path, finding.line) == ("conf/config.yaml", 4)


def test_tables_that_share_no_row_or_have_other_columns_are_well() -> None:
    apart = {"train.csv": _table(range(80)), "test.csv": _table(range(80, 100))}
    other = {"train.csv": _table(range(80)), "test.csv": _table(range(80)).replace("x,y", "x,z")}

    assert found(rule("KIT209"), CONFIG | apart) == []
    assert found(rule("KIT209"), CONFIG | other) == []
    assert found(rule("KIT209"), CONFIG) == []  # nothing there to be read


def test_rows_of_parquet_files_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    from kit.checks._rows import rows_of, shared

    train = pd.DataFrame({"x": range(80), "city": ["Ulm", "Aix"] * 40}).astype({"city": "category"})
    train.to_parquet(tmp_path / "train.parquet")
    train.iloc[60:].sample(frac=1, random_state=1).to_parquet(tmp_path / "test.parquet", row_group_size=3)

    assert shared(rows_of(tmp_path / "test.parquet"), rows_of(tmp_path / "train.parquet")) == (20, 20)


def test_of_a_large_table_a_sample_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kit.checks import _rows

    monkeypatch.setattr(_rows, "_KEPT", 500)
    (tmp_path / "train.csv").write_text(_table(range(20_000)))
    (tmp_path / "test.csv").write_text(_table(range(15_000, 25_000)))
    train, test = _rows.rows_of(tmp_path / "train.csv"), _rows.rows_of(tmp_path / "test.csv")
    common, compared = _rows.shared(test, train)

    assert max(len(train.hashes), len(test.hashes)) <= 500
    assert 0.4 < common / compared < 0.6
