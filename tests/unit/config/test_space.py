"""What a search chooses from, as Hydra's grammar writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config import Dimension, Search, sweeper
from kit.errors import UserError


def searched(root: Path, *overrides: str) -> Search:
    given = ["hydra/sweeper=optuna", *overrides]
    found = sweeper(root, "conf", "config", given, sweep_dir=root / "s").search
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("override", "dimension"),
    [
        ("+x=interval(0,1)", Dimension("+x", "float", 0.0, 1.0)),
        ("steps=int(interval(1,9))", Dimension("steps", "int", 1, 9)),
        ("+x=tag(log,interval(0.001,1))", Dimension("+x", "float", 0.001, 1.0, log=True)),
        ("steps=range(1,9)", Dimension("steps", "int", 1, 8, 1)),
        ("steps=range(9,1,-3)", Dimension("steps", "int", 3, 9, 3)),
        ("+x=range(0.5,2,0.5)", Dimension("+x", "float", 0.5, 1.5, 0.5)),
        ("model=small,large", Dimension("model", "choice", choices=("small", "large"))),
        ("model=glob(*)", Dimension("model", "choice", choices=("large", "small"))),
        ("+x=choice(1,'a b',true)", Dimension("+x", "choice", choices=("1", r"a\ b", "True"))),
        ("+x=[1,2],[3]", Dimension("+x", "choice", choices=("[1,2]", "[3]"))),
    ],
)
def test_ranges_and_choices(project: Path, override: str, dimension: Dimension) -> None:
    found = searched(project, override, "seed=3")
    assert found.space == (dimension,)
    assert found.fixed == ("seed=3",)
    assert not (project / "s").exists()


def test_settings_and_parameters_of_a_config(project: Path) -> None:
    primary = project / "conf" / "config.yaml"
    primary.write_text(
        primary.read_text() + "\nhydra:\n  sweeper:\n    direction: minimize\n    n_trials: 7\n"
        "    params:\n      steps: range(1,4)\n      seed: 1,2\n"
    )
    found = searched(project, "steps=int(interval(5,6))", "hydra.sweeper.seed=1", "hydra.job.name=mine")
    assert {dimension.key: dimension.kind for dimension in found.space} == {"seed": "choice", "steps": "int"}
    assert (found.direction, found.n_trials, found.seed, found.sampler) == ("minimize", 7, 1, "tpe")
    assert found.fixed == ("hydra.job.name=mine",)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["seed=1"], "there is nothing to search"),
        (["steps=int(interval(3,2))"], "the range of steps ends before it begins"),
        (["+x=tag(log,interval(0,2))"], "a logarithmic range begins above 0"),
        (["steps=range(3,1)"], "'steps=range(3,1)' has no values"),
        (["steps=1,2", "hydra.sweeper.pruner=median2"], "hydra.sweeper.pruner: Invalid enum value 'median2'"),
        (["steps=1,2", "hydra.sweeper.n_trials=many"], "cannot set hydra.sweeper.n_trials=many"),
    ],
)
def test_what_cannot_be_searched(project: Path, overrides: list[str], what: str) -> None:
    with pytest.raises(UserError) as caught:
        searched(project, *overrides)
    assert caught.value.what.startswith(what)
    assert caught.value.fix


def test_all_trials_of_hydras_own_sweeper_are_known(project: Path) -> None:
    found = sweeper(project, "conf", "config", ["seed=1,2", "steps=4", "hydra.job.name=x"], sweep_dir=project / "s")
    assert found.search is None
    assert found.trials == (("seed=1", "steps=4", "hydra.job.name=x"), ("seed=2", "steps=4", "hydra.job.name=x"))
