"""Sweeps through Hydra's own sweeper, with kit as the launcher."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kit.config import TrialResult, compose, sweep
from kit.errors import RunError, UserError

MakeProject = Callable[..., Path]


class Trials:
    """A launch function that composes each trial, as `kit run -m` will, and keeps what it saw."""

    def __init__(self, root: Path, *, failing: str | None = None) -> None:
        self.root = root
        self.failing = failing
        self.batches: list[tuple[int, list[tuple[str, ...]]]] = []
        self.configs: list[dict[str, Any]] = []

    def __call__(self, batch: Sequence[Sequence[str]], first: int) -> list[TrialResult]:
        self.batches.append((first, [tuple(trial) for trial in batch]))
        results = []
        for number, trial in enumerate(batch, first):
            self.configs.append(compose(self.root, "conf", "config", trial, job_num=number).config)
            failed = self.failing in trial
            results.append(TrialResult(tuple(trial), None if failed else float(number), failed=failed))
        return results

    @property
    def all(self) -> list[tuple[str, ...]]:
        return [trial for _, batch in self.batches for trial in batch]


def run(root: Path, *overrides: str, failing: str | None = None) -> Trials:
    from hydra.core.global_hydra import GlobalHydra

    trials = Trials(root, failing=failing)
    try:
        sweep(root, "conf", "config", overrides, trials, sweep_dir=root / ".kit" / "sweeps" / "one")
    finally:
        assert not GlobalHydra.instance().is_initialized()
        assert not (root / "multirun").exists()
        assert not [*root.rglob("multirun.yaml")], "the config with its secrets stays nowhere"
    return trials


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["seed=1,2"], [("seed=1",), ("seed=2",)]),
        (["seed=range(1,4)"], [("seed=1",), ("seed=2",), ("seed=3",)]),
        (["seed=choice(4,5)", "steps=9"], [("seed=4", "steps=9"), ("seed=5", "steps=9")]),
        (["model=glob(*)"], [("model=large",), ("model=small",)]),
        (["model=glob(*,exclude=l*)"], [("model=small",)]),
        (["experiment=baseline,deep"], [("experiment=baseline",), ("experiment=deep",)]),
        (
            ["seed=1,2", "model=small,large"],
            [
                ("seed=1", "model=small"),
                ("seed=1", "model=large"),
                ("seed=2", "model=small"),
                ("seed=2", "model=large"),
            ],
        ),
        (["+layers=[1,2],[3]"], [("+layers=[1,2]",), ("+layers=[3]",)]),
        (["+name='a,b','c d'"], [("+name='a,b'",), ("+name='c d'",)]),
        (["~steps", "seed=1,2"], [("~steps=null", "seed=1"), ("~steps=null", "seed=2")]),
        (["seed=3"], [("seed=3",)]),
        ([], [()]),
    ],
)
def test_hydras_grammar(project: Path, overrides: list[str], expected: list[tuple[str, ...]]) -> None:
    trials = run(project, *overrides)
    assert trials.all == expected
    assert len(trials.configs) == len(expected)


def test_the_sweepers_files_go_where_they_are_told(project: Path) -> None:
    before = {path for path in project.rglob("*") if ".git/" not in str(path)}
    run(project, "seed=1,2")
    made = {path.relative_to(project).as_posix() for path in project.rglob("*") if ".git/" not in str(path)} - {
        path.relative_to(project).as_posix() for path in before
    }
    assert made == {".kit", ".kit/sweeps", ".kit/sweeps/one"}


def test_parameters_and_batches_from_the_configuration(make_project: MakeProject) -> None:
    root = make_project(
        {
            "conf/config.yaml": """
            defaults:
              - _self_
              - model: small
              - experiment: baseline
            steps: 3
            number: ${hydra:job.num}
            dirname: ${hydra:job.override_dirname}
            hydra:
              sweeper:
                max_batch_size: 2
                params:
                  model.rate: 0.1,0.2,0.3
            """
        }
    )
    trials = run(root)
    assert [(first, len(batch)) for first, batch in trials.batches] == [(0, 2), (2, 1)]
    assert [config["number"] for config in trials.configs] == [0, 1, 2]
    assert trials.configs[2]["dirname"] == "model.rate=0.3"


def test_hydras_own_settings_reach_each_trial(project: Path) -> None:
    trials = run(project, "seed=1,2", "hydra.job.name=mine", "hydra.sweeper.max_batch_size=1", "hydra.sweep.dir=x")
    assert trials.all == [("seed=1", "hydra.job.name=mine"), ("seed=2", "hydra.job.name=mine")]
    assert len(trials.batches) == 2
    assert not (project / "x").exists()


def test_a_trial_finds_what_hydras_own_launcher_tells_it(make_project: MakeProject) -> None:
    """The same multirun, by Hydra itself: only folders, and the name of the program, are others."""
    asked = {
        "number": "job.num",
        "id": "job.id",
        "dirname": "job.override_dirname",
        "subdir": "sweep.subdir",
        "mode": "mode",
        "given": "overrides.task",
        "sweep_dir": "sweep.dir",
        "out": "runtime.output_dir",
        "cwd": "runtime.cwd",
        "config": "job.config_name",
    }
    lines = "".join(f"{key}: ${{hydra:{name}}}\n" for key, name in asked.items())
    root = make_project({"conf/config.yaml": f"x: 1\ny: 2\ntask: a.b\n{lines}"})
    (root / "app.py").write_text(
        "import json, hydra, omegaconf\n"
        "@hydra.main(version_base='1.3', config_path='conf', config_name='config')\n"
        "def main(cfg):\n"
        "    print(json.dumps(omegaconf.OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)))\n"
        "main()\n"
    )
    command = [sys.executable, "app.py", "-m", "x=1,2", "+z=a", "hydra/hydra_logging=none", "hydra.sweep.dir=theirs"]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    theirs = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    folder = root / ".kit" / "sweeps" / "one"
    ours = [
        compose(
            root, "conf", "config", (f"x={x}", "+z=a"), job_num=x - 1, run_dir=folder / str(x - 1), sweep_dir=folder
        ).config
        for x in (1, 2)
    ]
    for number, trial in enumerate(theirs):
        assert (trial.pop("sweep_dir"), trial.pop("out")) == ("theirs", str(root / "theirs" / str(number)))
        assert (ours[number].pop("sweep_dir"), ours[number].pop("out")) == (str(folder), str(folder / str(number)))
    assert ours == theirs


def test_a_failed_trial_does_not_stop_the_others(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials = run(project, "seed=1,2,3", "hydra.sweeper.max_batch_size=1", failing="seed=1")
    assert trials.all == [("seed=1",), ("seed=2",), ("seed=3",)]
    assert capsys.readouterr() == ("", "")


def test_what_launch_raises_comes_out_as_it_is(project: Path) -> None:
    cause = KeyError("deeper")
    for error in (ValueError("mine"), KeyboardInterrupt(), UserError("mine")):

        def launch(batch: object, first: int, error: BaseException = error) -> list[TrialResult]:
            raise error from cause

        with pytest.raises(type(error)) as caught:
            sweep(project, "conf", "config", ["seed=1,2"], launch, sweep_dir=project / ".kit" / "s")
        assert caught.value is error
        assert caught.value.__cause__ is cause


def test_a_mistake_in_any_trial_stops_the_sweep_before_it_starts(project: Path) -> None:
    trials = Trials(project)
    with pytest.raises(UserError) as caught:
        sweep(project, "conf", "config", ["model=small,huge"], trials, sweep_dir=project / ".kit" / "s")
    assert caught.value.what == "no option 'huge' in group 'model'"
    assert caught.value.fix == "Available: large, small."
    assert trials.batches == []


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["seed=interval(0,1)"], "BasicSweeper does not support sweep type : INTERVAL_SWEEP"),
        (["seed=1,,2"], "cannot read override 'seed=1,,2' at column 8: extraneous input ','"),
        (["modle.rate=1,2"], "no such key 'modle.rate'"),
        (["hydra/sweeper=ax"], "no option 'ax' in group 'hydra/sweeper'"),
        (["hydra/sweeper=optuna"], "hydra/sweeper=optuna is kit's own sweeper"),
        (["hydra/sweeper=basic,other"], "Sweeping over Hydra's configuration is not supported : "),
    ],
)
def test_a_mistake_on_the_command_line(project: Path, overrides: list[str], what: str) -> None:
    with pytest.raises(UserError) as caught:
        run(project, *overrides)
    assert caught.value.what.startswith(what)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_another_launcher_on_the_command_line(project: Path) -> None:
    for override in ("hydra/launcher=joblib", "+hydra.launcher.n_jobs=4"):
        with pytest.raises(UserError) as caught:
            run(project, "seed=1,2", override)
        assert caught.value.what == f"{override!r} chooses a launcher for Hydra"
        assert caught.value.where == "command line"
        assert caught.value.fix == "Take it out: kit starts the trials itself, here or on a cluster."


class _Plugins:
    """A Hydra sweeper and launcher of someone else's, without an installed distribution."""

    SOURCE = '''
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class Strict(Sweeper):
    """Runs two trials and wants every value, as those do that optimise."""

    def __init__(self, tries=2):
        self.tries = tries

    def setup(self, *, hydra_context, task_function, config):
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        for number in range(self.tries):
            (result,) = self.launcher.launch([[*arguments, f"seed={number}"]], initial_job_idx=number)
            values.append(result.return_value)


values = []
target = "hydra_plugins.strict.Strict"
ConfigStore.instance().store(group="hydra/sweeper", name="strict", node={"_target_": target, "tries": 2})
ConfigStore.instance().store(group="hydra/launcher", name="theirs", node={"_target_": target})
'''


