"""What a command imports: its own share of the time that it takes, and a number that no machine's load changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from kit.cli.app import FAMILIES
from kit.project import open_project
from kit.states import RunStatus
from tests.factories import record, spec
from tests.support import new_project

_HEAVY = (
    "alembic", "apprise", "cookiecutter", "cronsim", "dvc", "filelock", "hydra", "matplotlib", "mlflow", "numpy",
    "omegaconf", "pandas", "psutil", "pydantic", "rich", "sqlalchemy", "yaml",
)  # fmt: skip
_HELP = 40
"""Modules beside those that `import typer` loads; most are Python's own."""
_VERSION = 65
"""As many again: it is read from what is installed, by `importlib.metadata`."""


def imported(code: str, *arguments: str, cwd: Path | None = None) -> set[str]:
    """The names of the modules that a fresh interpreter has loaded after `code`."""
    program = (
        f"import sys\n{code}\nimport json\nsys.stdout.flush()\nsys.stderr.write('\\n' + json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def command(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The same, of one `kit` command in that interpreter; `kit status` may find the disk full."""
    code = "from kit.cli import main; assert main(sys.argv[1:]) in {0, 1}"
    return imported(f"import os; os.environ['KIT_FORKSERVER'] = 'off'; {code}", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def typer_alone() -> set[str]:
    """What the command line's own library costs, whatever its version and Python's."""
    return imported("import json, typer")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose store is there: making one, once in a project's life, takes Alembic."""
    nightly = {"conf/schedule/nightly.yaml": "cron: '0 2 * * *'\nexperiment: baseline\nenabled: false\n"}
    root = new_project(tmp_path_factory.mktemp("budgets") / "tiny", nightly)
    opened = open_project(root)
    opened.store.create(spec(), replace(record(), status=RunStatus.SUCCEEDED, tracked=True))
    opened.store.close()
    return root


_STORE = {"sqlalchemy", "rich"}
"""What the store and a table are made with."""
_SCHEDULES = _STORE | {"cronsim", "yaml"}
_USED = {
    ("runs",): (330, _STORE),
    ("runs", "--json"): (285, {"sqlalchemy"}),
    ("show", "last"): (325, _STORE),
    ("logs", "last"): (285, {"sqlalchemy"}),
    ("schedule", "list"): (365, _SCHEDULES),
    ("schedule", "next"): (180, _SCHEDULES - {"sqlalchemy"}),
    ("check",): (470, {"cronsim", "hydra", "omegaconf", "rich", "yaml"}),
    ("check", "--list"): (290, {"cronsim", "rich", "yaml"}),
    ("status", "--json"): (370, _SCHEDULES - {"rich"} | {"filelock"}),
}
"""How many modules beside those of typer a command may load, and which of the heavy ones."""


@pytest.mark.parametrize("arguments", _USED, ids=" ".join)
def test_a_command_loads_what_it_uses(arguments: tuple[str, ...], project: Path, typer_alone: set[str]) -> None:
    most, uses = _USED[arguments]
    check(command(*arguments, cwd=project), typer_alone, most=most, without=set(_HEAVY) - uses)


def check(found: set[str], alone: set[str], *, most: int, without: Iterable[str]) -> None:
    """Fail with the names of what is too much."""
    heavy = sorted({name.partition(".")[0] for name in found} & set(without))
    own = sorted(found - alone)
    assert not heavy, f"it imports {', '.join(heavy)}"
    assert len(own) <= most, f"it imports {len(own)} modules beside typer's, {most} are allowed: {', '.join(own)}"


_COMMANDS = [name for names in FAMILIES.values() for name in names]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in _COMMANDS)], ids=" ".join
)
def test_help_loads_what_help_needs(arguments: list[str], typer_alone: set[str]) -> None:
    most = _VERSION if arguments == ["--version"] else _HELP
    check(command(*arguments), typer_alone, most=most, without=_HEAVY)
