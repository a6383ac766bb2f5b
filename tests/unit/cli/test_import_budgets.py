"""What a command imports: its own share of the time that it takes, and a number that no machine's load changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable

import pytest

from kit.cli.app import FAMILIES

_HEAVY = (
    "alembic", "apprise", "cookiecutter", "cronsim", "dvc", "filelock", "hydra", "matplotlib", "mlflow", "numpy",
    "omegaconf", "pandas", "psutil", "pydantic", "rich", "sqlalchemy", "yaml",
)  # fmt: skip
_HELP = 35
"""Modules beside those that `import typer` loads; most are Python's own."""
_VERSION = 65
"""As many again: it is read from what is installed, by `importlib.metadata`."""


def imported(code: str, *arguments: str) -> set[str]:
    """The names of the modules that a fresh interpreter has loaded after `code`."""
    program = (
        f"import sys\n{code}\nimport json\nsys.stdout.flush()\nsys.stderr.write('\\n' + json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def command(*arguments: str) -> set[str]:
    """The same, of one `kit` command that runs in that interpreter."""
    return imported(
        "import os\nos.environ['KIT_FORKSERVER'] = 'off'\nfrom kit.cli import main\nassert main(sys.argv[1:]) == 0",
        *arguments,
    )


@pytest.fixture(scope="module")
def typer_alone() -> set[str]:
    """What the command line's own library costs, whatever its version and Python's."""
    return imported("import json, typer")


def check(found: set[str], alone: set[str], *, most: int, without: Iterable[str]) -> None:
    """Fail with the names of what is too much."""
    heavy = sorted({name.partition(".")[0] for name in found} & set(without))
    own = sorted(found - alone)
    assert not heavy, f"it imports {', '.join(heavy)}"
    assert len(own) <= most, f"it imports {len(own)} modules beside typer's, {most} are allowed: {', '.join(own)}"


_COMMANDS = [name for names in FAMILIES.values() for name in names if name != "run"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in _COMMANDS)], ids=" ".join
)
def test_help_loads_what_help_needs(arguments: list[str], typer_alone: set[str]) -> None:
    most = _VERSION if arguments == ["--version"] else _HELP
    check(command(*arguments), typer_alone, most=most, without=_HEAVY)
