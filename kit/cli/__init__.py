"""The command line: parse, call one service, render."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from kit.errors import UserError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one `kit` command and give its exit code.

    A user's mistake is one line, never a traceback; only a fault of kit itself shows one.
    """
    import typer

    from kit.cli.app import app
    from kit.cli.render import print_error
    from kit.errors import ExitCode, KitError, from_os_error

    # The base of typer's usage errors: click's own, or that of the click that newer typers carry inside.
    usage_error: type[typer.BadParameter] = next(
        base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
    )
    # Whoever reads our output may leave early: `kit runs | head`.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        code = app(arguments, prog_name="kit", standalone_mode=False)
    except KitError as error:
        print_error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("cancelled", file=sys.stderr)  # noqa: T201
        return ExitCode.CANCELLED
    except OSError as error:
        print_error(from_os_error(error))
        return ExitCode.HOST
    except usage_error as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            print_error(_in_one_line(error))
        return ExitCode.USER
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
    return code if isinstance(code, int) else ExitCode.OK


def _in_one_line(error: typer.BadParameter) -> UserError:
    """What is wrong with the command line, without the usage that would be put before it."""
    from kit.errors import UserError

    what, _, fix = error.format_message().partition(". ")
    usage = "kit" if error.ctx is None else error.ctx.command_path
    return UserError(what[:1].lower() + what[1:].rstrip("."), fix=fix or f"See `{usage} --help`.")
