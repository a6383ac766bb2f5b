"""Each side effect does its one thing, with the real program, and a failure says what to do later."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.errors import Cancelled
from kit.scaffold.effects import (
    ALL,
    Effect,
    Observer,
    check_dvc,
    first_commit,
    install,
    install_hooks,
    lock,
    run_effects,
    start_git,
)
from tests.conftest import git, write

PYPROJECT = '[project]\nname = "p"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
HOOKS = """
    repos:
      - repo: local
        hooks:
          - id: refuse
            name: refuse
            language: unsupported
            entry: "false"
    """


class Recorder(Observer):
    """Remembers what it was told; stops, as Ctrl-C does, at the effect named."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.told: list[str] = []
        self.stop_at = stop_at

    def begin(self, name: str) -> None:
        self.told.append(name)
        if name == self.stop_at:
            raise KeyboardInterrupt

    def end(self, effect: Effect) -> None:
        self.told.append(effect.status)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A new project that depends on nothing, so that uv needs no network for it."""
    folder = tmp_path / "p"
    write(folder, {"pyproject.toml": PYPROJECT, "README.md": "# p\n", ".gitignore": ".venv/\n"})
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package index, and nothing in uv's cache."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


def without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


def test_all_of_them_make_a_committed_project(root: Path) -> None:
    recorder = Recorder()
    effects = run_effects(root, {}, recorder)
    assert [effect.name for effect in effects] == list(ALL)
    assert {effect.name: effect.status for effect in effects} == {
        "git": "ok",
        "dvc": "ok",
        "lock": "ok",
        "install": "ok",
        "hooks": "skipped",
        "commit": "ok",
    }
    assert recorder.told[:4] == ["git", "ok", "dvc", "ok"]
    assert "uv.lock" in git(root, "ls-files").splitlines()
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "branch", "--show-current") == "main"
    assert (root / ".venv/bin/python").exists()


def test_what_is_not_wanted_is_reported_with_the_reason(root: Path) -> None:
    effects = run_effects(root, dict.fromkeys(ALL, "not wanted"), Recorder())
    assert {effect.status for effect in effects} == {"skipped"}
    assert {effect.detail for effect in effects} == {"not wanted"}
    assert sorted(path.name for path in root.iterdir()) == [".gitignore", "README.md", "pyproject.toml"]


def test_an_interrupt_leaves_a_whole_project_and_says_what_is_missing(root: Path) -> None:
    with pytest.raises(Cancelled, match="not done: lock, install, hooks, commit") as caught:
        run_effects(root, {}, Recorder(stop_at="lock"))
    assert caught.value.where == str(root)
    assert git(root, "branch", "--show-current") == "main"


def test_a_project_inside_a_repository_is_part_of_it(root: Path) -> None:
    git(root.parent, "init", "--quiet")
    effect = start_git(root)
    assert effect.status == "skipped"
    assert str(root.parent) in effect.detail
    assert not (root / ".git").exists()
    assert first_commit(root).status == "skipped"
    assert check_dvc(root).status == "ok"


def test_a_project_that_the_repository_around_it_ignores_is_its_own(root: Path) -> None:
    git(root.parent, "init", "--quiet")
    write(root.parent, {".gitignore": "p/\n"})
    assert start_git(root).status == "ok"
    assert (root / ".git").is_dir()


def test_a_surrounding_hooks_repository_is_not_touched(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(other / ".git"))
        patch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
        assert start_git(root).status == "ok"
        assert first_commit(root).status == "ok"
    assert git(other, "status", "--porcelain") == ""
    assert git(root, "log", "--format=%s") == "Start from the kit template"


def test_no_git_is_reported(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_programs(tmp_path, monkeypatch)
    effect = start_git(root)
    assert (effect.status, effect.detail) == ("failed", "error: there is no program 'git'")
    assert effect.fix


def test_a_program_that_cannot_be_run_is_reported(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_programs(tmp_path, monkeypatch)
    (tmp_path / "empty/git").write_text("not a program")
    (tmp_path / "empty/git").chmod(0o755)
    assert start_git(root).detail.startswith("error: [Errno 8]")


@pytest.mark.parametrize("in_git", [True, False])
def test_dvc_is_started_where_the_template_has_none(root: Path, *, in_git: bool) -> None:
    if in_git:
        start_git(root)
    assert check_dvc(root) == Effect("dvc", "ok", "initialised")
    assert (root / ".dvc/config").is_file()


def test_dvc_checks_what_the_template_has(root: Path) -> None:
    write(root, {".dvc/config": "", ".dvc/.gitignore": "/tmp\n/cache\n"})
    assert check_dvc(root).status == "skipped"
    start_git(root)
    assert check_dvc(root) == Effect("dvc", "ok", "configuration and pipeline are valid")
    write(root, {".dvc/config": "[core]\nnonsense = 1\n"})
    effect = check_dvc(root)
    assert effect.status == "failed"
    assert "configuration error" in effect.detail
    assert effect.fix


def test_a_lock_that_is_there_is_kept(root: Path) -> None:
    write(root, {"uv.lock": "mine\n"})
    assert lock(root) == Effect("lock", "skipped", "uv.lock is there")
    assert (root / "uv.lock").read_text() == "mine\n"


def test_without_a_pyproject_there_is_nothing_to_lock(tmp_path: Path) -> None:
    assert lock(tmp_path).status == "skipped"


@pytest.mark.usefixtures("offline")
def test_offline_the_lock_fails_and_the_rest_goes_on(root: Path) -> None:
    write(root, {"pyproject.toml": PYPROJECT + 'dependencies = ["rich"]\n'})
    effects = {effect.name: effect for effect in run_effects(root, {}, Recorder())}
    assert effects["lock"].status == "failed"
    assert "uv sync" in str(effects["lock"].fix)
    assert effects["install"] == Effect("install", "skipped", "there is no uv.lock", "Run `uv sync` in the project.")
    assert effects["commit"].status == "ok"


@pytest.mark.usefixtures("offline")
def test_a_lock_that_does_not_fit_is_not_installed(root: Path) -> None:
    assert lock(root).status == "ok"
    write(root, {"pyproject.toml": PYPROJECT + 'dependencies = ["rich"]\n'})
    effect = install(root)
    assert effect.status == "failed"
    assert "uv sync" in str(effect.fix)


def test_the_surrounding_environment_is_not_installed_into(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "other"))
    monkeypatch.setenv("UV_PROJECT", str(tmp_path))
    assert lock(root).status == "ok"
    assert install(root).status == "ok"
    assert not (tmp_path / "other").exists()
    assert (root / ".venv").is_dir()


@pytest.fixture
def with_pre_commit(root: Path) -> Path:
    """The project, with the pre-commit of this environment in its own."""
    write(root, {".pre-commit-config.yaml": HOOKS})
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/pre-commit").symlink_to(Path(sys.executable).with_name("pre-commit"))
    return root


def test_hooks_are_installed_and_the_first_commit_passes_them_by(with_pre_commit: Path) -> None:
    start_git(with_pre_commit)
    assert install_hooks(with_pre_commit).status == "ok"
    assert first_commit(with_pre_commit).status == "ok"
    assert "pre-commit" in (with_pre_commit / ".git/hooks/pre-commit").read_text()


def test_hooks_that_cannot_be_installed_are_reported(with_pre_commit: Path) -> None:
    start_git(with_pre_commit)
    git(with_pre_commit, "config", "core.hooksPath", "elsewhere")
    effect = install_hooks(with_pre_commit)
    assert effect.status == "failed"
    assert effect.fix == "Run `uv run pre-commit install` in the project."


def without_a_repository(root: Path) -> None:
    write(root, {".pre-commit-config.yaml": HOOKS})


def without_pre_commit(root: Path) -> None:
    write(root, {".pre-commit-config.yaml": HOOKS})
    start_git(root)


@pytest.mark.parametrize(
    ("prepare", "detail"),
    [
        (start_git, "there is no .pre-commit-config.yaml"),
        (without_a_repository, "the project is not a repository of its own"),
        (without_pre_commit, "pre-commit is not installed in the project yet"),
    ],
)
def test_hooks_are_skipped_with_a_reason(root: Path, prepare: Callable[[Path], object], detail: str) -> None:
    prepare(root)
    effect = install_hooks(root)
    assert (effect.status, effect.detail) == ("skipped", detail)


def test_a_repository_with_commits_is_left_alone(root: Path) -> None:
    start_git(root)
    assert first_commit(root).status == "ok"
    write(root, {"new": "1\n"})
    assert first_commit(root) == Effect("commit", "skipped", "the repository has commits already")


def test_whoever_has_no_name_is_told_how_to_give_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_git(root)
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(variable)
    git(root, "config", "user.useConfigOnly", "true")
    effect = first_commit(root)
    assert effect.status == "failed"
    assert "git config --global user.name" in str(effect.fix)


def test_another_failure_of_the_commit_is_reported(root: Path) -> None:
    start_git(root)
    write(root, {".git/index.lock": ""})
    effect = first_commit(root)
    assert effect.status == "failed"
    assert "index.lock" in effect.detail
    assert effect.fix == "Run `git add -A` and `git commit`."


def test_the_observer_by_default_does_nothing(root: Path) -> None:
    run_effects(root, dict.fromkeys(ALL, "not wanted"), Observer())
