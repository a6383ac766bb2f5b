"""Every command of the tutorial, run as a reader would: one after the other, in one shell, on a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import REPOSITORY
from tests.support import processes_of, stop_forkservers

_FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_END = re.compile(rb"\n@@end (\d+)\n")
_PATIENCE = 600.0

# A server has no end of its own: it is up when its page answers, and is then ended.
_SERVER = """
{command} --workers 1 --port {port} > server.log 2>&1 &
server=$!
until python -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:{port}/")' 2>/dev/null; do
  kill -0 $server || {{ cat server.log; exit 1; }}
done
kill $server
wait $server
rm server.log
true
"""

_LOOKS = ("cat ~/", "cat .kit/", "kit runs", "kit schedule history", "kit status")
"""What only looks is typed again until there is what the page shows."""

_ELSEWHERE = {"kit scheduler --install systemd": (Path("/run/systemd/system"), "3", "systemd does not run this")}
"""What cannot work where something is not there, its exit code then, and what it says."""

_VARIES = (
    r"just now|\d+ (?:s|min|h|d) ago",
    r"\d+(?:\.\d+)? (?:s|min|h|d)\b(?: \d+ (?:s|min)\b)?",
    r"\b(?!2013)\d{4}-\d\d-\d\d",
    r"\d\d:\d\d(?::\d\d)?",
    r"\b\d+ times\b",
    r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b",
    r"\bE[SD]T\b",
    r"\b[0-9a-f]{10}\b",
    r"\bpid \d+ on [\w.-]+",
)
"""What is another at each reading."""


@dataclass
class Command:
    text: str
    shown: list[str] = field(default_factory=list)
    """The lines of its output that the page shows."""


def commands(page: str) -> list[Command]:
    """The commands of a page, in order: `$ ` begins one, `> ` continues it, the rest is output."""
    found: list[Command] = []
    for fence in _FENCE.findall(page):
        for line in fence.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:]))
            elif line == ">" or line.startswith("> "):
                found[-1].text += "\n" + line[2:]
            elif line.strip():
                found[-1].shown.append(line.strip())
    return found


def shows(output: str, line: str) -> bool:
    """Whether a line is in the output, folded or not, at another time, for another run; `...` is what is left out."""
    pattern, position = "", 0
    for match in re.finditer("|".join((r"(\.{3})", *(f"({varies})" for varies in _VARIES))), line):
        anything = [r".*", *_VARIES][(match.lastindex or 0) - 1].replace(" ", r"\s+")
        pattern += _words(line[position : match.start()]) + f"(?:{anything})"
        position = match.end()
    return re.search(pattern + _words(line[position:]), output) is not None


def _words(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))


class Shell:
    """A bash that is told one command at a time, and whose terminal has 80 columns."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self._folder = folder
        ours, theirs = os.openpty()
        self._screen = ours
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=os.environ | {"TERM": "dumb", "COLUMNS": "80", "TZ": "UTC", "GIT_PAGER": "cat"} | variables,
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def enter(self, text: str) -> tuple[str, str]:
        """Run a command; gives its output and its exit code."""
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{{ {text}\n}} < /dev/null\nprintf '\\n@@end %s\\n' $?\n".encode())
        self._bash.stdin.flush()
        heard = b""
        while (end := _END.search(heard)) is None:
            try:
                heard += os.read(self._screen, 65536).replace(b"\r\n", b"\n")
            except OSError:  # nobody is there any more
                pytest.fail(f"$ {text}\n{heard.decode(errors='replace')}")
        return heard[: end.start()].decode(errors="replace"), end[1].decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)  # with what is in the background
        self._bash.communicate()
        os.close(self._screen)
        stop_forkservers(self._folder)
        for process in processes_of(self._folder):
            process.kill()


def follow(step: Command, shell: Shell, port: int) -> None:
    """Type a command, and see whether what comes is what the page shows."""
    text = _SERVER.format(command=step.text, port=port) if step.text.startswith("mlflow ui") else step.text
    expected, shown = "0", step.shown
    if step.text in _ELSEWHERE and not _ELSEWHERE[step.text][0].exists():
        expected, shown = _ELSEWHERE[step.text][1], [_ELSEWHERE[step.text][2]]
    end = time.monotonic() + (_PATIENCE if step.text.startswith(_LOOKS) else 0)
    while True:
        output, code = shell.enter(text)
        missing = [line for line in shown if not shows(output, line)]
        if (code == expected and not missing) or time.monotonic() > end:
            break
        threading.Event().wait(0.2)
    assert (code, missing) == (expected, []), f"$ {step.text}\n{output}"


def test_a_page_is_read_as_it_looks() -> None:
    page = "text\n```console\n$ a b\nout\n$ cat <<E\n> x\n>\n> E\n```\n```sh\n$ not this\n```\n"
    assert commands(page) == [Command("a b", ["out"]), Command("cat <<E\nx\n\nE")]


@pytest.mark.parametrize(
    ("line", "output", "is_shown"),
    [
        ("exit code 2", "so it is:\nexit code 2\n", True),
        ("exit code 2", "exit code 1\n", False),
        ("2 schedules, all fine", "3 schedules, all fine", False),
        ("a0042d76a6  nightly  starting   just now", "ffffffffff  nightly  starting  1 min ago", True),
        ("a0042d76a6  nightly  starting   just now", "ffffffffff  nightly  running  1 min ago", False),
        ("2026-11-22 12:34 UTC  succeeded  4.8 s", "2027-01-02 10:00:15 UTC  succeeded  1 min 3 s", True),
        ("2013-03-01 07:00 UTC  succeeded", "2013-04-01 07:00 UTC  succeeded", False),
        ("last heard of 5 s ago", "last heard of 17 s \n   ago", True),
        ("Mon 2026-11-23 02:00 EST", "Sun 2027-07-04 02:00 EDT", True),
        ("a learning rate of ... is wrong (b)", "a learning rate of -1 is wrong (b)", True),
    ],
)
def test_what_is_another_at_each_reading_may_be(line: str, output: str, is_shown: bool) -> None:
    assert shows(output, line) is is_shown


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs" / "tutorial").glob("*.md")), ids=lambda page: page.stem)
def test_every_command_works(page: Path, tmp_path: Path, uv_cache: Path, free_port: int) -> None:
    steps = commands(page.read_text())
    assert len(steps) > 5, "the page has commands"
    path = f"{REPOSITORY / '.venv' / 'bin'}:{os.environ['PATH']}"
    with Shell(tmp_path, PATH=path, UV_CACHE_DIR=str(uv_cache), KIT_FORKSERVER="on") as shell:
        for step in steps:
            follow(step, shell, free_port)
