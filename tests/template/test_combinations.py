"""Every combination of the choices gives whole, valid, linted files.

What is expensive (types, tests, `kit run`) is checked in test_project.py for one combination of each framework. That
counts for all, because here it is shown that the others differ from it only in files those checks do not read.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kit.settings import parse_settings
from tests.template.rendering import FRAMEWORKS, Renderer, combinations, tree

CI_FILES = {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab-ci.yml"}
LICENSE_BEGINS = {
    "MIT": "MIT License",
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "Proprietary": "Copyright (c) The authors",
}
PYPROJECT_MAY_DIFFER = ("license = ", "classifiers = ")

pytestmark = pytest.mark.parametrize("framework", FRAMEWORKS)


def test_all_files_are_whole_and_valid(framework: str, render: Renderer) -> None:
    for answers in combinations(framework):
        for name, content in tree(render(answers)).items():
            text = content.decode()
            assert text.strip(), f"{name} is empty"
            assert text.endswith("\n"), f"{name} has no end of line"
            assert not re.search(r"cookiecutter\.|\{%|(?<!\$)\{\{ ", text), f"{name} is not rendered"
            _parse(name, text)


def test_the_choices_are_carried_out(framework: str, render: Renderer) -> None:
    for answers in combinations(framework):
        files = tree(render(answers))
        project = tomllib.loads(files["pyproject.toml"].decode())["project"]
        proprietary = answers["license"] == "Proprietary"
        assert files["LICENSE"].decode().lstrip().startswith(LICENSE_BEGINS[answers["license"]])
        assert project["license"] == ("LicenseRef-Proprietary" if proprietary else answers["license"])
        assert ("Private :: Do Not Upload" in project.get("classifiers", [])) is proprietary
        assert {name for name in CI_FILES.values() if name in files} == {CI_FILES.get(answers["ci"])} - {None}
        assert parse_settings(files["pyproject.toml"].decode(), where="pyproject.toml").package == "my_project"
        assert not {"Dockerfile", ".dockerignore"} & files.keys()


def test_combinations_differ_only_where_checks_do_not_look(framework: str, render: Renderer) -> None:
    reference, *others = (tree(render(answers)) for answers in combinations(framework))
    free = {"LICENSE", "README.md", *CI_FILES.values()}
    for files in others:
        different = {name for name in reference.keys() | files.keys() if reference.get(name) != files.get(name)}
        assert different <= free | {"pyproject.toml"}
        old, new = (side["pyproject.toml"].decode().splitlines() for side in (reference, files))
        changed = [line[2:] for line in difflib.ndiff(old, new) if line[0] in "+-"]
        assert all(line.startswith(PYPROJECT_MAY_DIFFER) for line in changed)


def test_lint_and_format(framework: str, render: Renderer, run: Callable[..., str], tmp_path: Path) -> None:
    projects = [render(answers) for answers in combinations(framework)]

    run(tmp_path, "ruff", "check", "--no-cache", *projects)
    run(tmp_path, "ruff", "format", "--no-cache", "--check", *projects)


def test_the_file_hooks(framework: str, render: Renderer, run: Callable[..., str], tmp_path: Path) -> None:
    """Each hook's own program, once for the files of all combinations."""
    projects = [render(answers) for answers in combinations(framework)]
    files = [project / name for project in projects for name in tree(project)]
    config = yaml.safe_load((projects[0] / ".pre-commit-config.yaml").read_text("utf-8"))
    checked = {"kit-check", "mypy", "ruff-check", "ruff-format"}
    run(projects[0].parent.parent, "git", "init", "--quiet")
    suffixes = {"yaml": {".yaml", ".yml"}, "toml": {".toml"}, "jupyter": {".ipynb"}}
    for hook in config["repos"][0]["hooks"]:
        if hook["id"] not in checked:
            wanted = suffixes.get(hook.get("types", ["text"])[0])
            chosen = [path for path in files if wanted is None or path.suffix in wanted]
            verify = ["--verify"] if hook["id"] == "nbstripout" else []
            run(projects[0].parent.parent, *shlex.split(hook["entry"]), *verify, *chosen)
            checked.add(hook["id"])
    assert len(checked) == len(config["repos"][0]["hooks"])


def _parse(name: str, text: str) -> None:
    if name.endswith(".toml"):
        tomllib.loads(text)
    elif name.endswith((".yaml", ".yml")):
        assert yaml.safe_load(text)
    elif name.endswith(".ipynb"):
        assert all(not cell.get("outputs") for cell in json.loads(text)["cells"])
    elif name.endswith(".py"):
        compile(text, name, "exec")
