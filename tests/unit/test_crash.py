"""What the process that crashed does about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import crash
from kit.errors import UserError
from kit.models import RunSpec
from kit.paths import RunPaths
from tests.factories import spec


def made(root: Path) -> tuple[RunPaths, RunSpec]:
    paths = RunPaths(root / ".kit/runs/abc123")
    paths.root.mkdir(parents=True)
    return paths, spec(project_root=str(root), config={"db": {"password": "config-secret"}})


def fails(message: str) -> None:
    raise ValueError(message)


def test_its_secrets_are_those_of_config_environment_and_env_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "environment-secret")
    (tmp_path / ".env").write_text("API_KEY=file-secret\n")
    (tmp_path / ".env.local").write_text("API_KEY=local-secret\n")
    (tmp_path / ".env.d").mkdir()
    _, asked = made(tmp_path)
    text = "config-secret environment-secret file-secret local-secret"
    assert crash.secrets_of(asked).mask(text) == "*** *** *** ***"


def test_a_password_that_is_part_of_the_path_hides_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "postgres"
    monkeypatch.setenv("POSTGRES_PASSWORD", "postgres")
    root.mkdir()
    _, asked = made(root)
    assert crash.secrets_of(asked).mask(f"{root}/train.py") == f"{root}/train.py"


def test_those_of_a_worktree_count_too(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/.env").write_text("API_KEY=copied-secret\n")
    assert crash.secrets_of(spec(worktree=str(tmp_path / "copy"))).is_one("copied-secret")


def test_an_error_of_kits_own_leaves_no_capsule(tmp_path: Path) -> None:
    paths, asked = made(tmp_path)
    crash.Site(paths, asked).leave(UserError("a mistake"))
    assert crash.artifacts(paths) == []


def test_what_a_task_raised_is_left_and_sent(tmp_path: Path) -> None:
    paths, asked = made(tmp_path)
    site = crash.Site(paths, asked)
    try:
        fails("with config-secret")
    except ValueError as error:
        site.look(error)  # there is no repository: the code is read from the disk
        site.leave(error)
    assert [artifact.name for artifact in crash.artifacts(paths)] == ["crash/crash.txt", "crash/crash.json"]
    text = (paths.crash / "crash.txt").read_text()
    assert text.endswith("ValueError: with ***\n")
    assert "config-secret" not in text + (paths.crash / "crash.json").read_text()


def test_an_earlier_try_leaves_nothing_for_a_later_one(tmp_path: Path) -> None:
    paths, asked = made(tmp_path)
    paths.crash.mkdir()
    (paths.crash / "crash.json").write_text("{}")
    crash.Site(paths, asked)
    assert crash.artifacts(paths) == []


def test_what_keeps_it_from_being_written_is_told_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, asked = made(tmp_path)
    site = crash.Site(paths, asked)
    paths.crash.write_text("in the way")
    try:
        fails("x")
    except ValueError as error:
        site.leave(error)
    assert "warning: no crash capsule could be written: " in capsys.readouterr().err
