"""Tasks and their tests, and whether what the README says can be typed."""

from __future__ import annotations

import pytest

from kit.checks.registry import rule
from kit.checks.rule import Finding
from kit.cli._command_lines import fault
from tests.unit.checks.projects import found, tree_of

TASK = {
    "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.train.train\n",
    "src/tiny/train.py": "import kit\n\n\ndef train(cfg, run):\n    return {}\n",
}


@pytest.mark.parametrize(
    "test",
    [
        "from tiny.train import train\n\ndef test():\n    train(None, None)\n",
        "from tiny import (data, train)\n\ndef test():\n    train.train(None, None)\n",
        "import tiny\n\ndef test():\n    tiny.train.train(None, None)\n",
        "import tiny.train as t\n\ndef test():\n    t.train(None, None)\n",
        'import pytest\n\n@pytest.mark.experiment("baseline")\ndef test(run): ...\n',
        'def test(kit):\n    kit("run", "experiment=baseline")\n',
    ],
)
def test_a_task_that_a_test_calls_is_well(test: str) -> None:
    assert found(rule("KIT501"), TASK | {"tests/test_train.py": test}) == []


@pytest.mark.parametrize(
    "test",
    [
        "def test(): ...\n",
        "from tiny.train import TrainConfig\n",
        "from tiny.data import train_rows\n\ndef test():\n    train_rows()\n",
    ],
)
def test_a_task_that_no_test_calls_is_found(test: str) -> None:
    (finding,) = found(rule("KIT501"), TASK | {"tests/test_train.py": test})

    assert (finding.path, finding.line) == ("src/tiny/train.py", 4)
    assert finding.message == "no test calls the task 'train'"


@pytest.mark.parametrize(
    "line",
    [
        'assert metrics["roc_auc"] >= 0.6',
        'assert 0.6 < run.metrics["roc_auc"]',
        'assert metrics["slope"] == pytest.approx(2, abs=0.1)',
        'assert_metric(run, "roc_auc", min=0.6)',
    ],
)
def test_a_floor_is_seen(line: str) -> None:
    test = {"tests/test_train.py": f"def test(metrics, run):\n    {line}\n"}
    assert found(rule("KIT502"), TASK | test) == []


@pytest.mark.parametrize("line", ['assert metrics["roc_auc"] == 0.5', "assert len(metrics) > 1", "assert True"])
def test_tests_without_a_floor_are_found(line: str) -> None:
    (finding,) = found(rule("KIT502"), TASK | {"tests/test_train.py": f"def test(metrics):\n    {line}\n"})

    assert (finding.path, finding.line) == ("src/tiny/train.py", 4)


def test_a_project_without_a_task_needs_no_floor() -> None:
    assert found(rule("KIT502"), {}) == []


PROJECT = TASK | {
    "Makefile": "VERSION := 1\n.PHONY: test lint\ntest lint: build\n\t./run.sh\nbuild:\n",
    "run.sh": "true\n",
    "tests/test_train.py": "def test(): ...\n",
    "conf/schedule/nightly.yaml": "trigger: {cron: '0 2 * * *'}\nexperiment: baseline\n",
    "dvc.yaml": "stages:\n  ingest:\n    cmd: 'true'\n",
    ".dvc/config": "",
    "requirements.txt": "",
    ".env.example": "",
}


