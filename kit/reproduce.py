"""Repeat a run from all that was recorded of it, and say whether the result is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kit import checkpoints, compare, evidence, planning
from kit.compare import Change, Difference
from kit.errors import KitError, UserError
from kit.evidence import Evidence
from kit.models import Origin, RunRecord, RunSpec
from kit.project import Project
from kit.rerun import Recipe, rerun
from kit.runs import Watch
from kit.verdicts import Finding, Suspect, SuspectKind, Tolerance, Verdict, conclude, judge, suspects

__all__ = ["Champion", "Options", "Reproduction", "champions", "reproduce"]


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
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Champion:
    """A registered model that is in use, and what came of repeating the run that made it.

    Attributes:
        run_id: None if no run of kit's did.
        error: Why it could not be repeated.
    """

    model: str
    run_id: str | None
    reproduction: Reproduction | None = None
    error: KitError | None = None


def champions(project: Project, options: Options, *, watch: Watch) -> Iterator[Champion]:
    """Repeat the runs that made the models with the alias `champion`, one after the other.

    Raises:
        ServiceError: If the registry does not answer.
    """
    from kit.trackers import registry

    with planning.writing():
        project.paths.create_state()
    for model, run_id in sorted(registry.champions(project.tracking_uri, locks=project.paths.locks).items()):
        if run_id is None:
            yield Champion(model, None, error=UserError("the champion was made by no run of kit's"))
            continue
        try:
            yield Champion(model, run_id, reproduce(project, project.store.get(run_id), options, watch=watch))
        except KitError as error:
            yield Champion(model, run_id, error=error)


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
    params = {key: first.moved(value) for key, value in before.params.items()}
    findings = judge(replace(before, params=params), first.evidence, options.tolerances)
    found = suspects(first.difference)
    verdict = conclude(findings)
    # Only what nothing else explains is worth another run.
    if verdict is Verdict.DIFFERENT and all(suspect.kind is SuspectKind.HARDWARE for suspect in found):
        new += [_once(project, record, old, options, watch) for _ in range(options.repeats - 1)]
        found = (*_by_repeating([each.evidence for each in new], options.tolerances), *found)
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
    """One run that repeated another, and how what it was made from differs."""

    record: RunRecord
    evidence: Evidence
    difference: Difference
    notes: tuple[str, ...]
    moved: Callable[[str], str]


def _once(project: Project, record: RunRecord, old: RunSpec, options: Options, watch: Watch) -> _Repetition:
    again = rerun(
        project,
        Recipe.of(old),
        origin=Origin("reproduce", old.run_id),
        watch=watch,
        overrides=options.overrides,
        here=options.here,
        checkpoint=checkpoints.beginning(project.paths.run(record.run_id)),
    )
    found = compare.compare(project, record, again.record)
    difference = replace(found, config=_unmoved(found.config, again.moved))
    return _Repetition(again.record, evidence.collect(project, again.record), difference, again.notes, again.moved)


def _unmoved(changes: Iterable[Change], moved: Callable[[str], str]) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.old is None or moved(change.old) != change.new)


def _by_repeating(produced: Sequence[Evidence], tolerances: Mapping[str, Tolerance]) -> list[Suspect]:
    """Whether runs of the same differ among themselves."""
    first, *others = produced
    for other in others:
        for finding in judge(first, other, tolerances):
            if finding.kind != "parameter" and not finding.tolerated:  # those have the id of the run in them
                values = (None if value is None else str(value) for value in (finding.old, finding.new))
                return [Suspect(SuspectKind.NONDETERMINISM, finding.name, *values)]
    if not others:
        return []
    return [
        Suspect(
            SuspectKind.UNKNOWN,
            f"{len(produced)} repetitions agree with each other, so it is something that is not recorded: a file "
            "outside of the project, a service, the clock",
        )
    ]
