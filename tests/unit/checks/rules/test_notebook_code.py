"""The code of notebooks is looked at as that of modules is, and what is found has its cell and its line in the file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.checks.registry import rule
from tests.unit.checks.projects import found

LEAK: list[dict[str, Any]] = [
    {"cell_type": "markdown", "source": ["scaler.fit(houses)\n", "first"]},
    {"cell_type": "code", "source": ["%matplotlib inline\n", "import pandas as pd\n", 'houses = pd.read_csv("ä.csv")']},
    {"cell_type": "code", "source": ["%%sql\n", "SELECT 1"]},
    {"cell_type": "code", "source": ["houses.head?\n", "!ls"]},
    {"cell_type": "code", "outputs": [{"text": ["scaler.fit(houses)"]}], "source": ["x = 1\n", "scaler.fit(houses)"]},
    {"cell_type": "code", "source": ["train, test = train_test_split(houses)"]},
]


def notebook(cells: list[dict[str, Any]], **layout: Any) -> dict[str, str]:
    whole = [{"metadata": {}, "outputs": [], **cell} for cell in cells]
    return {"explore.ipynb": json.dumps({"cells": whole, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, **layout)}


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_leak_between_cells_is_found_with_its_cell_and_its_line(ensure_ascii: bool) -> None:
    files = notebook(LEAK, indent=1, ensure_ascii=ensure_ascii)
    (finding,) = found(rule("KIT303"), files)

    assert finding.message == "cell 5: fit() sees all rows: they are split only in cell 6"
    lines = files["explore.ipynb"].splitlines()
    assert lines[(finding.line or 0) - 2].strip() == '"x = 1\\n",'
    assert lines[(finding.line or 0) - 1].strip() == '"scaler.fit(houses)"'
    assert finding.column is None


def test_a_notebook_in_one_line_and_cells_as_one_text_are_read() -> None:
    (finding,) = found(rule("KIT303"), notebook(LEAK))
    assert (finding.line, finding.message[:7]) == (1, "cell 5:")

    joined = [cell | {"source": "".join(cell["source"])} for cell in LEAK]
    (finding,) = found(rule("KIT303"), notebook(joined, indent=1))
    assert (finding.line, finding.message[:7]) == (None, "cell 5:")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("KIT304", 'model.fit(houses, houses["price"])'),
        ("KIT309", 'pd.read_csv("/home/ann/houses.csv")'),
        ("KIT313", "print(password)"),
    ],
)
def test_other_rules_look_at_notebooks_too(code: str, line: str) -> None:
    files = notebook([{"cell_type": "code", "source": ["import os\n", line]}], indent=1)
    (finding,) = found(rule(code), files)

    assert finding.message.startswith("cell 1: ")
    assert json.dumps(line) in files["explore.ipynb"].splitlines()[(finding.line or 0) - 1]


def test_what_no_task_and_no_script_does_is_let_be() -> None:
    drawn = notebook([{"cell_type": "code", "source": ["import numpy as np\n", "np.random.default_rng()"]}])
    assert found(rule("KIT301"), drawn) == []
