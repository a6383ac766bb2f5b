"""The command line: parse, call one service, render."""

from __future__ import annotations

import contextlib
import signal
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one `kit` command and give its exit code.

    A user's mistake is one line, never a traceback; only a fault of kit itself shows one.
    """
    import click

    from kit.cli.app import app
    from kit.cli.render import print_error
    from kit.errors import ExitCode, KitError, from_os_error

    # Whoever reads our output may leave early: `kit runs | head`.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        code = app(arguments, prog_name="kit", standalone_mode=False)
    except KitError as error:
        print_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):
        print("cancelled", file=sys.stderr)  # noqa: T201
        return ExitCode.CANCELLED
    except OSError as error:
        print_error(from_os_error(error))
        return ExitCode.HOST
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
    return code if isinstance(code, int) else ExitCode.OK
