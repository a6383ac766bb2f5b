"""What a run prints, printed by its supervising process, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.executors._logs import echoed
from kit.paths import ProjectPaths
from tests.support import until


def test_what_is_printed_meanwhile_is_printed_again_by_lines_without_secrets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ProjectPaths(tmp_path).run("abc123")
    run.root.mkdir(parents=True)
    run.log.write_bytes(b"by the job before\n")
    said = ""

    def has_said(text: str) -> bool:
        nonlocal said
        said += capfd.readouterr().out
        return said == text

    with echoed(run, lambda line: line.replace("hunter2", "***")), run.log.open("ab", buffering=0) as log:
        log.write(b"one\nthe word is hun")
        until(lambda: has_said("one\n"), "a whole line")
        log.write(b"ter2\nlast")
        until(lambda: has_said("one\nthe word is ***\n"), "the next one")
    assert has_said("one\nthe word is ***\nlast\n")


def test_a_run_that_prints_nothing_has_nothing_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with echoed(ProjectPaths(tmp_path).run("abc123"), str):
        pass
    assert capfd.readouterr().out == ""
