"""One run's configuration, composed by Hydra and resolved to plain containers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.config._origins import Origins, collect, leaves, share_repository
from kit.config._overrides import parse_overrides, refuse_sweeps
from kit.config._problems import explained, missing_values, unresolved
from kit.config._secrets import secret_keys
from kit.config._session import ONE_AT_A_TIME, UNNAMED, Source, load, session
from kit.config._sharing import spliced
from kit.errors import UserError

__all__ = ["Composed", "compose"]

_TASK = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed configuration.

    Attributes:
        config: Resolved plain containers with texts as keys, without Hydra's own node.
        origins: Dotted key of every leaf (a list is one leaf) to the file that set it, relative to the project root,
            or "command line".
        experiment: The choice of the group `experiment`, else the primary config's name.
        task: The task as `package.module.function`.
        overrides: As given.
        secrets: Dotted keys, an element of a list by its number, of the values made from a secret, whatever they are
            called themselves: an environment variable or another key whose name promises one.
        logging: What Hydra would set the job's logging up with; None if it would leave it alone.
    """

    config: dict[str, Any]
    origins: dict[str, str]
    experiment: str
    task: str
    overrides: tuple[str, ...]
    secrets: frozenset[str]
    logging: dict[str, Any] | None = None


def compose(
    root: Path,
    config_dir: str,
    config_name: str,
    overrides: Sequence[str],
    *,
    run_dir: Path | None = None,
    job_num: int | None = None,
    sweep_dir: Path | None = None,
) -> Composed:
    """Compose the configuration of one run. Writes nothing, sets up no logging, leaves no state in Hydra.

    Args:
        root: The project's folder.
        config_dir: The folder of the configs, relative to the root.
        config_name: The primary config.
        overrides: Hydra's overrides, as on the command line.
        run_dir: What `${hydra:runtime.output_dir}` stands for; without it, a path with `<run_id>` in it.
        job_num: The trial's number in a sweep, `${hydra:job.num}`; a single run has none.
        sweep_dir: The sweep's folder, `${hydra:sweep.dir}`; a single run has none.

    Raises:
        UserError: If anything about the overrides or the configs is wrong.
        HostError: If a config cannot be read.
    """
    source = Source(root, config_dir, config_name)
    source.check()
    given = [str(text) for text in overrides]
    with (
        ONE_AT_A_TIME,
        session(source) as hydra,
        explained(source, given),
        spliced(hydra.config_loader, source.folder),
    ):
        refuse_sweeps(parse_overrides(hydra.config_loader, given))
        share_repository(hydra.config_loader)
        cfg = load(hydra, source, given)
        origins = collect(hydra.config_loader, source, given)
        choices = _choices(cfg)
        experiment = choices.get("experiment", config_name)
        _tell_trial(cfg, job_num, sweep_dir)
        _tell_hydra(cfg, root, run_dir or root / ".kit" / "runs" / "<run_id>", experiment)
        config, secrets = _resolve(cfg, origins)
        logging = _logging(cfg)
    return Composed(
        config=config,
        origins={key: origins.of(key) or source.primary for key, _ in leaves(config)},
        experiment=experiment,
        task=_task(config, choices, source, origins),
        overrides=tuple(given),
        secrets=secrets,
        logging=logging,
    )


def _choices(cfg: Any) -> dict[str, str]:  # noqa: ANN401 Hydra has no types
    found = cfg.hydra.runtime.choices.items()
    return {str(group): value for group, value in found if isinstance(value, str) and not group.startswith("hydra/")}


def _tell_hydra(cfg: Any, root: Path, run_dir: Path, experiment: str) -> None:  # noqa: ANN401 Hydra has no types
    """Fill in what Hydra would know if it ran the task itself, for `${hydra:...}`."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict, read_write

    with read_write(cfg.hydra), open_dict(cfg.hydra):
        cfg.hydra.runtime.cwd = str(root)
        cfg.hydra.runtime.output_dir = cfg.hydra.run.dir = str(run_dir)
        if cfg.hydra.job.name == UNNAMED:
            cfg.hydra.job.name = experiment
    OmegaConf.set_readonly(cfg.hydra, True)  # noqa: FBT003
    HydraConfig.instance().cfg = cfg  # what `set_config` does with a copy, which takes as long as the rest


def _tell_trial(cfg: Any, job_num: int | None, sweep_dir: Path | None) -> None:  # noqa: ANN401 Hydra has no types
    """What Hydra's launchers fill in for a trial."""
    from hydra.types import RunMode
    from omegaconf import open_dict, read_write

    with read_write(cfg.hydra), open_dict(cfg.hydra):
        if job_num is not None:
            cfg.hydra.job.num = job_num
            cfg.hydra.job.id = str(job_num)
        if sweep_dir is not None:
            cfg.hydra.mode = RunMode.MULTIRUN
            cfg.hydra.sweep.dir = str(sweep_dir)


def _resolve(cfg: Any, origins: Origins) -> tuple[dict[str, Any], frozenset[str]]:  # noqa: ANN401 Hydra has no types
    from omegaconf import OmegaConf, SCMode
    from omegaconf.errors import OmegaConfBaseException

    own = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    raw = OmegaConf.to_container(own, resolve=False)
    known = [key for key, _ in leaves(raw)]
    try:
        if missing := sorted(OmegaConf.missing_keys(own)):
            raise missing_values(missing, origins)
        resolved = OmegaConf.to_container(
            own, resolve=True, enum_to_str=True, structured_config_mode=SCMode.DICT, throw_on_missing=True
        )
    except OmegaConfBaseException as error:
        raise unresolved(error, origins, known) from error
    return _plain(resolved), secret_keys(own)


def _logging(cfg: Any) -> dict[str, Any] | None:  # noqa: ANN401 Hydra has no types
    """`hydra.job_logging`, with the loggers of `hydra.verbose` told to say all."""
    from omegaconf import OmegaConf

    if cfg.hydra.job_logging is None:
        return None
    found = OmegaConf.to_container(cfg.hydra.job_logging, resolve=True)
    if not isinstance(found, dict) or found.get("root") is None:
        return None
    verbose = cfg.hydra.verbose
    if verbose is True:
        found["root"]["level"] = "DEBUG"
    elif verbose:
        named = [verbose] if isinstance(verbose, str) else list(verbose)
        found["loggers"] = found.get("loggers") or {}
        for name in named:
            found["loggers"].setdefault(str(name), {})["level"] = "DEBUG"
    return {str(key): _plain(value) for key, value in found.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 a configuration may hold anything
    """Texts as keys and paths as texts: what stays the same when it travels as JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    return str(value) if isinstance(value, Path) else value


def _task(config: Mapping[str, Any], choices: Mapping[str, str], source: Source, origins: Origins) -> str:
    """Raises:
    UserError: If the configuration names no task, or not as `package.module.function`.
    """
    chosen = choices.get("experiment")
    home = source.file(f"experiment/{chosen or '<name>'}")
    task = config.get("task")
    if task is None:
        misplaced = config.get("experiment")
        fix = f"Add `task: package.module.function` to {home}."
        if chosen and isinstance(misplaced, Mapping) and "task" in misplaced:
            fix = f"Make `# @package _global_` the first line of {home}: its keys now lie under `experiment`."
        raise UserError("the configuration names no task", where=home if chosen else source.primary, fix=fix)
    if not isinstance(task, str) or not _TASK.fullmatch(task):
        raise UserError(
            f"task: {task!r} does not name a function",
            where=origins.of("task"),
            fix="Write it as `task: package.module.function`.",
        )
    return task
