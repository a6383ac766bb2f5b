"""`kit reproduce --all-best`, and the task that has a schedule do it: champions are what they were, or it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import ExitCode
from tests.conftest import write
from tests.support import environment, kit, new_project

REGISTER = """
import sys
from mlflow import MlflowClient

uri, name, run_id = sys.argv[1:]
client = MlflowClient(uri)
(run,) = client.search_runs(
    [experiment.experiment_id for experiment in client.search_experiments()],
    filter_string=f"tags.`kit.run_id` = '{run_id}'",
)
client.create_registered_model(name)
version = client.create_model_version(name, source=f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
client.set_registered_model_alias(name, "champion", version.version)
"""


@pytest.mark.exhaustive
def test_champions_are_checked_by_hand_and_by_a_task(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    root = new_project(
        tmp_path / "tiny", {"conf/experiment/recheck.yaml": "# @package _global_\ntask: kit.tasks.recheck_champions\n"}
    )
    none = kit(root, "reproduce", "--all-best", env=env)
    assert none.out == "no registered model is called champion\n"
    refused = kit(root, "reproduce", env=env, code=ExitCode.USER)
    assert "--all-best" in refused.err

    run = kit(root, "run", "--json", env=env).json()["run_id"]
    command = [sys.executable, "-c", REGISTER, f"sqlite:///{root}/mlflow.db", "steady", run]
    subprocess.run(command, cwd=root, env=env, check=True)
    (champion,) = kit(root, "reproduce", "--all-best", "--json", env=env).json()
    assert (champion["model"], champion["run"], champion["verdict"]) == ("steady", run, "identical")
    checked = kit(root, "run", "experiment=recheck", "--json", env=env).json()
    assert checked["metrics"] == {"champions": 1.0}

    # A champion that depends on the moment.
    write(
        root,
        {
            "src/tiny/fickle.py": """
                import time

                def fickle(cfg, run):
                    return {"now": time.time()}
                """
        },
    )
    fickle = kit(root, "run", "task=tiny.fickle.fickle", "--json", env=env).json()["run_id"]
    command[-2:] = ["fickle", fickle]
    subprocess.run(command, cwd=root, env=env, check=True)
    failed = kit(root, "run", "experiment=recheck", "--json", env=env, code=ExitCode.RUN).json()
    assert failed["reason"] == "is not what it was: fickle"
    shown = kit(root, "reproduce", "--all-best", env=env, code=ExitCode.DIFFERENT).out
    assert "nondeterminism: now" in shown
    assert [line.split("\t") for line in shown.splitlines()[-2:]] == [
        ["fickle", fickle, "different"],
        ["steady", run, "identical"],
    ]
