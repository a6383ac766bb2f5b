"""Which versions of data are on record, and looking for new ones on this machine; real git and real DVC."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import _dvc_files, data
from kit._dvc_files import Output
from kit._dvc_record import Record, read_working_tree
from kit.errors import HostError, KitError, UserError
from kit.project import Project, open_project
from kit.schedule import Schedule
from kit.triggers import Interval, OnData
from kit.watch import DataWatch
from tests.conftest import git, write

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW, NEWER = ("a" * 31 + digit for digit in "123")


def dvc(folder: Path, *arguments: str) -> None:
    """Run real DVC in `folder`, its stages with this interpreter."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "true", "HOME": str(folder.parent)}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def commit(root: Path, message: str = "more") -> str:
    git(root, "add", "--all")
    git(root, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project below the top of its repository, with outputs of every kind, made by DVC once; `first` is a tag."""
    top = tmp_path_factory.mktemp("original") / "top"
    write(
        top,
        {
            "shared.json": '{"suffix": "txt"}',
            "project/pyproject.toml": "[tool.kit]\n",
            "project/.gitignore": ".kit/\n",
            "project/data/raw.csv": "1\n",
            "project/data/images/a.png": "1",
            "project/data/images/deep/b.png": "2",
            "project/näh ☃/x y.csv": "x",
            "project/params.yaml": "name: clean\nfruits: [apple, 7]\n",
            "project/dvc.yaml": """
                vars: [../shared.json]
                stages:
                  clean:
                    cmd: cp data/raw.csv data/${name}.csv
                    deps: [data/raw.csv]
                    outs: ["data/${name}.csv"]
                  each:
                    foreach: ${fruits}
                    do:
                      cmd: echo ${item} > ${item}.${suffix}
                      outs: ["${item}.${suffix}"]
                  never:
                    cmd: "false"
                    outs: [later/model.bin]
                """,
        },
    )
    git(top, "init", "--quiet", "--initial-branch=main")
    dvc(top, "init", "--quiet")
    root = top / "project"
    dvc(root, "add", "--quiet", "data/raw.csv", "data/images", "näh ☃/x y.csv")
    dvc(root, "repro", "--quiet", "clean", "each")
    commit(top, "first")
    git(top, "tag", "first")
    write(root, {"data/raw.csv": "1\n2\n"})
    dvc(root, "add", "--quiet", "data/raw.csv")
    dvc(root, "repro", "--quiet", "clean")
    commit(top, "second")
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(original.parent, tmp_path / "top", symlinks=True)
    return tmp_path / "top" / original.name


def git_state(top: Path) -> dict[str, bytes]:
    """Everything under .git but the objects and kit's refs."""
    folder = top / ".git"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(("objects/", "refs/kit/"))}


def failing(action: Callable[[], object], kind: type[KitError] = UserError) -> KitError:
    with pytest.raises(kind) as caught:
        action()
    assert caught.value.fix
    return caught.value


