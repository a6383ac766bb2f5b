"""Find the commit, or the version of the data, with which a metric broke: a binary search over both histories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from kit import compare, data, vcs
from kit.errors import UserError
from kit.explain import Factor, factors_of, mix, outcome, value_of
from kit.history import history, tree
from kit.models import Origin, RunRecord, RunSpec
from kit.project import Project
from kit.rerun import Recipe, rerun
from kit.runs import Watch
from kit.stores.base import RunQuery

__all__ = ["Bisection", "Candidate", "bisect"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A state of the project: a commit, or what a run was made from beyond its commit.

    Attributes:
        spec: That of the bad run, but with this code and this data.
        commit: The commit, or the snapshot of the run.
        run_id: Of the run, for a snapshot of uncommitted work or data.
        author: Of the commit.
    """

    spec: RunSpec
    commit: str
    at: datetime
    title: str
    run_id: str | None = None
    author: str | None = None


@dataclass(frozen=True, slots=True)
class Bisection:
    """What came of it.

    Attributes:
        good, bad: The metric of both runs.
        candidates: How many states of the project there were to choose from.
        first: The first bad one; None where neither code nor data is to blame.
        before: The last good one.
        changed: What changed from `before` to `first`, in short, by factor.
        blamed: Those of them that make the metric bad by themselves.
        tried: The runs that were made for it, with the state that each was made from.
        skipped: States that could not be run, and why.
    """

    metric: str
    good: float
    bad: float
    candidates: int
    first: Candidate | None
    before: Candidate | None
    changed: dict[Factor, tuple[str, ...]]
    blamed: tuple[Factor, ...]
    tried: tuple[RunRecord, ...]
    skipped: dict[str, str]


def bisect(project: Project, good: RunRecord, bad: RunRecord, *, metric: str, here: bool, watch: Watch) -> Bisection:
    """Search between two runs for the first state of the project with which the metric is nearer to the bad one's.

    Every state is run with the overrides, the seed and the environment of the bad run. A state is a commit with the
    data that it has on record, or the snapshot of a run between the two: data that nobody committed is found there.

    Args:
        project: Where the runs are.
        good, bad: Two runs that have ended, the bad one made later, or of a later commit.
        metric: Which.
        here: Run in this environment.
        watch: Shows each run.

    Raises:
        UserError: If the runs do not have the metric, or the bad one's commit does not come after the good one's.
        ServiceError: If data or packages can neither be found nor fetched.
    """
    return _Search(project, good, bad, metric, here=here, watch=watch).result()


