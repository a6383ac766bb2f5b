"""`kit update` and `kit add` as people run them, in a project of kit's own template that was worked in."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit.cli import main
from kit.scaffold.answers import Answer
from kit.scaffold.layers import LAYERS
from kit.scaffold.render import render_project, write_cruft
from kit.scaffold.source import Origin
from kit.scaffold.template import load_template
from tests.conftest import REPOSITORY, git, write
from tests.docs.test_tutorials import commands, shows
from tests.support import commit_all, kit, on_terminal
from tests.template.rendering import tree

IGNORE = "template/ml-project/{{cookiecutter.__project_slug}}/.gitignore"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A repository with the template in it, as a version that was released."""
    root = tmp_path / "published"
    root.mkdir()
    for name in ("cookiecutter.json", "template"):
        subprocess.run(["cp", "-r", REPOSITORY / name, root / name], check=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all", "--force", ".")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "tag", "v1.0")
    return root


@pytest.fixture
def project(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the first template, worked in since."""
    space = tmp_path / "space"
    space.mkdir()
    template = load_template(published)
    answers = {"project_name": "tides", "framework": "none", "ci": "none", "_kit_requirement": "mlekit"}
    rendered = render_project(template, answers, space)
    write_cruft(rendered, template, Origin(str(published), "v1.0"))
    root = rendered.folder.rename(tmp_path / "tides")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "start")
    readme = root / "README.md"
    readme.write_text("My own words.\n\n" + readme.read_text())
    git(root, "rm", "--quiet", ".dvcignore")
    git(root, "commit", "--quiet", "--all", "--message", "mine")
    monkeypatch.chdir(root)
    return root


def newer(published: Path) -> str:
    """Publish a template that has moved, does not know a licence any more, and has a line more."""
    ignore = published / IGNORE
    ignore.write_text(ignore.read_text() + "from-the-template/\n")
    git(published, "mv", "template/ml-project", "template/machine-learning")
    menu = (published / "cookiecutter.json").read_text().replace("template/ml-project", "template/machine-learning")
    (published / "cookiecutter.json").write_text(menu)
    asked = published / "template/machine-learning/cookiecutter.json"
    asked.write_text(asked.read_text().replace('"MIT", "Apache-2.0"', '"Apache-2.0"'))
    git(published, "commit", "--quiet", "--all", "--message", "newer")
    return git(published, "rev-parse", "HEAD")


def cruft(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "cruft", *arguments]
    return subprocess.run(argv, cwd=project, capture_output=True, text=True, check=False)


def test_a_newer_template_comes_to_a_project_that_was_worked_in(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["update", "--check"]) == 0
    commit = newer(published)
    assert main(["update", "--check"]) == 1
    assert "Behind: the project has v1.0" in capsys.readouterr().out
    assert main(["update"]) == 0
    branch = f"kit/update-{commit[:12]}"
    said = capsys.readouterr().out
    assert f"On branch {branch}" in said
    assert "does not take your license any more" in said
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    git(project, "merge", "--quiet", branch)
    assert (project / ".gitignore").read_text().endswith("from-the-template/\n")
    assert (project / "README.md").read_text().startswith("My own words.\n")
    assert not (project / ".dvcignore").exists()
    state = json.loads((project / ".cruft.json").read_text())
    assert (state["commit"], state["directory"]) == (commit, "template/machine-learning")
    assert main(["update", "--check"]) == 0
    assert cruft(project, "check").returncode == 0


def test_variables_that_are_called_otherwise_or_gone_are_told(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = published / "template/ml-project/cookiecutter.json"
    for path in published.glob("template/ml-project/**/*"):
        if path.is_file() and "cookiecutter.license" in (text := path.read_text()):
            path.write_text(text.replace("cookiecutter.license", "cookiecutter.terms"))
    variables = json.loads(asked.read_text())
    variables["terms"] = [*reversed(variables.pop("license"))]  # the default is another one, so that it must be kept
    asked.write_text(json.dumps(variables))
    write(published / "template/ml-project", {"migrations.toml": "[renamed]\nlicense = 'licence'\nlicence = 'terms'\n"})
    git(published, "commit", "--quiet", "--all", "--message", "renamed")
    assert main(["update"]) == 0
    said = capsys.readouterr().out
    assert "Your license is called terms now." in said
    git(project, "merge", "--quiet", git(project, "branch", "--list", "--format=%(refname:short)", "kit/*"))
    context = json.loads((project / ".cruft.json").read_text())["context"]["cookiecutter"]
    assert (context["terms"], "license" in context) == ("MIT", False)
    (published / "template/ml-project/migrations.toml").unlink()
    asked.write_text(asked.read_text().replace('"terms"', '"conditions"'))
    for path in published.glob("template/ml-project/**/*"):
        if path.is_file() and "cookiecutter.terms" in (text := path.read_text()):
            path.write_text(text.replace("cookiecutter.terms", "cookiecutter.conditions"))
    git(published, "commit", "--quiet", "--all", "--message", "gone")
    assert main(["update", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"] == ["terms"]


def test_a_choice_that_is_called_otherwise_is_kept(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = published / "template/ml-project"
    asked = folder / "cookiecutter.json"
    asked.write_text(asked.read_text().replace('"MIT"', '"Expat"'))
    (folder / "templates/license/MIT").rename(folder / "templates/license/Expat")
    hook = folder / "hooks/post_gen_project.py"
    hook.write_text(hook.read_text().replace('"MIT"', '"Expat"'))
    variables = json.loads(asked.read_text())
    variables["license"].reverse()  # the default is another one
    asked.write_text(json.dumps(variables))
    write(folder, {"migrations.toml": "[choices.license]\nMIT = 'Expat'\n"})
    git(published, "add", "--all")
    git(published, "commit", "--quiet", "--message", "its other name")
    assert main(["update"]) == 0
    said = capsys.readouterr().out
    assert "Your answer for license is called Expat now." in said
    assert "does not take" not in said
    branch = git(project, "branch", "--list", "--format=%(refname:short)", "kit/*")
    assert json.loads(git(project, "show", f"{branch}:.cruft.json"))["context"]["cookiecutter"]["license"] == "Expat"
    assert "LICENSE" not in git(project, "diff", "--name-only", "main", branch)


def test_what_was_never_asked_is_asked_or_told(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = published / "template/ml-project/cookiecutter.json"
    variables = json.loads(asked.read_text())
    new = {"region": "{{ cookiecutter.project_name }}-eu", "alerts": ["mail", "chat"]}
    asked.write_text(json.dumps(new | variables))
    ignore = published / IGNORE
    ignore.write_text(ignore.read_text() + "# {{ cookiecutter.region }}, {{ cookiecutter.alerts }}\n")
    git(published, "commit", "--quiet", "--all", "--message", "asks for more")
    branch = f"kit/update-{git(published, 'rev-parse', 'HEAD')[:12]}"

    def answered() -> tuple[str, dict[str, str]]:
        state = json.loads(git(project, "show", f"{branch}:.cruft.json"))["context"]["cookiecutter"]
        said = git(project, "show", f"{branch}:.gitignore").splitlines()[-1]
        git(project, "branch", "--quiet", "-D", branch)
        return said, {name: state[name] for name in new}

    assert main(["update"]) == 0
    assert (
        "The template asks for region now: tides-eu. Another answer: `kit update --set region=VALUE`."
        in capsys.readouterr().out
    )
    assert answered() == ("# tides-eu, mail", {"region": "tides-eu", "alerts": "mail"})
    assert main(["update", "--set", "region=us", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == {"alerts": "mail"}
    assert answered() == ("# us, mail", {"region": "us", "alerts": "mail"})
    done = on_terminal("{{ x }}\nasia\nsms\nchat\n", "update", folder=project)
    assert done.returncode == 0, done.stdout
    assert "template marks" in done.stdout
    assert answered() == ("# asia, chat", {"region": "asia", "alerts": "chat"})
    done = on_terminal("", "update", "--no-input", folder=project)
    assert done.returncode == 0, done.stdout
    assert answered() == ("# tides-eu, mail", {"region": "tides-eu", "alerts": "mail"})


def test_cruft_goes_on_after_kit_and_kit_after_cruft(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer(published)
    ignore = published / IGNORE.replace("ml-project", "machine-learning")
    for number, program in enumerate(("kit", "cruft", "kit", "cruft")):
        with ignore.open("a") as file:
            file.write(f"{program}-{number}/\n")
        git(published, "commit", "--quiet", "--all", "--message", program)
        capsys.readouterr()
        if program == "kit":
            assert main(["update", "--json"]) == 0
            git(project, "merge", "--quiet", json.loads(capsys.readouterr().out)["branch"])
        else:
            assert cruft(project, "update", "--skip-apply-ask").returncode == 0
            assert git(project, "diff", "--name-only", "HEAD").splitlines() == [".cruft.json", ".gitignore"]
            git(project, "commit", "--quiet", "--all", "--message", program)
        assert f"\n{program}-{number}/\n" in (project / ".gitignore").read_text()
        assert cruft(project, "check").returncode == 0
        assert main(["update", "--check"]) == 0
    assert (project / "README.md").read_text().startswith("My own words.\n")
    assert not (project / ".dvcignore").exists()
    assert '"mlekit",' in (project / "pyproject.toml").read_text()


def test_the_kit_that_a_project_asks_for_goes_along(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = published.as_uri()
    pyproject, state = project / "pyproject.toml", project / ".cruft.json"
    pyproject.write_text(pyproject.read_text().replace('"mlekit"', f'"mlekit @ git+{url}@v1.0"'))
    state.write_text(state.read_text().replace(f'"{published}"', f'"{url}"').replace('"mlekit"', '""'))  # as of cruft
    git(project, "commit", "--quiet", "--all", "--message", "by its tag")
    assert main(["add", "docker"]) == 0
    git(project, "merge", "--quiet", "kit/add-docker")
    assert json.loads(state.read_text())["commit"] == "v1.0"
    assert f"{url}@v1.0" in pyproject.read_text()
    commit = newer(published)
    capsys.readouterr()
    assert main(["update", "--json"]) == 0
    git(project, "merge", "--quiet", json.loads(capsys.readouterr().out)["branch"])
    assert f'"mlekit @ git+{url}@{commit}"' in pyproject.read_text()
    assert "/pyproject.toml\n" not in cruft(project, "diff").stdout


def test_a_branch_is_followed_and_a_tag_is_where_it_began(published: Path, project: Path) -> None:
    state = project / ".cruft.json"
    text = state.read_text()
    git(published, "branch", "steady")
    newer(published)
    for checkout, behind in {"v1.0": 1, git(published, "rev-parse", "v1.0"): 1, "steady": 0, "no-such": 2}.items():
        state.write_text(text.replace('"checkout": null', f'"checkout": "{checkout}"'))
        assert main(["update", "--check"]) == behind


@pytest.fixture
def shared(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two such projects."""
    root = tmp_path / "shared"
    shutil.copytree(project, root / "tides", ignore=shutil.ignore_patterns(".git"))
    shutil.copytree(root / "tides", root / "floods")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(root))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "two projects")
    monkeypatch.chdir(root / "tides/conf")
    return root


