"""The table of commands is what the commands say of themselves."""

from __future__ import annotations

from importlib import import_module

import pytest
import typer

from kit.cli import main
from kit.cli.app import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_has_the_commands_of_a_family_with_the_first_line_of_their_help(family: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    import_module(f"kit.cli.{family}").register(app)
    commands = typer.main.get_group(app).commands
    assert {name: (command.help or "").split("\n\n")[0] for name, command in commands.items()} == FAMILIES[family]


def test_a_command_is_in_one_family() -> None:
    every = [command for names in FAMILIES.values() for command in names]
    assert len(every) == len(set(every))


def test_help_shows_every_line_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for names in FAMILIES.values():
        for name, line in names.items():
            assert f"{name} {line}" in shown


def test_a_command_that_is_none_is_a_mistake_with_the_nearest_ones_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnus"]) == 2
    assert capsys.readouterr().err == "error: no such command 'rnus'. Did you mean 'runs'?\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["s"], ["show", "scheduler", "schedule", "status", "sync", "stack"]),
        (["runs", "--st"], ["--status"]),
        (["runs", "--status", "r"], ["running"]),
        (["schedule", "p"], ["pause"]),
        (["check", ""], ["determinism"]),
    ],
)
def test_a_shell_is_told_what_could_come_next(
    typed: list[str], offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_KIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["kit", *typed]))
    monkeypatch.setenv("COMP_CWORD", str(len(typed)))
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == offered


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "missing argument 'RUN'"),
        (["runs", "--limit", "x"], "'--limit'"),
        (["runs", "--limit", "0"], "greater than or equal to 1"),
        (["runs", "--status", "well"], "'well' is not one of"),
    ],
)
def test_what_is_typed_is_judged(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