class _Search:
    def __init__(
        self, project: Project, good: RunRecord, bad: RunRecord, metric: str, *, here: bool, watch: Watch
    ) -> None:
        self._project = project
        self._metric = metric
        self._good, self._bad = value_of(good, metric), value_of(bad, metric)
        if self._good == self._bad:
            raise UserError(f"{metric} is {self._good:g} in both runs", fix="Name a good run and a bad one.")
        self._old, self._new = compare.spec_of(project, good), compare.spec_of(project, bad)
        self._records = (good, bad)
        self._here = here
        self._watch = watch
        self._tried: list[RunRecord] = []
        self._values: dict[str, float | None] = {}
        self._skipped: dict[str, str] = {}

    def result(self) -> Bisection:
        line = list(self._line())
        # The old state with the new run's overrides, seed and environment: what is bad then is not in the history.
        differ = factors_of(
            compare.compare(self._project, *self._records), self._old, self._new, config_dir=self._config_dir
        )
        if differ.keys() & {Factor.CONFIG, Factor.SEED, Factor.ENVIRONMENT} and self._is_bad(line[0]):
            return self._found(line, None, None)
        if len(line) == 1:
            good, bad = (record.run_id for record in self._records)
            fix = f"`kit explain {good} {bad}` says what else changed, and `kit reproduce {bad}` whether it is chance."
            raise UserError(f"runs {good} and {bad} are made from the same commit: there is nothing to search", fix=fix)
        low, high = 0, len(line) - 1
        while high - low > 1:
            middle = self._middle(line, low, high)
            if middle is None:
                break
            if self._is_bad(line[middle]):
                high = middle
            else:
                low = middle
        return self._found(line, line[low], line[high])

    @property
    def _config_dir(self) -> str:
        return self._project.settings.config_dir

    def _middle(self, line: list[Candidate], low: int, high: int) -> int | None:
        """The state nearest to the middle that is not known to be unable to run."""
        places = [place for place in range(low + 1, high) if line[place].commit not in self._skipped]
        for place in sorted(places, key=lambda place: abs(place - (low + high) / 2)):
            if self._value(line[place]) is not None:
                return place
        return None

    def _is_bad(self, candidate: Candidate) -> bool:
        return self._is_nearer_to_bad(self._value(candidate))

    def _is_nearer_to_bad(self, value: float | None) -> bool:
        return value is not None and abs(value - self._bad) <= abs(value - self._good)

    def _value(self, candidate: Candidate) -> float | None:
        """The metric in this state, which is run once; None if it cannot be run."""
        if candidate.commit not in self._values:
            recipe = mix(candidate.spec, candidate.spec, (), exact=False)
            self._values[candidate.commit] = self._run(recipe, candidate.commit)
        return self._values[candidate.commit]

    def _run(self, recipe: Recipe, name: str) -> float | None:
        origin = Origin("bisect", self._new.run_id)
        try:
            record = rerun(
                self._project, recipe, origin=origin, watch=self._watch, here=self._here, tags={"kit.bisect": name}
            ).record
        except UserError as error:  # its config does not compose, say
            self._skipped[name] = str(error)
            return None
        self._tried.append(record)
        value, why = outcome(record, self._metric)
        if value is None:
            self._skipped[name] = why
        return value

    def _found(self, line: list[Candidate], before: Candidate | None, first: Candidate | None) -> Bisection:
        changed: dict[Factor, tuple[str, ...]] = {}
        blamed: tuple[Factor, ...] = ()
        if before is not None and first is not None:
            changed = self._changes(before, first)
            blamed = tuple(changed) if len(changed) == 1 else tuple(self._blame(before, first, changed))
        return Bisection(
            metric=self._metric,
            good=self._good,
            bad=self._bad,
            candidates=len(line),
            first=first,
            before=before,
            changed=changed,
            blamed=blamed,
            tried=tuple(self._tried),
            skipped=self._skipped,
        )

    def _changes(self, before: Candidate, first: Candidate) -> dict[Factor, tuple[str, ...]]:
        found = compare.compare_specs(self._project, before.spec, first.spec)
        changed = factors_of(found, before.spec, first.spec, config_dir=self._config_dir)
        configs = tuple(patch.path for patch in found.files if patch.path.startswith(f"{self._config_dir}/"))
        return changed | ({Factor.CONFIG: configs} if configs else {})

    def _blame(self, before: Candidate, first: Candidate, changed: dict[Factor, tuple[str, ...]]) -> Iterator[Factor]:
        """Each thing that changed in one step, put into the state before it by itself."""
        for factor in changed:
            recipe = mix(before.spec, first.spec, {factor}, exact=False)
            if self._is_nearer_to_bad(self._run(recipe, f"{factor.value} of {first.commit}")):
                yield factor

    def _line(self) -> Iterator[Candidate]:
        """All states from the good run's to the bad run's, in the order of time; neighbours differ."""
        known = ""
        for candidate in self._candidates():
            found = tree(self._project.root, candidate.commit)
            if found != known:
                yield candidate
            known = found

    def _candidates(self) -> Iterator[Candidate]:
        good, bad = self._records
        yield self._of_run(good, self._old)
        between: list[Candidate] = []
        for commit in history(self._project.root, self._old.snapshot.code.base, self._new.snapshot.code.base):
            code = replace(self._new.snapshot.code, commit=commit.sha, base=commit.sha, ref="", dirty=False, omitted=())
            versions = data.at_commit(self._project.root, commit.sha)
            spec = replace(self._new, snapshot=replace(self._new.snapshot, code=code, data=versions))
            between.append(Candidate(spec, commit.sha, commit.at, commit.subject, author=commit.author))
        for record in self._project.store.runs(RunQuery()):
            if good.created_at < record.created_at < bad.created_at and record.origin.kind not in {"explain", "bisect"}:
                spec_there = self._project.store.spec(record.run_id)
                if spec_there is not None and spec_there.snapshot.code.dirty:
                    between.append(self._of_run(record, spec_there))
        yield from sorted(between, key=lambda candidate: candidate.at)
        yield self._of_run(bad, self._new)

    def _of_run(self, record: RunRecord, spec: RunSpec) -> Candidate:
        snapshot = replace(self._new.snapshot, code=spec.snapshot.code, data=spec.snapshot.data)
        title = f"what run {record.run_id} was made from" + (" (uncommitted work)" if spec.snapshot.code.dirty else "")
        return Candidate(
            replace(self._new, snapshot=snapshot),
            vcs.resolve(self._project.root, spec.snapshot.code.commit),
            spec.snapshot.taken_at,
            title,
            run_id=record.run_id,
        )
