"""The functions of the post-generation hook."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import git, write
from tests.template.rendering import TEMPLATE, VARIABLES

ANSWERS: dict[str, Any] = {"_template": "", "_repo_dir": "", "_kit_requirement": ""}
KIT = {"pyproject.toml": '[project]\nname = "mlekit"\n', "template/ml-project/cookiecutter.json": "{}\n"}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TEMPLATE / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    return load("post_gen_project")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of kit with a remote."""
    root = tmp_path / "clones" / "kit"
    write(root, KIT)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "start")
    git(root, "remote", "add", "origin", "https://user:token@git.example.org/group/kit.git")
    return root


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://git.example.org/group/kit.git", "https://git.example.org/group/kit.git"),
        ("https://user:token@git.example.org/kit", "https://git.example.org/kit"),
        ("git@git.example.org:group/kit.git", "ssh://git@git.example.org/group/kit.git"),
        ("ssh://git@git.example.org:2222/kit.git", "ssh://git@git.example.org:2222/kit.git"),
        ("git+https://git.example.org/kit", "https://git.example.org/kit"),
        ("file:///srv/kit.git", "file:///srv/kit.git"),
        ("/srv/with space/kit.git", "file:///srv/with%20space/kit.git"),
        ("", None),
        ("../kit", None),
        ("ext::sh -c true", None),
        ('https://git.example.org/"]; x = ["', None),
        ("javascript://git.example.org/kit", None),
    ],
)
def test_a_git_url_is_made_fit_for_an_installer(url: str, expected: str | None, hook: ModuleType) -> None:
    assert hook.git_url(url) == expected


def test_a_clone_is_named_by_its_remote_without_the_password(checkout: Path, hook: ModuleType) -> None:
    folder = str(checkout / "template/ml-project")
    answers = ANSWERS | {"_template": folder, "_repo_dir": folder}
    commit = git(checkout, "rev-parse", "HEAD")

    assert hook.kit_requirement(answers, checkout.parent) == (
        f"mlekit @ git+https://git.example.org/group/kit.git@{commit}"
    )
    git(checkout, "tag", "v1.2.3")
    assert hook.kit_requirement(answers, checkout.parent) == (
        "mlekit @ git+https://git.example.org/group/kit.git@v1.2.3"
    )


def test_an_abbreviated_template_is_named_by_the_clones_remote(checkout: Path, hook: ModuleType) -> None:
    answers = ANSWERS | {"_template": "gh:group/kit", "_repo_dir": str(checkout / "template/ml-project")}

    assert hook.kit_requirement(answers, Path("/nowhere")).startswith(
        "mlekit @ git+https://git.example.org/group/kit.git@"
    )


def test_a_checkout_elsewhere_is_named_by_its_path_with_or_without_a_remote(checkout: Path, hook: ModuleType) -> None:
    folder = str(checkout / "template/ml-project")
    expected = f"mlekit @ {checkout.as_uri()}"

    assert hook.kit_requirement(ANSWERS | {"_template": folder, "_repo_dir": folder}, Path("/nowhere")) == expected
    # cruft names the repository, and no folder.
    by_cruft = {"_template": str(checkout), "_commit": "abc"}
    assert hook.kit_requirement(by_cruft, Path("/nowhere")) == expected


def test_cruft_names_the_url_and_the_commit(hook: ModuleType) -> None:
    by_cruft = {"_template": "https://git.example.org/group/kit.git", "_commit": "abc123"}

    assert hook.kit_requirement(by_cruft, Path("/nowhere")) == (
        "mlekit @ git+https://git.example.org/group/kit.git@abc123"
    )


def test_a_relative_template_is_found_from_where_cookiecutter_was_started(
    checkout: Path, hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_directory = ANSWERS | {"_template": ".", "_repo_dir": "template/ml-project"}
    expected = f"mlekit @ {checkout.as_uri()}"

    assert hook.kit_requirement(by_directory | {"_output_dir": str(checkout)}, Path("/nowhere")) == expected
    monkeypatch.setenv("PWD", str(checkout))
    assert hook.kit_requirement(by_directory | {"_output_dir": "/elsewhere"}, Path("/nowhere")) == expected


def test_a_clone_without_a_remote_and_a_template_that_is_not_in_kit_mean_the_index(
    checkout: Path, tmp_path: Path, hook: ModuleType
) -> None:
    folder = str(checkout / "template/ml-project")
    git(checkout, "remote", "remove", "origin")
    assert hook.kit_requirement(ANSWERS | {"_template": folder, "_repo_dir": folder}, checkout.parent) == "mlekit"

    write(tmp_path / "other", KIT | {"pyproject.toml": '[project]\nname = "other"\n'})
    folder = str(tmp_path / "other/template/ml-project")
    assert hook.kit_requirement(ANSWERS | {"_template": folder, "_repo_dir": folder}, tmp_path) == "mlekit"


def test_without_git_a_clone_means_the_index(checkout: Path, hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(checkout / "template/ml-project")
    monkeypatch.setenv("PATH", "/nowhere")

    assert hook.kit_requirement(ANSWERS | {"_template": folder, "_repo_dir": folder}, checkout.parent) == "mlekit"


def test_the_requirement_replaces_only_its_own_line(tmp_path: Path, hook: ModuleType) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('description = "mlekit"\ndependencies = [\n  "mlekit",\n  "numpy",\n]\n')

    hook.write_requirement(tmp_path, "mlekit @ file:///kit")

    assert path.read_text() == ('description = "mlekit"\ndependencies = [\n  "mlekit @ file:///kit",\n  "numpy",\n]\n')


def test_every_choice_has_its_list_of_unused_files_and_each_of_them_exists(hook: ModuleType) -> None:
    (project,) = TEMPLATE.glob("{{*}}")
    for variable in ("framework", "ci"):
        assert hook.UNUSED[variable].keys() == set(VARIABLES[variable])
    for unused in hook.UNUSED.values():
        for names in unused.values():
            for name in names:
                assert (project / name.format(package="{{cookiecutter.__package_name}}")).exists(), name
