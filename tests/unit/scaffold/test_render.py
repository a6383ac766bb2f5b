"""cookiecutter renders out of sight, and out of reach of the user's settings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kit.errors import HostError, UserError
from kit.scaffold._render import render
from kit.scaffold.render import render_project, write_cruft
from kit.scaffold.source import Origin
from kit.scaffold.template import Template
from tests.conftest import write


@pytest.fixture
def space(tmp_path: Path) -> Path:
    folder = tmp_path / "space"
    folder.mkdir()
    return folder


def test_a_project_is_rendered_with_its_answers(template: Template, space: Path) -> None:
    rendered = render_project(template, {"project_name": "Late Flights", "colour": "blue"}, space)
    assert rendered.folder.name == "late-flights"
    assert (rendered.folder / "README.md").read_text() == "# Late Flights, blue\n"
    assert (rendered.folder / "src/main.py").read_text() == "print('The Late Flights authors')\n"
    assert os.access(rendered.folder / "run.sh", os.X_OK)
    assert rendered.context["__slug"] == "late-flights"


def test_what_an_installer_compiled_is_not_part_of_the_project(template: Template, space: Path) -> None:
    rendered = render_project(template, {}, space)
    assert not list(rendered.folder.rglob("*.pyc"))


def test_the_users_cookiecutter_settings_do_not_reach_it(template: Template, space: Path) -> None:
    home = Path.home()
    write(home, {".cookiecutterrc": "default_context:\n  colour: green\n"})
    rendered = render_project(template, {}, space)
    assert (rendered.folder / "README.md").read_text() == "# My Project, red\n"
    assert sorted(path.name for path in home.iterdir()) == [".cookiecutterrc"]


def test_a_hook_may_print_and_leaves_nothing_behind(
    template: Template, space: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    write(template.path, {"hooks/post_gen_project.py": "print('hello from the hook')\n"})
    render_project(template, {}, space)
    assert capfd.readouterr() == ("", "")
    assert list(temporary.iterdir()) == []


def test_a_hook_that_refuses_an_answer_is_heard(template: Template, space: Path) -> None:
    write(template.path, {"hooks/pre_gen_project.py": "import sys\nsys.exit('ERROR: not that name')\n"})
    with pytest.raises(UserError) as caught:
        render_project(template, {}, space)
    assert caught.value.what == "not that name"


def test_a_broken_template_is_not_the_users_fault(template: Template, space: Path) -> None:
    write(template.path, {"{{cookiecutter.__slug}}/broken": "{{ cookiecutter.nothing }}"})
    with pytest.raises(HostError, match=r"could not be rendered: .*nothing"):
        render_project(template, {}, space)


def test_the_renderer_says_what_cookiecutter_said(template: Template, space: Path) -> None:
    config = space / "config.yaml"
    config.write_text(json.dumps({"replay_dir": str(space / "replay"), "cookiecutters_dir": str(space)}))
    job = {"template": str(template.path), "context": {}, "config": str(config), "output": str(space)}
    render(job)
    assert (space / "my-project/README.md").is_file()
    with pytest.raises(SystemExit, match="OutputDirExistsException"):
        render(job)


def test_cruft_finds_the_template_and_the_answers(template: Template, space: Path) -> None:
    rendered = render_project(template, {"colour": "blue"}, space)
    write_cruft(rendered, template, Origin("/kit", "abc"))
    state = json.loads((rendered.folder / ".cruft.json").read_text())
    context = state["context"]["cookiecutter"]
    assert (state["template"], state["commit"], state["directory"]) == ("/kit", "abc", "template/small")
    assert (state["checkout"], state["skip"]) == (None, [])
    assert (context["colour"], context["_template"], context["_commit"]) == ("blue", "/kit", "abc")
    assert not {"_output_dir", "_repo_dir", "_checkout"} & context.keys()
