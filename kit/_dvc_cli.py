"""DVC's own command line, for what changes things: shown as it goes, and ended with everything it started."""

from __future__ import annotations

import codecs
import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from kit import _git, _process

__all__ = ["Result", "dvc"]

_GRACE = 5.0
_KEPT = 64 * 1024
"""Characters of output that are kept for an error; all of it is shown."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and the end of what it said."""

    ok: bool
    output: str

    @property
    def lines(self) -> list[str]:
        """What it said: without colours, and of a progress bar only what was left on the screen."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output)
        lines = [line.rstrip("\r").rpartition("\r")[2].strip() for line in plain.split("\n")]
        return [line for line in lines if line and "dvc.org/support" not in line]

    @property
    def reason(self) -> str:
        """DVC's last error, or the last line of all."""
        if any("do not exist neither locally nor on remote" in line for line in self.lines):
            return "it is neither in the local cache nor on the remote"
        errors = [line.removeprefix("ERROR:").strip() for line in self.lines if line.startswith("ERROR:")]
        return (errors or self.lines or ["no reason given"])[-1].rstrip(":")


def dvc(root: Path, *arguments: str, show: bool = False) -> Result:
    """Run `dvc` in the project; an interrupt ends it, and what it started, before going on.

    Args:
        root: The project.
        arguments: The subcommand and its arguments.
        show: Whether its output, and that of the stages it runs, goes to stderr as it comes.
    """
    # -P: a `json.py` in the project is not what DVC wants to import.
    command = [sys.executable, "-P", "-m", "dvc", "--wait-for-lock", *arguments]
    with subprocess.Popen(
        command,
        cwd=root,
        env=_environment(root, show=show),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # The terminal's Ctrl-C comes through us, once. In a run there is no terminal, and its group is ended as one.
        process_group=None if "KIT_SUPERVISOR" in os.environ else 0,
    ) as process:
        try:
            output = _follow(process, show=show)
            process.wait()
        except BaseException:
            _end(process)
            raise
    return Result(process.returncode == 0, output)


def _environment(root: Path, *, show: bool) -> dict[str, str]:
    """A stage finds the interpreter and the project's own code as a run does, installed and activated or not."""
    kept = {name: value for name, value in os.environ.items() if name not in _git.LOCAL_VARIABLES}
    kept["DVC_NO_ANALYTICS"] = "true"
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    # Not the root: a `json.py` there would be DVC's too, and `python -m` in a stage looks there by itself.
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root / "src"), kept.get("PYTHONPATH")]))
    if show and sys.stderr.isatty():
        kept["DVC_IGNORE_ISATTY"] = "true"  # progress bars, although a pipe is in between
        kept.setdefault("COLUMNS", str(os.get_terminal_size(sys.stderr.fileno()).columns))
    return kept


def _follow(process: subprocess.Popen[bytes], *, show: bool) -> str:
    """Read until DVC is gone."""
    text = ""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    try:
        for piece in _pieces(process):
            new = decode(piece)
            text = (text + new)[-_KEPT:]
            if show:
                sys.stderr.write(new)
                sys.stderr.flush()
    except KeyboardInterrupt:
        if show and text and text[-1] not in "\r\n":  # what is said of it begins a line
            sys.stderr.write("\n")
        raise
    return text


def _pieces(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What a process writes, until it is gone: something that it left running may hold the pipe open for ever."""
    stdout = cast("IO[bytes]", process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=0.2):
                piece = os.read(stdout.fileno(), 65536)
                if not piece:
                    return
                yield piece
            elif process.poll() is not None:
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt DVC and the stages it runs, as Ctrl-C in a terminal would, and kill what does not go."""
    import psutil

    group = [psutil.Process(process.pid), *_process.descendants(process.pid)] if process.poll() is None else []
    try:
        _process.signal_processes(group, signal.SIGINT)
        psutil.wait_procs(group, timeout=_GRACE)
    finally:
        _process.signal_processes([*group, *_process.descendants(process.pid)], signal.SIGKILL)