class TestRecorded:
    def test_every_output_as_a_look_at_the_data_has_it(self, original: Path) -> None:
        hashed = {version.path: version.found or version.md5 for version in data.versions(original)}

        assert len(hashed) == 7
        for path, md5 in hashed.items():
            assert data.recorded(original, path) == md5
            assert data.recorded(original, path, rev="HEAD") == md5

    def test_no_data_is_needed_nor_read(self, root: Path) -> None:
        before = data.recorded(root, "data/raw.csv")
        (root / "data/raw.csv").unlink()
        shutil.rmtree(root.parent / ".dvc/cache")

        assert data.recorded(root, "data/raw.csv") == before

    def test_inside_of_a_folder_it_is_the_folder_s(self, original: Path) -> None:
        folder = data.recorded(original, "data/images")

        assert folder is not None
        assert folder.endswith(".dir")
        assert data.recorded(original, "data/images/deep/b.png") == folder
        assert data.recorded(original, "./data//images/") == folder

    def test_above_outputs_it_changes_with_each(self, root: Path) -> None:
        before = {path: data.recorded(root, path) for path in ("data", ".", "data/images")}
        assert data.recorded(root, "data") == before["data"] != before["."]

        write(root, {"data/raw.csv": "3\n"})
        dvc(root, "add", "--quiet", "data/raw.csv")
        after = {path: data.recorded(root, path) for path in before}

        assert {path for path in before if after[path] != before[path]} == {"data", "."}
        assert data.recorded(root, "data", rev="HEAD") == before["data"]

    def test_no_version_yet(self, original: Path) -> None:
        assert data.recorded(original, "later/model.bin") is None
        assert data.recorded(original, "later") is None
        assert data.recorded(original, "later", rev="first") is None

    @pytest.mark.parametrize("rev", [None, "HEAD"])
    def test_unknown_paths(self, original: Path, rev: str | None) -> None:
        def fix(path: str) -> str:
            return str(failing(lambda: data.recorded(original, path, rev=rev)).fix)

        assert fix("data/rew.csv") == "Did you mean 'data/raw.csv'?"
        assert fix("dat") == "Did you mean 'data'?"
        assert fix("zzzzzzzz").startswith("The outputs: 7.txt, apple.txt, data/clean.csv, ")

    def test_no_dvc(self, project: Path) -> None:
        assert "dvc add" in str(failing(lambda: data.recorded(project, "data")).fix)
        assert "dvc add" in str(failing(lambda: data.recorded(project, "data", rev="main")).fix)

    def test_no_git(self, tmp_path: Path) -> None:
        (tmp_path / ".dvc").mkdir()

        assert "git init" in str(failing(lambda: data.recorded(tmp_path, "data")).fix)
        assert "git init" in str(failing(lambda: data.recorded(tmp_path, "data", rev="main")).fix)

    def test_ignored_records_do_not_count(self, root: Path) -> None:
        write(root, {"tmp/x.csv.dvc": f"outs:\n- {{md5: {OLD}, path: x.csv}}\n"})
        assert data.recorded(root, "tmp/x.csv") == OLD
        commit(root)
        assert data.recorded(root, "tmp/x.csv", rev="HEAD") == OLD

        write(root, {".dvcignore": "tmp/\n"})
        failing(lambda: data.recorded(root, "tmp/x.csv"))
        assert data.recorded(root, "tmp/x.csv", rev="HEAD") == OLD

        commit(root)
        (root / ".dvcignore").unlink()
        assert data.recorded(root, "tmp/x.csv") == OLD
        failing(lambda: data.recorded(root, "tmp/x.csv", rev="HEAD"))

    def test_file_that_may_not_be_read(self, root: Path) -> None:
        (root / "dvc.lock").unlink()
        (root / "dvc.lock").mkdir()

        failing(lambda: data.recorded(root, "data"), HostError)


