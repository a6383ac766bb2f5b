"""Which state of the project is found to have broken a metric, whatever of its history can be run.

Real runs of it are in tests/integration/test_explain.py; here a run's metric follows from its recipe.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from kit import bisect as service
from kit.bisect import Bisection, bisect
from kit.errors import UserError
from kit.explain import Factor
from kit.models import RunRecord
from kit.project import open_project
from kit.rerun import Recipe
from tests.conftest import git, write
from tests.reruns import METRIC, Laboratory, factor_of, failed

GOOD, BAD = 1.0, 9.0
COMMITS = 8
"""After the good run's."""


@pytest.fixture
def lab(project: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    made = Laboratory(open_project(project))
    monkeypatch.setattr(service, "rerun", made.rerun)
    return made


def searched(lab: Laboratory, good: RunRecord, bad: RunRecord) -> Bisection:
    return bisect(lab.project, good, bad, metric=METRIC, here=False, watch=lambda *_: None)


@pytest.mark.parametrize(
    ("broken", "lame"),
    [(1, ()), (4, ()), (8, ()), (3, (4, 5)), (5, (4, 5)), (8, range(1, 8)), (1, (1, 2, 3, 4, 5, 6, 7))],
)
def test_the_first_bad_state_is_found_among_those_that_run(lab: Laboratory, broken: int, lame: Collection[int]) -> None:
    """Commit n has the factor n. From `broken` on the metric is bad; `lame` ones log the opposite, and fail."""
    commits = [lab.edit(0)]
    good = lab.run("a1", GOOD)
    commits += [lab.edit(number) for number in range(1, COMMITS + 1)]
    bad = lab.run("b2", BAD)

    def outcome(recipe: Recipe) -> RunRecord | float:
        number = int(factor_of(lab.project, recipe))
        value = BAD - 0.5 if number >= broken else GOOD + 0.5
        return failed(BAD + GOOD - value) if number in lame else value

    lab.outcome = outcome
    found = searched(lab, good, bad)
    assert found.first is not None
    assert found.before is not None
    first, before = commits.index(found.first.commit), commits.index(found.before.commit)
    assert before < broken <= first
    assert all(number in lame for number in range(before + 1, first))
    assert {commits.index(commit) for commit in found.skipped} <= set(lame)
    assert (found.changed, found.blamed) == ({Factor.CODE: ("src/tiny/factor.py",)}, (Factor.CODE,))
    asked = [recipe.code.snapshot.code.commit for recipe in lab.asked]
    assert len(asked) == len(set(asked)) == len(found.tried)
    assert not any(recipe.exact for recipe in lab.asked)


def test_of_what_changed_in_one_step_each_is_tried_by_itself(lab: Laboratory) -> None:
    lab.edit(1)
    good = lab.run("a1", GOOD)
    files = {"conf/config.yaml": "defaults: [_self_]\ngain: 2\n", ".dvc/config": "", "data/x.dvc": DVC}
    write(lab.project.root, files)
    lab.edit(2)
    bad = lab.run("b2", BAD)
    head = bad.commit

    def outcome(recipe: Recipe) -> RunRecord | float:
        if recipe.config.snapshot.code.commit == head:
            return failed(BAD)
        return BAD - 1 if recipe.data.snapshot.code.commit == head else GOOD

    lab.outcome = outcome
    found = searched(lab, good, bad)
    assert found.changed == {
        Factor.DATA: ("data/x",),
        Factor.CODE: (".dvc/config", "src/tiny/factor.py"),
        Factor.CONFIG: ("conf/config.yaml",),
    }
    assert found.blamed == (Factor.DATA,)
    assert found.skipped == {f"config of {head}": "ValueError: no such column"}


def test_what_is_in_no_history_is_not_searched_for_there(lab: Laboratory) -> None:
    lab.edit(1)
    good = lab.run("a1", GOOD)
    lab.edit(2)
    bad = lab.run("b2", BAD, seed=8)
    lab.outcome = lambda _: BAD
    found = searched(lab, good, bad)
    assert (found.first, found.before, len(found.tried)) == (None, None, 1)
    assert lab.asked[0].seed == 8


@pytest.mark.parametrize("seed", [7, 8])
def test_runs_of_the_same_code_have_no_history_to_search(lab: Laboratory, seed: int) -> None:
    lab.edit(1)
    good, bad = lab.run("a1", GOOD), lab.run("b2", BAD, seed=seed)
    lab.outcome = lambda _: GOOD
    with pytest.raises(UserError, match="runs a1 and b2 are made from the same commit") as refused:
        searched(lab, good, bad)
    assert "kit explain a1 b2" in str(refused.value.fix)


def test_a_metric_that_is_the_same_in_both_did_not_break(lab: Laboratory) -> None:
    lab.edit(1)
    with pytest.raises(UserError, match="score is 1 in both runs"):
        searched(lab, lab.run("a1", 1.0), lab.run("b2", 1.0))


def test_a_bad_run_of_an_earlier_commit_is_refused(lab: Laboratory) -> None:
    lab.edit(1)
    bad = lab.run("b2", BAD)
    lab.edit(2)
    good = lab.run("a1", GOOD)
    assert git(lab.project.root, "status", "--porcelain") == ""
    with pytest.raises(UserError, match="does not come after"):
        searched(lab, good, bad)


DVC = """
    outs:
    - md5: 60b725f10c9c85c70d97880dfe8191b3
      size: 2
      hash: md5
      path: x
    """
