"""A command line loads what it needs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import typer

from kit.cli.app import FAMILIES, app_for


def commands(app: typer.Typer) -> list[str]:
    return [
        *(info.name or "" for info in app.registered_commands),
        *(info.name or "" for info in app.registered_groups),
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_the_commands_that_it_is_known_by(family: str) -> None:
    app = typer.Typer()
    import_module(f"kit.cli.{family}").register(app)
    assert commands(app) == list(FAMILIES[family])


def test_what_begins_with_a_command_has_its_family_and_everything_else_has_all() -> None:
    every = [command for names in FAMILIES.values() for command in names]
    assert commands(app_for(["logs", "-f", "run"])) == list(FAMILIES["runs"])
    for arguments in ([], ["--help"], ["rnus"], ["-h", "runs"]):
        assert sorted(commands(app_for(arguments))) == sorted(every)


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["runs", "--help"], ["kit.scheduler", "kit.board", "kit.serving", "kit.status", "kit.scaffold", "cronsim"]),
        (["run", "--help"], ["kit.scheduler", "kit.board", "kit.serving", "kit.status", "kit.scaffold", "cronsim"]),
        (["scheduler", "--help"], ["mlflow", "hydra", "dvc", "apprise", "kit.scaffold"]),
    ],
)
def test_a_command_loads_nothing_of_the_others(arguments: list[str], without: list[str]) -> None:
    code = (
        "import sys; from kit.cli import main; main(sys.argv[2:]); "
        "print([name for name in sys.argv[1].split() if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, " ".join(without), *arguments], capture_output=True, text=True, check=True
    )
    assert "Usage" in done.stdout
    assert done.stderr == "[]\n"
