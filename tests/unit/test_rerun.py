"""What a run that is made from parts of others is asked for with; whole ones are in tests/integration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit import planning, rerun
from kit.models import Origin, Request, RunSpec, masked
from kit.planning import Draft
from kit.project import Project, open_project
from kit.rerun import Recipe
from tests.conftest import write

CONFIG = """
    defaults: [_self_, experiment: baseline]
    seed: 7
    model: {depth: 3, rate: 0.1, state: "${seed}", folds: ["fold-${seed}", fixed]}
    steps: ${oc.env:STEPS}
    """


@pytest.fixture
def opened(project: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    write(project, {"conf/config.yaml": CONFIG})
    monkeypatch.setenv("STEPS", "3")
    return open_project(project)


def planned(project: Project, *overrides: str) -> RunSpec:
    return masked(planning.plan(project, Request(overrides=overrides)))


def drafted(project: Project, recipe: Recipe, *overrides: str) -> tuple[Draft, tuple[str, ...]]:
    return rerun._draft(project, recipe, Origin("explain", "abc123"), overrides, {})


@pytest.mark.parametrize("overrides", [(), ("seed=9",)])
def test_another_seed_is_another_one_also_in_the_config(
    opened: Project, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned(opened, *overrides)
    monkeypatch.setenv("STEPS", "4")  # what does not follow from the seed counts as it was recorded
    made, notes = drafted(opened, replace(Recipe.of(spec), seed=8))
    model = {"depth": 3, "rate": 0.1, "state": 8, "folds": ["fold-8", "fixed"]}
    assert made.composed.config == spec.config | {"seed": 8, "model": model}
    assert made.composed.config["steps"] == "3"
    assert (made.seed, made.composed.overrides) == (8, (*overrides, "seed=8"))
    assert notes == ("steps is as it was recorded; composing it today gives another value",)


def test_the_same_seed_changes_nothing(opened: Project) -> None:
    spec = planned(opened, "model.depth=5")
    made, notes = drafted(opened, Recipe.of(spec))
    assert (made.composed.config, made.seed, made.composed.overrides) == (spec.config, 7, ("model.depth=5",))
    assert notes == ()


def test_a_seed_that_is_asked_for_counts(opened: Project) -> None:
    spec = planned(opened)
    made, notes = drafted(opened, replace(Recipe.of(spec), seed=8), "seed=5")
    assert (made.seed, made.composed.config["model"]["state"]) == (5, 5)
    assert notes == ("with seed as given",)


def test_a_config_without_a_seed_gets_none(opened: Project) -> None:
    write(opened.root, {"conf/config.yaml": CONFIG.replace("    seed: 7\n", "").replace("${seed}", "1")})
    spec = planned(opened)
    made, _ = drafted(opened, replace(Recipe.of(spec), seed=8))
    assert (made.seed, made.composed.config, made.composed.overrides) == (8, spec.config, ())
