"""One command, in this process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from kit.errors import KitError, UserError

__all__ = ["main"]

_BROKEN_PIPE = 128 + signal.SIGPIPE
"""What a shell makes of a program that ends since nobody reads its output any more."""


def main(arguments: Sequence[str]) -> int:
    """Run one `kit` command and give its exit code.

    A user's mistake is one line, never a traceback; only a fault of kit itself shows one.
    """
    with _stoppable():
        try:
            code = _invoke(arguments)
            sys.stdout.flush()
        except BaseException as error:
            told = _tell(error)
            if told is None:
                raise
            code = told
        finally:
            _let_go_of_output()
    return code


def _invoke(arguments: Sequence[str]) -> int:
    """What typer does with a command line, but for what it makes of an interrupt and of a reader that has left."""
    import typer

    from kit.cli.app import application

    _refuse_undecodable(arguments)
    command = application()
    if "_KIT_COMPLETE" in os.environ:  # a shell asks what could come next
        command(list(arguments), prog_name="kit")
    try:
        with command.make_context("kit", list(arguments)) as context:
            code = command.invoke(context)
    except typer.Exit as leaving:
        code = leaving.exit_code
    return code if isinstance(code, int) else 0


def _refuse_undecodable(arguments: Sequence[str]) -> None:
    """Neither a database nor JSON takes such a text; it would fail in the middle of everything."""
    from kit.errors import UserError

    for text in arguments:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(text).decode(errors="backslashreplace")
            fix = "Write it in UTF-8."
            raise UserError(f"the argument '{shown}' is not UTF-8", where="command line", fix=fix) from error


def _tell(error: BaseException) -> int | None:
    """Say on one line what went wrong, and give the exit code for it; None for a fault of kit's own."""
    import typer

    from kit.errors import ExitCode, KitError, from_os_error

    # The base of typer's usage errors: click's own, or that of the click that newer typers carry inside.
    usage_error: type[typer.BadParameter] = next(
        base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
    )
    if _is_broken_pipe(error):
        return _BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt | EOFError | typer.Abort):
        _say("cancelled")
        return ExitCode.CANCELLED
    if isinstance(error, usage_error):
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return ExitCode.USER
        error = _in_one_line(error)
    elif isinstance(error, OSError):
        error = from_os_error(error)
    if isinstance(error, KitError):
        _say(error)
        return error.exit_code
    return None


def _say(what: str | KitError) -> None:
    from kit.cli.render import print_error

    with contextlib.suppress(OSError):  # the terminal may be gone
        if isinstance(what, str):
            sys.stderr.write(f"{what}\n")
        else:
            print_error(what)


def _is_broken_pipe(error: BaseException) -> bool:
    """Also as rich has it, which leaves by itself."""
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    )


def _in_one_line(error: typer.BadParameter) -> UserError:
    """What is wrong with the command line, without the usage that would be put before it."""
    from kit.errors import UserError

    what, _, fix = error.format_message().partition(". ")
    usage = "kit" if error.ctx is None else error.ctx.command_path
    return UserError(what[:1].lower() + what[1:].rstrip("."), fix=fix or f"See `{usage} --help`.")


def _let_go_of_output() -> None:
    """What cannot be written by now never can; Python would say so once more when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP stop a command as Ctrl-C does: what it started ends with it, and nothing is left half done.

    A signal that is ignored stays so: `nohup kit run &`.
    """

    from kit.errors import Terminated

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
