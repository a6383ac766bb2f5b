"""`[tool.kit]` in pyproject.toml, typed. An unknown key is refused, with the nearest known one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from typing import Annotated

import msgspec

from kit._near import did_you_mean, nearest
from kit.errors import UserError
from kit.paths import safe_name

__all__ = ["Settings", "parse_settings"]

_Count = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class Settings:
    """How kit works in one project.

    Attributes:
        package: The project's import package, under `src/` or beside pyproject.toml.
        config_dir: Hydra's folder, relative to the project root.
        config_name: The primary config.
        tracking_uri: An MLflow tracking URI; None keeps runs in the project's own SQLite file. The environment's
            `MLFLOW_TRACKING_URI` wins over it.
        snapshot_max_bytes: Untracked files larger than this are named in the snapshot, with their hash, not stored.
        seed: Used where the config has no `seed`; None draws a new one for each run.
        pull: Whether missing DVC data is fetched before a task starts.
        slots: The sizes of the named pools that schedules share; one that is not here has a single slot.
        max_runs: How many scheduled runs at a time; None means as many as there are cores.
    """

    package: str | None = None
    config_dir: str = "conf"
    config_name: str = "config"
    tracking_uri: str | None = None
    snapshot_max_bytes: int = 10 * 1024 * 1024
    seed: int | None = None
    pull: bool = True
    slots: dict[str, _Count] = field(default_factory=dict)
    max_runs: _Count | None = None


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
    try:
        settings = msgspec.convert({known[key.replace("_", "-")]: value for key, value in table.items()}, Settings)
    except msgspec.ValidationError as error:
        what = re.sub(r" - at `\$\.(\w+)[^`]*`", lambda m: f" for {m[1].replace('_', '-')!r}", str(error))
        raise UserError(f"[tool.kit]: {what[0].lower()}{what[1:]}", where=where, fix="Mend the value.") from error
    for name in settings.slots:
        _check_pool(name, where)
    return settings


def _check_pool(name: str, where: str) -> None:
    try:
        safe_name(name)
    except UserError as error:
        raise UserError(f"[tool.kit.slots]: {error.what}", where=where, fix=error.fix) from error
