"""Many runs from one command, through whichever Hydra sweeper the configuration chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.config._origins import COMMAND_LINE
from kit.config._overrides import parse_overrides
from kit.config._problems import explained
from kit.config._session import Source, composing, load, session
from kit.errors import RunError, UserError

__all__ = ["Launch", "TrialResult", "sweep"]

_BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
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


Launch = Callable[[Sequence[Sequence[str]], int], Sequence[TrialResult]]
"""Run a batch of trials and wait: the overrides of each, for `compose`, and the number of the first."""


class _TrialFailed(Exception):
    """A trial has no value."""


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
            parse_overrides(hydra.config_loader, given)
            _refuse_launchers(hydra, source, given)
            cfg = load(hydra, source, [*given, "hydra/launcher=kit"], multirun=True)
            _redirect(cfg, sweep_dir)
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
