"""`kit update` from earlier states of kit's own template: every release, and what its history had before there was one.

Each project is made by the kit of that time, worked in, and brought to the newest commit. What must come of a file is
said by `git merge-file`, which knows nothing of renderings, branches and renames.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.cli import main
from kit.scaffold.render import render_project
from kit.scaffold.state import read_state
from kit.scaffold.template import load_template
from tests.conftest import REPOSITORY, git, write

TEMPLATE = "template/ml-project"
SAMPLE = {
    # The first template: a run had no schedules, no contracts and no kit check.
    "63811a19166112019f6e425a7f81a19a84ed97de": ("scikit-learn", "kit"),
    # Schedules, and data that grows; cruft's own state file.
    "0b9c41102665136b28c838d9aa0a4b9999c289e1": ("pytorch", "cruft"),
    # The skeleton, before pre-commit and CI ran kit check.
    "0c861337ac9014e84da684bffcf1c934d56a5d86": ("none", "kit"),
}

_NEW = """
from pathlib import Path
from kit.scaffold.effects import ALL
from kit.scaffold.new import Request, new_project
import kit, sys
assert Path(kit.__file__).is_relative_to(sys.argv[1]), kit.__file__
new_project(Request(name="tides", answers={"framework": sys.argv[2]}, skip=frozenset(ALL)))
"""


@dataclass(frozen=True)
class Published:
    """A clone of this repository, of which kit says that it was installed from."""

    root: Path
    record: Path

    def kit_new(self, commit: str, framework: str, place: Path) -> Path:
        """Start a project with the kit of a commit."""
        git(self.root, "checkout", "--quiet", "--detach", commit)
        try:
            path = os.pathsep.join(map(str, (self.root, self.record)))
            argv = [sys.executable, "-c", _NEW, str(self.root), framework]
            called = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(argv, cwd=place, env=called, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        finally:
            git(self.root, "checkout", "--quiet", "main")
        return place / "tides"

    def rendering(self, commit: str, context: dict[str, Any], place: Path) -> dict[str, bytes]:
        """What a template makes of answers, by the names of its files."""
        git(self.root, "worktree", "add", "--quiet", "--force", "--detach", str(place / "checkout"), commit)
        template = load_template(place / "checkout")
        answers = {question.name: context[question.name] for question in template.questions if question.name in context}
        (place / "made").mkdir()
        made = render_project(template, answers, place / "made").folder
        return {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}

    def cruft_create(self, commit: str, framework: str, place: Path) -> Path:
        answers = json.dumps({"project_name": "tides", "framework": framework})
        cruft(place, "create", str(self.root), "--checkout", commit, "--directory", TEMPLATE, "--no-input",
              "--extra-context", answers)  # fmt: skip
        return place / "tides"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    root = tmp_path_factory.mktemp("published")
    asked = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if asked.stdout.strip() != "false":
        pytest.skip("this is no repository with a history: not git's, or a shallow clone (`git fetch --unshallow`)")
    git(root.parent, "clone", "--quiet", "--no-checkout", str(REPOSITORY), str(root))
    git(root, "checkout", "--quiet", "-B", "main", git(REPOSITORY, "rev-parse", "HEAD"))
    record = tmp_path_factory.mktemp("record")
    origin = json.dumps({"url": root.as_uri(), "dir_info": {}})
    about = "Metadata-Version: 2.1\nName: mlekit\nVersion: 0.1.0\n"
    write(record / "mlekit-0.1.0.dist-info", {"METADATA": about, "direct_url.json": origin})
    return Published(root, record)


def cruft(folder: Path, *arguments: str) -> str:
    argv = [sys.executable, "-m", "cruft", *arguments]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def states(root: Path) -> list[str]:
    """Every commit that changed the template, beginning with the first that had one."""
    lines = git(root, "log", "--reverse", "--format=%H", "--", TEMPLATE).splitlines()
    return [commit for commit in lines if f"{TEMPLATE}/cookiecutter.json" in git(root, "ls-tree", "-r", "--name-only",
            commit, TEMPLATE).splitlines()]  # fmt: skip


@pytest.mark.slow
def test_kit_update_brings_every_release_to_the_newest(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    releases = git(published.root, "tag", "--list", "v*", "--no-contains", "HEAD").splitlines()
    if not releases:
        pytest.skip("nothing is released yet")
    for release in releases:
        update_is_proved(published, release, ("scikit-learn", "kit"), tmp_path / release, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("commit", SAMPLE)
def test_kit_update_brings_earlier_templates_to_the_newest(
    published: Published,
    commit: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if commit not in states(published.root):
        pytest.skip(f"this history does not have {commit[:12]}: it was rewritten")
    update_is_proved(published, commit, SAMPLE[commit], tmp_path, monkeypatch, capsys)


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_kit_update_brings_every_earlier_template_to_the_newest(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = [(framework, maker) for maker in ("kit", "cruft") for framework in ("scikit-learn", "pytorch", "none")]
    for index, commit in enumerate(states(published.root)):
        if commit == git(published.root, "rev-parse", "HEAD"):
            continue
        update_is_proved(published, commit, ways[index % len(ways)], tmp_path / commit, monkeypatch, capsys)


def update_is_proved(
    published: Published,
    commit: str,
    way: tuple[str, str],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    framework, maker = way
    place.mkdir(exist_ok=True)
    make = published.kit_new if maker == "kit" else published.cruft_create
    root = make(commit, framework, place)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit_all(root, "as it was made")
    monkeypatch.chdir(root)
    work = work_in(root)
    commit_all(root, "my work")
    newest = git(published.root, "rev-parse", "HEAD")
    files = expected(published, work, commit, newest, place)
    capsys.readouterr()
    assert main(["update", "--json"]) == 0, capsys.readouterr()
    done = json.loads(capsys.readouterr().out)
    assert (done["after"], done["conflicts"], done["lost"], done["dropped"]) == (newest, [], [], [])
    git(root, "merge", "--quiet", "--ff-only", done["branch"])

    # What was made of it is there, and what is new as well.
    assert set(git(root, "ls-files").splitlines()) == {*files, *work.added, ".cruft.json"}
    for name, text in files.items():
        assert (root / name).read_bytes() == text, name
    for name, words in work.words.items():
        assert words in (root / name).read_text(), name

    # Both tools read the one state.
    assert read_state(root).commit == newest
    assert main(["update", "--check"]) == 0
    assert "up to date" in " ".join(cruft(root, "check").split())
    told = {line.partition("/")[2] for line in cruft(root, "diff").splitlines() if line.startswith("+++ ")}
    assert told == {*work.words}

    works(capsys)
    conflicts_are_where_both_changed(root, files, capsys)


def works(capsys: pytest.CaptureFixture[str]) -> None:
    """Composed and checked as any project is, what was added to it included."""
    assert main(["run", "--dry-run"]) == 0, capsys.readouterr()
    capsys.readouterr()
    main(["check", "--format", "json"])
    found = {(one["code"], one["path"]) for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found == {("KIT401", "pyproject.toml")}  # it has no lock yet: `uv lock` would ask an index


def conflicts_are_where_both_changed(root: Path, files: dict[str, bytes], capsys: pytest.CaptureFixture[str]) -> None:
    """Once more from before, with a file that the template changed changed as a whole."""
    newest = git(root, "rev-parse", "HEAD")
    git(root, "reset", "--quiet", "--hard", "HEAD^")
    git(root, "branch", "--quiet", "-D", *git(root, "branch", "--format=%(refname:short)", "--list", "kit/*").split())
    changed = git(root, "diff", "--name-only", "--diff-filter=M", "HEAD", newest).splitlines()
    name = next((name for name in changed if name in files and name != "pyproject.toml"), None)
    if name is None:
        return  # this state's template had no other text
    (root / name).write_text("all mine\n")
    commit_all(root, "all mine")
    capsys.readouterr()
    assert main(["update", "--json"]) == 1, capsys.readouterr()
    done = json.loads(capsys.readouterr().out)
    assert done["conflicts"] == [name]
    (root / name).write_bytes(files[name])
    git(root, "add", name)
    git(root, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert git(root, "rev-parse", "HEAD^{tree}") == git(root, "rev-parse", f"{newest}^{{tree}}")
    assert main(["update", "--check"]) == 0
    assert git(root, "status", "--porcelain", "--branch") == f"## {done['branch']}"


@dataclass(frozen=True)
class Work:
    """What was done in a project: words that have to stay in files, what was moved where, and new files."""

    words: dict[str, str]
    moved: tuple[str, str]
    added: set[str]


def work_in(root: Path) -> Work:
    """Change the project as people do: in the task, the README and the dependencies; a file less, more, elsewhere."""
    words = {
        "src/tides/train.py": '\n\ndef mine() -> str:\n    """Say whose it is."""\n    return "mine"\n',
        "README.md": "What we found out about tides.\n",
        "pyproject.toml": "\n[tool.uv]\npackage = true\n",
        "conf/config.yaml": "\n# mine: the seed of our paper\n",
    }
    for name, text in words.items():
        path = root / name
        old = path.read_text()
        path.write_text(f"{text}\n{old}" if name == "README.md" else old + text)
    pyproject = root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("\n]\n", '\n  "tabulate>=0.9",\n]\n', 1))
    words |= {"pyproject.toml": '  "tabulate>=0.9",\n'}
    git(root, "rm", "--quiet", ".dvcignore", ".pre-commit-config.yaml")  # of which the template changed the second
    moved = "tests/test_train.py", "tests/training/test_train.py"
    (root / moved[1]).parent.mkdir()
    git(root, "mv", *moved)
    experiment = "# @package _global_\ntask: tides.train.train\nseed: 3\n"
    added = {"src/tides/own.py": '"""Mine."""\n', "conf/experiment/own.yaml": experiment}
    write(root, added)
    return Work(words, moved, {*added})


def commit_all(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)


def expected(published: Published, work: Work, start: str, newest: str, scratch: Path) -> dict[str, bytes]:
    """What each of the template's files must be: merged by itself, without a conflict."""
    context = read_state(Path.cwd()).context
    old, new = (published.rendering(commit, context, scratch / commit) for commit in (start, newest))
    files = {}
    for name in {*old, *new} - {".cruft.json"}:
        mine = Path(work.moved[1] if name == work.moved[0] else name)
        if name not in old:
            files[name] = new[name]
        elif name in new and mine.exists():
            files[str(mine)] = merge_file(mine.read_bytes(), old[name], new[name], scratch=scratch)
    return files


def merge_file(*texts: bytes, scratch: Path) -> bytes:
    names = [scratch / name for name in ("mine", "old", "new")]
    for name, text in zip(names, texts, strict=True):
        name.write_bytes(text)
    return subprocess.run(["git", "merge-file", "-p", *names], check=True, capture_output=True).stdout
