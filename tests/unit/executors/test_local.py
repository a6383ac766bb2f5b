"""The executor that needs nothing, when it is refused what it does need."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from kit.errors import HostError
from kit.executors.local import LocalExecutor
from kit.models import Launch
from kit.paths import ProjectPaths
from kit.stores.memory import MemoryStore


@pytest.mark.parametrize(
    ("refusal", "raised"), [(OSError(errno.EAGAIN, "no"), HostError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_supervisor_that_cannot_start_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: BaseException, raised: type[BaseException]
) -> None:
    def popen(*_: object, **__: object) -> None:
        raise refusal

    monkeypatch.setattr(subprocess, "Popen", popen)
    paths = ProjectPaths(tmp_path)
    paths.run("abc123").root.mkdir(parents=True)
    before = set(Path("/dev/fd").iterdir())
    with pytest.raises(raised) as caught:
        LocalExecutor(paths, MemoryStore()).submit(Launch("abc123", str(tmp_path)))
    assert set(Path("/dev/fd").iterdir()) == before, caught
