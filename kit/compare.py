"""What differs between two runs: code, data, config, environment, host, and then metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kit import config, vcs
from kit.models import RunRecord, RunSpec
from kit.project import Project

__all__ = ["Change", "Difference", "MetricChange", "compare"]


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
        return None if self.old is None or self.new is None else self.new - self.old


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs, from causes to effects. `code` is a git diff; `metrics` lists all, changed or not."""

    code: str
    data: tuple[Change, ...]
    config: tuple[Change, ...]
    environment: tuple[Change, ...]
    host: tuple[Change, ...]
    metrics: tuple[MetricChange, ...]


def compare(project: Project, old: RunRecord, new: RunRecord) -> Difference:
    """Compare two runs by what was recorded of them."""
    before, after = project.store.spec(old.run_id), project.store.spec(new.run_id)
    return Difference(
        code=vcs.diff(project.root, old.commit, new.commit),
        data=_changes(_data(before), _data(after)),
        config=_changes(_config(before), _config(after)),
        environment=_changes(_environment(before), _environment(after)),
        host=_changes(_host(before), _host(after)),
        metrics=tuple(
            MetricChange(name, old.metrics.get(name), new.metrics.get(name))
            for name in dict.fromkeys([*old.metrics, *new.metrics])
        ),
    )


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    names = sorted({*old, *new})
    return tuple(Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def _data(spec: RunSpec) -> dict[str, str]:
    return {
        version.path: (version.md5 or "never made") + ("" if version.state == "matches" else f" ({version.state})")
        for version in spec.snapshot.data
    }


def _config(spec: RunSpec) -> dict[str, str]:
    return config.flatten(spec.config) | {"(seed)": str(spec.snapshot.seed), "(task)": spec.task}


def _environment(spec: RunSpec) -> dict[str, str]:
    environment = spec.snapshot.environment
    return environment.packages | {"(python)": environment.python, "(lock)": environment.lock_sha256 or "none"}


def _host(spec: RunSpec) -> dict[str, str]:
    plain: dict[str, Any] = asdict(spec.snapshot.host)
    return {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in plain.items()}
