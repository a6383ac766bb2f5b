"""Every command of the tutorial, run as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

_FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_END = "@@end"

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


def script(steps: list[Command], port: int) -> str:
    lines = []
    for number, step in enumerate(steps):
        text = _SERVER.format(command=step.text, port=port) if step.text.startswith("mlflow ui") else step.text
        lines += [text, f'echo; echo "{_END} {number} $?"']
    return "\n".join(lines)


def test_a_page_is_read_as_it_looks() -> None:
    page = "text\n```console\n$ a b\nout\n$ cat <<E\n> x\n>\n> E\n```\n```sh\n$ not this\n```\n"
    assert commands(page) == [Command("a b", ["out"]), Command("cat <<E\nx\n\nE")]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs" / "tutorial").glob("*.md")), ids=lambda page: page.stem)
def test_every_command_works(page: Path, tmp_path: Path, uv_cache: Path, free_port: int) -> None:
    steps = commands(page.read_text())
    assert len(steps) > 5, "the page has commands"
    environment = os.environ | {
        "PATH": f"{REPOSITORY / '.venv' / 'bin'}:{os.environ['PATH']}",
        "UV_CACHE_DIR": str(uv_cache),
        "COLUMNS": "80",
    }
    done = subprocess.run(
        ["bash", "-c", script(steps, free_port)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    parts = re.split(rf"^{_END} \d+ (\d+)\n", done.stdout, flags=re.MULTILINE)
    for step, output, code in zip(steps, parts[0::2], parts[1::2], strict=False):
        assert code == "0", f"$ {step.text}\n{output}"
        for line in step.shown:
            assert line in output, f"$ {step.text}\n{output}"
    assert len(parts) // 2 == len(steps), done.stdout[-3000:]