@pytest.fixture
def strict() -> Iterator[ModuleType]:
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    module = ModuleType("hydra_plugins.strict")
    sys.modules["hydra_plugins.strict"] = module
    exec(_Plugins.SOURCE, vars(module))
    Plugins.instance().register(module.Strict)
    yield module
    del sys.modules["hydra_plugins.strict"], Plugins.instance().class_name_to_class["hydra_plugins.strict.Strict"]
    groups = ConfigStore.instance().repo["hydra"]
    del groups["sweeper"]["strict.yaml"], groups["launcher"]["theirs.yaml"]


def test_the_configuration_chooses_the_sweeper(project: Path, strict: ModuleType) -> None:
    trials = run(project, "hydra/sweeper=strict", "steps=8", "hydra.sweeper.tries=3")
    assert trials.all == [("steps=8", "seed=0"), ("steps=8", "seed=1"), ("steps=8", "seed=2")]
    assert strict.values == [0.0, 1.0, 2.0]


def test_a_sweeper_that_needs_every_value_may_give_up(
    project: Path, strict: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = Trials(project, failing="seed=0")
    with pytest.raises(RunError) as caught:
        sweep(project, "conf", "config", ["hydra/sweeper=strict"], trials, sweep_dir=project / ".kit" / "s")
    assert caught.value.what == "the sweeper gave up because trials failed: seed=0"
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("See them with `kit runs`")
    assert trials.all == [("seed=0",)]


def test_another_launcher_in_a_config(make_project: MakeProject, strict: ModuleType) -> None:
    assert strict.values == []
    for where, files in {
        "conf/config.yaml": {
            "conf/config.yaml": "defaults:\n  - experiment: baseline\n  - override hydra/launcher: theirs\n"
        },
        "conf/experiment/baseline.yaml": {
            "conf/experiment/baseline.yaml": "# @package _global_\ndefaults:\n  - override /hydra/launcher: theirs\n"
        },
    }.items():
        root = make_project(files, name=where.replace("/", "_"))
        with pytest.raises(UserError) as caught:
            run(root, "+x=1,2")
        assert caught.value.what == "the configuration chooses Hydra's launcher 'theirs'"
        assert caught.value.where == where
