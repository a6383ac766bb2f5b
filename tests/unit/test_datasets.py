"""What `kit data` knows: a project whose data DVC itself has kept in several versions."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kit import _clock, data, datasets
from kit.errors import DataError, ServiceError, UserError
from kit.models import RunRecord
from kit.project import Project, open_project
from kit.snapshot import DataVersion
from tests.conftest import git, write
from tests.factories import snapshot, spec
from tests.support import commit_all, new_project
from tests.unit.test_data import dvc

FILES = {
    "dvc.yaml": """
        stages:
          double:
            cmd: python double.py
            deps: [double.py, raw.csv]
            outs: [doubled.csv]
        """,
    "double.py": "open('doubled.csv', 'w').write(open('raw.csv').read() * 2)\n",
    "raw.csv": "city,price\nRome,1\nOslo,2\n",
    "conf/data/sales.yaml": "file: raw.csv\ncontract: tiny.contracts:SALES\n",
    "conf/data/again.yaml": "file: raw.csv\ncontract: tiny.contracts:SALES\n",
    "conf/data/plain.yaml": "file: doubled.csv\n",
    "src/tiny/contracts.py": """
        import pandera.pandas as pa

        SALES = pa.DataFrameSchema({"city": pa.Column(str), "price": pa.Column(int, pa.Check.gt(0))})
        """,
    "conf/schedule/waits.yaml": "trigger: {data: raw.csv}\nexperiment: baseline\n",
    "conf/schedule/makes.yaml": 'trigger: {cron: "0 2 * * *"}\nrepro: [double]\nexperiment: baseline\n',
}


@dataclass(frozen=True)
class Made:
    """A project, and the versions of its data at its two commits."""

    root: Path
    first: tuple[DataVersion, ...]
    second: tuple[DataVersion, ...]


def _remote(name: str, url: object) -> str:
    return f"[core]\n    remote = {name}\n['remote \"{name}\"']\n    url = {url}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("datasets")
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    try:
        root = new_project(folder / "tiny", FILES | {"parts/notes.txt": "of no table"})
        write(
            root,
            {".dvc/config": _remote("near", folder / "remote"), ".dvc/.gitignore": "/cache\n/tmp\n/config.local\n"},
        )
        pq.write_table(pa.table({"n": [1, 2, 3]}), root / "parts/a.parquet")
        git(root, "rm", "-q", "--cached", "-r", "raw.csv", "parts")
        dvc(root, "add", "--quiet", "raw.csv", "parts")
        dvc(root, "repro", "--quiet")
        shutil.copytree(root / ".dvc/cache", folder / "remote")  # as `dvc push` would
        commit_all(root, "first data")
        first = data.versions(root)
        (root / "raw.csv").write_text("city,price,size\nRome,1,5\nOslo,2,5\nBern,3,5\n")
        pq.write_table(pa.table({"n": ["1", "2"]}), root / "parts/a.parquet")
        dvc(root, "add", "--quiet", "raw.csv", "parts")
        commit_all(root, "second data")
    finally:
        os.environ["PATH"] = path
    return Made(root, first, data.versions(root))


@pytest.fixture
def project(made: Made, tmp_path: Path) -> Iterator[Project]:
    """A copy of it; its modules are forgotten afterwards, since the next one has others of that name."""
    shutil.copytree(made.root, tmp_path / "tiny", symlinks=True)
    before = list(sys.path)
    yield open_project(tmp_path / "tiny")
    sys.path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
        del sys.modules[name]


def run(project: Project, run_id: str, versions: Sequence[DataVersion]) -> RunRecord:
    taken = spec(run_id, snapshot=snapshot(data=tuple(versions)))
    project.store.create(taken, RunRecord.queued(taken, at=_clock.now(), params={}))
    return project.store.get(run_id)


def test_status_says_how_each_output_stands_and_who_uses_it(project: Project, made: Made) -> None:
    run(project, "a1", made.first)
    run(project, "b2", made.second)
    (project.root / "parts/b.csv").write_text("n\n7\n")
    found = datasets.status(project, remote=True)
    assert found.notes == ()
    doubled, parts, raw = found.outputs
    assert (raw.version.path, raw.version.state, raw.cached, raw.pushed) == ("raw.csv", "matches", True, False)
    assert (raw.contents.rows, dict(raw.contents.columns)) == (3, {"city": "", "price": "", "size": ""})
    assert raw.contents.size == (project.root / "raw.csv").stat().st_size
    assert [each.run_id for each in raw.usage.runs] == ["b2"]
    assert (raw.usage.schedules, raw.usage.stages) == (("waits",), ("double",))
    assert (parts.version.state, parts.contents.rows, parts.contents.files) == ("modified", 3, 3)
    assert dict(parts.contents.columns) == {"n": "string"}
    assert (doubled.stale, doubled.pushed) == (("raw.csv modified",), True)
    assert [each.run_id for each in doubled.usage.runs] == ["b2", "a1"]
    assert doubled.usage.schedules == ("makes",)
    assert not any(each.is_well for each in found.outputs)


def test_status_asks_no_remote_when_told_so_and_says_when_it_cannot(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/cache")
    found = datasets.status(project, remote=False)
    assert {each.pushed for each in found.outputs} == {None}
    assert {each.cached for each in found.outputs} == {False}
    assert found.outputs[2].contents.rows == 3  # it lies here, whatever the cache lacks
    (project.root / ".dvc/config").write_text(_remote("far", "ssh://127.0.0.1:1/data"))
    found = datasets.status(project, remote=True)
    assert {each.pushed for each in found.outputs} == {None}
    assert found.notes[0].startswith("what is pushed is not known: ")


def test_without_a_remote_nothing_can_be_pushed(project: Project) -> None:
    (project.root / ".dvc/config").write_text("")
    found = datasets.status(project, remote=True)
    assert {each.pushed for each in found.outputs} == {None}
    assert "no DVC remote" in found.notes[0]


def test_a_project_without_dvc_has_no_data(tmp_path: Path) -> None:
    assert datasets.status(open_project(new_project(tmp_path / "tiny")), remote=True).outputs == ()


def test_the_history_of_an_output_has_each_version_once(project: Project, made: Made) -> None:
    run(project, "a1", made.first)
    run(project, "b2", made.second)
    (project.root / "notes.txt").write_text("nothing about data")
    commit_all(project.root)
    found = datasets.history(project, "raw.csv", limit=10)
    assert [each.subject for each in found] == ["second data", "first data"]
    assert [each.contents.rows for each in found] == [3, 2]
    assert [each.more_rows for each in found] == [1, None]
    assert [each.schema for each in found] == [("+ size",), ()]
    assert [[each.run_id for each in version.runs] for version in found] == [["b2"], ["a1"]]
    assert [each.commit for each in found] == git(project.root, "log", "--format=%H", "--", "raw.csv.dvc").split("\n")


def test_what_is_not_committed_comes_first_and_types_are_compared(project: Project) -> None:
    pq.write_table(pa.table({"n": [1.5]}), project.root / "parts/a.parquet")
    newest, *older = datasets.history(project, "./parts", limit=2)
    assert (newest.commit, newest.subject, newest.data.state) == (None, "not committed", "modified")
    assert newest.schema == ("n: string → double",)
    assert len(older) == 1
    assert older[0].schema == ("n: int64 → string",)


def test_a_version_that_is_not_here_has_no_rows_and_says_why(project: Project, made: Made) -> None:
    (old,) = [version for version in made.first if version.path == "raw.csv"]
    assert old.md5 is not None
    (project.root / ".dvc/cache/files/md5" / old.md5[:2] / old.md5[2:]).unlink()
    newest, oldest = datasets.history(project, "raw.csv", limit=10)
    assert (newest.more_rows, oldest.contents.rows, oldest.contents.size) == (None, None, old.size)
    assert oldest.contents.note is not None
    assert "not in the cache here" in oldest.contents.note


def test_the_history_of_what_stage_made_and_of_what_is_gone_is_there(project: Project) -> None:
    assert [each.subject for each in datasets.history(project, "doubled.csv", limit=10)] == ["first data"]
    (project.root / "raw.csv.dvc").unlink()
    assert [each.subject for each in datasets.history(project, "raw.csv", limit=10)] == ["second data", "first data"]


def test_an_output_that_never_was_is_refused(project: Project) -> None:
    with pytest.raises(UserError, match=r"no output 'row\.csv'.*Did you mean 'raw\.csv'"):
        datasets.history(project, "row.csv", limit=1)


@pytest.mark.parametrize(("old", "new"), [("HEAD~1", "HEAD"), ("a1", "b2"), ("HEAD~1", "b2"), ("HEAD~1", None)])
def test_commits_runs_and_the_working_tree_are_compared_alike(
    old: str, new: str | None, project: Project, made: Made
) -> None:
    run(project, "a1", made.first)
    run(project, "b2", made.second)
    found = datasets.compare(project, old, new)
    changes = {change.path: change for change in found.changes}
    assert list(changes) == ["parts", "raw.csv"]
    (raw,) = changes["raw.csv"].files
    assert (raw.rows, raw.added_columns, raw.removed_columns) == (1, ("size",), ())
    (part,) = changes["parts"].files
    assert part.retyped_columns == (("n", "int64", "string"),)


def test_by_default_the_working_tree_is_compared_with_head(project: Project) -> None:
    assert datasets.compare(project, None, None).changes == ()
    (project.root / "raw.csv").write_text("city,price,size\nRome,1,5\n")
    found = datasets.compare(project, None, None)
    assert (found.old, found.new) == ("commit HEAD", "the working tree")
    (change,) = found.changes
    assert (change.rows, change.note) == (-2, None)


def test_what_a_run_found_uncommitted_is_not_taken_for_what_lies_there_now(project: Project, made: Made) -> None:
    (project.root / "raw.csv").write_text("city,price\nRome,1\n")
    run(project, "c3", data.versions(project.root))
    assert datasets.compare(project, "c3", None).changes == ()
    (project.root / "raw.csv").write_text("city,price\n")
    (change,) = datasets.compare(project, "c3", None).changes
    assert change.rows is None
    assert change.note is not None
    assert "DVC has no copy of it" in change.note


def test_what_is_neither_a_run_nor_a_revision_is_refused(project: Project) -> None:
    with pytest.raises(UserError, match="neither a run nor a git revision"):
        datasets.compare(project, "nothing", None)


def test_add_says_what_became_of_the_data(project: Project) -> None:
    root = project.root
    (root / "raw.csv").write_text("city,size\nRome,1\n")
    write(root, {"new/table.csv": "a\n1\n2\n", "new/more.txt": "x"})
    raw, new = datasets.add(project, [root / "raw.csv", root / "new"], progress=False)
    assert (raw.version.state, raw.contents.rows, raw.schema, raw.is_same) == ("matches", 1, ("- price",), False)
    assert raw.old is not None
    assert raw.old.rows == 3
    assert (new.before, new.contents.rows, new.contents.files) == (None, 2, 2)
    assert (root / "new.dvc").exists()
    (same,) = datasets.add(project, [root / "raw.csv"], progress=False)
    assert same.is_same


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("nothing.csv", "nothing to add"),
        ("..", "outside of the project"),
        (".", "the whole project"),
        ("doubled.csv", "stage 'double' makes it"),
        (".env", "promises a secret"),
    ],
)
def test_what_should_not_be_added_is_refused_before_dvc_is_asked(path: str, what: str, project: Project) -> None:
    (project.root / ".env").write_text("TOKEN=1\n")
    with pytest.raises(UserError, match=what):
        datasets.add(project, [project.root / path], progress=False)


def test_what_dvc_refuses_is_told(project: Project) -> None:
    (project.root / "parts/b.csv").write_text("n\n7\n")
    with pytest.raises(ServiceError, match="`dvc add` failed"):
        datasets.add(project, [project.root / "dvc.yaml"], progress=False)


def test_check_holds_each_contract_once(project: Project) -> None:
    ((option, verdict),) = datasets.check(project)
    assert (option, verdict.holds, verdict.rows) == ("again", True, 3)
    ((option, verdict),) = datasets.check(project, "sales")
    assert (option, verdict.remembered) == ("sales", True)
    assert datasets.check(project, "plain") == []
    (project.root / "raw.csv").write_text("city,price\nRome,0\n")
    ((_, verdict),) = datasets.check(project, "sales")
    assert [str(finding) for finding in verdict.findings] == ["price: greater_than(0) does not hold (1 row)"]
    with pytest.raises(UserError, match=r"no data config 'sale'.*Did you mean 'sales'"):
        datasets.check(project, "sale")


def test_a_data_config_that_refers_to_the_rest_is_composed_with_it(project: Project) -> None:
    (project.root / "conf/data/sales.yaml").write_text("file: ${raw}\ncontract: tiny.contracts:SALES\n")
    with pytest.raises(UserError, match="raw"):
        datasets.check(project, "sales")
    config = project.root / "conf/config.yaml"
    config.write_text(
        config.read_text().replace("- model: small", "- model: small\n  - data: plain") + "\nraw: raw.csv\n"
    )
    ((_, verdict),) = datasets.check(project, "sales")
    assert (verdict.contract.path, verdict.holds) == ("raw.csv", True)


def test_without_a_group_of_data_the_config_itself_is_checked(project: Project) -> None:
    shutil.rmtree(project.root / "conf/data")
    assert datasets.check(project) == []
    config = project.root / "conf/config.yaml"
    config.write_text(config.read_text() + "\ndata: {file: nothing.csv, contract: 'tiny.contracts:SALES'}\n")
    with pytest.raises(DataError, match="not there"):
        datasets.check(project)


def test_a_first_contract_is_written_once_and_holds(project: Project) -> None:
    target = project.root / "src/tiny/first.py"
    text = datasets.write_first(project, "raw.csv", name="RAW", target=target)
    assert target.read_text() == text
    (project.root / "conf/data/sales.yaml").write_text("file: raw.csv\ncontract: tiny.first:RAW\n")
    ((_, verdict),) = datasets.check(project, "sales")
    assert verdict.holds
    with pytest.raises(UserError, match="such a file already"):
        datasets.write_first(project, "raw.csv", name="RAW", target=target)
    with pytest.raises(UserError, match="no name in Python"):
        datasets.write_first(project, "raw.csv", name="a b", target=None)
    assert datasets.write_first(project, "raw.csv", name="RAW", target=None) == text
