"""Runs of which the metric follows from what they are made from, for tests of what asks for many of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from kit import _clock, data
from kit.models import RunRecord
from kit.project import Project
from kit.rerun import Recipe, Rerun
from kit.snapshot import CodeVersion
from kit.states import RunStatus
from tests.conftest import git, write
from tests.factories import record, snapshot, spec

__all__ = ["METRIC", "Laboratory", "ended", "factor_of", "failed"]

METRIC = "score"


@dataclass
class Laboratory:
    """A project and its runs.

    Attributes:
        outcome: How a run of a recipe ends; a number is the metric of one that succeeds.
        asked: The recipes so far.
    """

    project: Project
    outcome: Callable[[Recipe], RunRecord | float] = lambda _: 0.0
    asked: list[Recipe] = field(default_factory=list)

    def rerun(self, _: Project, recipe: Recipe, **options: Any) -> Rerun:
        """Stands in for `kit.rerun.rerun`."""
        self.asked.append(recipe)
        found = self.outcome(recipe)
        made = found if isinstance(found, RunRecord) else ended(found)
        return Rerun(replace(made, tags=options["tags"]), recipe.config, (), str)

    def edit(self, factor: float) -> str:
        """Commit another factor."""
        write(self.project.root, {"src/tiny/factor.py": f"FACTOR = {factor}\n"})
        git(self.project.root, "add", "--all")
        git(self.project.root, "commit", "--quiet", "--message", str(factor))
        return git(self.project.root, "rev-parse", "HEAD")

    def run(self, run_id: str, metric: float, *, seed: int = 7, gain: float = 1.0, packages: str = "2.0") -> RunRecord:
        """A run of the project as it is now, with nothing uncommitted."""
        head = git(self.project.root, "rev-parse", "HEAD")
        taken = snapshot(
            code=CodeVersion(head, head, "main", dirty=False, ref=f"refs/kit/runs/{run_id}"),
            data=data.at_commit(self.project.root, head),
            seed=seed,
            environment=replace(snapshot().environment, packages={"numpy": packages}),
        )
        made = spec(run_id, snapshot=taken, config={"gain": gain})
        self.project.store.create(made, RunRecord.queued(made, at=_clock.now(), params={}))
        self.project.store.set_metrics(run_id, {METRIC: metric})
        return self.project.store.get(run_id)


def ended(metric: float, status: RunStatus = RunStatus.SUCCEEDED, reason: str | None = None) -> RunRecord:
    """A run that has ended."""
    return replace(record("made"), status=status, reason=reason, metrics={METRIC: metric})


def failed(metric: float) -> RunRecord:
    """One that logged the metric before it failed."""
    return ended(metric, RunStatus.FAILED, "ValueError: no such column")


def factor_of(project: Project, recipe: Recipe) -> float:
    """That of the code."""
    text = git(project.root, "show", f"{recipe.code.snapshot.code.commit}:src/tiny/factor.py")
    return float(text.removeprefix("FACTOR = "))
