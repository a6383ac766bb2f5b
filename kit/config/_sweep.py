"""Many runs from one command, through whichever Hydra sweeper the configuration chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kit.config._origins import COMMAND_LINE
from kit.config._overrides import parse_overrides
from kit.config._problems import explained
from kit.config._session import Source, composing, load, session
from kit.config._space import Search, space_of
from kit.errors import RunError, UserError

__all__ = ["Launch", "Sweeper", "TrialResult", "sweep", "sweeper"]

_BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_SEARCH = "hydra_plugins.kit_launcher.OptunaSweeper"
_OF_THE_SWEEP = re.compile(r"[+~]*hydra(?:[./](?:sweeper|sweep|launcher|mode)\b)")


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How one trial ended.

    Attributes:
        overrides: The trial's, as `launch` was given them.
        return_value: What the sweeper optimises: a number, or for several objectives what its plugin expects.
        failed: Whether the trial has no value because it failed.
    """

    overrides: tuple[str, ...]
    return_value: float | dict[str, float] | None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Sweeper:
    """What is known of a sweep before any of its trials has run.

    Attributes:
        trials: The overrides of all of them; None if they depend on results.
        search: What kit's own search is to do; None for other sweepers.
    """

    trials: tuple[tuple[str, ...], ...] | None = None
    search: Search | None = None


Launch = Callable[[Sequence[Sequence[str]], int], Sequence[TrialResult]]
"""Run a batch of trials and wait: the overrides of each, for `compose`, and the number of the first."""


class _TrialFailed(Exception):
    """A trial has no value."""


def sweeper(root: Path, config_dir: str, config_name: str, overrides: Sequence[str], *, sweep_dir: Path) -> Sweeper:
    """What the sweeper that the configuration chooses makes of these overrides. Nothing is written or run.

    Args:
        root: The project's folder.
        config_dir: The folder of the configs, relative to the root.
        config_name: The primary config.
        overrides: Hydra's, sweeps included.
        sweep_dir: What `${hydra:sweep.dir}` stands for.

    Raises:
        UserError: If anything about the overrides or the configs is wrong.
    """
    source = Source(root, config_dir, config_name)
    source.check()
    given = [str(text) for text in overrides]
    with session(source) as hydra, explained(source, given):
        settings, cfg = _settings(hydra, source, given, sweep_dir)
        target = settings.get("_target_")
        if target not in {_BASIC, _SEARCH}:
            return Sweeper()
        params = [f"{key}={value}" for key, value in (settings.get("params") or {}).items()]
        parsed = parse_overrides(hydra.config_loader, [*params, *cfg.hydra.overrides.task])
        more = tuple(text for text in given if _is_for_trials(text))
        if target == _SEARCH:
            return Sweeper(search=_search(settings, parsed, more))
        return Sweeper(trials=tuple((*trial, *more) for trial in _combinations(parsed)))


def _settings(hydra: Any, source: Source, given: list[str], sweep_dir: Path) -> tuple[dict[str, Any], Any]:  # noqa: ANN401
    """The sweeper's own settings, and the configuration that it would be given."""
    from omegaconf import OmegaConf

    parse_overrides(hydra.config_loader, given)
    _refuse_launchers(hydra, source, given)
    cfg = load(hydra, source, [*given, "hydra/launcher=kit"], multirun=True)
    _redirect(cfg, sweep_dir)
    settings = OmegaConf.to_container(cfg.hydra.sweeper, resolve=True)
    assert isinstance(settings, dict)  # noqa: S101 - for mypy: it is a node of Hydra's
    return {str(key): value for key, value in settings.items()}, cfg


