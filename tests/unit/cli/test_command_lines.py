"""What kit would take, and what not: asked of its own commands."""

from __future__ import annotations

import pytest

from kit.cli._command_lines import fault


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--version",
        "run",
        "run -m model.lr=0.1,0.2 --note it",
        "runs --where metrics.x>1",
        "schedule list",
        "schedule",
        "schedule --help",
        "run -- --not-ours",
        "logs last > --file",
        "run --timeout=3 -h",
    ],
)
def test_lines_that_kit_takes(line: str) -> None:
    assert fault(line.split()) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("rnu", "kit has no command 'rnu' (Did you mean 'run'?)"),
        ("xyzzy", "kit has no command 'xyzzy'"),
        ("schedule lst", "kit has no command 'schedule lst' (Did you mean 'schedule list'?)"),
        ("run --tiemout=3", "kit has no option '--tiemout' (Did you mean '--timeout'?)"),
        ("schedule list --what", "kit has no option '--what'"),
        ("runs -Z", "kit has no option '-Z'"),
    ],
)
def test_lines_that_kit_does_not_take(line: str, why: str) -> None:
    assert fault(line.split()) == why
