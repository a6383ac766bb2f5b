"""Whatever is answered gives a valid project, or one line that says why not."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException

from tests.template.rendering import Renderer, tree

HOSTILE = {
    "quotes": 'it\'s "quoted" and \'\'\'tripled\'\'\' and """docstringed"""',
    "backslashes": r"C:\new\table \u0041 \\ \N{BULLET} end\\",
    "newlines": "first line\nsecond line\r\n\ttabbed",
    "unicode": "Größe, 中文, עברית, 🛫 and \u2028 separators",
    "hash": "# not a comment ] } = [tool.kit]",
    "markup": "<script>alert(1)</script> & | `code` $(rm -rf /) ; %PATH% ${{ secrets.X }}",
    "long": "x" * 500,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("license_", ["MIT", "Proprietary"])
def test_texts_arrive_unchanged_but_for_white_space(kind: str, license_: str, render: Renderer, tmp_path: Path) -> None:
    # As `kit new` passes them: cookiecutter itself would run an answer as Jinja.
    text = HOSTILE[kind]
    raw = "{% raw %}" + text + "{% endraw %}"

    project = render.into(tmp_path, {"description": raw, "author": raw, "license": license_})

    line = " ".join(text.split())
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert about["description"] == line
    assert about["authors"] == [{"name": line}]
    assert f"Copyright (c) {line}\n" in (project / "LICENSE").read_text("utf-8")
    assert f"\n{line}\n" in (project / "README.md").read_text("utf-8")
    for name, content in tree(project).items():
        if name.endswith(".py"):
            compile(content, name, "exec")


def test_jinja_in_an_answer_is_data_where_it_is_quoted(render: Renderer, tmp_path: Path) -> None:
    project = render.into(tmp_path, {"description": "{% raw %}{{ 7 * 7 }} {% nope{% endraw %}"})

    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert about["description"] == "{{ 7 * 7 }} {% nope"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Café Größe 中", "cafe-grosse-zhong"),
        ("  Many   spaces\there ", "many-spaces-here"),
        ("🛫 Late Flights 🛬", "late-flights"),
        ("../../escape", "escape"),
        ("Über_Unter.Strich", "uber-unter-strich"),
        ("a", "a"),
        ("x" * 50, "x" * 50),
    ],
)
def test_names_become_folders_and_packages(name: str, folder: str, render: Renderer, tmp_path: Path) -> None:
    project = render.into(tmp_path / "out", {"project_name": name, "framework": "none"})

    assert project == tmp_path / "out" / folder
    assert (project / "src" / folder.replace("-", "_") / "train.py").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["a", "y" * 50])
@pytest.mark.parametrize("framework", ["scikit-learn", "pytorch", "none"])
def test_the_shortest_and_the_longest_name_keep_the_code_formatted(
    name: str, framework: str, render: Renderer, tmp_path: Path
) -> None:
    project = render.into(tmp_path, {"project_name": name, "framework": framework})

    for argv in (["check"], ["format", "--check", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *argv, "--no-cache", project], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"project_name": "2013 flights"}, "start with a letter"),
        ({"project_name": "🛫"}, "cannot be called '-'"),
        ({"project_name": "import"}, "a word of Python"),
        ({"project_name": "match"}, "a word of Python"),
        ({"project_name": "Kit"}, "would hide a package"),
        ({"project_name": "mlekit"}, "would hide a package"),
        ({"project_name": "torch"}, "would hide a package"),
        ({"project_name": "scikit learn"}, "would hide a package"),
        ({"project_name": "Test"}, "would hide a package"),
        ({"project_name": "json"}, "would hide a package"),
        ({"project_name": "x" * 51}, "longer than 50"),
        ({"project_name": " "}, "project_name is empty"),
        ({"author": "bell \a"}, "control characters"),
        ({"description": "y" * 501}, "too long"),
        ({"__project_slug": "../../escape"}, "start with a letter"),
        ({"__project_slug": "fine", "__package_name": "os"}, "must be 'fine'"),
    ],
)
def test_an_impossible_answer_is_refused_in_one_line_and_leaves_nothing(
    answers: dict[str, str],
    reason: str,
    render: Renderer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "a" / "b" / "out"
    capfd.readouterr()

    with pytest.raises((FailedHookException, ValueError, OSError)):
        render.into(output, answers)

    said = capfd.readouterr().err.strip()
    assert said.startswith("ERROR: ")
    assert reason in said
    assert "\n" not in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "a" / "escape").exists()


@pytest.mark.parametrize("variable", ["framework", "license", "ci"])
def test_a_choice_that_is_none_is_refused(variable: str, render: Renderer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the choices are"):
        render.into(tmp_path, {variable: "sklearn"})
