"""What kit talks about: plain frozen records, no I/O and no clock.

Everything here turns into JSON and back with `msgspec` (`to_json`, `from_json`), so a run spec can cross
a process, a socket or a cluster as text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

import msgspec

from kit import redact
from kit._process import ProcessId
from kit.errors import ExitCode
from kit.resources import Resources
from kit.snapshot import Snapshot
from kit.states import RunStatus

__all__ = [
    "Config",
    "Launch",
    "Limits",
    "MetricPoint",
    "Origin",
    "Probe",
    "ProcessId",
    "Request",
    "RunRecord",
    "RunSpec",
    "from_json",
    "masked",
    "to_json",
]

T = TypeVar("T")
Config = Mapping[str, Any]
"""A resolved configuration: plain dicts, lists and scalars."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds the supervisor enforces. Durations in seconds, `log_bytes` for each kept log file."""

    timeout: float | None = None
    grace: float = 10.0
    log_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made the run spec.

    Attributes:
        parent: The sweep, schedule or run it belongs to.
        index: Which trial of a sweep it is, from 0; which attempt of a schedule's fire, from 1.
        scheduled_at: The instant at which its schedule was due.
    """

    kind: Literal["manual", "sweep", "schedule", "reproduce", "explain", "bisect"] = "manual"
    parent: str | None = None
    index: int | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for with, before anything is known of it.

    Attributes:
        job: Which trial of a sweep this is, for `${hydra:job.num}`.
        repro: DVC stages to bring up to date first.
        resumes: Whether a later attempt at a fire goes on from the checkpoint of an earlier one.
        profile: Whether a flame graph is made of what the task does.
        executor: Where it runs; None as the config says.
    """

    overrides: tuple[str, ...] = ()
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    limits: Limits = field(default_factory=Limits)
    origin: Origin = field(default_factory=Origin)
    job: int | None = None
    repro: tuple[str, ...] = ()
    resumes: bool = False
    profile: bool = False
    executor: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What is held fixed in a run, to find out what its results depend on. Who asks for it in the task is noted.

    Attributes:
        held: Some of `kit._probe.HELD`.
        now: What its clocks start from, if they are held, in seconds since the epoch.
        hash_seed: The interpreter's, instead of the one that every run has.
    """

    held: tuple[str, ...] = ()
    now: float = 0.0
    hash_seed: int | None = None


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything needed to start a run, as plain JSON. The one unit that every executor takes.

    Attributes:
        project_root: The project, which keeps the run.
        secrets: The keys of the config, dotted, whose values are secret although their names do not say so.
        worktree: The folder whose code, config and data it is made from; None for the project itself.
        probe: What is held fixed in it; None for all runs but those of a check.
        profile: Whether a flame graph is made of what the task does.
        logging: What Python's logging is set up with, as `logging.config` takes it; None leaves it alone.
        executor: Where it runs, by its name in `[tool.kit.executors]`; None for this machine.
        resources: What it needs there.
    """

    run_id: str
    name: str
    project: str
    experiment: str
    task: str
    overrides: tuple[str, ...]
    config: dict[str, Any]
    snapshot: Snapshot
    project_root: str
    tracking_uri: str
    limits: Limits = field(default_factory=Limits)
    origin: Origin = field(default_factory=Origin)
    tags: dict[str, str] = field(default_factory=dict)
    note: str | None = None
    secrets: tuple[str, ...] = ()
    worktree: str | None = None
    probe: Probe | None = None
    profile: bool = False
    logging: dict[str, Any] | None = None
    executor: str | None = None
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class Launch:
    """All that a supervisor has to know of its run, planned already or not.

    Attributes:
        worktree: The folder that it works in; None for the project.
        python: The interpreter that it needs; None for whichever there is.
        resumed: How many times the run was resumed.
        pdb: Whether someone waits at a terminal to look into it, should it crash.
        token: Which copy of the run this is, where an engine may start a second one; None where there is only one. In
            the run's own folder: how many there were before it was resumed.
    """

    run_id: str
    project_root: str
    limits: Limits = field(default_factory=Limits)
    worktree: str | None = None
    python: str | None = None
    resumed: int = 0
    pdb: bool = False
    token: int | None = None


class MetricPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value of one metric. `step` counts from 0, `timestamp` is seconds since the epoch.

    A struct, since there are millions: msgspec makes one in a tenth of the time that a dataclass takes.
    """

    key: str
    value: float
    step: int
    timestamp: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the store knows it; the store keeps its spec beside it.

    A run that was only claimed so far, for a schedule, has no task, commit and seed yet, and no spec.

    Attributes:
        commit: The snapshot's commit; `dirty` if it held uncommitted work.
        heartbeat_at: When its supervisor was heard of last; before there is one, since when it is STARTING.
        starter: The process that is to start its supervisor.
        reason: Why it ended as it did, in one line; None for a success.
        tracked: Whether the tracker knows how the run ended, and everything it logged.
        metrics: The last value of each.
        params: The flattened config, as texts.
        executor: Where it runs; None for this machine.
        job: What the executor's engine calls it; None as long as the engine was not heard to have it.
        token: How many copies of it have begun; the last one alone may say how it ended.
    """

    run_id: str
    name: str
    project: str
    experiment: str
    task: str | None
    status: RunStatus
    created_at: datetime
    commit: str | None
    dirty: bool
    seed: int | None
    overrides: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    tags: dict[str, str] = field(default_factory=dict)
    note: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    heartbeat_at: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    mlflow_run_id: str | None = None
    tracked: bool = False
    starter: ProcessId | None = None
    supervisor: ProcessId | None = None
    process: ProcessId | None = None
    executor: str | None = None
    job: str | None = None
    token: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def queued(cls, spec: RunSpec, *, at: datetime, params: Mapping[str, str]) -> RunRecord:
        """The record that a run begins with."""
        return cls(
            run_id=spec.run_id,
            name=spec.name,
            project=spec.project,
            experiment=spec.experiment,
            task=spec.task,
            status=RunStatus.QUEUED,
            created_at=at,
            commit=spec.snapshot.code.commit,
            dirty=spec.snapshot.code.dirty,
            seed=spec.snapshot.seed,
            overrides=spec.overrides,
            origin=spec.origin,
            tags=dict(spec.tags),
            note=spec.note,
            executor=spec.executor,
            params=dict(params),
        )

    def planned(self, spec: RunSpec, params: Mapping[str, str]) -> RunRecord:
        """The record of a run that was only claimed, with what is known now."""
        return replace(
            self,
            name=spec.name,
            experiment=spec.experiment,
            task=spec.task,
            commit=spec.snapshot.code.commit,
            dirty=spec.snapshot.code.dirty,
            seed=spec.snapshot.seed,
            overrides=spec.overrides,
            tags=self.tags | spec.tags,
            note=spec.note,
            params=self.params | dict(params),
        )

    def handed_over(self, executor: str, *, at: datetime, starter: ProcessId) -> RunRecord:
        """The record of a run that was planned on this machine, as it waits for an engine to begin it: nobody's."""
        return replace(
            self,
            status=RunStatus.QUEUED,
            heartbeat_at=at,
            starter=starter,
            supervisor=None,
            process=None,
            executor=executor,
        )

    def resumed(self, *, at: datetime, starter: ProcessId) -> RunRecord:
        """The record of a run that has ended, as it begins once more."""
        return replace(
            self,
            status=RunStatus.STARTING,
            heartbeat_at=at,
            starter=starter,
            supervisor=None,
            process=None,
            ended_at=None,
            exit_code=None,
            reason=None,
            tracked=False,
            executor=None,
            job=None,
            token=None if self.token is None else self.token + 1,  # an older copy that lives has no say in it
        )

    def leased(self, *, at: datetime, holder: ProcessId) -> RunRecord:
        """The record of a run of which one more copy begins, under this supervisor."""
        return replace(
            self,
            status=RunStatus.STARTING,
            heartbeat_at=at,
            supervisor=holder,
            process=None,
            token=(self.token or 0) + 1,
        )

    @property
    def began(self) -> bool:
        """Whether there was a run at all, and not just an input that could not be used.

        What a schedule began counts in any case: nobody was there to be told that it could not be used.
        """
        return self.started_at is not None or self.exit_code != ExitCode.USER or self.origin.kind == "schedule"

    def duration(self, now: datetime) -> float | None:
        """Seconds from start to end, or to `now` while it runs; None before it started."""
        if self.started_at is None:
            return None
        return ((self.ended_at or now) - self.started_at).total_seconds()


def masked(spec: RunSpec) -> RunSpec:
    """The spec as it may be stored, tracked and shown: without the secrets in its config, overrides, tags and note."""
    return replace(
        spec,
        config=redact.mask_config(spec.config, frozenset(spec.secrets)),
        overrides=tuple(map(redact.mask, spec.overrides)),
        tracking_uri=redact.mask(spec.tracking_uri),
        note=None if spec.note is None else redact.mask(spec.note),
        tags=redact.mask_config(spec.tags),
        logging=None if spec.logging is None else redact.mask_config(spec.logging),
    )


def to_json(value: object) -> bytes:
    """Encode any of these records."""
    if isinstance(value, RunSpec):
        value = replace(value, config=_pack(value.config))
    return msgspec.json.encode(value)


def from_json(text: bytes | str, kind: type[T]) -> T:
    """Decode what `to_json` wrote.

    Raises:
        msgspec.ValidationError: If the text is not a `kind`.
    """
    value = msgspec.json.decode(text, type=kind)
    if isinstance(value, RunSpec):
        value = cast("T", replace(value, config=_unpack(value.config)))
    return value


_FLOAT = "$float"
"""JSON has no word for NaN and the infinities, and a config may hold them."""


def _pack(value: Any) -> Any:  # noqa: ANN401 - a config may hold anything
    if isinstance(value, dict):
        return {key: _pack(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_pack(child) for child in value]
    return {_FLOAT: repr(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _unpack(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if value.keys() == {_FLOAT}:
            return float(value[_FLOAT])
        return {key: _unpack(child) for key, child in value.items()}
    return [_unpack(child) for child in value] if isinstance(value, list) else value
