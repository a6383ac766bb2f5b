"""Compositions that share their first steps give what each gives by itself: the same config, origins and errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kit.config import compose, sharing
from kit.errors import KitError
from tests.conftest import write

CONF = {
    "config.yaml": """
        defaults:
          - _self_
          - model: small
          - opt@extra.opt: sgd
          - experiment: baseline
          - optional by_model: ${model}
        seed: 7
        steps: 3
        name: ${model.kind}-${steps}
        number: ${hydra:job.num}
        given: ${hydra:overrides.task}
        dirname: ${hydra:job.override_dirname}
        home: ${oc.env:HOME}
        list: [1, 2, {a: 3}]
        nothing: null
        choice: ${hydra:runtime.choices.model}
        hydra: {run: {dir: here}}  # Hydra's own is another each second
        """,
    "model/small.yaml": "kind: small\nrate: 0.1\nlayers: {a: 1, b: [1, 2]}\n",
    "model/large.yaml": "defaults: [small]\nkind: large\ndepth: 9\nrate: ${..steps}\n",
    "opt/sgd.yaml": "lr: 0.1\n",
    "opt/adam.yaml": "lr: 0.2\nbetas: [0.9, 0.99]\n",
    "by_model/large.yaml": "# @package _global_\nsteps: 30\n",
    "experiment/baseline.yaml": "# @package _global_\ntask: a.b\n",
    "experiment/deep.yaml": (
        "# @package _global_\ndefaults:\n  - override /model: large\n  - override /opt@extra.opt: adam\n"
        "task: a.c\nsteps: 5\nmodel: {rate: 0.5}\n"
    ),
    "experiment/plain.yaml": "# @package _global_\ntask: a.d\nhydra: {verbose: true, job: {name: mine}}\n",
    "experiment/quiet.yaml": "# @package _global_\ndefaults:\n  - override /hydra/job_logging: none\ntask: a.d\n",
    "experiment/broken.yaml": "# @package _global_\ndefaults:\n  - override /nothing: there\ntask: a.c\n",
}

KEYS = [
    *("seed", "steps", "name", "model", "model.rate", "model.layers.a", "model.layers", "model.nope", "nope"),
    *("experiment", "opt", "opt@extra.opt", "opt@new", "extra.opt.lr", "extra.opt.betas", "by_model", "list"),
    *("list.0", "nothing", "task", "hydra.job.name", "hydra/job_logging", "hydra.searchpath", "hydra.run.dir", "home"),
    *("model@small", "hydra.job.config.override_dirname.item_sep", "number"),
]
VALUES = [
    *(
        "1",
        "0.5",
        "large",
        "small",
        "sgd",
        "adam",
        "deep",
        "baseline",
        "broken",
        "null",
        "true",
        "???",
        "[1,2]",
        "[sgd]",
    ),
    *("{a: 1}", "{rate: 2}", "'${steps}'", "'${model.kind}'", "'${nope}'", "x.y", "", "disabled", "[]", "'a,b'", "1,2"),
]
override = st.builds(
    lambda mark, key, value: f"{mark}{key}" if mark == "~" and value == "" else f"{mark}{key}={value}",
    st.sampled_from(["", "", "", "", "+", "++", "~"]),
    st.sampled_from(KEYS),
    st.sampled_from(VALUES),
)
likely = st.builds(
    "{}={}".format, st.sampled_from(["seed", "steps", "model.rate", "list", "nothing"]), st.sampled_from(VALUES)
)
trials = st.lists(st.lists(likely | override, max_size=4), min_size=2, max_size=6)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    write(folder / "conf", CONF)
    return folder


def outcome(root: Path, overrides: Sequence[str], number: int) -> Any:
    try:
        return compose(root, "conf", "config", overrides, job_num=number, run_dir=root / "run", sweep_dir=root / "s")
    except KitError as error:
        return type(error), error.what, error.where, error.fix


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(trials)
@example([["steps=1"], ["steps=2"], ["model=large"], ["steps=3"], ["model=large", "steps=4"], ["~model"]])
@example([["experiment=deep", "model.rate=1"], ["experiment=deep"], ["experiment=broken"], ["experiment=deep"]])
@example([["hydra.searchpath=[nowhere]"], ["steps=1"], ["hydra.searchpath=[]", "steps=2"]])
@example([["hydra/job_logging=disabled"], ["model=large"], ["hydra/job_logging=disabled", "model=large"], ["list=[1]"]])
@example([["experiment=plain"], ["experiment=quiet"], ["experiment=deep"], ["experiment=quiet", "seed=1"]])
@example([["model={rate: 2}"], ["model={rate: 3}"], ["model=[small,large]"], ["model=small"]])
def test_sharing_changes_nothing(root: Path, trials: list[list[str]]) -> None:
    alone = [outcome(root, overrides, number) for number, overrides in enumerate(trials)]
    with sharing():
        together = [outcome(root, overrides, number) for number, overrides in enumerate([*trials, *trials])]
    assert together[: len(trials)] == alone
    again = [outcome(root, overrides, number) for number, overrides in enumerate(trials, len(trials))]
    assert together[len(trials) :] == again


def test_the_first_step_is_taken_once_for_each_set_of_choices(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    merged: list[int] = []
    merge = ConfigLoaderImpl._compose_config_from_defaults_list

    def count(loader: Any, defaults: Any, repo: Any) -> Any:
        merged.append(len(defaults))
        return merge(loader, defaults, repo)

    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", count)
    with sharing():
        for number in range(5):
            outcome(root, [f"steps={number}", f"model={'small' if number < 3 else 'large'}"], number)
    assert len(merged) == 2
    outcome(root, ["steps=1"], 0)
    outcome(root, ["steps=1"], 0)
    assert len(merged) == 4


def test_hydra_is_left_as_it_was(root: Path) -> None:
    from hydra._internal import config_loader_impl, defaults_list

    with sharing():
        outcome(root, ["steps=1"], 0)
        outcome(root, ["nope=1"], 0)
        assert config_loader_impl.create_defaults_list is defaults_list.create_defaults_list
