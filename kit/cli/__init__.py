"""The command line: parse, call one service, render."""

from __future__ import annotations

import sys

from kit.forkserver._client import run_command

__all__ = ["main"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one `kit` command and give its exit code.

    A process that is forked with everything imported does it, where there is one for it. A user's mistake is one line,
    never a traceback; only a fault of kit itself shows one.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    run_command(arguments)
    from kit.cli._main import main as run_here

    return run_here(arguments)
