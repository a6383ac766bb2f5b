"""DVC projects, made by DVC itself."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kit import _dvc_cli, _dvc_tree, _stat_cache, data
from kit.errors import HostError, ServiceError, UserError
from tests.conftest import git, write
from tests.support import until

COUNT = (
    "python -c \"import pathlib as p; s = p.Path('ran'); s.write_text((s.read_text() if s.exists() else '') + 'x')\""
)


def dvc(folder: Path, *arguments: str) -> str:
    """Run real DVC in `folder`, whoever's home it is."""
    environment = os.environ | {
        "DVC_NO_ANALYTICS": "true",
        "HOME": str(folder.parent),
        "XDG_CONFIG_HOME": "/nonexistent",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def _python_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages below call `python`."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every kind of output, made once."""
    root = tmp_path_factory.mktemp("original") / "project"
    write(
        root,
        {
            "raw.csv": "a,b\n1,2\n",
            "images/one.png": "1",
            "images/deep/er/näh ☃.png": "2",
            "images/deep.txt": "3",
            "images/skipped.tmp": "x",
            "images/tmp/y.txt": "x",
            ".dvcignore": "# comment\n*.tmp\n!kept.tmp\ntmp/\n",
            "images/kept.tmp": "kept",
            "crlf/a.txt": "a\n",
            "params.yaml": "name: clean\nfruits: [apple, 7, true]\nsizes:\n  small: {n: 1}\n  large: {n: 2}\n",
            "more.json": '{"suffix": "txt"}',
            "sub/dvc.yaml": """
                vars:
                  - ../more.json
                  - local: {deep: [zero, one]}
                stages:
                  below:
                    wdir: ..
                    cmd: echo below > sub/${local.deep[1]}.${suffix}
                    outs: ["sub/${local.deep[1]}.${suffix}"]
                """,
            "dvc.yaml": f"""
                stages:
                  prepare:
                    cmd: {COUNT} && cp raw.csv ${{name}}.csv && mkdir -p parts && cp raw.csv parts/a
                      && echo '{{"n":1}}' | tee m.json p.json q.json
                    deps: [raw.csv]
                    outs:
                      - ${{name}}.csv
                      - parts: {{persist: true}}
                    metrics: [m.json: {{cache: false}}, q.json]
                    plots: [p.json: {{cache: false}}]
                  each:
                    foreach: ${{fruits}}
                    do:
                      cmd: echo ${{item}} > ${{item}}.fruit
                      outs: ["${{item}}.fruit"]
                  sized:
                    foreach: ${{sizes}}
                    do:
                      cmd: echo ${{item.n}} > ${{key}}.size
                      outs: ["${{key}}.size"]
                  listed:
                    foreach:
                      - {{id: x}}
                      - {{id: y}}
                    do:
                      cmd: echo ${{item.id}} > ${{item.id}}.listed
                      outs: ["${{item.id}}.listed"]
                  grid:
                    matrix:
                      model: [a, b]
                      opt: [{{lr: 1}}, {{lr: 2}}]
                      flag: [true]
                    cmd: echo ${{item.model}} > ${{item.model}}-${{item.opt.lr}}.grid
                    outs: ["${{item.model}}-${{item.opt.lr}}.grid"]
                """,
        },
    )
    git(root, "init", "--quiet")
    dvc(root, "init", "--quiet")
    write(root, {".dvcignore": "# comment\n*.tmp\n!kept.tmp\ntmp/\n"})
    dvc(root, "add", "--quiet", "raw.csv", "images", "crlf")
    dvc(root, "repro", "--quiet", "--all-pipelines")
    dvc(root, "remote", "add", "--default", "origin", "../remote")
    dvc(root, "push", "--quiet")
    git(root, "add", "--all")
    git(root, "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--message", "start")
    return root


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may change, its remote beside it."""
    shutil.copytree(original.parent, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / "project"


def states(root: Path) -> dict[str, str]:
    return {version.path: version.state for version in data.versions(root)}


def without_cache(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache", ignore_errors=True)


def remove(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def become_folder(root: Path, name: str) -> None:
    remove(root, name)
    write(root, {f"{name}/x": "x"})


ALL = {
    *("raw.csv", "images", "crlf", "clean.csv", "parts", "q.json", "sub/one.txt", "apple.fruit", "7.fruit"),
    *("true.fruit", "small.size", "large.size", "x.listed", "y.listed", "a-1.grid", "a-2.grid", "b-1.grid", "b-2.grid"),
}


def test_everything_that_dvc_made_matches(original: Path) -> None:
    found = data.versions(original)

    assert [version.path for version in found] == sorted(ALL)
    assert {version.state for version in found} == {"matches"}
    by_path = {version.path: version for version in found}
    images = by_path["images"]
    assert (images.files, images.size, images.source, images.stage) == (4, 7, "images.dvc", None)
    assert (images.md5 or "").endswith(".dir")
    assert by_path["clean.csv"].stage == "prepare"
    assert by_path["clean.csv"].source == "dvc.lock"
    assert by_path["7.fruit"].stage == "each@7"
    assert by_path["true.fruit"].stage == "each@True"
    assert by_path["large.size"].stage == "sized@large"
    assert by_path["y.listed"].stage == "listed@1"
    assert by_path["b-2.grid"].stage == "grid@b-opt1-true"
    assert by_path["sub/one.txt"].stage == "sub/dvc.yaml:below"
    assert by_path["sub/one.txt"].source == "sub/dvc.lock"


def test_names_of_stages_are_those_of_dvc(original: Path) -> None:
    listed = dvc(original, "stage", "list", "--all", "--names-only").split()

    assert {version.stage for version in data.versions(original) if version.stage} == {
        name for name in listed if ".dvc" not in name
    }


@pytest.mark.parametrize(
    ("change", "path", "state"),
    [
        (lambda root: write(root, {"raw.csv": "a,b\n1,3\n"}), "raw.csv", "modified"),
        (lambda root: write(root, {"images/new.png": "new"}), "images", "modified"),
        (lambda root: write(root, {"images/one.png": "9"}), "images", "modified"),
        (lambda root: remove(root, "images/one.png"), "images", "modified"),
        (lambda root: (root / "images/broken").symlink_to("nowhere"), "images", "modified"),
        (lambda root: write(root, {"images/new.tmp": "x", "images/tmp/z": "x"}), "images", "matches"),
        (lambda root: (root / "images/empty").mkdir(), "images", "matches"),
        (lambda root: write(root, {"images/inner/.dvc/config": "", "images/inner/x": "x"}), "images", "matches"),
        (lambda root: write(root, {"parts/b": "new"}), "parts", "modified"),
        (lambda root: remove(root, "clean.csv"), "clean.csv", "missing"),
        (lambda root: remove(root, "images"), "images", "missing"),
        (lambda root: become_folder(root, "raw.csv"), "raw.csv", "modified"),
        (lambda root: remove(root, "dvc.lock"), "clean.csv", "unrecorded"),
    ],
)
def test_one_change(project: Path, change: Callable[[Path], object], path: str, state: str) -> None:
    change(project)

    assert states(project)[path] == state


def test_dvc_agrees_on_what_changed(project: Path) -> None:
    write(project, {"images/new.png": "n", "images/new.tmp": "n", "x.listed": "other\n", "crlf/a.txt": "a\r\n"})
    remove(project, "raw.csv")

    said = json.loads(dvc(project, "status", "--json"))
    changed = {
        path
        for entries in said.values()
        for entry in entries
        if isinstance(entry, dict)
        for path in entry.get("changed outs", {})
    }

    assert {path for path, state in states(project).items() if state != "matches"} == changed


def test_no_dvc(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")

    assert data.versions(tmp_path) == ()
    assert data.ensure(tmp_path, cache=None, progress=False) == ()
    assert not (tmp_path / ".kit").exists()


def test_project_below_the_dvc_root(project: Path) -> None:
    write(project, {"projects/one/pyproject.toml": "[tool.kit]\n", "projects/one/own.csv": "x\n"})
    dvc(project, "add", "--quiet", "projects/one/own.csv")

    found = data.versions(project / "projects/one")

    assert [(version.path, version.state, version.source) for version in found] == [
        ("own.csv", "matches", "own.csv.dvc")
    ]
    assert data.versions(project / "sub")[0].path == "one.txt"


def test_old_hashes_ignore_line_ends_of_texts_only(project: Path) -> None:
    from dvc_data.hashfile.hash import file_md5

    (project / "old.txt").write_bytes(b"a\r\nb\r\n" * 300_000)
    (project / "old.bin").write_bytes(b"\x00a\r\n")
    for name in ("old.txt", "old.bin"):
        md5 = file_md5(str(project / name), name="md5-dos2unix")
        write(project, {f"{name}.dvc": f"outs:\n- md5: {md5}\n  path: {name}\n"})
    write(
        project, {"old.none.dvc": "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: old.none\n", "old.none": ""}
    )

    found = states(project)

    assert (found["old.txt"], found["old.bin"], found["old.none"]) == ("matches", "matches", "matches")


def test_odd_records(project: Path) -> None:
    listing = json.dumps([{"relpath": "one", "md5": "b026324c6904b2a9cb4b88d6d61c81d1"}])
    write(
        project,
        {
            "kept.dvc": "outs:\n- md5: 0\n  path: kept\n  cache: false\n",
            "far.dvc": "outs:\n- etag: x\n  path: s3://bucket/far\n",
            "cloud.dvc": f"outs:\n- path: cloud\n  hash: md5\n  size: 2\n  files: {listing}\n",
            "cloud/one": "1\n",
            "later.dvc": "deps:\n- path: s3://bucket/x\nouts:\n- path: later\n",
            "two.dvc": "wdir: sub\nouts:\n- {path: a, md5: x}\n- {path: b, md5: y}\n- nonsense\n",
            "empty.dvc": "",
            "list.dvc": "- 1\n",
        },
    )

    found = {version.path: version for version in data.versions(project)}

    assert not {"kept", "far"} & found.keys()
    assert (found["cloud"].state, found["cloud"].files) == ("matches", 1)
    assert (found["later"].state, found["later"].stage) == ("unrecorded", None)
    assert (found["sub/a"].state, found["sub/b"].state) == ("missing", "missing")


def test_record_that_dvc_is_told_to_ignore(project: Path) -> None:
    write(project, {"tmp/x.dvc": "outs:\n- {path: x, md5: y}\n", "x.tmp.dvc": "outs:\n- {path: x.tmp, md5: y}\n"})
    git(project, "add", "--force", "tmp/x.dvc")

    assert states(project).keys() - ALL == {"x.tmp"}


def test_ignore_file_of_comments_only(project: Path) -> None:
    write(project, {".dvcignore": "# as `dvc init` writes it\n\n"})

    assert states(project)["images"] == "modified"


def test_unreadable_templates_are_left_to_the_lock(project: Path) -> None:
    write(project, {"params.yaml": "{{ not yaml"})

    assert set(states(project)) == ALL
    remove(project, "dvc.lock")
    left = {version.path: version.stage for version in data.versions(project) if version.state == "unrecorded"}
    assert left["${name}.csv"] == "prepare"
    assert left["${item}.fruit"] == "each"


def test_templates_without_a_lock(project: Path) -> None:
    remove(project, "dvc.lock", "sub/dvc.lock")
    write(project, {"extra.toml": "[deep]\nname = 'from-toml'\n"})
    pipeline = (project / "dvc.yaml").read_text()
    outs = "['${deep.name}', '\\${x}', '${fruits[9]}', '${name.x}', 5]"
    odd = f"  odd: {{cmd: x, vars: [extra.toml, none.yaml, 5], outs: {outs}}}\n"
    (project / "dvc.yaml").write_text(pipeline + odd + "  wrong: 7\n  grid2: {matrix: {a: 1}, cmd: x, outs: [z]}\n")

    found = states(project)

    wanted = ALL | {"from-toml", "${x}", "${fruits[9]}", "${name.x}", "z"}
    assert set(found) == wanted
    assert found["from-toml"] == "unrecorded"


@pytest.mark.parametrize("name", ["raw.csv.dvc", "dvc.yaml", "dvc.lock"])
def test_merge_marks_are_the_users_fault(project: Path, name: str) -> None:
    (project / name).write_text("<<<<<<< HEAD\nouts: [\n=======\n")

    with pytest.raises(UserError, match="not valid YAML") as caught:
        data.versions(project)

    assert name in (caught.value.where or "")


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.text("0123456789abcdef", min_size=32, max_size=32)
    )
)
def test_directory_hash_is_that_of_dvc(files: dict[tuple[str, ...], str]) -> None:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()  # type: ignore[no-untyped-call]
    for parts, md5 in files.items():
        tree.add(parts, None, HashInfo("md5", md5))
    tree.digest()

    assert _dvc_tree.directory_md5(("/".join(parts), md5) for parts, md5 in files.items()) == tree.oid


class TestStatCache:
    """What is remembered, and when it must not be trusted."""

    @pytest.fixture
    def settled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if every file were old."""
        monkeypatch.setattr(_stat_cache, "_RACY", -(10**15))

    @pytest.mark.usefixtures("settled")
    def test_remembers(self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = tmp_path / "cache.json"
        first = data.versions(project, cache=cache)
        written = cache.stat().st_mtime_ns
        monkeypatch.setitem(_stat_cache._HASHERS, "md5", _never)

        assert data.versions(project, cache=cache) == first
        assert cache.stat().st_mtime_ns == written
        content = json.loads(cache.read_text())
        assert content["files"]["md5"][str(project / "raw.csv")][0] == 8

    def test_change_in_the_same_moment_and_size(self, project: Path, tmp_path: Path) -> None:
        cache = tmp_path / "cache.json"
        data.versions(project, cache=cache)
        before = (project / "raw.csv").stat()
        with (project / "raw.csv").open("r+") as file:
            file.write("b,a")
        os.utime(project / "raw.csv", ns=(before.st_atime_ns, before.st_mtime_ns))

        assert {v.path: v.state for v in data.versions(project, cache=cache)}["raw.csv"] == "modified"

    def test_young_files_are_not_remembered(self, tmp_path: Path) -> None:
        write(tmp_path, {"young": "x"})
        cache = _stat_cache.StatCache(tmp_path / "cache.json")

        cache.digest(tmp_path / "young", "md5")
        cache.save()

        assert not (tmp_path / "cache.json").exists()

    @pytest.mark.usefixtures("settled")
    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": {"md5": {"x": [1]}}}', b"\xff"])
    def test_corrupt(self, project: Path, tmp_path: Path, content: bytes) -> None:
        cache = tmp_path / "cache.json"
        cache.write_bytes(content)

        assert {version.state for version in data.versions(project, cache=cache)} == {"matches"}
        assert json.loads(cache.read_bytes())["files"]["md5"]

    @pytest.mark.usefixtures("settled")
    def test_forgets_what_is_gone_and_minds_no_missing_folder(self, tmp_path: Path) -> None:
        write(tmp_path, {"a": "x", "b": "y"})
        for names in (("a", "b"), ("b",)):
            cache = _stat_cache.StatCache(tmp_path / "cache.json")
            for name in names:
                cache.digest(tmp_path / name, "sha256")
            cache.save()
        content = json.loads((tmp_path / "cache.json").read_bytes())
        assert [Path(key).name for key in content["files"]["sha256"]] == ["b"]

        lost = _stat_cache.StatCache(tmp_path / "no/folder.json")
        lost.digest(tmp_path / "b", "md5")
        lost.save()

    @pytest.mark.usefixtures("settled")
    @pytest.mark.parametrize("name", [b"\xff", b"line\nbreak", "ä".encode()])
    def test_a_folder_with_any_name_in_it(self, tmp_path: Path, name: bytes) -> None:
        folder, path = tmp_path / "folder", tmp_path / "folder" / os.fsdecode(name)
        folder.mkdir()
        found = []
        for content in ("one", "two"):
            path.write_text(content)
            cache = _stat_cache.StatCache(tmp_path / "cache.json")
            files = [(path.name, path.stat())]
            found.append(cache.folder_digest(folder, "md5", files, lambda digests: str(sorted(digests))))
            cache.save()
        assert found[0] != found[1]
        assert hashlib.md5(b"two").hexdigest() in found[1]

    @pytest.mark.usefixtures("settled")
    def test_one_file_of_a_folder_that_changed_is_all_that_is_read(
        self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = tmp_path / "cache.json"
        data.versions(project, cache=cache)
        folder = next(Path(v.path) for v in data.versions(project, cache=cache) if (project / v.path).is_dir())
        (changed, *_) = [path for path in (project / folder).rglob("*") if path.is_file()]
        read: list[Path] = []

        def hashed(path: Path) -> str:
            read.append(path)
            return _stat_cache.md5(path)

        monkeypatch.setitem(_stat_cache._HASHERS, "md5", hashed)
        changed.unlink()
        changed.write_text("something else")

        found = {v.path: v for v in data.versions(project, cache=cache)}
        assert found[folder.as_posix()].state == "modified"
        assert read == [changed]
        assert data.versions(project, cache=cache) == tuple(found.values())
        assert read == [changed]


ACTIONS = ("write", "same size", "touch back", "rename", "replace", "remove", "folder", "link")


class World:
    """A folder in which everything happens within one moment, as a user, a program or `cp -p` has it happen."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"
        (self.root / "sub").mkdir(parents=True)
        self.contents = 0

    def new(self) -> str:
        """Another content of the same size."""
        self.contents += 1
        return f"{self.contents:08}"

    def do(self, action: str, name: str, other: str) -> None:
        path, target = self.root / name, self.root / other
        if action == "write":
            self._free(path)
            path.write_text(self.new() * (1 + self.contents % 2))
        elif action == "folder" and not path.exists():
            path.mkdir()
        elif action == "link" and not os.path.lexists(target) and path.is_file():
            target.symlink_to(path)
        elif action == "remove" and os.path.lexists(path):
            self._free(path)
        elif path.is_file():
            self._change(action, path, target)

    def _change(self, action: str, path: Path, target: Path) -> None:
        before = path.stat()
        if action in {"same size", "touch back"}:
            with path.open("r+") as file:  # in place: the same inode
                file.write(self.new())
            if action == "touch back":
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif action == "rename" and not target.is_dir():
            path.rename(target)
        elif action == "replace" and path != target:
            fresh = path.with_name(".fresh")
            fresh.write_text(self.new())
            os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
            fresh.rename(path)

    def _free(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


PATHS = st.sampled_from(["a", "b", "sub/c", "sub/d"])


STEPS = (
    st.tuples(st.sampled_from(ACTIONS), PATHS, PATHS) | st.just(("look", "", "")) | st.just(("wait and look", "", ""))
)
_TICK = 0.02
"""Seconds: longer than the clock of any file system that these tests run on takes to go on."""


def grow_old() -> None:
    written = time.time()
    until(lambda: time.time() - written > _TICK, "every file to be old enough")


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, max_size=16))
@example([("touch back", "a", "a")])
@example([("replace", "a", "b")])
@example([("same size", "a", "a"), ("look", "", "")] * 20)
@example([("write", "sub/c", ""), ("link", "sub/c", "b"), ("wait and look", "", ""), ("touch back", "sub/c", "a")])
@example([("link", "a", "b"), ("rename", "b", "a")])
def test_what_is_remembered_is_never_wrong_whatever_happens_however_quickly(steps: list[tuple[str, str, str]]) -> None:
    """A folder's hash from the cache is that without one after each step, also within one tick of the clock."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stat_cache, "_RACY", int(_TICK * 1e9))  # files get old while the test looks on
        world = World(Path(folder))
        for action, name, other in [("write", "a", ""), ("wait and look", "", ""), *steps, ("look", "", "")]:
            if action == "wait and look":
                grow_old()
            elif action != "look":
                if (world.root / "sub").is_dir():
                    world.do(action, name, other)
                continue
            answers = []
            for file in (Path(folder) / "cache.json", None):
                cache = _stat_cache.StatCache(file)
                tree = _dvc_tree.Tree(Path(folder), cache)
                try:
                    answers.append(tree.md5(str(world.root), "md5", world.root.stat()))
                except OSError as error:
                    answers.append({errno.ENOENT: "removed", errno.ELOOP: "leads to itself"}[error.errno or 0])
                cache.save()
            assert answers[0] == answers[1]


def _never(path: Path) -> str:
    raise AssertionError(f"{path} was read again")


def test_nothing_to_do_spawns_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    found = data.ensure(project, cache=None, progress=True)
    data.pull(project, [], progress=True)
    data.reproduce(project, [], progress=True)

    assert {version.state for version in found} == {"matches"}
    assert not (project / ".kit").exists()


def test_local_cache_serves_without_a_remote(project: Path) -> None:
    dvc(project, "remote", "remove", "origin")
    remove(project, "raw.csv", "images", "clean.csv")

    found = data.ensure(project, cache=None, progress=False)

    assert {version.state for version in found} == {"matches"}
    assert (project / "ran").read_text() == "x"
    assert [path.name for path in (project / ".kit/locks").iterdir()] == ["data.lock"]


def test_pull_from_the_remote_shows_progress(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    without_cache(project)
    remove(project, "images", "sub/one.txt")

    data.pull(project, ["images", "sub/one.txt"], progress=True)

    assert states(project)["images"] == "matches"
    shown = capfd.readouterr()
    assert "images" in shown.err
    assert shown.out == ""


def test_pull_fails_on_what_nobody_pushed(project: Path) -> None:
    without_cache(project)
    shutil.rmtree(project.parent / "remote")
    dvc(project, "remote", "modify", "origin", "url", "https://me:hunter2@127.0.0.1:9/data")
    remove(project, "raw.csv", "images")

    with pytest.raises(ServiceError) as caught:
        data.ensure(project, cache=None, progress=False)

    text = str(caught.value)
    assert "\n" not in text
    assert "data is missing: raw.csv, images" in text or "data is missing: images, raw.csv" in text
    assert "https://me:***@127.0.0.1:9/data" in text
    assert "`dvc push`" in text
    assert not (project / ".kit/locks/data.json").exists()


def test_pull_without_a_remote(project: Path) -> None:
    without_cache(project)
    dvc(project, "remote", "remove", "origin")
    remove(project, "raw.csv")

    with pytest.raises(ServiceError, match="no DVC remote is configured") as caught:
        data.pull(project, ["raw.csv"], progress=False)

    assert "`dvc remote add" in (caught.value.fix or "")


def test_pull_names_a_few_of_many(project: Path) -> None:
    with pytest.raises(ServiceError, match="n0, n1, n2, n3, n4 and 3 more"):
        data.pull(project, [f"n{index}" for index in range(8)], progress=False)


def test_what_was_never_made_is_made(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    remove(project, "dvc.lock")
    write(
        project,
        {
            "dvc.yaml": f"""
                stages:
                  first:
                    cmd: {COUNT} && echo made by the stage && cp raw.csv first.csv
                    deps: [raw.csv]
                    outs: [first.csv]
                  second:
                    cmd: mkdir second && cp first.csv second/x
                    deps: [first.csv]
                    outs: [second]
                  waits:
                    cmd: cp model.pkl out
                    deps: [model.pkl]
                    outs: [out]
                """
        },
    )
    remove(project, "ran", "raw.csv")

    found = {v.path: v.state for v in data.ensure(project, cache=None, progress=True)}

    assert (found["first.csv"], found["second"], found["raw.csv"]) == ("matches", "matches", "matches")
    assert found["out"] == "unrecorded"
    assert (project / "ran").read_text() == "x"
    assert "made by the stage" in capfd.readouterr().err


def test_what_was_never_pushed_is_made_again(project: Path) -> None:
    without_cache(project)
    shutil.rmtree(project.parent / "remote")
    remove(project, "clean.csv", "ran")

    found = data.ensure(project, cache=None, progress=False)

    assert {v.path: v.state for v in found}["clean.csv"] == "matches"
    assert (project / "ran").read_text() == "x"


def test_output_by_hand_is_not_made_over(project: Path) -> None:
    write(
        project,
        {"dvc.yaml": "stages:\n  s: {cmd: 'echo stage > model.pkl', outs: [model.pkl]}\n", "model.pkl": "mine\n"},
    )

    found = data.ensure(project, cache=None, progress=False)

    assert {v.path: v.state for v in found}["model.pkl"] == "unrecorded"
    assert (project / "model.pkl").read_text() == "mine\n"


def test_stage_that_fails_says_why_and_is_tried_again(project: Path) -> None:
    command = "echo half > half.csv; echo token=hunter2; echo no such column >&2; exit 3"
    stage = f"stages:\n  s: {{cmd: '{command}', outs: [half.csv]}}\n"
    write(project, {"dvc.yaml": stage})

    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            data.ensure(project, cache=None, progress=False)
        text = str(caught.value)
        assert "data stage 's' failed" in text
        assert "exited with 3; it said: token=*** | no such column" in text
        assert "`dvc repro s`" in text
        assert "hunter2" not in text
        assert "\n" not in text


def test_two_modifications_are_two_versions(project: Path) -> None:
    path = next(v.path for v in data.versions(project) if v.files is None and v.state == "matches")
    recorded = next(v for v in data.versions(project) if v.path == path)
    used = [recorded.used]
    for text in ("one\n", "two\n"):
        (project / path).unlink()
        (project / path).write_text(text)
        found = next(v for v in data.versions(project) if v.path == path)
        assert (found.md5, found.state) == (recorded.md5, "modified")
        assert found.used == hashlib.md5(text.encode()).hexdigest()
        used.append(found.used)
    assert len(set(used)) == 3


def test_stage_finds_the_projects_own_code_and_interpreter(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither installed nor activated: as the task of a run does."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    write(
        project,
        {
            "src/own_code/__init__.py": "",
            "src/own_code/make.py": """
                import sys
                from pathlib import Path

                import kit

                Path("own.txt").write_text(sys.prefix)
                """,
            "dvc.yaml": """
                stages:
                  own:
                    cmd: python -m own_code.make
                    outs: [own.txt]
                """,
        },
    )
    data.reproduce(project, ["own"], progress=False)
    assert (project / "own.txt").read_text() == sys.prefix


def test_stage_that_is_not_there(project: Path) -> None:
    with pytest.raises(ServiceError, match="'nope' failed: Stage 'nope' not found"):
        data.reproduce(project, ["nope"], progress=False)


CHAIN = """
stages:
  first: {cmd: 'cp raw.csv first', deps: [raw.csv], outs: [first]}
  second: {cmd: 'cat first > second; %s', deps: [first], outs: [second]}
  other: {cmd: echo other > other, outs: [other]}
"""


def test_stages_are_brought_up_to_date_with_what_they_need(project: Path) -> None:
    write(project, {"dvc.yaml": CHAIN % "true"})
    data.refresh(project, ["second"], progress=False)
    assert (project / "second").read_text() == "a,b\n1,2\n"
    assert not (project / "other").exists()
    write(project, {"raw.csv": "new\n"})
    data.refresh(project, ["second", "other"], progress=False)
    assert (project / "second").read_text() == "new\n"
    assert {states(project)[name] for name in ("first", "second", "other")} == {"matches"}
    assert not (project / ".kit/locks/data.json").exists()


def test_data_that_a_stage_left_half_made_is_not_taken_for_the_users(project: Path) -> None:
    write(project, {"dvc.yaml": CHAIN % "true"})
    data.refresh(project, ["second", "other"], progress=False)
    write(project, {"dvc.yaml": CHAIN % "exit 3", "other": "mine\n"})
    with pytest.raises(ServiceError, match="data stage 'second' failed"):
        data.refresh(project, ["second"], progress=False)
    assert json.loads((project / ".kit/locks/data.json").read_text()) == ["first", "second"]
    (project / "second").write_text("half\n")
    found = {version.path: version.state for version in data.ensure(project, cache=None, progress=False)}
    assert (project / "second").read_text() == "a,b\n1,2\n"
    assert (found["second"], found["other"]) == ("matches", "modified")


def test_data_that_was_left_half_made_and_is_nowhere_is_made_again(project: Path) -> None:
    write(project, {"dvc.yaml": CHAIN % "true"})
    data.refresh(project, ["second"], progress=False)
    without_cache(project)
    write(project, {"second": "half\n", ".kit/locks/data.json": '["second"]'})
    data.ensure(project, cache=None, progress=False)
    assert (project / "second").read_text() == "a,b\n1,2\n"


def test_what_others_left_unfinished_stays_noted(project: Path) -> None:
    write(project, {"dvc.yaml": CHAIN % "true", ".kit/locks/data.json": '["images", "first"]'})
    data.refresh(project, ["second"], progress=False)
    assert json.loads((project / ".kit/locks/data.json").read_text()) == ["images"]


def test_nothing_to_bring_up_to_date_is_nothing_done(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "dvc", lambda *_, **__: pytest.fail("DVC was called"))
    data.refresh(project, [], progress=False)
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.setenv("DVC_STAGE", "train")
    data.refresh(project, ["prepare"], progress=False)
    assert not (project / ".kit").exists()


def test_inside_of_a_stage_nothing_is_fetched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove(project, "raw.csv")
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.setenv("DVC_STAGE", "train")

    assert {v.path: v.state for v in data.ensure(project, cache=None, progress=False)}["raw.csv"] == "missing"
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert {v.path: v.state for v in data.ensure(project, cache=None, progress=False)}["raw.csv"] == "matches"


def test_pull_that_was_killed_is_done_again(project: Path) -> None:
    remove(project, "images/one.png")
    write(project, {".kit/locks/data.json": '["images"]'})

    found = data.ensure(project, cache=None, progress=False)

    assert {version.state for version in found} == {"matches"}
    assert not (project / ".kit/locks/data.json").exists()


def test_nonsense_about_unfinished_work(project: Path) -> None:
    write(project, {".kit/locks/data.json": "7", "raw.csv": "mine\n"})

    assert {v.path: v.state for v in data.ensure(project, cache=None, progress=False)}["raw.csv"] == "modified"


def test_state_folder_that_cannot_be_made(project: Path) -> None:
    remove(project, "raw.csv")
    write(project, {".kit": "a file\n"})

    with pytest.raises(HostError):
        data.ensure(project, cache=None, progress=False)


ENSURE = """
import sys
from pathlib import Path
from kit import data
data.ensure(Path(sys.argv[1]), cache=None, progress=sys.stderr.isatty())
"""
SOURCE = str(Path(data.__file__).parent.parent)


def start_ensure(root: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", ENSURE, str(root)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_at_once_on_a_fresh_project(project: Path) -> None:
    without_cache(project)
    remove(project, "raw.csv", "images", "clean.csv", "dvc.lock", "ran")

    processes = [start_ensure(project) for _ in range(4)]
    outcomes = [(process.communicate()[1], process.returncode) for process in processes]

    assert outcomes == [("", 0)] * 4
    found = states(project)
    assert {found[name] for name in ("raw.csv", "images", "clean.csv")} == {"matches"}
    assert (project / "ran").read_text() == "x"


def test_progress_bars_on_a_terminal(project: Path) -> None:
    without_cache(project)
    remove(project, "images")
    ours, theirs = os.openpty()
    shown = b""
    command = [sys.executable, "-c", ENSURE, str(project)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": SOURCE}, stderr=theirs):
        os.close(theirs)
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how Linux says that nobody holds the other end
            pass
        os.close(ours)

    assert b"Fetching" in shown
    assert states(project)["images"] == "matches"


def wait_until(condition: Callable[[], object]) -> None:
    """Poll a real process; the test's own time limit bounds it."""
    while not condition():
        os.sched_yield()


def test_interrupt_leaves_no_orphan_and_the_work_is_done_again(project: Path) -> None:
    stage = "stages:\n  s: {cmd: 'echo half > out && touch started && sleep 987 && echo whole > out', outs: [out]}\n"
    write(project, {"dvc.yaml": stage})
    process = start_ensure(project)
    wait_until(lambda: (project / "started").exists() or process.poll() is not None)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 2

    process.send_signal(signal.SIGINT)
    stderr = process.communicate()[1]

    assert "KeyboardInterrupt" in stderr
    assert not [child for child in below if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    write(project, {"dvc.yaml": stage.replace("sleep 987", "true")})
    assert {v.path: v.state for v in data.ensure(project, cache=None, progress=False)}["out"] == "matches"
    assert (project / "out").read_text() == "whole\n"


def test_what_a_stage_leaves_running_is_not_waited_for(project: Path) -> None:
    write(project, {"dvc.yaml": "stages:\n  s: {cmd: 'sleep 987 & echo $! > pid; echo x > out', outs: [out]}\n"})

    data.reproduce(project, ["s"], progress=False)

    left = int((project / "pid").read_text())
    assert psutil.pid_exists(left)
    os.kill(left, signal.SIGKILL)


def test_project_files_do_not_shadow_what_dvc_imports(project: Path) -> None:
    write(project, {"json.py": "raise SystemExit(9)\n", "dvc.py": "raise SystemExit(9)\n"})
    remove(project, "raw.csv")

    data.pull(project, ["raw.csv"], progress=False)


def test_inside_of_a_git_hook(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    remove(project, "raw.csv")

    assert {v.state for v in data.ensure(project, cache=None, progress=False)} == {"matches"}


def test_progress_bars_leave_only_their_last_state() -> None:
    result = _dvc_cli.Result(
        ok=False, output="a 1%\ra 99%\ra done\r\n\x1b[31mERROR:\x1b[0m went wrong:\n\nsee dvc.org/support\n"
    )

    assert result.lines == ["a done", "ERROR: went wrong:"]
    assert result.reason == "went wrong"
    assert _dvc_cli.Result(ok=False, output="").reason == "no reason given"
    assert _dvc_cli.Result(ok=False, output="first\nlast").reason == "last"
