"""One file of a config group, composed by itself: what `conf/schedule/<name>.yaml` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.config._origins import Origins, leaves, mark_defaults
from kit.config._overrides import parse_overrides
from kit.config._problems import explained, unresolved
from kit.config._session import ONE_AT_A_TIME, Source, composing, session
from kit.errors import UserError
from kit.paths import safe_name

__all__ = ["GroupConfig", "compose_group"]


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """A composed file.

    Attributes:
        config: Resolved plain containers; keys are as YAML has them.
        files: What it was composed from, relative to the project root; the address of what a plugin brought.
    """

    config: dict[Any, Any]
    files: tuple[str, ...]


def compose_group(root: Path, config_dir: str, path: str) -> GroupConfig:
    """Compose one file of a config group with its own `defaults` and interpolations, as if it were all there is.

    Its keys lie at the top, whatever its package. What its defaults list brings lies where it always does: an option
    of the same group at the top, `/alert: team` under `alert`, and `/alert@_here_: team` at the top.

    Args:
        root: The project's folder.
        config_dir: The folder of the configs, relative to the root.
        path: Group and option, `schedule/nightly`.

    Raises:
        UserError: If anything about the configs is wrong.
        HostError: If one cannot be read.
    """
    source = Source(root, config_dir, path)
    group, _, option = path.rpartition("/")
    if not (root / source.primary).is_file():
        raise UserError(f"no config {path!r}", where=source.primary, fix="Create it.")
    with ONE_AT_A_TIME, session(source) as hydra, explained(source, []):
        loader = hydra.config_loader
        repository, defaults = _defaults(loader, f"+{group}@_global_='{safe_name(option)}'")
        _check_mapping(repository.load_config(path).config, source.primary)
        with composing():
            cfg = loader._compose_config_from_defaults_list(defaults, repository)  # noqa: SLF001
        origins = Origins()
        files = mark_defaults(origins, repository, defaults, source)
        return GroupConfig(_resolved(cfg, origins), tuple(files))


def _defaults(loader: Any, choice: str) -> tuple[Any, Any]:  # noqa: ANN401 Hydra has no types
    """The defaults list of that choice, without Hydra's own configuration, which would cost ten times as much."""
    from hydra._internal.config_repository import CachingConfigRepository
    from hydra._internal.defaults_list import create_defaults_list

    repository = CachingConfigRepository(loader.repository)
    with composing():
        made = create_defaults_list(
            repo=repository,
            config_name=None,
            overrides_list=parse_overrides(loader, [choice]),
            prepend_hydra=False,
            skip_missing=False,
        )
    return repository, made.defaults


def _check_mapping(config: Any, where: str) -> None:  # noqa: ANN401
    from omegaconf import OmegaConf

    if not OmegaConf.is_dict(config):
        raise UserError("expected a mapping, got a list", where=where, fix="Write it as `key: value`.")


def _resolved(cfg: Any, origins: Origins) -> dict[Any, Any]:  # noqa: ANN401
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = [key for key, _ in leaves(OmegaConf.to_container(cfg, resolve=False))]
    try:
        if missing := sorted(OmegaConf.missing_keys(cfg)):
            fix = "Give it one, or leave the key out."
            raise UserError(f"no value for {missing[0]!r}", where=origins.of(missing[0]), fix=fix)
        resolved: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise unresolved(error, origins, known) from error
    return dict(resolved)
