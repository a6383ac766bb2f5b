"""The lock, versions, images, CI, and what should not be in git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kit._uv import run_uv
from kit.checks.registry import rule
from kit.checks.tree import Tree
from kit.project import open_project
from tests.unit.checks.projects import found, project_of

PYPROJECT = """\
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["other>=1", "mlekit>=0.2"]

[tool.kit]
package = "tiny"
"""


def messages(which: str, files: Mapping[str, str]) -> list[str]:
    return [finding.message for finding in found(rule(which), files)]


# The lock


def test_a_project_without_a_lock_is_found() -> None:
    (finding,) = found(rule("KIT401"), {"pyproject.toml": PYPROJECT})

    assert finding.message == "no lock file: the next install may have other versions"
    assert finding.hint == "Write one, and commit it: `uv lock && git add uv.lock`."


def test_a_lock_that_git_ignores_is_found() -> None:
    files = {"pyproject.toml": PYPROJECT, ".gitignore": "*.lock\n", "uv.lock": "version = 1\n"}

    assert messages("KIT401", files) == ["git ignores uv.lock: only this machine has this environment"]


@pytest.mark.parametrize(
    "more",
    [
        {"uv.lock": "version = 1\n"},
        {"poetry.lock": ""},
        {"requirements.txt": "# made by pip-compile\n-i mirror\nother==1.0 \\\n    --hash=x\nmore[x]==2\n"},
        {"pyproject.toml": PYPROJECT.replace('["other>=1", "mlekit>=0.2"]', "[]")},
    ],
)
def test_a_project_with_a_lock_pinned_requirements_or_without_any_is_well(more: dict[str, str]) -> None:
    assert messages("KIT401", {"pyproject.toml": PYPROJECT} | more) == []


def test_requirements_that_are_not_all_pinned_are_no_lock() -> None:
    assert len(messages("KIT401", {"pyproject.toml": PYPROJECT, "requirements.txt": "other==1\nmore\n"})) == 1


def test_a_project_that_is_not_in_git_yet_is_left_alone() -> None:
    assert found(rule("KIT401"), {"pyproject.toml": PYPROJECT}, untracked=["pyproject.toml"]) == []


def _package(name: str, version: str) -> str:
    return f'[project]\nname = "{name}"\nversion = "{version}"\nrequires-python = ">=3.11"\n'


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose lock uv has written, without a network: its packages are folders."""
    root = tmp_path_factory.mktemp("locked") / "project"
    pyproject = """\
[project]
name = "Tiny_Project"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["one[fast]>=1,<3"]

[project.optional-dependencies]
more = ["two==2.0"]
all = ["tiny-project[more]"]

[dependency-groups]
test = ["three"]
dev = [{ include-group = "test" }, "two>=1 ; python_version > '3.10'"]

[tool.uv.sources]
one = { path = "one" }
two = { path = "two" }
three = { path = "three" }

[tool.kit]
"""
    extra = "[project.optional-dependencies]\nfast = []\n"
    packages = {"one": _package("one", "2.0") + extra, "two": _package("two", "2.0"), "three": _package("three", "1")}
    project_of(
        root, {"pyproject.toml": pyproject} | {f"{name}/pyproject.toml": text for name, text in packages.items()}
    )
    done, said = run_uv(root, "lock", "--offline")
    assert done, said
    return root


def changed(locked: Path, *changes: tuple[str, str]) -> list[str]:
    path = locked / "pyproject.toml"
    before = path.read_text()
    text = before
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    try:
        return [finding.message for finding in rule("KIT402").check(Tree(open_project(locked)))]
    finally:
        path.write_text(before)


def test_a_lock_that_uv_has_just_written_is_well(locked: Path) -> None:
    assert changed(locked) == []
    assert changed(locked, ("one[fast]>=1,<3", "One[fast] <3, >=1")) == []  # the same, in other words


