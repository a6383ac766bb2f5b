"""A check out of the project's forkserver, which has composed its configs ahead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import write
from tests.support import environment, forkserver, kit, new_project

pytestmark = pytest.mark.slow  # as for runs: who is measured for coverage may not be forked


@pytest.mark.parametrize("where", ["a terminal", "a hook"])
def test_a_forked_check_finds_what_one_that_is_started_anew_finds(tmp_path: Path, where: str) -> None:
    """Also what is wrong since the server composed the configs, and where git runs it before a commit."""
    env = environment(tmp_path / "home")
    cold = env | {"KIT_FORKSERVER": "off"}
    env.pop("KIT_FORKSERVER", None)
    if where == "a hook":
        env |= {"GIT_EXEC_PATH": "/git/core", "PATH": f"/git/core:{env['PATH']}", "GIT_PREFIX": ""}
    root = new_project(tmp_path / "tiny")

    def forked() -> int:
        return int(json.loads(kit(root, "forkserver", "status", "--json", env=env).out)["forked"])

    with forkserver(root, cold):
        for text in ("", "# @package _global_\ntask: tiny.train.none\n", "# @package _global_\ndefaults: [nothing]\n"):
            if text:
                write(root, {"conf/experiment/odd.yaml": text})
            before = forked()
            found = kit(root, "check", "--format", "json", env=env, code=None)
            assert forked() == before + 1
            alone = kit(root, "check", "--format", "json", env=cold, code=None)
            assert (found.code, found.out, found.err) == (alone.code, alone.out, alone.err)
            assert ("odd.yaml" in found.out) is bool(text)
