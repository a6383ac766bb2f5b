"""Each rule has a page that says the same as the rule does, and has all that a page has."""

from __future__ import annotations

import ast
import re
import textwrap

import pytest

from kit.checks import engine, registry
from kit.checks.pages import page
from kit.checks.rule import Rule
from tests.unit.checks.projects import found

SECTIONS = ["Why", "Bad", "Good", "Mend", "When to ignore it"]


RULES = [engine.WITHOUT_REASON, engine.UNUSED, *registry.every()]


@pytest.mark.parametrize("rule", RULES, ids=[rule.code for rule in RULES])
def test_a_page_says_what_its_rule_does(rule: Rule) -> None:
    code, text = rule.code, page(rule.code)

    assert rule.name == (registry.RULES | registry.ENGINE)[code]
    assert text.startswith(f"# {code} {rule.name}\n\n{rule.summary}.\n\n*{rule.severity.value.capitalize()}; looks at ")
    assert ("looks at the whole project" in text) is (rule.scope == "project")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert len(rule.summary) < 100
    assert not rule.summary.endswith(".")


IMPORTS = """\
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import kit
import mlflow
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
"""
OF_CODE = [f"KIT{number}" for number in (*range(301, 307), *range(309, 316))]


def example(code: str, section: str) -> dict[str, str]:
    """The Python of a section as a project: what tasks do is a task."""
    text = page(code).split(f"## {section}\n")[1].split("\n## ")[0]
    blocks = "\n\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    if registry.rule(code).scope == "project" and "def train(" not in blocks:
        blocks = "def train(cfg, run):\n" + textwrap.indent(blocks, "    ")
    return {
        "src/tiny/train.py": f"{IMPORTS}\n\n{blocks}",
        "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.train.train\n",
    }


@pytest.mark.parametrize("code", OF_CODE)
def test_the_bad_example_is_found_and_the_good_one_is_not(code: str) -> None:
    bad, good = example(code, "Bad"), example(code, "Good")
    ast.parse(bad["src/tiny/train.py"])
    ast.parse(good["src/tiny/train.py"])

    assert found(registry.rule(code), bad)
    assert found(registry.rule(code), good) == []
