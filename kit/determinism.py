"""Whether an experiment gives the same result each time; where not, what first comes out otherwise, and why.

The cause is found by experiment: the run is repeated with everything held fixed that usually is to blame, then with one
thing at a time. What makes the difference go away is the cause, and the places in the task that asked for it are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from kit import compare, runs
from kit._probe import GENERATOR, HASH_ORDER, HELD, NATIVE_THREADS, THREADS, TIME, Asked
from kit._repeating import CONFIG, INPUTS, TAG, Ended, Repeating
from kit.errors import RunError, UserError
from kit.project import Project
from kit.states import RunStatus
from kit.verdicts import Finding, Suspect, SuspectKind, suspects

__all__ = [
    "CONFIG",
    "GENERATOR",
    "HASH_ORDER",
    "HASH_SEED",
    "INPUTS",
    "NATIVE_THREADS",
    "TAG",
    "THREADS",
    "TIME",
    "Cause",
    "Ended",
    "Options",
    "Trial",
    "Verdict",
    "check",
    "search",
]

HASH_SEED = "hash seed"
"""The order of sets of texts, which every run fixes by its seed."""

_ANOTHER_HASH_SEED = 1
_FIRST_LOOK = 2
"""How many runs there are with everything held fixed: it only says whether looking on is worth while."""

Name = tuple[str, str]
"""Of something that came out otherwise: its kind, and its name."""
_Changed = tuple[tuple[Suspect, ...], tuple[Suspect, ...]]


@dataclass(frozen=True, slots=True)
class Options:
    """How to check.

    Attributes:
        times: How often to run before the runs count as identical, 2 at least.
        cause: Whether to look for the cause of a difference.
        ignore: Patterns of the names of metrics, parameters and artifacts that need not be the same.
        vary_hash: Whether one more run gets another hash seed.
    """

    times: int = 3
    cause: bool = True
    ignore: tuple[str, ...] = ()
    vary_hash: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """The same run, some times, with these things held fixed.

    Attributes:
        settled: What came out otherwise before and was the same in all of these.
        asked: The places of the task that asked for what was held.
        failed: Why it says nothing; None if it does.
    """

    held: tuple[str, ...]
    run_ids: tuple[str, ...]
    settled: frozenset[Name] = frozenset()
    asked: tuple[Asked, ...] = ()
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something came out otherwise.

    Attributes:
        kinds: One of `kit._probe.HELD`, `CONFIG`, `INPUTS` or `HASH_SEED`; several if only all of them together make
            the difference go away; none if it is not known.
        explains: What came out otherwise for that reason.
        run_ids: The runs that show it.
        places: Who asked for it in the task. If the cause is not known: who asked for anything.
        changed: Of `CONFIG` and `INPUTS`, what was not the same.
    """

    kinds: tuple[str, ...]
    explains: tuple[Name, ...] = ()
    run_ids: tuple[str, ...] = ()
    places: tuple[Asked, ...] = ()
    changed: tuple[Suspect, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check.

    Attributes:
        plain: The runs with nothing held fixed; only the last can differ from the first.
        findings: What came out otherwise, in the order in which it was logged; empty if all runs are identical.
        causes: The first is that of the first finding; empty if none was looked for.
        varied: The run with another hash seed, if there was one.
        trials: What was tried to find the causes.
    """

    plain: tuple[Ended, ...]
    findings: tuple[Finding, ...] = ()
    causes: tuple[Cause, ...] = ()
    varied: Ended | None = None
    trials: tuple[Trial, ...] = ()

    @property
    def pair(self) -> tuple[Ended, Ended]:
        """The two runs that were compared last."""
        return self.plain[0], self.varied or self.plain[-1]


def check(
    project: Project,
    request: runs.Request,
    options: Options,
    *,
    on_end: Callable[[Ended], None] = lambda _: None,
    on_difference: Callable[[Verdict], None] = lambda _: None,
) -> Verdict:
    """Run an experiment several times with the same seed, and compare everything that it logs and keeps.

    Args:
        on_end: Called with each run as it ends.
        on_difference: Called with what is known so far, before the cause is looked for.

    Raises:
        UserError: If the experiment cannot be run as it is, or logs nothing that could be compared.
        RunError: If the first run fails, or one is stopped.
    """
    repeating = Repeating(project, request, ignore=options.ignore, on_end=on_end)
    first = repeating.run()
    _expect_a_result(first, repeating)
    plain = [first]
    while len(plain) < options.times:
        plain.append(repeating.run())
        if findings := repeating.findings(first, plain[-1]):
            found = Verdict(tuple(plain), findings)
            on_difference(found)
            if not options.cause:
                return found
            return search(repeating, found, _changed(project, *found.pair), times=options.times)
    found = Verdict(tuple(plain))
    return _with_another_hash_seed(repeating, found) if options.vary_hash else found


def _expect_a_result(first: Ended, repeating: Repeating) -> None:
    record = first.record
    if record.status is not RunStatus.SUCCEEDED:
        raise RunError(
            f"run {record.run_id} {record.status}, so there is nothing to compare: {record.reason}",
            fix=f"See what it printed: `kit logs {record.run_id}`.",
        )
    if not repeating.produced(first):
        raise UserError(
            "the experiment logs no metrics and keeps no artifacts that count: there is nothing to compare",
            where=record.task,
            fix="Return its metrics, or log them with `run.log`.",
        )


def _with_another_hash_seed(repeating: Repeating, found: Verdict) -> Verdict:
    first = found.plain[0]
    varied = repeating.run(hash_seed=_ANOTHER_HASH_SEED)
    findings = repeating.findings(first, varied)
    causes = (Cause((HASH_SEED,), _names(findings), (varied.record.run_id,)),) if findings else ()
    return replace(found, findings=findings, varied=varied, causes=causes)


def _names(findings: Iterable[Finding]) -> tuple[Name, ...]:
    return tuple((finding.kind, finding.name) for finding in findings)


def search(repeating: Repeating, found: Verdict, changed: _Changed, *, times: int) -> Verdict:
    """Look for the causes of what came out otherwise.

    Args:
        repeating: What runs the experiment.
        found: What came out otherwise.
        changed: What was not the same before these runs: of the config, and of the files.
        times: How often it has to give the same with something held fixed before that is the cause.

    Raises:
        RunError: If a run is stopped.
    """
    return _Search(repeating, found, changed, times).search()


class _Search:
    def __init__(self, repeating: Repeating, found: Verdict, changed: _Changed, times: int) -> None:
        self._repeating = repeating
        self._times = times
        self._found = found
        self._names = _names(found.findings)
        self._trials: list[Trial] = []
        self._config, self._files = changed

    def search(self) -> Verdict:
        kinds = (*HELD, *([CONFIG] if self._config else []))
        everything = self._try(kinds, self._names, times=_FIRST_LOOK)
        first, causes = self._names[0], list[Cause]()
        if everything.failed or first in everything.settled:
            causes = self._one_at_a_time(everything)
        if not any(first in cause.explains for cause in causes):
            trial = self._try((INPUTS,), self._names, times=self._times)
            if first in trial.settled:
                causes.append(self._cause(trial, trial.settled))
        causes.sort(key=lambda cause: first not in cause.explains)
        if not causes or first not in causes[0].explains:
            places = tuple(place for trial in self._trials for place in trial.asked)
            causes.insert(0, Cause((), (first,), places=tuple(dict.fromkeys(places)), changed=self._files))
        return replace(self._found, causes=tuple(causes), trials=tuple(self._trials))

    def _one_at_a_time(self, everything: Trial) -> list[Cause]:
        """The causes that holding one thing shows, then several of these; last, what only holding everything does."""
        unexplained = frozenset(self._names) if everything.failed else everything.settled
        causes: list[Cause] = []

        def hold(*kinds: str) -> None:
            nonlocal unexplained
            if unexplained and kinds:
                trial = self._try(kinds, unexplained, times=self._times)
                if trial.settled:
                    causes.append(self._cause(trial, trial.settled))
                    unexplained -= trial.settled

        for kind in self._asked_for(everything):
            hold(kind)
        if len(causes) > 1:
            hold(*(kind for cause in causes for kind in cause.kinds))
        hold(NATIVE_THREADS)
        if unexplained and not everything.failed:
            causes.append(self._cause(everything, unexplained))
        return causes

    def _asked_for(self, everything: Trial) -> list[str]:
        """What is worth holding alone, the likeliest first. What nobody asked for made no difference."""
        asked = {place.kind for place in everything.asked}
        kinds = [kind for kind in (GENERATOR, THREADS, HASH_ORDER, TIME) if kind in asked or everything.failed]
        return [*kinds, *([CONFIG] if self._config else [])]

    def _try(self, held: tuple[str, ...], among: Iterable[Name], *, times: int) -> Trial:
        """Run with these held fixed until nothing of it is the same any more, or often enough."""
        settled, done, failed = frozenset(among), list[Ended](), None
        while settled and len(done) < times:
            done.append(self._repeating.run(held))
            if failed := self._failure(done[-1]):
                settled = frozenset()
            else:
                settled -= frozenset(_names(self._repeating.findings(done[0], done[-1])))
        asked = dict.fromkeys(place for ended in done for place in ended.asked)
        trial = Trial(held, tuple(ended.record.run_id for ended in done), settled, tuple(asked), failed)
        self._trials.append(trial)
        return trial

    def _failure(self, ended: Ended) -> str | None:
        """Why a run says nothing. One that fails now and then does say something: that is what came out otherwise."""
        status = ended.record.status
        if status is RunStatus.SUCCEEDED or (status is RunStatus.FAILED and ("status", "status") in self._names):
            return None
        return ended.record.reason or status.value

    def _cause(self, trial: Trial, explained: frozenset[Name]) -> Cause:
        asked = {place.kind for place in trial.asked}
        kinds = tuple(kind for kind in trial.held if kind in asked or kind == CONFIG) if len(trial.held) > 1 else ()
        return Cause(
            kinds=kinds or trial.held,
            explains=tuple(name for name in self._names if name in explained),
            run_ids=trial.run_ids,
            places=trial.asked,
            changed=self._config if CONFIG in trial.held else self._files if INPUTS in trial.held else (),
        )


def _changed(project: Project, old: Ended, new: Ended) -> _Changed:
    """What two runs of one experiment were made from and was not the same: of the config, and of the files."""
    found = [
        suspect
        for suspect in suspects(compare.compare(project, old.record, new.record))
        if suspect.old is None
        or suspect.new is None
        or suspect.old.replace(old.record.run_id, "") != suspect.new.replace(new.record.run_id, "")
    ]
    files = {SuspectKind.DATA, SuspectKind.CODE, SuspectKind.ENVIRONMENT}
    return (
        tuple(suspect for suspect in found if suspect.kind is SuspectKind.CONFIG),
        tuple(suspect for suspect in found if suspect.kind in files),
    )
