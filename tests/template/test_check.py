"""`kit check` has nothing to say of a new project, whatever was chosen: no rule may cry wolf on the first day."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.checks import registry
from kit.checks.engine import check
from kit.cli._command_lines import fault
from kit.project import open_project
from tests.support import on_screen
from tests.template.rendering import FRAMEWORKS, REPOSITORY, VARIABLES, Answers


@pytest.mark.parametrize("ci", VARIABLES["ci"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_new_project_keeps_every_convention(framework: str, ci: str, repository: Callable[[Answers], Path]) -> None:
    project = repository({"framework": framework, "ci": ci})
    report = check(open_project(project), codes=registry.select(), typed=fault)
    # `kit new` writes the lock file after the template is rendered: that it is missing here is no false alarm.
    assert [(one.rule.code, one.finding.path) for one in report.found] == [("KIT401", "pyproject.toml")]
    assert not report.excepted
    assert len(report.rules) == len(registry.RULES) + len(registry.ENGINE)


def test_its_page_shows_what_it_says(repository: Callable[[Answers], Path]) -> None:
    page = (REPOSITORY / "docs/reference/check.md").read_text("utf-8")
    (shown,) = re.findall(r"^```console\n\$ kit check\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    project = repository({"framework": "scikit-learn"})
    for path, before, after in (
        ("conf/experiment/deep.yaml", "learning_rate", "learning_rtae"),
        ("conf/data/nyc2013.yaml", "data/flights", "/home/ada/flights"),
        ("conf/schedule/nightly.yaml", "timeout: 1 h", "#"),
    ):
        text = (project / path).read_text("utf-8")
        assert before in text
        (project / path).write_text(text.replace(before, after, 1), "utf-8")
    lines = on_screen(project, "check", "--ignore", "KIT401", code=1)
    counts = re.compile(r"\(\d+ rules, \d+ files\)")
    assert counts.sub("", "\n".join(lines)) == counts.sub("", shown.rstrip("\n"))
