"""Repeat a run from all that was recorded of it, and say whether the result is the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit import compare, evidence, planning, runs, venvs, worktrees
from kit.compare import Change, Difference
from kit.errors import UserError
from kit.evidence import Evidence
from kit.executors.base import Handle
from kit.models import Config, Origin, Request, RunRecord, RunSpec
from kit.planning import Draft
from kit.project import Project
from kit.redact import MASK
from kit.verdicts import Finding, Suspect, SuspectKind, Tolerance, Verdict, conclude, judge, suspects

__all__ = ["Options", "Reproduction", "Watch", "reproduce"]

Watch = Callable[[Handle, RunSpec], None]
"""Shows a run until it has ended."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to be repeated.

    Attributes:
        overrides: What is to be otherwise, as for `kit run`; needed where an override was a secret.
        here: Run in this environment, whatever the run had.
        repeats: How often to run at most; more than once only if nothing recorded explains another result.
        tolerances: By metric, `*` for all others.
    """

    overrides: tuple[str, ...] = ()
    here: bool = False
    repeats: int = 2
    tolerances: Mapping[str, Tolerance] | None = None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of it.

    Attributes:
        new: The runs that repeated `old`, the first of which is compared with it.
        findings: What came out otherwise.
        suspects: What was otherwise before, or is to blame for another reason; the first suspicion first.
        notes: What a reader of the verdict should know.
        compared: What the first repetition produced.
    """

    old: RunRecord
    new: tuple[RunRecord, ...]
    verdict: Verdict
    findings: tuple[Finding, ...]
    suspects: tuple[Suspect, ...]
    notes: tuple[str, ...]
    compared: Evidence


def reproduce(project: Project, record: RunRecord, options: Options, *, watch: Watch) -> Reproduction:
    """Restore the run's snapshot, run it again through the ordinary executor, and compare.

    Raises:
        UserError: If the run was never planned, or its snapshot or its config cannot be had any more.
        ServiceError: If data of it, or packages, can neither be found nor fetched.
        HostError: If the disk refuses.
    """
    old = project.store.spec(record.run_id)
    if old is None or not record.status.is_terminal:
        raise UserError(
            f"run {record.run_id} cannot be reproduced: it is {record.status}",
            fix=f"See it with `kit show {record.run_id}`.",
        )
    before = evidence.collect(project, record)
    first = _once(project, record, old, options, watch)
    new = [first]
    findings = judge(_moved(before, first), first.evidence, options.tolerances)
    found = suspects(first.difference)
    verdict = conclude(findings)
    # Only what nothing else explains is worth another run.
    if verdict is Verdict.DIFFERENT and all(suspect.kind is SuspectKind.HARDWARE for suspect in found):
        new += [_once(project, record, old, options, watch) for _ in range(options.repeats - 1)]
        found = (*_by_repeating(new, options.tolerances), *found)
    return Reproduction(
        old=record,
        new=tuple(each.record for each in new),
        verdict=verdict,
        findings=findings,
        suspects=found,
        notes=first.notes,
        compared=first.evidence,
    )


@dataclass(frozen=True, slots=True)
class _Repetition:
    """One run that repeated another.

    Attributes:
        moved: Gives a text of the old run as it reads in this one: folders and the id have other names.
    """

    record: RunRecord
    evidence: Evidence
    difference: Difference
    notes: tuple[str, ...]
    moved: Callable[[str], str]


def _once(project: Project, record: RunRecord, old: RunSpec, options: Options, watch: Watch) -> _Repetition:
    with worktrees.restored(project, old, planning.new_id()) as copy:
        environment, notes = venvs.choose(copy, old.snapshot.environment, here=options.here)
        drafted, more = _draft(copy, old, options.overrides)
        spec = runs.plan(copy, drafted, progress=True, environment=environment)
        moved = _mover(old, spec)
        handle = runs.start(copy, spec)
        watch(handle, spec)
    if (rejected := runs.rejected(project, spec.run_id)) is not None:
        runs.discard(project, spec.run_id)
        raise UserError(rejected.reason or "the run was rejected", where=rejected.where, fix=rejected.fix)
    again = runs.ended(project, spec.run_id)
    difference = compare.compare(project, record, again)
    kept = replace(
        difference,
        config=_unmoved(difference.config, moved),
        environment=tuple(change for change in difference.environment if not _is_own(change, copy)),
    )
    return _Repetition(again, evidence.collect(project, again), kept, (*notes, *more), moved)


