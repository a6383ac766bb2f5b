"""Run again what earlier runs were made from: all of one run, or the code of one with the data of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit import checkpoints, planning, runs, venvs, worktrees
from kit._variables import variables
from kit.checkpoints import Checkpoint
from kit.errors import UserError
from kit.models import Config, Origin, Request, RunRecord, RunSpec
from kit.planning import Draft
from kit.project import Project
from kit.recorded import as_recorded
from kit.redact import MASK
from kit.snapshot import Environment

__all__ = ["Recipe", "Rerun", "rerun"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which run each part of a new one is taken from.

    Attributes:
        config: The folder of configs, and the overrides.
        seed: Instead of the one in the config; None leaves that, as for a run that is started anew.
        exact: Whether the config's values count as they were recorded, whatever composing gives today.
    """

    code: RunSpec
    config: RunSpec
    data: RunSpec
    environment: Environment
    seed: int | None
    exact: bool = False

    @classmethod
    def of(cls, spec: RunSpec) -> Recipe:
        """That of a run as it was."""
        return cls(spec, spec, spec, spec.snapshot.environment, spec.snapshot.seed, exact=True)


@dataclass(frozen=True, slots=True)
class Rerun:
    """One run that was made from the parts of others.

    Attributes:
        notes: What a reader of its result should know.
        moved: Gives a text of the run that the config is from as it reads in this one: folders and the id have other
            names.
    """

    record: RunRecord
    spec: RunSpec
    notes: tuple[str, ...]
    moved: Callable[[str], str]


def rerun(  # noqa: PLR0913 - each is a part of a run that can be chosen
    project: Project,
    recipe: Recipe,
    *,
    origin: Origin,
    watch: runs.Watch,
    overrides: Sequence[str] = (),
    here: bool = False,
    tags: Mapping[str, str] | None = None,
    checkpoint: Checkpoint | None = None,
    pdb: bool = False,
) -> Rerun:
    """Restore what is wanted into a worktree, run it through the ordinary executor, and wait for its end.

    Args:
        project: Where the runs are kept.
        recipe: What to run.
        origin: Of the new run.
        watch: Shows it.
        overrides: On top of the config's own.
        here: Run in this environment, whatever the recipe says.
        tags: On top of those of the run that the config is from.
        checkpoint: Of another run, which the new one begins from.
        pdb: Whether a debugger opens should it crash, on this process's terminal.

    Raises:
        UserError: If a snapshot, a config or a secret in it cannot be had any more.
        ServiceError: If data or packages can neither be found nor fetched.
        HostError: If the disk refuses.
    """
    restored = worktrees.restored(project, recipe.code, planning.new_id(), config=recipe.config, of_data=recipe.data)
    told = planning.schedule_environment(recipe.config.origin)
    with restored as copy, variables(told):
        environment, notes = venvs.choose(copy, recipe.environment, here=here)
        drafted, more = _draft(copy, recipe, origin, overrides, tags or {})
        spec = runs.plan(copy, drafted, progress=True, environment=environment)
        if checkpoint is not None:
            with planning.writing():
                checkpoints.begin_from(project.paths.run(spec.run_id), checkpoint)
        handle = runs.start(copy, spec, interactive=pdb, pdb=pdb)
        watch(handle, spec)
    runs.expect_accepted(project, spec.run_id)
    return Rerun(runs.ended(project, spec.run_id), spec, (*notes, *more), _mover(recipe.config, spec))


def _draft(
    copy: Project, recipe: Recipe, origin: Origin, overrides: Sequence[str], tags: Mapping[str, str]
) -> tuple[Draft, tuple[str, ...]]:
    old = recipe.config
    given = {_key(override) for override in overrides}
    lost = [_key(override) for override in old.overrides if MASK in override and _key(override) not in given]
    if lost:
        raise UserError(
            f"the run was given a secret on its command line, which is not kept: {', '.join(lost)}",
            fix="Give it again: " + " ".join(f"`{key}=...`" for key in lost),
        )
    known = [override for override in old.overrides if MASK not in override]
    request = Request(
        overrides=(*known, *overrides),
        name=old.name,
        tags=old.tags | dict(tags),
        note=old.note,
        limits=old.limits,
        origin=replace(origin, scheduled_at=old.origin.scheduled_at),
        job=old.origin.index if old.origin.kind == "sweep" else None,
    )
    drafted = planning.draft(copy, request)
    if recipe.seed is not None and "seed" not in given:
        drafted = replace(drafted, seed=recipe.seed)
    changed = [
        override for override in overrides if not any(_key(override) == _key(o) for o in old.overrides if MASK in o)
    ]
    if changed or not recipe.exact:
        return drafted, (f"with {' '.join(map(_key, overrides))} as given",) if changed else ()
    moved = _mover(old, replace(old, run_id=drafted.run_id, worktree=str(copy.source), project_root=str(copy.root)))
    values, others = as_recorded(old.config, drafted.composed, moved=moved)
    notes = tuple(f"{key} is as it was recorded; composing it today gives another value" for key in others)
    recorded = replace(drafted, composed=replace(drafted.composed, config=values))
    if recipe.seed in {None, old.snapshot.seed} or "seed" not in values or "seed" in given:
        return recorded, notes
    return _reseeded(copy, recorded, drafted.composed.config, recipe.seed), notes


def _reseeded(copy: Project, drafted: Draft, composed: Config, seed: int | None) -> Draft:
    """With another seed also where the config has it: as its key, and in all values that are made from that."""
    request = replace(drafted.request, overrides=(*drafted.request.overrides, f"seed={seed}"))
    other = planning.draft(copy, request, run_id=drafted.run_id)
    values = _follow(drafted.composed.config, composed, other.composed.config)
    return replace(other, composed=replace(other.composed, config=values))


def _follow(values: Any, before: Any, after: Any) -> Any:  # noqa: ANN401 - a config may hold anything
    """The values; where they are those of `before`, as they are in `after`."""
    if isinstance(values, dict) and isinstance(before, dict) and isinstance(after, dict):
        return {key: _follow(value, before.get(key), after.get(key, value)) for key, value in values.items()}
    return after if repr(values) == repr(before) else values


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _mover(old: RunSpec, new: RunSpec) -> Callable[[str], str]:
    """Folders, and the id, of the old run as they are called in the new one."""
    there, here = f"{old.project_root}/.kit/runs/{old.run_id}", f"{new.project_root}/.kit/runs/{new.run_id}"
    before, after = old.worktree or old.project_root, new.worktree or new.project_root

    def moved(text: str) -> str:
        # The run's folder lies in the project's.
        return text.replace(there, "\0").replace(before, after).replace("\0", here).replace(old.run_id, new.run_id)

    return moved