def test_requirements_that_were_changed_since_are_found(locked: Path) -> None:
    assert changed(locked, ('["three"]', '["three", "four>=4"]')) == ["uv.lock does not know four>=4"]
    assert changed(locked, ("one[fast]", "one")) == ["uv.lock has other terms for one<3,>=1"]
    assert changed(locked, ('test = ["three"]', "test = []")) == [
        "it has three, which pyproject.toml no longer requires"
    ]
    assert changed(locked, (">=3.11,<3.14", ">=3.12")) == ["uv.lock is for Python >=3.11, <3.14, not >=3.12"]
    assert changed(locked, ("Tiny_Project", "another"), ("tiny-project", "another")) == [
        "it is not the lock of another"
    ]


REGISTRY = """\
version = 1
requires-python = ">=3.11, <3.14"

[[package]]
name = "other"
version = "1.5"
source = { registry = "https://example.org/simple" }

[[package]]
name = "mlekit"
version = "0.2.1"
source = { registry = "https://example.org/simple" }

[[package]]
name = "tiny"
version = "0.1.0"
source = { editable = "." }

[package.metadata]
requires-dist = [
    { name = "mlekit", specifier = ">=0.2" },
    { name = "other", specifier = ">=1" },
]
"""


def test_a_version_that_was_raised_since_is_found_where_it_is_said() -> None:
    files = {"pyproject.toml": PYPROJECT, "uv.lock": REGISTRY}
    (finding,) = found(rule("KIT402"), files | {"pyproject.toml": PYPROJECT.replace("other>=1", "other>=2")})

    assert (finding.path, finding.line) == ("pyproject.toml", 5)
    assert finding.message == "uv.lock has other terms for other>=2"
    assert messages("KIT402", files) == []


# Versions


WORKFLOW = """\
on: push
jobs:
  check:
    strategy:
      matrix:
        python-version: ["3.11", "3.14"]
    steps:
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python-version }}
      - run: |
          uv sync --locked
          uv run pytest
"""


def test_versions_of_python_that_are_not_allowed_are_found_wherever_they_are_named() -> None:
    files = {
        "pyproject.toml": PYPROJECT
        + '\n[tool.ruff]\ntarget-version = "py39"\n\n[tool.mypy]\npython_version = "3.11"\n',
        ".python-version": "3.10.4\n",
        "Dockerfile": "# syntax\nFROM --platform=linux/amd64 ghcr.io/astral-sh/uv:python3.9-slim AS base\nFROM base\n",
        ".github/workflows/ci.yml": WORKFLOW,
        ".gitlab-ci.yml": "test:\n  image: python:3.14-slim\n  script: pytest\n",
    }
    findings = found(rule("KIT403"), files)

    assert [(finding.path, finding.line, finding.message.split()[1]) for finding in findings] == [
        (".github/workflows/ci.yml", 6, "3.14"),
        (".gitlab-ci.yml", 2, "3.14"),
        (".python-version", 1, "3.10.4"),
        ("Dockerfile", 2, "3.9"),
        ("pyproject.toml", 11, "3.9"),
    ]


def test_versions_of_python_that_are_allowed_are_well() -> None:
    files = {
        "pyproject.toml": PYPROJECT.replace(">=3.11,<3.14", ">=3.11.4,<3.14"),
        ".python-version": "3.11\n",
        "Dockerfile": "FROM python:3.13.1-slim\nFROM nvidia/cuda:12.3.2-base\n",
    }
    assert messages("KIT403", files) == []
    job = "jobs: {a: {steps: [{with: {python-version: '>=3.9'}}, {with: {python-version: '3.12, pypy3.9'}}]}}\n"
    assert messages("KIT403", files | {".github/workflows/ci.yml": job}) == []
    assert messages("KIT403", files | {"pyproject.toml": "[project]\nname = 'tiny'\n[tool.kit]\n"}) == []


def test_other_versions_of_kit_than_the_locked_one_are_found() -> None:
    files = {
        "pyproject.toml": PYPROJECT,
        "uv.lock": REGISTRY,
        "Dockerfile": "FROM python:3.12\n# RUN pip install mlekit==0.0.1\nRUN pip install mlekit[postgres]==0.2.0\n",
        ".github/workflows/ci.yml": WORKFLOW.replace("uv run pytest", "pip install mlekit==0.2.1"),
    }
    assert messages("KIT404", files) == ["kit 0.2.0 here, and uv.lock has 0.2.1"]
    raised = files | {"pyproject.toml": PYPROJECT.replace("mlekit>=0.2", "mlekit>=0.3"), "Dockerfile": ""}
    assert messages("KIT404", raised) == ["kit 0.2.1 is locked, and pyproject.toml requires >=0.3"]


