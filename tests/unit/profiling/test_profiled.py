"""Whatever keeps the profiler from its work, the block runs, and it is said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import _pyspy
from kit.paths import RunPaths
from kit.profiling import profiled


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    (tmp_path / "a1").mkdir()
    return RunPaths(tmp_path / "a1")


def test_without_py_spy_the_block_runs(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_pyspy, "program", lambda: None)
    with profiled(run, Path.cwd()):
        pass
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("warning: no flame graph: py-spy is not installed")
    assert list(run.root.iterdir()) == []