def _combinations(parsed: list[Any]) -> list[list[str]]:
    """What Hydra's own sweeper makes of them, without composing each only to look whether it can be."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    (trials,) = BasicSweeper.split_arguments(parsed, None)
    return [list(trial) for trial in trials]


def _search(settings: dict[str, Any], parsed: list[Any], more: tuple[str, ...]) -> Search:
    """Raises:
    UserError: If a setting has a value that it cannot have.
    """
    own = {key: value for key, value in settings.items() if key not in {"_target_", "params"}}
    space, fixed = space_of(parsed)
    try:
        return msgspec.convert(own | {"space": space, "fixed": (*fixed, *more)}, Search)
    except msgspec.ValidationError as error:
        what = re.sub(r"(.*) - at `\$\.(\w+)`", r"hydra.sweeper.\2: \1", str(error))
        raise UserError(what, fix="See the settings of the search in docs/how-to/sweeps.md.") from error


def sweep(
    root: Path,
    config_dir: str,
    config_name: str,
    overrides: Sequence[str],
    launch: Launch,
    *,
    sweep_dir: Path,
) -> None:
    """Let the sweeper choose trials and `launch` run them, batch by batch. Hydra's callbacks are not called.

    A failed trial never stops Hydra's own sweeper; others go by their own settings.

    Args:
        root: The project's folder.
        config_dir: The folder of the configs, relative to the root.
        config_name: The primary config.
        overrides: Hydra's, sweeps included.
        launch: Runs a batch. What it raises comes out as it is and ends the sweep.
        sweep_dir: Where sweepers put files of their own, in place of `multirun/`.

    Raises:
        UserError: If anything about the overrides or the configs is wrong, for every trial that is launched.
        RunError: If the sweeper gave up because trials failed.
    """
    source = Source(root, config_dir, config_name)
    source.check()
    given = [str(text) for text in overrides]
    with session(source) as hydra:
        with explained(source, given):
            _, cfg = _settings(hydra, source, given, sweep_dir)
        bridge = _Bridge(launch, [text for text in given if _is_for_trials(text)], str(cfg.hydra.sweeper._target_))
        try:
            with explained(source, given):
                _run_sweeper(hydra, cfg, bridge)
        except Exception:
            if bridge.raised is None:
                raise
        finally:  # the whole config, secrets included; each trial keeps its own, masked
            (sweep_dir / "multirun.yaml").unlink(missing_ok=True)
        if bridge.raised is not None:  # as it was, whatever sweeper and explanation made of it
            raise bridge.raised


def _refuse_launchers(hydra: Any, source: Source, overrides: Sequence[str]) -> None:  # noqa: ANN401
    """Raises:
    UserError: If another launcher is chosen, on the command line or in a config.
    """
    from hydra.types import RunMode

    fix = "Take it out: kit starts the trials itself, here or on a cluster."
    for text in overrides:
        if re.match(r"[+~]*hydra[./]launcher\b", text):
            raise UserError(f"{text!r} chooses a launcher for Hydra", where=COMMAND_LINE, fix=fix)
    with composing():
        defaults = hydra.config_loader.compute_defaults_list(source.config_name, list(overrides), RunMode.MULTIRUN)
    chosen = defaults.overrides.known_choices.get("hydra/launcher")
    if chosen not in {"basic", "kit", None}:
        meta = defaults.overrides.override_metadata.get("hydra/launcher")
        where = source.file(meta.containing_config_path) if meta else source.primary
        raise UserError(f"the configuration chooses Hydra's launcher {chosen!r}", where=where, fix=fix)


def _redirect(cfg: Any, sweep_dir: Path) -> None:  # noqa: ANN401 Hydra has no types
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict, read_write

    with read_write(cfg.hydra), open_dict(cfg.hydra):
        cfg.hydra.sweep.dir = str(sweep_dir)
    HydraConfig.instance().set_config(cfg)


def _is_for_trials(text: str) -> bool:
    """Overrides of Hydra itself that each trial needs too; sweepers only pass the others on."""
    return bool(re.match(r"[+~]*hydra[./]", text)) and not _OF_THE_SWEEP.match(text)


def _run_sweeper(hydra: Any, cfg: Any, bridge: _Bridge) -> None:  # noqa: ANN401 Hydra has no types
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext
    from omegaconf import OmegaConf

    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    sweeper = Plugins.instance().instantiate_sweeper(config=cfg, hydra_context=context, task_function=bridge)
    try:
        sweeper.sweep(arguments=OmegaConf.to_container(cfg.hydra.overrides.task, resolve=False))
    except _TrialFailed as error:
        raise RunError(
            f"the sweeper gave up because trials failed: {error}",
            fix="See them with `kit runs`; many sweepers have a setting for how many failures they bear.",
        ) from error


class _Bridge:
    """Between Hydra's launcher, which calls it as the task function, and kit's `launch`."""

    def __init__(self, launch: Launch, hydra_overrides: Sequence[str], sweeper: str) -> None:
        self.raised: BaseException | None = None
        self._launch = launch
        self._hydra_overrides = hydra_overrides
        # Hydra's own sweeper reads each value only to stop at the first failure, and has no setting not to.
        self._tolerant = sweeper == _BASIC

    def __call__(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        batch = [(*job, *self._hydra_overrides) for job in job_overrides]
        try:
            results = self._launch(batch, initial_job_idx)
        except BaseException as error:
            self.raised = error
            raise
        return [self._job_return(result) for result in results]

    def _job_return(self, result: TrialResult) -> Any:  # noqa: ANN401 Hydra has no types
        from hydra.core.utils import JobReturn, JobStatus

        made = JobReturn(overrides=list(result.overrides), status=JobStatus.COMPLETED)
        made.return_value = result.return_value
        if result.failed and not self._tolerant:
            made.status = JobStatus.FAILED
            made.return_value = _TrialFailed(" ".join(result.overrides))
        return made