def test_without_a_lock_kit_s_version_is_held_against_what_is_required() -> None:
    files = {"pyproject.toml": PYPROJECT, "Dockerfile": "FROM python:3.12\nRUN pip install mlekit==0.1 mlekit==0.2\n"}

    assert messages("KIT404", files) == ["kit 0.1 here, and pyproject.toml requires >=0.2"]


def test_images_without_a_version_are_found() -> None:
    bad = {
        "Dockerfile": "ARG BASE\nFROM python AS one\nFROM host:5000/base:latest\nFROM one\nFROM $BASE\nFROM scratch\n",
        ".gitlab-ci.yml": "image: {name: python}\ntest:\n  image: uv:latest\n  script: pytest\n",
    }
    findings = found(rule("KIT405"), bad)

    assert [(finding.path, finding.line) for finding in findings] == [
        (".gitlab-ci.yml", 1),
        (".gitlab-ci.yml", 3),
        ("Dockerfile", 2),
        ("Dockerfile", 3),
    ]


def test_images_with_a_version_or_a_digest_are_well() -> None:
    good = {"docker/train.Dockerfile": "FROM python:3.12-slim\nFROM python@sha256:0123\nFROM host:5000/base:1\n"}

    assert messages("KIT405", good) == []


# CI

TEST = {"tests/test_train.py": "def test(): ...\n"}
CI = ".github/workflows/ci.yml"


@pytest.mark.parametrize(
    ("run", "runs"),
    [
        ("ruff check .", False),
        ("make lint", False),
        ("uv run pytest -q", True),
        ("uv run --frozen --group test pytest", True),
        ("uv run --frozen pytest tests/", True),
        ("uv run -p 3.12 --with ruff ruff check", False),
        ("python -m pytest", True),
        ("make test", True),
        ("tox -e py", True),
        ("./scripts/check.sh", True),
        ("mise run test", True),
        ("just docs", False),
        ("submit tests/test_train.py", True),
        ("uv sync && FOO=1 coverage run -m pytest", True),
    ],
)
def test_whether_ci_runs_the_tests_is_seen(run: str, runs: bool) -> None:
    workflow = WORKFLOW.replace("uv sync --locked\n          uv run pytest", run)

    assert (messages("KIT406", TEST | {CI: workflow}) == []) is runs
    gitlab = {".gitlab-ci.yml": f"check:\n  script:\n    - - echo\n      - {run}\n"}
    assert (messages("KIT406", TEST | gitlab) == []) is runs


def test_ci_is_not_judged_where_it_cannot_be_seen_or_there_are_no_tests() -> None:
    lint = WORKFLOW.replace("uv run pytest", "ruff check")

    assert messages("KIT406", {CI: lint}) == []
    assert messages("KIT406", TEST | {CI: lint + "  more:\n    uses: ./.github/workflows/tests.yml\n"}) == []
    assert messages("KIT406", TEST | {CI: lint + "      - uses: ./.github/actions/test\n"}) == []
    assert messages("KIT410", {CI: lint + "      - uses: ./.github/actions/test\n"}) == []
    assert messages("KIT406", TEST) == []


def test_ci_that_does_not_run_kit_check_is_told() -> None:
    hook = {".pre-commit-config.yaml": "repos:\n- repo: local\n  hooks:\n  - {id: kit, entry: kit check}\n"}
    pre_commit = {CI: WORKFLOW.replace("uv run pytest", "uv run pre-commit run --all-files")}

    assert messages("KIT410", {CI: WORKFLOW}) == ["CI does not run kit check"]
    assert messages("KIT410", pre_commit) == ["CI does not run kit check"]
    assert messages("KIT410", pre_commit | hook) == []
    assert messages("KIT410", {CI: WORKFLOW.replace("uv run pytest", "uv run kit check")}) == []
    assert messages("KIT410", {}) == []


