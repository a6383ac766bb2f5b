"""`[tool.kit]` in pyproject.toml, typed. An unknown key is refused, with the nearest known one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields

import msgspec

from kit._near import did_you_mean, nearest
from kit.errors import UserError

__all__ = ["Settings", "parse_settings"]


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
    """

    package: str | None = None
    config_dir: str = "conf"
    config_name: str = "config"
    tracking_uri: str | None = None
    snapshot_max_bytes: int = 10 * 1024 * 1024
    seed: int | None = None
    pull: bool = True


def parse_settings(pyproject: str, *, where: str) -> Settings:
    """Read the settings out of the text of a pyproject.toml; `where` names it in errors.

    Raises:
        UserError: If the text is not TOML, or a key is unknown or has the wrong type.
    """
    try:
        table = tomllib.loads(pyproject).get("tool", {}).get("kit", {})
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not valid TOML: {error}", where=where, fix="Mend the file.") from error
    known = {field.name.replace("_", "-"): field.name for field in fields(Settings)}
    for key in table:
        if key.replace("_", "-") not in known:
            hint = did_you_mean(nearest(key, known)) or f"Known keys: {', '.join(sorted(known))}."
            raise UserError(f"unknown key {key!r} in [tool.kit]", where=where, fix=hint)
    try:
        return msgspec.convert({known[key.replace("_", "-")]: value for key, value in table.items()}, Settings)
    except msgspec.ValidationError as error:
        what = re.sub(r" - at `\$\.(\w+)`", lambda m: f" for {m[1].replace('_', '-')!r}", str(error))
        raise UserError(f"[tool.kit]: {what[0].lower()}{what[1:]}", where=where, fix="Mend the value.") from error
