"""What differs between two runs: code, data, config, environment, host, and then metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite, isnan
from typing import Any

from kit import config, vcs
from kit._patch import FilePatch, mask_patch, split_patch
from kit.crash import secrets_of
from kit.errors import UserError
from kit.models import RunRecord, RunSpec
from kit.project import Project
from kit.snapshot import DataVersion
from kit.states import RunStatus

__all__ = ["Change", "Difference", "MetricChange", "compare", "compare_specs", "data_differs", "spec_of"]


@dataclass(frozen=True, slots=True)
class Change:
    """One named thing that is not the same; None where a run does not have it."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of both runs; None where a run does not have it."""

    name: str
    old: float | None
    new: float | None

    @property
    def change(self) -> float | None:
        """The new value less the old one; 0 for what is the same, infinite or not a number as it may be."""
        if self.old is None or self.new is None:
            return None
        return 0.0 if self.old == self.new or (isnan(self.old) and isnan(self.new)) else self.new - self.old

    @property
    def relative(self) -> float | None:
        """The change as a share of the old value; None where there is no telling."""
        if self.change is None or not self.old or not (isfinite(self.change) and isfinite(self.old)):
            return None
        return self.change / abs(self.old)


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs, from causes to effects.

    Attributes:
        code: A git diff, without secrets.
        omitted: Untracked files that a snapshot names but does not store.
        metrics: All of them, changed or not.
        note: What could not be compared, and why; None when everything was.
    """

    code: str
    omitted: tuple[Change, ...]
    data: tuple[Change, ...]
    config: tuple[Change, ...]
    environment: tuple[Change, ...]
    host: tuple[Change, ...]
    metrics: tuple[MetricChange, ...]
    note: str | None = None

    @property
    def files(self) -> list[FilePatch]:
        """The code, file by file."""
        return split_patch(self.code)

    @property
    def installed(self) -> tuple[Change, ...]:
        """What changed in the interpreter and the packages that were there, whatever the lock file says of others."""
        return tuple(change for change in self.environment if change.name != "(lock)")

    @property
    def seed(self) -> Change | None:
        """What the generators were seeded with, if that changed."""
        return next((Change("seed", change.old, change.new) for change in self.config if change.name == "(seed)"), None)

    @property
    def values(self) -> tuple[Change, ...]:
        """What changed in the config but for the seed, which it may have as a key, too."""
        seeds = {"(seed)", "seed"} if self.seed is not None else set()
        return tuple(change for change in self.config if change.name not in seeds)


def compare(project: Project, old: RunRecord, new: RunRecord) -> Difference:
    """Compare two runs by what was recorded of them. A snapshot that is gone only costs the diff of the code.

    Raises:
        UserError: If one of them was never planned: nothing is known of what it would have been made from.
    """
    metrics = tuple(
        MetricChange(name, old.metrics.get(name), new.metrics.get(name))
        for name in dict.fromkeys([*old.metrics, *new.metrics])
    )
    return replace(compare_specs(project, spec_of(project, old), spec_of(project, new)), metrics=metrics)


def compare_specs(project: Project, before: RunSpec, after: RunSpec) -> Difference:
    """Compare what two runs are made from, whether they have been made or not."""
    code, note = "", None
    try:
        patch = vcs.diff(project.root, before.snapshot.code.commit, after.snapshot.code.commit)
        code = mask_patch(patch, secrets_of(replace(after, project_root=str(project.root), worktree=None)))
    except UserError as error:
        note = f"the code cannot be compared: {error}"
    return Difference(
        code=code,
        omitted=_changes(_omitted(before), _omitted(after)),
        note=note,
        data=_data(before, after),
        config=_changes(_config(before), _config(after)),
        environment=_changes(_environment(before), _environment(after)),
        host=_changes(_host(before), _host(after)),
        metrics=(),
    )


def spec_of(project: Project, record: RunRecord) -> RunSpec:
    """What a run was made from.

    Raises:
        UserError: If it was never planned.
    """
    if (spec := project.store.spec(record.run_id)) is not None:
        return spec
    why = "it waits for its turn" if record.status is RunStatus.QUEUED else f"it is {record.status}"
    raise UserError(
        f"run {record.run_id} cannot be compared: what it is made from is not known, {why}",
        fix=f"See it with `kit show {record.run_id}`.",
    )


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    names = sorted({*old, *new})
    return tuple(Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def data_differs(old: DataVersion | None, new: DataVersion | None) -> bool:
    """Whether a run read something else than the other; that DVC knew of it for one alone makes no difference."""
    return old is None or new is None or old.used != new.used


def _data(before: RunSpec, after: RunSpec) -> tuple[Change, ...]:
    old, new = ({version.path: version for version in spec.snapshot.data} for spec in (before, after))
    return tuple(
        Change(path, _version(old.get(path)), _version(new.get(path)))
        for path in sorted({*old, *new})
        if data_differs(old.get(path), new.get(path))
    )


def _version(version: DataVersion | None) -> str | None:
    if version is None:
        return None
    return (version.used or "nothing there") + ("" if version.state == "matches" else f" ({version.state})")


def _omitted(spec: RunSpec) -> dict[str, str]:
    """By hash; one that has none, as it may hold secrets, by what else is known of it."""
    return {
        file.path: f"sha256 {file.sha256}" if file.sha256 else f"{file.size:,} bytes ({file.reason})"
        for file in spec.snapshot.code.omitted
    }


def _config(spec: RunSpec) -> dict[str, str]:
    return config.flatten(spec.config) | {"(seed)": str(spec.snapshot.seed), "(task)": spec.task}


def _environment(spec: RunSpec) -> dict[str, str]:
    environment = spec.snapshot.environment
    return environment.others(spec.project) | {
        "(python)": environment.python,
        "(implementation)": environment.implementation,
        "(lock)": environment.lock_sha256 or "none",
    }


def _host(spec: RunSpec) -> dict[str, str]:
    plain: dict[str, Any] = asdict(spec.snapshot.host)
    # No machine has the same number of bytes after each start.
    return {name: str(value) for name, value in plain.items()} | {
        "memory": f"{plain['memory'] / 2**30:.1f} GiB",
        "gpus": "; ".join(plain["gpus"]) or "none",
    }