def test_installs_that_do_not_hold_to_the_lock_are_found() -> None:
    files = {
        "uv.lock": REGISTRY,
        CI: WORKFLOW.replace("uv sync --locked", "uv sync --group dev\n          python -m pip install -e .[dev]"),
        "Dockerfile": "FROM python:3.12\nRUN --mount=type=cache,target=/root/.cache \\\n    uv sync --no-dev\n",
    }
    findings = found(rule("KIT409"), files)

    assert [(finding.path, finding.line) for finding in findings] == [(CI, 12), (CI, 13), ("Dockerfile", 2)]
    assert findings[0].message.startswith("uv sync without --locked")
    assert findings[1].message.startswith("pip resolves the requirements anew")


def test_installs_that_hold_to_the_lock_and_projects_without_one_are_well() -> None:
    docker = "FROM python:3.12\nENV UV_FROZEN=1\nRUN uv sync && uv pip install --no-deps .\n"

    assert messages("KIT409", {"uv.lock": REGISTRY, CI: WORKFLOW, "Dockerfile": docker}) == []
    assert messages("KIT409", {CI: WORKFLOW.replace("--locked", "")}) == []


# What is not to be in git


def test_what_runs_leave_is_found_where_git_would_take_it_and_the_mend_has_it_ignored() -> None:
    findings = found(rule("KIT407"), {".gitignore": "*.pyc"})

    assert [finding.message for finding in findings] == [
        f"git does not ignore {path}, where runs are kept" for path in (".kit/", "mlruns/", "mlflow.db")
    ]
    assert findings[2].fix is not None
    assert findings[2].fix.text == "*.pyc\nmlflow.db*\n"
    ignore = {".gitignore": ".kit\nmlruns/\n*.db\n"}
    assert messages("KIT407", ignore) == []
    assert messages("KIT407", ignore | {"mlruns/0/meta.yaml": ""}) == []  # ignored, as it is not tracked


def test_what_runs_left_in_git_is_found() -> None:
    files = {"mlruns/0/meta.yaml": "x\n"}
    findings = found(rule("KIT407"), files)

    assert ("mlruns/0/meta.yaml", "git tracks mlruns/, where runs are kept") in [
        (one.path, one.message) for one in findings
    ]


def test_where_a_server_keeps_the_runs_only_kit_s_own_folder_matters() -> None:
    server = PYPROJECT + 'tracking-uri = "http://localhost:5000"\n'

    assert messages("KIT407", {"pyproject.toml": server, ".gitignore": ".kit/\n"}) == []
    assert (
        messages("KIT407", {"pyproject.toml": "[project]\nname = 'other'\n[tool.kit]\n", ".gitignore": ".kit/\n"}) != []
    )


@pytest.mark.parametrize("path", [".env", "deploy/.env.production", ".dvc/config.local", "kaggle.json", "keys/id_rsa"])
def test_files_for_secrets_are_found(path: str) -> None:
    assert [finding.path for finding in found(rule("KIT408"), {path: "PASSWORD=hunter2\n"})] == [path]


@pytest.mark.parametrize(
    "path", [".env.example", "sample.env", "tests/.env", ".env.template", "src/env.py", "id_rsa.pub"]
)
def test_examples_of_them_are_well(path: str) -> None:
    assert messages("KIT408", {path: "PASSWORD=hunter2\n"}) == []


def test_secrets_that_are_encrypted_empty_or_not_tracked_are_well() -> None:
    assert messages("KIT408", {"secrets.yaml": "a: ENC[x]\nsops:\n  mac: x\n", ".env": "# KEY=\n\n"}) == []
    assert messages("KIT408", {"docker/.env": "COMPOSE_PROJECT_NAME=tiny\nPASSWORD=${PASSWORD}\n"}) == []
    assert messages("KIT408", {"{{ cookiecutter.slug }}/.env": "PASSWORD=hunter2\n"}) == []
    assert found(rule("KIT408"), {".env": "PASSWORD=hunter2\n"}, untracked=[".env"]) == []