class TestRevision:
    def test_what_was_there_then(self, root: Path) -> None:
        now = data.recorded(root, "data/clean.csv")
        then = data.recorded(root, "data/clean.csv", rev="first")

        assert now != then is not None
        assert data.recorded(root, "data/clean.csv", rev="main") == now
        assert data.recorded(root, "data/images", rev="first") == data.recorded(root, "data/images")

    def test_neither_the_working_tree_nor_the_index_matter(self, root: Path) -> None:
        expected = data.recorded(root, "data")
        shutil.rmtree(root)
        root.mkdir()
        write(root, {"params.yaml": "name: other\n", "dvc.yaml": "<<<<<<<\n", ".dvcignore": "*\n"})
        git(root.parent, "rm", "-r", "--quiet", "--cached", ".")
        before = git_state(root.parent)

        assert data.recorded(root, "data", rev="main") == expected
        assert git_state(root.parent) == before
        assert {path.name for path in root.iterdir()} == {"params.yaml", "dvc.yaml", ".dvcignore"}

    def test_other_projects_of_the_repository_do_not_count(self, root: Path) -> None:
        top = root.parent
        write(top, {"other/x.csv.dvc": f"outs:\n- {{md5: {OLD}, path: x.csv}}\n"})
        commit(top)

        failing(lambda: data.recorded(root, "x.csv", rev="HEAD"))
        assert data.recorded(top / "other", "x.csv", rev="HEAD") == OLD
        assert data.recorded(top, "project/data/raw.csv", rev="HEAD") == data.recorded(root, "data/raw.csv")

    def test_names_of_any_kind(self, root: Path) -> None:
        odd = os.fsdecode(b"odd\xff\n")
        lock = f"stages: {{s: {{outs: [{{path: x, md5: {OLD}}}]}}}}\n"
        write(root, {f"{odd}/dvc.yaml": "stages: {s: {cmd: x, outs: [x]}}\n", f"{odd}/dvc.lock": lock})
        commit(root)

        for path in (f"{odd}/x", odd, "näh ☃"):
            assert data.recorded(root, path, rev="HEAD") == data.recorded(root, path) is not None

    def test_symlinks_are_not_followed(self, root: Path) -> None:
        (root / "linked.dvc").symlink_to("data/raw.csv.dvc")
        commit(root)

        failing(lambda: data.recorded(root, "raw.csv", rev="HEAD"))

    def test_unknown_revisions(self, root: Path) -> None:
        git(root, "update-ref", "refs/remotes/origin/release", "HEAD")

        def error(rev: str) -> KitError:
            return failing(lambda: data.recorded(root, "data", rev=rev))

        assert error("mian").fix == "Did you mean 'main'?"
        assert error("release").fix == "Did you mean 'origin/release'?"
        assert "git branch" in str(error("--help").fix)
        assert "zzz" in error("zzz").what
        error("HEAD:project")

    @pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock", "data/raw.csv.dvc"])
    def test_merge_marks(self, root: Path, name: str) -> None:
        write(root, {name: "<<<<<<< HEAD\nstages: {\n"})
        commit(root)

        error = failing(lambda: data.recorded(root, "data", rev="HEAD"))

        assert Path(name).name in error.what
        assert data.recorded(root, "data", rev="HEAD~1") is not None

    def test_partial_clone_fetches_nothing_by_itself(self, root: Path) -> None:
        top = root.parent
        commit(top)
        git(top, "config", "uploadpack.allowFilter", "true")
        clone = top.parent / "clone"
        git(top.parent, "clone", "--quiet", "--filter=blob:none", f"file://{top}", str(clone))

        assert data.recorded(clone / "project", "data", rev="main") == data.recorded(root, "data")
        assert "remote: origin" in str(failing(lambda: data.recorded(clone / "project", "data", rev="first")).fix)

    def test_hash_that_is_cut_off_is_no_version(self, root: Path) -> None:
        write(root, {"cut.dvc": f"outs:\n- path: cut\n  md5: {OLD[:20]}\n"})

        assert data.recorded(root, "cut") is None


def test_versions_of_a_folder_do_not_mix_up() -> None:
    def version(outputs: dict[str, str | None]) -> str | None:
        return Record([Output(path, path, "x", md5) for path, md5 in outputs.items()], "here").version("d")

    different: list[dict[str, str | None]] = [
        {"d/a": OLD, "d/b": NEW},
        {"d/a": NEW, "d/b": OLD},
        {"d/a": OLD, "d/b": None},
        {"d/a": None, "d/b": OLD},
        {"d/a": OLD},
        {"d/b": OLD},
        {"d": OLD},
        {"d/a": None},
    ]

    assert len({version(outputs) for outputs in different}) == len(different)
    assert version({"d/b": NEW, "d/a": OLD, "da": NEW, "e": NEWER}) == version(different[0])


