"""What can be left out of a project, or put into one, leaves one that is whole."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kit.checks import registry
from kit.checks.engine import check
from kit.cli._command_lines import fault
from kit.project import open_project
from tests.template.rendering import FRAMEWORKS, Answers, Renderer, tree

WITHOUT = {"_contracts": False, "_notebooks": False}
WITH = {"_docker": True, "_docs": True, "_gpu": True}
ZENSICAL = (sys.executable, "-m", "zensical", "build", "--strict", "--clean")


@pytest.mark.parametrize("layers", [WITHOUT, WITH, WITHOUT | WITH], ids=["without", "with", "both"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_keeps_every_convention(
    framework: str, layers: Answers, repository: Callable[[Answers], Path], run: Callable[..., str]
) -> None:
    project = repository({"framework": framework, **layers})
    report = check(open_project(project), codes=registry.select(), typed=fault)
    # `kit new` writes the lock file after the template is rendered.
    assert [(one.rule.code, one.finding.path) for one in report.found] == [("KIT401", "pyproject.toml")]
    run(project, "ruff", "check", "--no-cache", ".")
    run(project, "ruff", "format", "--no-cache", "--check", ".")
    for name, content in tree(project).items():
        assert content.endswith(b"\n"), name
        assert b"\n\n\n" not in content or name.endswith(".py"), name
        assert b"cookiecutter." not in content, name


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_nothing_is_left_of_what_is_left_out(framework: str, render: Renderer) -> None:
    files = tree(render({"framework": framework, **WITHOUT}))
    del files["LICENSE"]
    for name, content in files.items():
        assert not re.search(r"contract|pandera|notebook|jupyter|nbstrip", name + content.decode(), re.IGNORECASE), name


@pytest.mark.parametrize(("framework", "layers"), [("none", WITH), ("scikit-learn", WITHOUT | WITH), ("pytorch", WITH)])
def test_its_site_is_built_and_a_dead_link_is_an_error(
    framework: str, layers: Answers, render: Renderer, run: Callable[..., str], tmp_path: Path
) -> None:
    project = render.into(tmp_path, {"framework": framework, "project_name": 'Tides: "high" & low', **layers})
    run(project, *ZENSICAL)
    code = (project / "site/code.html").read_text("utf-8")
    modules = {path.stem for path in project.glob("src/*/*.py")} - {"__init__"}
    assert modules <= set(re.findall(r'id="tides_high_low\.(\w+)"', code))
    assert "Returns" in code, "docstrings are read as they are written"
    assert "Tides: " in (project / "site/index.html").read_text("utf-8")
    with (project / "docs/index.md").open("a", encoding="utf-8") as page:
        page.write("\n[gone](gone.md)\n")
    assert "page does not exist" in run(project, *ZENSICAL, fails=True)


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_service_builds_the_site(ci: str, render: Renderer) -> None:
    name = {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab-ci.yml"}[ci]
    plain, documented = (tree(render({"ci": ci, "_docs": docs}))[name].decode() for docs in (False, True))
    (line,) = set(documented.splitlines()) - set(plain.splitlines())
    assert line.strip().endswith("uv run --group docs zensical build --strict --clean")
    assert yaml.safe_load(documented)


def test_a_project_with_a_gpu_shares_it(render: Renderer) -> None:
    project = render({"framework": "pytorch", **WITH})
    assert tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["tool"]["kit"]["slots"] == {"gpu": 1}
    for path in sorted(project.glob("conf/schedule/*.yaml")):
        assert yaml.safe_load(path.read_text("utf-8"))["slots"] == {"training": 1, "gpu": 1}
    assert yaml.safe_load((project / "conf/model/mlp.yaml").read_text("utf-8"))["device"] == "auto"
    assert "--gpus all" in (project / "README.md").read_text("utf-8")
    assert json.loads((project / "notebooks/explore.ipynb").read_text("utf-8"))["cells"]
