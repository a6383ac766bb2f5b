"""`[tool.kit]` in pyproject.toml, typed. An unknown key is refused, with the nearest known one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

import msgspec

from kit._near import did_you_mean, nearest
from kit.errors import UserError
from kit.paths import safe_name
from kit.resources import Resources, parse_resources

__all__ = [
    "CheckException",
    "CheckSettings",
    "ExecutorSettings",
    "Settings",
    "executor_settings",
    "parse_settings",
]

LOCAL = "local"
_KINDS: tuple[Literal["slurm", "ray"], ...] = ("slurm", "ray")
"""Each is also the name of one with its defaults."""

_ONLY = {
    "slurm": {"partition", "account", "qos", "options"},
    "ray": {"address", "env", "delivery", "restarts", "autoscales"},
}
"""Settings that mean something to one of them alone."""

_Count = Annotated[int, msgspec.Meta(ge=1)]
_Restarts = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """`[tool.kit.executors.<name>]`: where runs can be executed.

    Attributes:
        kind: The engine.
        partition: SLURM's, as `account` and `qos`; None for its defaults.
        options: More options of `sbatch`, as typed there.
        setup: Lines of shell that a job begins with, to find its environment: `module load ...`, say.
        python: The interpreter with kit in it on a node; None for the one that this process has.
        scratch: A folder on each node for copies of the project; `$VARIABLES` are a node's own. None for its TMPDIR.
        warning: Seconds before a job's time limit at which its run is asked to stop, to go on in another job.
        address: Where Ray is asked, such as `http://head:8265`; None for RAY_ADDRESS, or a cluster of this machine.
        env: More variables of the submitter's that a Ray job gets, by name. Whoever may ask Ray can read them.
        delivery: How a Ray job gets the project: `shared` files, or by `upload` of what the run needs.
        restarts: How often a Ray job is submitted again whose node is gone.
        autoscales: Whether the Ray cluster adds nodes by itself, so that what no node has now is waited for.
        cpus: What a job gets if its experiment does not say; as `gpus`, `memory` and `time`.
    """

    kind: Literal["slurm", "ray"] = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    python: str | None = None
    scratch: str | None = None
    warning: _Count = 60
    address: str | None = None
    env: tuple[str, ...] = ()
    delivery: Literal["shared", "upload"] = "shared"
    restarts: _Restarts = 3
    autoscales: bool = False
    cpus: int | None = None
    gpus: int | None = None
    memory: int | str | None = None
    time: int | float | str | None = None

    @property
    def resources(self) -> Resources:
        """Raises:
        UserError: If one of them is none.
        """
        given = {name: getattr(self, name) for name in ("cpus", "gpus", "memory", "time")}
        return parse_resources(given, where="executor")


@dataclass(frozen=True, slots=True)
class CheckException:
    """One of `[tool.kit.check] exceptions`: where a rule need not be kept.

    Attributes:
        rule: Its code.
        path: A glob of files, relative to the project; the whole project if there is none.
        reason: Why; one that is missing is a finding itself.
    """

    rule: str
    path: str = "**"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """`[tool.kit.check]`: which conventions `kit check` looks after.

    Attributes:
        select: Codes, beginnings of codes, or names of rules; none means all.
        ignore: The same, of rules to leave out.
        exceptions: Where a rule need not be kept.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exceptions: tuple[CheckException, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How kit works in one project.

    Attributes:
        package: The project's import package, under `src/` or beside pyproject.toml.
        config_dir: Hydra's folder, relative to the project root.
        config_name: The primary config.
        tracking_uri: An MLflow tracking URI; None keeps runs in the project's own SQLite file. The environment's
            `MLFLOW_TRACKING_URI` wins over it.
        store: The URL of a PostgreSQL database that keeps the store, without a password; None keeps it in the project.
            The environment's `KIT_STORE` wins over it.
        snapshot_max_bytes: Untracked files larger than this are named in the snapshot, with their hash, not stored.
        seed: Used where the config has no `seed`; None draws a new one for each run.
        pull: Whether missing DVC data is fetched before a task starts.
        slots: The sizes of the named pools that schedules share; one that is not here has a single slot.
        executors: Where runs can be executed besides this machine, by name.
        max_runs: How many scheduled runs at a time on this machine; None means as many as there are cores.
        check: Which conventions `kit check` looks after.
    """

    package: str | None = None
    config_dir: str = "conf"
    config_name: str = "config"
    tracking_uri: str | None = None
    store: str | None = None
    snapshot_max_bytes: int = 10 * 1024 * 1024
    seed: int | None = None
    pull: bool = True
    slots: dict[str, _Count] = field(default_factory=dict)
    max_runs: _Count | None = None
    executors: dict[str, ExecutorSettings] = field(default_factory=dict)
    check: CheckSettings = field(default_factory=CheckSettings)


def parse_settings(pyproject: str, *, where: str) -> Settings:
    """Read the settings out of the text of a pyproject.toml; `where` names it in errors.

    Raises:
        UserError: If the text is not TOML, or a key is unknown or has the wrong type.
    """
    try:
        table = tomllib.loads(pyproject).get("tool", {}).get("kit", {})
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not valid TOML: {error}", where=where, fix="Mend the file.") from error
    known = {setting.name.replace("_", "-"): setting.name for setting in fields(Settings)}
    for key in table:
        if key.replace("_", "-") not in known:
            hint = did_you_mean(nearest(key, known)) or f"Known keys: {', '.join(sorted(known))}."
            raise UserError(f"unknown key {key!r} in [tool.kit]", where=where, fix=hint)
    _check_executors(table.get("executors"), where)
    _check_rules(table.get("check"), where)
    try:
        settings = msgspec.convert({known[key.replace("_", "-")]: value for key, value in table.items()}, Settings)
    except msgspec.ValidationError as error:
        what = re.sub(r" - at `\$\.(\w+)[^`]*`", lambda m: f" for {m[1].replace('_', '-')!r}", str(error))
        raise UserError(f"[tool.kit]: {what[0].lower()}{what[1:]}", where=where, fix="Mend the value.") from error
    for name in settings.slots:
        _check_pool(name, where)
    for executor in settings.executors.values():
        _ = executor.resources  # what is wrong there is said now
    return settings


def executor_settings(settings: Settings, name: str) -> ExecutorSettings | None:
    """What is said of this executor; None for this machine.

    Raises:
        UserError: If there is none of that name.
    """
    if name == LOCAL:
        return None
    if name in settings.executors:
        return settings.executors[name]
    for kind in _KINDS:
        if name == kind:
            return ExecutorSettings(kind)
    known = (LOCAL, *_KINDS, *settings.executors)
    fix = did_you_mean(nearest(name, known)) or f"Known ones: {', '.join(known)}. Others: [tool.kit.executors.NAME]."
    raise UserError(f"there is no executor {name!r}", where="pyproject.toml, [tool.kit]", fix=fix)


def _check_executors(tables: object, where: str) -> None:
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if name == LOCAL:
            raise UserError(f"[tool.kit.executors]: {LOCAL!r} is this machine", where=where, fix="Use another name.")
        if isinstance(table, dict):
            _check_keys(table, ExecutorSettings, f"[tool.kit.executors.{name}]", where)
            _check_kind(table, f"[tool.kit.executors.{name}]", where)


def _check_kind(table: dict[str, object], name: str, where: str) -> None:
    kind = table.get("kind", ExecutorSettings().kind)
    for other in _KINDS:
        for key in sorted(_ONLY[other].intersection(table)) if other != kind else ():
            fix = f"Leave it out, or say `kind = {other!r}`."
            raise UserError(f"{name}: {key!r} is a setting of {other}, and its kind is {kind}", where=where, fix=fix)


def _check_rules(table: object, where: str) -> None:
    """Also where nobody would miss it: an exception for another `paht` would be one for the whole project."""
    if not isinstance(table, dict):
        return
    _check_keys(table, CheckSettings, "[tool.kit.check]", where)
    exceptions = table.get("exceptions")
    for exception in exceptions if isinstance(exceptions, list) else ():
        if isinstance(exception, dict):
            _check_keys(exception, CheckException, "[tool.kit.check] exceptions", where)


def _check_keys(table: dict[str, object], kind: type, name: str, where: str) -> None:
    known = [setting.name for setting in fields(kind)]
    for key in table:
        if key not in known:
            hint = did_you_mean(nearest(key, known)) or f"Known keys: {', '.join(known)}."
            raise UserError(f"unknown key {key!r} in {name}", where=where, fix=hint)


def _check_pool(name: str, where: str) -> None:
    try:
        safe_name(name)
    except UserError as error:
        raise UserError(f"[tool.kit.slots]: {error.what}", where=where, fix=error.fix) from error