def test_a_project_that_is_a_part_of_its_repository(
    published: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = newer(published)
    assert main(["update", "--check"]) == 1
    assert main(["update", "--diff"]) == 0
    said = capsys.readouterr().out
    assert "b/tides/.gitignore" in said
    assert "floods" not in said
    for folder in ("tides", "floods"):  # one after the other, from the same commit
        monkeypatch.chdir(shared / folder)
        assert main(["update", "--json"]) == 0
        branch = f"kit/{folder}/update-{commit[:12]}"
        assert json.loads(capsys.readouterr().out)["branch"] == branch
        assert (
            git(shared, "log", "--format=%s", f"main..{branch}") == f"Update the template of {folder} to {commit[:12]}"
        )
        changed = git(shared, "diff", "--name-only", "main", branch).splitlines()
        assert {f"{folder}/.gitignore", f"{folder}/.cruft.json"} <= set(changed)
        assert {path.partition("/")[0] for path in changed} == {folder}
    assert git(shared, "status", "--porcelain", "--branch") == "## main"
    git(shared, "merge", "--quiet", "kit/tides/update-" + commit[:12])
    git(shared, "merge", "--quiet", "--message", "both", "kit/floods/update-" + commit[:12])
    for folder in ("tides", "floods"):
        monkeypatch.chdir(shared / folder)
        assert main(["update", "--check"]) == 0
        assert cruft(shared / folder, "check").returncode == 0
        assert not (shared / folder / ".dvcignore").exists()
    assert main(["add", "docker"]) == 0
    assert set(git(shared, "diff", "--name-only", "main", "kit/floods/add-docker").splitlines()) >= {
        "floods/Dockerfile"
    }


def test_conflicts_in_a_part_of_a_repository(
    published: Path, shared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = newer(published)
    write(shared, {"tides/.gitignore": "mine\n", "floods/.gitignore": "another matter\n"})
    git(shared, "commit", "--quiet", "--all", "--message", "mine")
    monkeypatch.chdir(shared / "tides")
    assert main(["update"]) == 1
    assert "conflicts in 1 file:\n  .gitignore" in capsys.readouterr().out
    assert git(shared, "diff", "--name-only", "--diff-filter=U") == "tides/.gitignore"
    git(shared, "cherry-pick", "--abort")
    git(shared, "switch", "--quiet", "-")
    git(shared, "branch", "--quiet", "-D", f"kit/tides/update-{commit[:12]}")
    assert git(shared, "status", "--porcelain", "--branch") == "## main"


def test_ctrl_c_between_the_steps_leaves_all_as_it_was(published: Path, project: Path, tmp_path: Path) -> None:
    newer(published)
    write(project, {".gitignore": "mine\n"})
    git(project, "commit", "--quiet", "--all", "--message", "mine")
    before = git(project, "for-each-ref"), git(project, "rev-parse", "HEAD")
    # The branch is there and checked out, nothing is merged yet: that is when git's caller gets the signal.
    wrapped = tmp_path / "bin/git"
    write(wrapped.parent, {"git": f"""
        #!/bin/sh
        {shutil.which("git")} "$@" || exit
        case "$*" in *"switch --quiet --create"*) touch "{tmp_path}/seen"; kill -INT $PPID;; esac
        """})  # fmt: skip
    wrapped.chmod(0o755)
    kit(project, "update", env=os.environ | {"PATH": f"{wrapped.parent}:{os.environ['PATH']}"}, code=130)
    assert (tmp_path / "seen").exists()
    assert (git(project, "for-each-ref"), git(project, "rev-parse", "HEAD")) == before
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    assert (project / ".gitignore").read_text() == "mine\n"


def test_the_difference_is_shown_and_nothing_else_happens(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer(published)
    write(project, {"README.md": "not committed\n"})
    assert main(["update", "--diff"]) == 0
    assert "+from-the-template/" in capsys.readouterr().out
    assert git(project, "branch", "--format=%(refname:short)") == "main"
    assert main(["update"]) == 2
    assert "uncommitted changes in a file" in capsys.readouterr().err


def test_conflicts_are_listed(published: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer(published)
    write(project, {".gitignore": "mine\n"})
    git(project, "commit", "--quiet", "--all", "--message", "mine")
    assert main(["update"]) == 1
    assert "conflicts in 1 file:\n  .gitignore" in capsys.readouterr().out
    assert git(project, "status", "--porcelain", ".gitignore") == "UU .gitignore"


def test_the_how_to_page_is_what_happens(
    published: Path, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_EDITOR", "true")
    ignore = published / IGNORE
    ignore.write_text(ignore.read_text() + "*.parquet\n")
    git(published, "commit", "--quiet", "--all", "--message", "newer")
    commit = git(published, "rev-parse", "HEAD")[:12]
    page = (REPOSITORY / "docs/how-to/update-a-project.md").read_text().replace("v0.1.0", "v1.0")
    for index, step in enumerate(commands(page.replace("0c899700cf01", commit))):
        said = _typed(step.text, capsys)
        assert all(shows(said, line) for line in step.shown), said
        if index == 1:  # thought better of, and the same line is changed in the project
            git(project, "branch", "--quiet", "-D", f"kit/update-{commit}")
            with (project / ".gitignore").open("a") as file:
                file.write("mine/\n")
            git(project, "commit", "--quiet", "--all", "--message", "mine")
        elif index == 2:  # what the page says is between git's marks
            text = (project / ".gitignore").read_text()
            assert shows(text, "<<<<<<< HEAD\nmine/\n=======\n*.parquet\n>>>>>>> ...")
            (project / ".gitignore").write_text(re.sub(r"(?m)^[<=>]{7}.*\n", "", text))
    assert (project / ".gitignore").read_text().endswith("mine/\n*.parquet\n")
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    assert main(["update", "--check"]) == 0


def _typed(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    program, *arguments = shlex.split(line)
    capsys.readouterr()
    if program == "git":
        return git(Path.cwd(), *arguments)
    main(arguments)
    return capsys.readouterr().out


def test_a_layer_is_added_later(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add", "docker"]) == 0
    git(project, "merge", "--quiet", "kit/add-docker")
    assert (project / "Dockerfile").is_file()
    assert main(["add", "docker"]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert main(["add", "dokcer"]) == 2
    assert "docker" in capsys.readouterr().err


def test_layers_that_are_added_are_as_if_they_had_been_chosen(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = load_template(published)
    chosen: dict[str, Answer] = {"project_name": "tides", "framework": "pytorch", "ci": "none"}
    chosen["_kit_requirement"] = "mlekit"
    none_of_them: dict[str, Answer] = {
        question: not answer for question, answer in LAYERS.values() if isinstance(answer, bool)
    }
    all_of_them = dict(LAYERS.values()) | {"ci": "gitlab"}
    for name in ("first", "chosen"):
        (tmp_path / name).mkdir()
    rendered = render_project(template, chosen | none_of_them, tmp_path / "first")
    write_cruft(rendered, template, Origin(str(published), "v1.0"))
    root = rendered.folder
    git(root, "init", "--quiet", "--initial-branch=main")
    commit_all(root)
    mine = "Mine, and before all that a layer says.\n\n"
    (root / "README.md").write_text(mine + (root / "README.md").read_text())
    commit_all(root)
    monkeypatch.chdir(root)
    for layer in LAYERS.keys() - {"github"}:
        assert main(["add", layer]) == 0, capsys.readouterr().err
        git(root, "merge", "--quiet", f"kit/add-{layer}")
    expected = tree(render_project(template, chosen | all_of_them, tmp_path / "chosen").folder)
    files = tree(root)
    files["README.md"] = files["README.md"].removeprefix(mine.encode())
    assert files.keys() - expected.keys() == {".cruft.json"}
    assert {name for name in expected if files[name] != expected[name]} == set()
    state = json.loads(files[".cruft.json"])["context"]["cookiecutter"]
    assert {name: state[name] for name in all_of_them} == all_of_them
    assert main(["add", "github"]) == 2
    assert "has gitlab for its ci already" in capsys.readouterr().err


@pytest.mark.parametrize("layer", ["contracts", "notebooks"])
def test_a_layer_of_the_example_is_not_for_a_project_without(
    project: Path, layer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", layer]) == 2
    assert f"the template's {layer} are about the data of its example" in capsys.readouterr().err
    assert git(project, "branch", "--list", "kit/*") == ""


def test_its_help_names_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    main(["add", "--help"])
    assert set(re.findall(r"\w+", capsys.readouterr().out)) >= LAYERS.keys()


def test_what_cannot_be_had_is_said(published: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "--to", "v9"]) == 2
    assert "the template has no version 'v9'" in capsys.readouterr().err
    published.rename(published.with_name("elsewhere"))
    assert main(["update", "--check"]) == 4
    assert "the template cannot be had" in capsys.readouterr().err
    (project / ".cruft.json").write_text("{}")
    assert main(["update"]) == 2
    (project / ".cruft.json").unlink()
    assert main(["update"]) == 2
    assert "does not say which template" in capsys.readouterr().err