class _InMemory:
    """Files of DVC's that say anything at all."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {name: content.encode() for name, content in files.items()}

    def names(self) -> list[str]:
        return [name for name in self._files if name.endswith(("dvc.yaml", ".dvc"))]

    def read(self, path: Path) -> bytes:
        try:
            return self._files[path.relative_to("/p").as_posix()]
        except (KeyError, ValueError) as error:
            raise FileNotFoundError(path) from error


_WORDS = st.sampled_from(
    ["stages", "outs", "path", "md5", "files", "relpath", "wdir", "vars", "foreach", "matrix", "do", "deps", "cache",
     "metrics", "plots", "s", "x", "${s}", "${s[0].x}", "s@x", "params.yaml", "..", ""]
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 1) | _WORDS
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4), max_leaves=20
)


@given(pipeline=_ANYTHING, lock=_ANYTHING, params=_ANYTHING, pointer=_ANYTHING)
def test_files_of_any_shape_are_read_or_named(pipeline: Any, lock: Any, params: Any, pointer: Any) -> None:
    """They come from whoever may push; no look may die of them."""
    files = {
        "dvc.yaml": {"stages": pipeline},
        "dvc.lock": {"stages": lock},
        "params.yaml": params,
        "x.dvc": {"outs": pointer},
    }
    in_memory = _InMemory({name: json.dumps(said) for name, said in files.items()})
    with contextlib.suppress(UserError):
        Record(_dvc_files.read_outputs(Path("/p"), in_memory), "here").version("no such path")


@pytest.mark.parametrize("start", ["[", "- ", "? ", "{x: "])
def test_files_of_great_depth_are_named(start: str) -> None:
    with pytest.raises(UserError, match=r"x\.dvc is not valid YAML"):
        _dvc_files.read_outputs(Path("/p"), _InMemory({"x.dvc": start * 200_000}))


def schedule(path: str = "data.csv", *, enabled: bool = True, **trigger: Any) -> Schedule:
    return Schedule("any", OnData(path, **trigger), enabled=enabled)


def record(root: Path, md5: str, name: str = "data.csv") -> None:
    """What `dvc add` writes, as if it had been written some time ago."""
    write(root, {f"{name}.dvc": f"outs:\n- md5: {md5}\n  size: 1\n  hash: md5\n  path: {name}\n"})
    # git takes a file of the same size and time for the same.
    os.utime(root / f"{name}.dvc", (1e9, 1e9 + int(md5[-1])))


@pytest.fixture
def opened(project: Path) -> Project:
    """The tiny project with one version on record."""
    (project / ".dvc").mkdir()
    write(project, {".dvc/config": ""})
    record(project, OLD)
    commit(project)
    return open_project(project)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The subcommands of git since the last time."""
    log = tmp_path / "calls"
    real = shutil.which("git")
    write(tmp_path, {"bin/git": f'#!/bin/sh\necho "$@" >> "{log}"\nexec {real} "$@"\n'})
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def read() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        known = ("ls-files", "rev-parse", "ls-tree", "cat-file", "fetch")
        return [next((word for word in line.split() if word in known), line) for line in lines]

    return read


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class TestLook:
    def test_working_tree(self, opened: Project) -> None:
        watch = DataWatch(opened)
        schedules = {"s": schedule(every=60)}

        assert watch.look(schedules, NOW, wait=False) == {"s": OLD}
        record(opened.root, NEW)
        assert watch.look(schedules, after(59), wait=False) == {}
        assert watch.look(schedules, after(60), wait=False) == {"s": NEW}
        assert watch.look(schedules, after(120), wait=False) == {"s": NEW}
        assert watch.problems == {}

    def test_real_dvc(self, root: Path) -> None:
        watch = DataWatch(open_project(root))
        schedules = {
            "stage": schedule("data/clean.csv", every=1),
            "inside": schedule("data/images/a.png", every=1),
            "folder": schedule("data", every=1),
            "never": schedule("later", every=1),
        }
        before = watch.look(schedules, NOW, wait=False)
        write(root, {"data/raw.csv": "5\n"})
        dvc(root, "add", "--quiet", "data/raw.csv")
        dvc(root, "repro", "--quiet", "clean")
        now = watch.look(schedules, after(1), wait=True)

        assert before.keys() == now.keys() == {"stage", "inside", "folder"}
        assert {name for name in now if now[name] != before[name]} == {"stage", "folder"}
        assert now["stage"] == data.recorded(root, "data/clean.csv")
        assert watch.problems == {}

    def test_revision_on_this_machine(self, opened: Project) -> None:
        watch = DataWatch(opened)
        schedules = {"main": schedule(rev="main", every=1), "tree": schedule(every=1)}
        record(opened.root, NEW)

        assert watch.look(schedules, NOW, wait=False) == {"main": OLD, "tree": NEW}
        commit(opened.root)
        record(opened.root, NEWER)
        assert watch.look(schedules, after(1), wait=False) == {"main": NEW, "tree": NEWER}

    def test_each_at_its_own_pace(self, opened: Project) -> None:
        watch = DataWatch(opened)
        schedules = {"quick": schedule(every=1), "slow": schedule(every=10)}

        looks = [watch.look(schedules, after(second), wait=False) for second in range(21)]

        assert [second for second in range(21) if "slow" in looks[second]] == [0, 10, 20]
        assert all(look["quick"] == OLD for look in looks)

    def test_clock_set_back(self, opened: Project) -> None:
        watch = DataWatch(opened)
        schedules = {"s": schedule(every=60)}
        watch.look(schedules, NOW, wait=False)

        assert watch.look(schedules, after(-7200), wait=False) == {"s": OLD}
        assert watch.look(schedules, after(-7190), wait=False) == {}
        assert watch.look(schedules, after(-7140), wait=False) == {"s": OLD}

    def test_only_what_waits_for_data_and_is_enabled(self, opened: Project) -> None:
        watch = DataWatch(opened)
        other = Schedule("other", Interval(60))

        assert watch.look({"off": schedule(enabled=False), "other": other}, NOW, wait=True) == {}
        assert watch.look({"off": schedule(), "other": other}, NOW, wait=True) == {"off": OLD}

    def test_trigger_that_changes_is_looked_at_now(self, opened: Project) -> None:
        record(opened.root, NEW, "b.csv")
        watch = DataWatch(opened)
        watch.look({"s": schedule()}, NOW, wait=False)

        assert watch.look({"s": schedule("b.csv")}, NOW, wait=False) == {"s": NEW}

    def test_problems_last_until_a_look_works_and_stop_nobody_else(self, opened: Project) -> None:
        watch = DataWatch(opened)
        schedules = {
            "good": schedule(),
            "path": schedule("data.cvs"),
            "rev": schedule(rev="mian"),
            "gone": schedule(rev="nope"),
        }

        assert watch.look(schedules, NOW, wait=False) == {"good": OLD}
        problems = dict(watch.problems)
        assert {name: error.fix for name, error in problems.items() if name != "gone"} == {
            "path": "Did you mean 'data.csv'?",
            "rev": "Did you mean 'main'?",
        }
        assert watch.look(schedules, after(1), wait=False) == {}
        assert watch.problems == problems

        git(opened.root, "branch", "mian")
        record(opened.root, NEW, "data.cvs")
        del schedules["gone"]
        assert watch.look(schedules, after(60), wait=False) == {"good": OLD, "path": NEW, "rev": OLD}
        assert watch.problems == {}

    def test_no_version_yet_is_no_problem(self, opened: Project) -> None:
        write(opened.root, {"dvc.yaml": "stages: {s: {cmd: x, outs: [new.csv]}}\n"})
        watch = DataWatch(opened)

        assert watch.look({"s": schedule("new.csv")}, NOW, wait=False) == {}
        assert watch.problems == {}

    def test_broken_files_are_a_problem_until_mended(self, opened: Project) -> None:
        watch = DataWatch(opened)
        mine, theirs = f"- md5: {NEW}\n", f"- md5: {NEWER}\n"
        conflict = f"outs:\n<<<<<<< HEAD\n{mine}=======\n{theirs}>>>>>>> other\n  path: data.csv\n"
        write(opened.root, {"data.csv.dvc": conflict})

        assert watch.look({"s": schedule(every=1)}, NOW, wait=False) == {}
        assert "data.csv.dvc" in str(watch.problems["s"])
        record(opened.root, NEW)
        assert watch.look({"s": schedule(every=1)}, after(1), wait=False) == {"s": NEW}
        assert watch.problems == {}

    def test_machine_that_is_short_of_something(self, opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        watch = DataWatch(opened)
        monkeypatch.setenv("PATH", "/nonexistent")

        assert watch.look({"s": schedule(), "t": schedule(rev="main")}, NOW, wait=False) == {}
        assert {type(error) for error in watch.problems.values()} == {HostError}

    def test_many_schedules_are_one_look(self, opened: Project, calls: Callable[[], list[str]]) -> None:
        watch = DataWatch(opened)
        here = {f"here-{index}": schedule() for index in range(200)}
        there = {f"there-{index}": schedule(rev="main") for index in range(200)}

        found = watch.look(here | there, NOW, wait=False)

        assert found == dict.fromkeys([*here, *there], OLD)
        assert sorted(calls()) == ["cat-file", "ls-files", "ls-tree", "rev-parse", "rev-parse"]
        assert watch.look(here | there, after(1), wait=False) == {}
        assert calls() == []
        # A commit that was read once is not read again.
        assert len(watch.look(here | there, after(60), wait=False)) == 400
        assert sorted(calls()) == ["ls-files", "rev-parse"]


class TestUnchangedFiles:
    """They are not read again."""

    def test_same_record(self, opened: Project) -> None:
        before = read_working_tree(opened.root)

        assert read_working_tree(opened.root, before) is before
        assert read_working_tree(opened.root) == before

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("new.dvc", f"outs: [{{md5: {NEW}, path: new}}]"),
            ("data.csv.dvc", f"outs: [{{md5: {NEW}, path: data.csv}}]"),
            ("dvc.lock", f"stages: {{s: {{outs: [{{md5: {NEW}, path: made}}]}}}}"),
            ("params.yaml", "name: other"),
            (".dvcignore", "data.csv.dvc\n"),
        ],
    )
    def test_any_change_is_seen(self, opened: Project, name: str, text: str) -> None:
        write(opened.root, {"dvc.yaml": "stages: {s: {cmd: x, outs: [made]}, t: {cmd: x, outs: ['${name}']}}"})
        os.utime(opened.root / "dvc.yaml", (1e9, 1e9))
        before = read_working_tree(opened.root)
        assert read_working_tree(opened.root, before) is before

        write(opened.root, {name: text})
        changed = read_working_tree(opened.root, before)
        (opened.root / name).unlink()
        gone = read_working_tree(opened.root, changed)

        assert changed != before
        assert gone != changed

    def test_young_files_are_read_again(self, opened: Project) -> None:
        (opened.root / "data.csv.dvc").touch()
        before = read_working_tree(opened.root)

        assert read_working_tree(opened.root, before) is not before


