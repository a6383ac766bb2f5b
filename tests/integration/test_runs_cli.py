"""`kit runs`, `kit show`, `kit logs`, `kit diff`: finding and understanding runs. The runs are made once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kit import _clock
from kit.project import open_project
from tests.conftest import write
from tests.factories import record, spec
from tests.support import KIT, Done, environment, kit, new_project


@dataclass(frozen=True)
class Made:
    root: Path
    env: dict[str, str]
    first: dict[str, Any]
    second: dict[str, Any]
    failed: dict[str, Any]

    def kit(self, *arguments: str, code: int = 0) -> Done:
        return kit(self.root, *arguments, env=self.env, code=code)

    def ids(self, *arguments: str) -> list[str]:
        return [run["run_id"] for run in self.kit("runs", "--json", *arguments).json()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("cli")
    env = environment(folder / "home", KIT_FORKSERVER="on")
    root = new_project(
        folder / "tiny",
        {
            "src/tiny/fails.py": "def train(cfg: dict):\n    print('before the end')\n    raise ValueError('no')\n",
            "conf/experiment/fails.yaml": "# @package _global_\ntask: tiny.fails.train\n",
        },
    )
    first = kit(root, "run", "--json", "--tag", "team=a", "--name", "one", env=env).json()
    write(root, {"src/tiny/__init__.py": '"""Changed."""\n'})
    second = kit(root, "run", "--json", "model.rate=0.2", "seed=8", "--tag", "team=b", env=env).json()
    failed = kit(root, "run", "--json", "experiment=fails", env=env, code=1).json()
    return Made(root, env, first, second, failed)


def test_runs_are_listed_newest_first(made: Made) -> None:
    assert made.ids() == [made.failed["run_id"], made.second["run_id"], made.first["run_id"]]
    assert made.ids("--ascending") == list(reversed(made.ids()))
    assert made.ids("--limit", "1") == [made.failed["run_id"]]


def test_the_list_is_tabs_on_a_pipe(made: Made) -> None:
    lines = [line.split("\t") for line in made.kit("runs").out.splitlines()]
    assert lines[0][:5] == ["run", "name", "status", "when", "took"]
    assert set(lines[0][5:]) == {"loss", "score"}
    assert [line[0] for line in lines[1:]] == made.ids()
    assert {len(line) for line in lines} == {7}
    row = dict(zip(lines[0], lines[3], strict=True))
    assert (row["name"], row["status"], row["score"]) == ("one", "succeeded", "0.3")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--experiment", "baseline"], ["second", "first"]),
        (["-e", "nothing"], []),
        (["--status", "failed"], ["failed"]),
        (["--status", "failed", "--status", "succeeded"], ["failed", "second", "first"]),
        (["--tag", "team=a"], ["first"]),
        (["--where", "score>0.5"], ["second"]),
        (["--where", "score <= 0.5"], ["first"]),
        (["--where", "model.rate=0.2"], ["second"]),
        (["--where", "score>0.1", "--tag", "team=b"], ["second"]),
        (["--where", "nothing=1"], []),
        (["--sort", "score"], ["second", "first", "failed"]),
        (["--sort", "score", "--ascending"], ["first", "second", "failed"]),
        (["--sweep", "sweep-x"], []),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("-") else None,
)
def test_runs_are_filtered_and_sorted(made: Made, arguments: list[str], expected: list[str]) -> None:
    assert made.ids(*arguments) == [getattr(made, name)["run_id"] for name in expected]


def test_nothing_to_list_is_said(made: Made, tmp_path: Path) -> None:
    assert made.kit("runs", "--tag", "team=c").out == "no runs fit\n"
    assert kit(new_project(tmp_path / "tiny"), "runs", env=made.env).out == "no runs\n"


def test_a_reader_that_leaves_early_is_no_error(made: Made) -> None:
    command = f"{KIT} runs --json | head -c 5"
    done = subprocess.run(
        ["bash", "-c", command], cwd=made.root, env=made.env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[\n  {", "")


def test_no_command_that_looks_loads_what_runs_need(made: Made) -> None:
    """Kit's own store answers: MLflow, DVC, Hydra and NumPy are not imported."""
    code = (
        "import sys\nfrom kit.cli import main\nfor line in (['runs'], ['show', 'last'], ['logs', 'last']):\n"
        "    assert main(line) == 0\n"
        "print({*sys.modules} & {'mlflow', 'dvc', 'hydra', 'numpy', 'omegaconf', 'alembic'}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made.root, env=made.env, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize("length", [4, 6, 10])
def test_the_beginning_of_an_id_names_a_run(made: Made, length: int) -> None:
    for run in (made.first, made.second, made.failed):
        assert made.kit("show", run["run_id"][:length], "--json").json()["run_id"] == run["run_id"]


def test_last_and_the_ones_before_it_have_names(made: Made) -> None:
    for name, run in (("last", made.failed), ("last~1", made.second), ("last~2", made.first)):
        assert made.kit("show", name, "--json").json()["run_id"] == run["run_id"]
    assert "only 3 runs" in made.kit("show", "last~3", code=2).err


def test_a_beginning_that_several_have_is_refused_with_their_names(tmp_path: Path, made: Made) -> None:
    root = new_project(tmp_path / "tiny")
    project = open_project(root)
    for number, run_id in enumerate(["abc1", "abc2", "abc"]):
        project.store.create(spec(run_id), record(run_id, at=_clock.now() - timedelta(seconds=number)))
    refused = kit(root, "show", "ab", env=made.env, code=2).err
    assert refused.startswith("error: 'ab' could be any of abc1, abc2, abc.")
    assert kit(root, "show", "abc", "--json", env=made.env).json()["run_id"] == "abc"  # the whole name wins
    assert kit(root, "show", "abc2", "--json", env=made.env).json()["run_id"] == "abc2"


def test_show_tells_a_failure(made: Made) -> None:
    out = made.kit("show", "last").out
    assert re.search(r"reason +ValueError: no\n", out)
    assert re.search(r"exit code +1\n", out)
    shown = made.kit("show", "last", "--json").json()
    assert shown["spec"]["snapshot"]["environment"]["packages"]["mlekit"] == "0.1.0"
    assert shown["spec"]["snapshot"]["host"]["cores"] > 0


def test_logs_are_what_was_printed(made: Made) -> None:
    assert made.kit("logs", made.first["run_id"]).out == "hello from the task\n"
    for arguments in (["logs", "last"], ["logs", "last", "--follow"]):
        out = made.kit(*arguments).out
        assert out.startswith("before the end\n")
        assert "ValueError: no" in out


def test_diff_goes_from_causes_to_effects(made: Made) -> None:
    out = made.kit("diff", made.first["run_id"], made.second["run_id"]).out
    assert '+"""Changed."""' in out
    assert "\n  ~ model.rate: 0.1 → 0.2\n" in out
    assert "\nseed  7 → 8\n" in out
    assert "environment  the same" in out
    assert re.search(r"^score\t0\.3\t0\.6\t\+0\.3\t\+100\.00$", out, re.MULTILINE)
    assert re.search(r"^loss\t.*\t=\t$", out, re.MULTILINE)
    titles = ("code", "data", "config", "environment", "seed", "host", "metrics")
    positions = [out.index(f"\n{title}") for title in titles]
    assert positions == sorted(positions)


def test_diff_is_data_too(made: Made) -> None:
    found = made.kit("diff", made.first["run_id"], made.second["run_id"], "--json").json()
    assert {"name": "model.rate", "old": "0.1", "new": "0.2"} in found["config"]
    metrics = {metric["name"]: metric for metric in found["metrics"]}
    assert metrics["score"]["change"] == pytest.approx(0.3)
    assert metrics["score"]["relative"] == pytest.approx(1.0)
    assert found["seed"] == {"old": 7, "new": 8}
    assert [(file["path"], file["kind"]) for file in found["files"]] == [("src/tiny/__init__.py", "changed")]
    assert [found[side]["run_id"] for side in ("old", "new")] == [made.first["run_id"], made.second["run_id"]]
    assert (found["data"], found["environment"], found["host"]) == ([], [], [])
    assert "Changed." in found["code"]


def test_a_run_is_the_same_as_itself(made: Made) -> None:
    found = made.kit("diff", "last~1", made.second["run_id"], "--json").json()
    assert (found["code"], found["config"]) == ("", [])
    assert "\ncode  the same\n" in made.kit("diff", "last~1", "last~1").out


def test_runs_are_found_from_any_folder_of_the_project(made: Made) -> None:
    listed = kit(made.root / "src" / "tiny", "runs", "--json", env=made.env).json()
    assert [run["run_id"] for run in listed] == made.ids()


def test_the_store_answers_without_any_folder_of_a_run(made: Made, tmp_path: Path) -> None:
    root = tmp_path / "tiny"
    shutil.copytree(made.root, root, ignore=shutil.ignore_patterns("forkserver"))
    shutil.rmtree(root / ".kit" / "runs")
    for arguments in (["runs", "--json"], ["show", "last", "--json"], ["diff", "last", "last~1", "--json"]):
        assert kit(root, *arguments, env=made.env).json()
    assert kit(root, "logs", "last", env=made.env).out == ""


def test_json_is_for_any_parser(made: Made) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    for arguments in (["runs"], ["show", "last"], ["diff", "last", "last~1"]):
        assert json.loads(made.kit(*arguments, "--json").out, parse_constant=refuse)


def test_the_command_says_which_it_is(made: Made) -> None:
    assert re.fullmatch(r"kit \d+\.\d+\.\d+\n", made.kit("--version").out)
    for arguments in (["--help"], ["run", "-h"], ["runs", "--help"]):
        assert "Usage: kit" in made.kit(*arguments).out