def readme(*lines: str, language: str = "sh") -> list[Finding]:
    page = "\n".join(["# Tiny", "", f"```{language}", *lines, "```", ""])
    with tree_of(PROJECT | {"README.md": page}) as tree:
        tree.typed = fault
        return list(rule("KIT503").check(tree))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kit runz", "kit has no command 'runz' (Did you mean 'run'?)"),
        ("uv run kit run --dryrun", "kit has no option '--dryrun' (Did you mean '--dry-run'?)"),
        ("kit schedule histroy nightly", "kit has no command 'schedule histroy' (Did you mean 'schedule history'?)"),
        ("kit run experiment=bigger", "there is no experiment 'bigger'"),
        ("kit run -m experiment=baseline,bigger", "there is no experiment 'bigger'"),
        ("kit run --schedule weekly", "there is no schedule 'weekly'"),
        ("make tests", "the Makefile has no target 'tests'"),
        ("make build && make deploy", "the Makefile has no target 'deploy'"),
        ("python -m tiny.predict", "there is no module tiny.predict"),
        ("python3 src/tiny/predict.py", "there is no src/tiny/predict.py"),
        ("uv run pytest tests/test_model.py::test", "there is no tests/test_model.py"),
        ("pip install -r requirements-dev.txt", "there is no requirements-dev.txt"),
        ("dvc repro train", "DVC has no stage 'train'"),
        ("./start.sh --fast", "there is no start.sh"),
        ("cp .env.sample .env", "there is no .env.sample"),
        ("KIT_X=1 bash scripts/run.sh", "there is no scripts/run.sh"),
    ],
)
def test_a_command_that_no_longer_runs_is_found(line: str, why: str) -> None:
    (finding,) = readme("uv sync  # the environment", line)

    assert (finding.path, finding.line) == ("README.md", 5)
    assert finding.message.endswith(f"no longer runs: {why}")


@pytest.mark.parametrize(
    "line",
    [
        "kit run  # now",
        "kit run -m model.lr=0.1,0.2 --note x | tail -1 --lines 3",
        "kit show last && kit diff last RUN",
        "kit run experiment=NAME",
        "kit run --schedule nightly --at 2013-04-01T02:00",
        "make -j4 test VERSION=2",
        "python -m tiny.train --model .kit/runs/RUN/model",
        "python -m venv .venv && source .venv/bin/activate",
        "pytest -k test tests/",
        "uv pip install -r requirements.txt",
        "dvc repro ingest",
        "./run.sh",
        "cp .env.example .env",
        "python ../elsewhere.py",
        "echo 'it is",
        "npm run anything",
    ],
)
def test_a_command_that_runs_or_that_nobody_can_judge_is_well(line: str) -> None:
    assert readme(line) == []


def test_only_what_is_typed_is_judged() -> None:
    assert readme("$ kit runs", "kit runz is output", language="console") == []
    assert len(readme("$ kit runz", language="console")) == 1
    assert readme("kit runz", language="text") == []
    assert readme("cd tests", "python other.py") == []
    assert len(readme("git clone x && cd tiny", "kit run \\", "  experiment=bigger")) == 1


def test_what_is_fetched_first_is_not_looked_for_and_lines_with_the_same_fault_are_one_finding() -> None:
    assert readme("wget https://example.org/install.sh", "bash install.sh") == []
    (finding,) = readme("python main.py --fast", "python main.py --slow")
    assert finding.message == "`python main.py --fast` no longer runs: there is no main.py (1 more line)"


def test_without_kit_s_own_commands_at_hand_the_rest_is_judged() -> None:
    page = {"README.md": "```sh\nkit runz\nmake tests\n```\n"}

    assert [finding.line for finding in found(rule("KIT503"), PROJECT | page)] == [3]


def test_links_to_files_that_are_not_there_are_found() -> None:
    page = """\
See [the task](src/tiny/train.py#L4), [the licence](LICENSE "MIT") and ![a picture](docs/picture.png).

`[not a link](nowhere)` and [elsewhere](https://example.org/x), [a part](#start), [issues](../../issues)

[named]: docs/there.md
"""
    findings = found(
        rule("KIT504"), PROJECT | {"README.md": page, "src/README.md": "[up](../run.sh) [no](run.sh) [top](/run.sh)\n"}
    )

    assert [(finding.path, finding.line, finding.column) for finding in findings] == [
        ("README.md", 1, 53),
        ("README.md", 1, 85),
        ("README.md", 5, 10),
        ("src/README.md", 1, 22),
    ]
    assert findings[0].message == "the link leads to LICENSE, which is not there"
