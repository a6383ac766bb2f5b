"""`kit run` stopped before its run began: while data is made, whatever stops it, nothing goes on or is left."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support import environment, kit, mlflow_runs, new_project, processes_of, run_refs, start_kit, until

WAITS = "stages:\n  slow: {cmd: 'printf unfinished; echo half > out && sleep 987', outs: [out]}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_data_stage_ends_with_the_command_that_waits_for_it(tmp_path: Path, number: signal.Signals) -> None:
    env = environment(tmp_path / "home")
    root = new_project(tmp_path / "tiny", {"dvc.yaml": WAITS, ".dvc/config": ""})
    client = start_kit(root, "run", env=env)
    until((root / "out").exists, "the stage to begin")
    client.send_signal(number)
    out, err = client.communicate(timeout=100)
    assert client.returncode == 130
    assert out == ""
    assert err.splitlines().count("cancelled") == 1
    assert "Traceback" not in err
    assert processes_of(root) == []
    assert run_refs(root) == []
    assert mlflow_runs(root) == {}
    assert kit(root, "runs", env=env).out == "no runs\n"