def _draft(copy: Project, old: RunSpec, overrides: Sequence[str]) -> tuple[Draft, tuple[str, ...]]:
    """The same again: what was recorded counts, whatever composing gives today."""
    given = {_key(override) for override in overrides}
    known = [override for override in old.overrides if MASK not in override]
    lost = [_key(override) for override in old.overrides if MASK in override and _key(override) not in given]
    if lost:
        raise UserError(
            f"the run was given a secret on its command line, which is not kept: {', '.join(lost)}",
            fix="Give it again: " + " ".join(f"`{key}=...`" for key in lost),
        )
    os.environ.update(planning.schedule_environment(old.origin))
    request = Request(
        overrides=(*known, *overrides),
        name=old.name,
        tags=old.tags,
        note=old.note,
        limits=old.limits,
        origin=Origin("reproduce", old.run_id, scheduled_at=old.origin.scheduled_at),
        job=old.origin.index if old.origin.kind == "sweep" else None,
    )
    drafted = planning.draft(copy, request)
    if "seed" not in given:
        drafted = replace(drafted, seed=old.snapshot.seed)
    if overrides:
        return drafted, (f"with {' '.join(overrides)}",)
    moved = _mover(old, replace(old, run_id=drafted.run_id, worktree=str(copy.source)))
    values, notes = _as_recorded(drafted.composed.config, old.config, moved)
    return replace(drafted, composed=replace(drafted.composed, config=values)), notes


def _as_recorded(
    composed: Config, recorded: Config, moved: Callable[[str], str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The recorded config with the secrets that composing gave; and where composing gives something else today."""
    others: list[str] = []

    def merge(now: Any, then: Any, key: str) -> Any:  # noqa: ANN401 - a config may hold anything
        if isinstance(now, dict) and isinstance(then, dict):
            return {name: merge(now.get(name), then[name], f"{key}.{name}".lstrip(".")) for name in then}
        if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
            return [
                merge(one, other, f"{key}.{index}") for index, (one, other) in enumerate(zip(now, then, strict=True))
            ]
        if isinstance(then, str):
            if MASK in then:
                return now
            then = moved(then)
        if now != then and not (now != now and then != then):  # noqa: PLR0124 - NaN
            others.append(key)
        return then

    merged = merge(dict(composed), dict(recorded), "")
    return merged, tuple(f"{key} is as it was recorded; composing it today gives another value" for key in others)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _mover(old: RunSpec, new: RunSpec) -> Callable[[str], str]:
    """Folders, and the id, of the old run as they are called in the new one."""
    there, here = f"{old.project_root}/.kit/runs/{old.run_id}", f"{new.project_root}/.kit/runs/{new.run_id}"
    before, after = old.worktree or old.project_root, new.worktree or new.project_root

    def moved(text: str) -> str:
        kept = "\0" if there in text else ""  # the run's folder lies in the project's
        return text.replace(there, kept).replace(before, after).replace("\0", here).replace(old.run_id, new.run_id)

    return moved


def _moved(before: Evidence, new: _Repetition) -> Evidence:
    return replace(before, params={key: new.moved(value) for key, value in before.params.items()})


def _unmoved(changes: Iterable[Change], moved: Callable[[str], str]) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.old is None or moved(change.old) != change.new)


def _is_own(change: Change, project: Project) -> bool:
    """The project's own package is its code; which of it is installed says nothing of what ran."""
    return change.name.replace("-", "_") == project.name.replace("-", "_")


def _by_repeating(new: Sequence[_Repetition], tolerances: Mapping[str, Tolerance] | None) -> list[Suspect]:
    """Whether runs of the same differ among themselves."""
    if len(new) < 2:
        return []
    first = new[0]
    for other in new[1:]:
        for finding in judge(first.evidence, other.evidence, tolerances):
            if finding.kind != "parameter" and not finding.tolerated:  # those have the id of the run in them
                return [Suspect(SuspectKind.NONDETERMINISM, finding.name, _text(finding.old), _text(finding.new))]
    return [
        Suspect(
            SuspectKind.UNKNOWN,
            f"{len(new)} repetitions agree with each other: something that is not recorded, such as a file outside of "
            "the project, a service, or the clock",
        )
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