class TestHalfWritten:
    """DVC writes dvc.lock piece by piece, as it makes up the text."""

    @staticmethod
    def lock(letter: str) -> str:
        outs = "".join(f"    - path: data/{n}\n      md5: {letter * 30}{n}.dir\n" for n in range(10, 30))
        return f"schema: '2.0'\nstages:\n  s:\n    cmd: x\n    outs:\n{outs}"

    @pytest.fixture
    def begin(self, opened: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """Have dvc.lock become another text, 100 characters more each time that kit looks at the project."""

        def start(text: str) -> None:
            new, at, target = tmp_path / "new", tmp_path / "at", opened.root / "dvc.lock"
            real = shutil.which("git")
            script = f"""
                #!/bin/sh
                case "$*" in *ls-files*)
                  n=$(($(cat "{at}") + 100)); echo $n > "{at}"; head -c $n "{new}" > "{target}";;
                esac
                exec {real} "$@"
                """
            write(tmp_path, {"bin/git": script, "at": "0"})
            new.write_text(text)
            (tmp_path / "bin/git").chmod(0o755)
            monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

        return start

    def watched(self, opened: Project) -> tuple[DataWatch, dict[str, Schedule], dict[str, str]]:
        outs = [f"data/{n}" for n in range(10, 30)]
        write(opened.root, {"dvc.yaml": f"stages: {{s: {{cmd: x, outs: {outs}}}}}\n", "dvc.lock": self.lock("a")})
        schedules = {"folder": schedule("data", every=1), "last": schedule("data/29", every=1)}
        watch = DataWatch(opened)
        return watch, schedules, watch.look(schedules, NOW, wait=True)

    def test_it_is_held_back_and_looked_for_at_the_next_call(
        self, opened: Project, begin: Callable[[str], None]
    ) -> None:
        watch, schedules, old = self.watched(opened)
        assert old.keys() == schedules.keys()
        begin(self.lock("b"))

        looks = 0
        while not (new := watch.look(schedules, after(1), wait=False)):
            looks += 1
            assert watch.problems == {}

        assert looks > 5
        assert new == {"folder": data.recorded(opened.root, "data"), "last": "b" * 30 + "29.dir"}
        assert new["folder"] != old["folder"]

    def test_who_waits_gets_the_whole(self, opened: Project, begin: Callable[[str], None]) -> None:
        watch, schedules, _ = self.watched(opened)
        begin(self.lock("b"))

        assert watch.look(schedules, after(1), wait=True)["last"] == "b" * 30 + "29.dir"
        assert watch.problems == {}
