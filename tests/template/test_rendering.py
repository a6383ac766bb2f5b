"""All ways to render give the same files, and the project knows where its kit came from."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import git
from tests.template.rendering import FRAMEWORKS, REPOSITORY, TEMPLATE, VARIABLES, Renderer, tree


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository like the one kit is published in, with this template."""
    root = tmp_path_factory.mktemp("published") / "kit"
    root.mkdir()
    shutil.copytree(REPOSITORY / "template", root / "template", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cookiecutter.json", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, root)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "Test")
    git(root, "config", "user.email", "test@example.invalid")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "start")
    return root


def requirement(project: Path) -> str:
    """What the project depends on to have kit."""
    dependencies = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    (found,) = (dependency for dependency in dependencies if dependency.startswith("mlekit"))
    assert isinstance(found, str)
    return found


def test_at_most_six_questions_each_in_words() -> None:
    questions = [name for name in VARIABLES if not name.startswith("_")]

    assert len(questions) <= 6
    assert list(VARIABLES["__prompts__"]) == questions
    for name in questions:
        if isinstance(VARIABLES[name], list):
            assert VARIABLES["__prompts__"][name].keys() == {"__prompt__", *VARIABLES[name]}


def test_the_menu_the_directory_and_the_api_give_the_same_files(
    render: Renderer, run: Callable[..., str], tmp_path: Path
) -> None:
    menu, directory = tmp_path / "menu", tmp_path / "directory"
    run(REPOSITORY, "cookiecutter", ".", "--no-input", "--output-dir", menu)
    run(REPOSITORY, "cookiecutter", ".", "--directory", "template/ml-project", "--no-input", "--output-dir", directory)

    expected = tree(render({}))
    assert tree(menu / "my-project") == expected
    assert tree(directory / "my-project") == expected


def test_from_a_checkout_the_requirement_is_its_path(render: Renderer) -> None:
    assert requirement(render({})) == f"mlekit @ {REPOSITORY.as_uri()}"


def test_a_given_requirement_is_kept(render: Renderer, tmp_path: Path) -> None:
    project = render.into(tmp_path, {"_kit_requirement": "mlekit>=0.1,<0.2"})

    assert requirement(project) == "mlekit>=0.1,<0.2"


def test_from_a_copy_of_the_template_alone_the_requirement_is_the_index(render: Renderer, tmp_path: Path) -> None:
    shutil.copytree(TEMPLATE, tmp_path / "template" / "ml-project")

    project = render.into(tmp_path / "out", {}, template=tmp_path / "template" / "ml-project")

    assert requirement(project) == "mlekit"


@pytest.mark.parametrize("tag", ["v0.1.0", None])
@pytest.mark.parametrize("options", [(), ("--directory", "template/ml-project")], ids=["menu", "directory"])
def test_from_a_git_url_the_requirement_is_the_url_at_its_tag_or_commit(
    tag: str | None, options: tuple[str, ...], published: Path, run: Callable[..., str], tmp_path: Path
) -> None:
    source = tmp_path / "kit"
    shutil.copytree(published, source)
    if tag is not None:
        git(source, "tag", tag)

    run(tmp_path, "cookiecutter", source.as_uri(), "--no-input", *options)

    version = tag or git(source, "rev-parse", "HEAD")
    assert requirement(tmp_path / "my-project") == f"mlekit @ git+{source.as_uri()}@{version}"


def test_cruft_gives_the_same_files(published: Path, render: Renderer, run: Callable[..., str], tmp_path: Path) -> None:
    run(tmp_path, "cruft", "create", published.as_uri(), "--directory", "template/ml-project", "--no-input")

    project = tmp_path / "my-project"
    # cruft itself turns a file URL into a path.
    assert requirement(project) == f"mlekit @ {published.as_uri()}"
    expected = tree(render({}))
    files = tree(project)
    assert files.keys() - expected.keys() == {".cruft.json"}
    assert {name for name in expected if files[name] != expected[name]} == {"pyproject.toml"}
    run(project, "cruft", "check")


def test_cruft_updates_a_project_to_a_newer_template(published: Path, run: Callable[..., str], tmp_path: Path) -> None:
    source = tmp_path / "kit"
    shutil.copytree(published, source)
    run(tmp_path, "cruft", "create", source.as_uri(), "--directory", "template/ml-project", "--no-input")
    project = tmp_path / "my-project"
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "start")
    ignore = source / "template/ml-project/{{cookiecutter.__project_slug}}/.gitignore"
    ignore.write_text(ignore.read_text("utf-8") + "\n# New\nnew/\n", "utf-8")
    git(source, "commit", "--quiet", "--all", "--message", "newer")

    run(project, "cruft", "update", "--skip-apply-ask")

    assert (project / ".gitignore").read_text("utf-8").endswith("# New\nnew/\n")
    assert set(git(project, "diff", "--name-only", "HEAD").split()) <= {".cruft.json", ".gitignore", "pyproject.toml"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_without_hooks_everything_that_is_used_is_there(framework: str, render: Renderer, tmp_path: Path) -> None:
    project = render.into(tmp_path, {"framework": framework}, hooks=False)

    with_hooks = tree(render({"framework": framework, "license": "MIT", "ci": "github"}))
    files = tree(project)
    assert requirement(project) == "mlekit"
    assert {name for name, content in with_hooks.items() if files[name] != content} == {"pyproject.toml"}


def test_docker_is_there_when_asked_for(render: Renderer) -> None:
    plain, docker = tree(render({})), tree(render({"_docker": True}))

    assert docker.keys() - plain.keys() == {"Dockerfile", ".dockerignore"}
    assert {name for name in plain if plain[name] != docker[name]} == {"README.md"}
    assert "docker build" in docker["README.md"].decode()


def test_nothing_in_a_project_depends_on_the_day_or_the_place(render: Renderer, tmp_path: Path) -> None:
    assert tree(render.into(tmp_path / "elsewhere", {})) == tree(render({}))


def test_the_ignore_files_hide_none_of_the_projects_own_files(repository: Callable[..., Path]) -> None:
    project = repository({})

    assert set(git(project, "ls-files").splitlines()) == tree(project).keys()


def test_the_readme_names_only_paths_that_are_there(render: Renderer) -> None:
    made_later = {
        ".kit/",
        ".dvc-storage/",
        "mlflow.db",
        "mlruns/",
        "dvc.lock",
        "uv.lock",
        ".venv",
        ".dvc/config.local",
    }
    for framework in FRAMEWORKS:
        project = render({"framework": framework})
        named = set(re.findall(r"`([\w./-]+(?:/|\.\w+))`", (project / "README.md").read_text("utf-8")))
        missing = {name for name in named - made_later if not (project / name).exists()}
        assert missing <= {"data.py", "conf/experiment/NAME.yaml"}
