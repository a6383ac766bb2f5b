"""How a metric's change is shared out among what changed, and what is said where a run of it does not work.

Real runs of it are in tests/integration/test_explain.py; here a run's metric follows from its recipe.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit import compare
from kit import explain as service
from kit.errors import UserError
from kit.explain import Explanation, Factor, explain, factors_of, mix
from kit.models import RunRecord, RunSpec
from kit.project import open_project
from kit.rerun import Recipe
from kit.snapshot import CodeVersion, Environment
from tests.conftest import git
from tests.factories import snapshot, spec
from tests.reruns import Laboratory, factor_of, failed


@pytest.fixture
def lab(project: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    made = Laboratory(open_project(project))
    monkeypatch.setattr(service, "rerun", made.rerun)
    return made


def explained(lab: Laboratory, old: RunRecord, new: RunRecord, *, seeds: int = 0, here: bool = False) -> Explanation:
    return explain(lab.project, old, new, metric=None, seeds=seeds, here=here, watch=lambda *_: None)


def grown(lab: Laboratory) -> tuple[RunRecord, RunRecord]:
    """Code and config changed: 1 x 1 -> 2 x 3."""
    lab.edit(1)
    old = lab.run("a1", 1.0)
    lab.edit(2)
    return old, lab.run("b2", 6.0, gain=3.0)


def test_each_change_has_its_share(lab: Laboratory) -> None:
    lab.outcome = lambda recipe: factor_of(lab.project, recipe) * recipe.config.config["gain"]
    found = explained(lab, *grown(lab))
    code, config = found.shares
    assert (code.factor, code.what, code.lowest, code.highest, code.effect) == (
        Factor.CODE,
        ("src/tiny/factor.py",),
        1.0,
        3.0,
        2.0,
    )
    assert (config.factor, config.what, config.effect) == (Factor.CONFIG, ("gain 1.0 → 3.0",), 3.0)
    assert (len(found.tried), found.noise, found.notes) == (2, None, ())
    assert all(recipe.exact for recipe in lab.asked)


def test_a_combination_that_failed_has_no_value_even_if_it_logged_one(lab: Laboratory) -> None:
    old, new = grown(lab)

    def score(recipe: Recipe) -> RunRecord | float:
        return failed(1e6) if recipe.config.run_id == "a1" else 3.0  # the new code with the old config

    lab.outcome = score
    found = explained(lab, old, new)
    effects = {share.factor: (share.effect, share.lowest, share.highest) for share in found.shares}
    assert effects == {Factor.CODE: (3.0, 3.0, 3.0), Factor.CONFIG: (2.0, 2.0, 2.0)}
    assert found.notes == (
        "code of the new run with the rest of the old one does not work: ValueError: no such column",
    )


def test_a_combination_whose_config_cannot_be_used_does_not_stop_the_others(lab: Laboratory) -> None:
    old, new = grown(lab)

    def outcome(recipe: Recipe) -> float:
        if recipe.config.run_id == "b2":
            raise UserError("unknown key 'gain'")
        return 2.0

    lab.outcome = outcome
    found = explained(lab, old, new)
    assert [(share.effect, share.lowest) for share in found.shares] == [(1.0, 1.0), (4.0, 4.0)]
    assert found.notes == ("config of the new run with the rest of the old one does not work: unknown key 'gain'",)


def test_where_nothing_at_all_can_be_run_the_reason_is_an_error(lab: Laboratory) -> None:
    old, new = grown(lab)

    def outcome(_: Recipe) -> float:
        raise UserError("no commit", fix="Fetch it.")

    lab.outcome = outcome
    with pytest.raises(UserError, match="no commit"):
        explained(lab, old, new, seeds=1)


def test_where_nothing_tells_an_effect_there_is_none(lab: Laboratory) -> None:
    old, new = grown(lab)
    lab.outcome = lambda _: float("nan")
    found = explained(lab, old, new)
    assert [share.effect for share in found.shares] == [None, None]
    assert found.notes[0].endswith("does not work: it has no score that is a number")


def test_one_change_alone_needs_no_run(lab: Laboratory) -> None:
    lab.edit(1)
    found = explained(lab, lab.run("a1", 1.0), lab.run("b2", 3.0, gain=3.0))
    assert [(share.factor, share.effect) for share in found.shares] == [(Factor.CONFIG, 2.0)]
    assert found.tried == ()


def test_the_noise_is_that_of_the_new_run_with_other_seeds(lab: Laboratory) -> None:
    lab.edit(1)
    old, new = lab.run("a1", 1.0), lab.run("b2", 3.0, gain=3.0)
    lab.outcome = lambda recipe: failed(1e6) if recipe.seed == 9 else 3.0 + (recipe.seed or 0) / 8
    found = explained(lab, old, new, seeds=2)
    assert [recipe.seed for recipe in lab.asked] == [8, 9]
    assert {recipe.code.run_id for recipe in lab.asked} == {"b2"}
    assert found.noise == 0.5
    assert found.notes == ("1 of 2 runs with another seed did not work: ValueError: no such column",)


def test_where_no_other_seed_works_the_noise_is_not_known(lab: Laboratory) -> None:
    lab.edit(1)
    old, new = lab.run("a1", 1.0), lab.run("b2", 3.0, gain=3.0)
    lab.outcome = lambda _: failed(3.0)
    found = explained(lab, old, new, seeds=2)
    assert found.noise is None
    assert found.notes[0].endswith("no such column; how much it varies by itself is not known")


def test_packages_that_are_left_out_are_mentioned(lab: Laboratory) -> None:
    lab.edit(1)
    old, new = lab.run("a1", 1.0), lab.run("b2", 3.0, gain=3.0, packages="2.1")
    found = explained(lab, old, new, here=True)
    assert [share.factor for share in found.shares] == [Factor.CONFIG]
    assert found.notes == ("what changed in the packages (1) is left out: all ran in this environment",)
    assert explained(lab, old, lab.run("c3", 3.0, gain=3.0), here=True).notes == ()


def test_the_hash_of_the_lock_and_the_projects_own_package_are_no_change_of_the_environment(lab: Laboratory) -> None:
    def made(version: str, lock: str) -> RunSpec:
        environment = Environment("3.11.7", "CPython", "/p", {"tiny": version}, "uv.lock", lock)
        head = git(lab.project.root, "rev-parse", "HEAD")
        code = CodeVersion(head, head, "main", dirty=False, ref="x")
        return spec(snapshot=snapshot(environment=environment, code=code))

    old, new = made("0.1", "a"), made("0.2", "b")
    assert factors_of(compare.compare_specs(lab.project, old, new), old, new, config_dir="conf") == {}


@pytest.mark.parametrize("chosen", list(Factor))
def test_a_recipe_takes_what_was_chosen_from_the_new_run_and_the_rest_from_the_old_one(chosen: Factor) -> None:
    environment = replace(snapshot().environment, python="3.12.0")
    old, new = spec("old"), spec("new", snapshot=snapshot(seed=8, environment=environment))
    recipe = mix(old, new, {chosen}, exact=False)
    taken = {
        Factor.CODE: recipe.code is new,
        Factor.CONFIG: recipe.config is new,
        Factor.DATA: recipe.data is new,
        Factor.ENVIRONMENT: recipe.environment is environment,
        Factor.SEED: recipe.seed == 8,
    }
    assert [factor for factor, is_new in taken.items() if is_new] == [chosen]
    assert not recipe.exact
