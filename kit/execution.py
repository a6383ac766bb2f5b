"""The inside of a run: what happens in the process that a supervisor started."""

from __future__ import annotations

import contextlib
import errno
import logging.config
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from kit import _clock, _probe, checkpoints, config, contracts, control, crash, ranks, terminal
from kit._files import write_atomic
from kit._process import die_with_parent
from kit._ray_run import let_runs_travel
from kit._seeding import seed_everything
from kit.errors import ExitCode, KitError, RunError, UserError, from_os_error
from kit.models import Launch, RunSpec, from_json, masked, to_json
from kit.outcomes import Result
from kit.paths import RunPaths
from kit.project import Project, open_project
from kit.redact import mask
from kit.run import Run
from kit.states import RunStatus
from kit.stores.base import RUN_PATIENCE
from kit.trackers.spool import Spool
from kit.tracking import Tracking, settle, settle_all, tracking_uri

__all__ = ["as_metrics", "execute", "set_up_logging", "settle", "settle_all", "supervised"]


def execute(paths: RunPaths) -> int:
    """Run the task of the spec in this run's folder; leaves `result.json` and gives the exit code."""
    return supervised(paths, lambda: _execute(paths))


def _execute(paths: RunPaths) -> Result:
    spec = _take_spec(paths)
    tracked = _Execution(paths, spec, open_project(Path(spec.project_root), patience=RUN_PATIENCE)).run()
    return Result(ExitCode.OK, tracked=tracked)


def supervised(paths: RunPaths, work: Callable[[], Result | None]) -> int:
    """Do a run's work in a process that its supervisor started and ends; what stops it is in `result.json` then.

    Args:
        work: Gives None if this was not the run's end.
    """
    die_with_parent()
    if os.environ.get("KIT_SUPERVISOR", str(os.getppid())) != str(os.getppid()):
        return ExitCode.CANCELLED  # it died before the kernel was told: nobody would see this run end
    try:
        with _stoppable():
            result: Result | None = work()
    except _Stopped:
        result = Result(ExitCode.CANCELLED, "stopped")
    except _TaskFailed as failure:
        result = failure.result
    except BaseException as error:  # noqa: BLE001 - whatever it was, the run ends with a reason
        result = _told(error)
    if result is None:
        return ExitCode.OK
    write_atomic(paths.result, to_json(result))
    return result.exit_code


class _Stopped(BaseException):
    """The supervisor asked the run to end. No `except Exception`, of a task or a library, takes it for a failure."""


class _TaskFailed(Exception):
    """The task raised; its traceback is printed and told already."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


class _Execution:
    """One run, step by step."""

    def __init__(self, paths: RunPaths, spec: RunSpec, project: Project) -> None:
        self._paths = paths
        self._spec = spec
        self._project = project
        self._source = Path(spec.worktree or spec.project_root)
        launch = from_json(paths.launch.read_bytes(), Launch)
        self._resumed = launch.resumed
        self._token = launch.token
        self._debugs = launch.pdb
        self._site = crash.Site(paths, spec)
        self._tracking = Tracking(paths, spec, project, resumed=launch.resumed)

    def run(self) -> bool:
        """Run the task; whether the tracker knows everything when it has succeeded."""
        try:
            return self._run()
        except _Stopped:
            self._tracking.forget()
            raise
        except (_TaskFailed, KitError):
            raise
        except BaseException as error:  # the task's module, while it was imported
            raise _TaskFailed(self._crashed(error)) from error

    def _run(self) -> bool:
        seed_everything(self._spec.snapshot.seed)
        set_up_logging(self._spec)
        let_runs_travel()
        with self._probing():
            call = self._load()
        record = self._project.store.transition(
            self._spec.run_id, RunStatus.RUNNING, at=_clock.now(), token=self._token
        )
        self._tracking.begin(record)
        seed_everything(self._spec.snapshot.seed)  # by now NumPy is there, and whatever the task's module imported
        spool = Spool(self._paths.spool)
        handle = Run(
            self._paths,
            name=self._spec.name,
            seed=self._spec.snapshot.seed,
            spool=spool,
            params=record.params,
            scheduled_at=self._spec.origin.scheduled_at,
        )
        if (found := checkpoints.latest(self._paths)) is not None:
            whose = f", of run {found.run_id}" if found.run_id != self._spec.run_id else ""
            print(f"there is a checkpoint to go on from: step {found.step}{whose}", file=sys.stderr)  # noqa: T201
        try:
            if contracts.enforce(self._spec, self._paths, spool, hide=self._site.secrets.mask):
                seed_everything(self._spec.snapshot.seed)  # a check may have drawn numbers
            with self._profiled(), _ending_forks():
                returned = call(handle)
            handle.log(as_metrics(self._spec.task, returned))
        except _Stopped:
            raise
        except BaseException as error:
            result = self._crashed(error)
            tracked = self._tracking.finish(RunStatus.FAILED, result.reason, self._site.secrets.mask)
            raise _TaskFailed(replace(result, tracked=tracked)) from error
        return self._tracking.finish(RunStatus.SUCCEEDED, None, self._site.secrets.mask)

    def _crashed(self, error: BaseException) -> Result:
        """Tell it, keep it, and let whoever waits for it look into it."""
        self._site.look(error)
        result = _told(error, self._site.secrets.mask)
        self._site.leave(error)
        if self._debugs and (trace := crash.task_frames(error)) is not None:
            self._untimed()
            control.flush_console()
            terminal.debug(self._paths, trace)
        return result

    def _untimed(self) -> None:
        """Whoever looks into it takes as long as it takes."""
        launch = from_json(self._paths.launch.read_bytes(), Launch)
        limits = replace(launch.limits, timeout=None)
        write_atomic(self._paths.launch, to_json(replace(launch, limits=limits)))
        control.adopt_limits()

    def _profiled(self) -> contextlib.AbstractContextManager[None]:
        if not self._spec.profile:
            return contextlib.nullcontext()
        from kit.profiling import profiled

        return profiled(self._paths, self._source)

    def _probing(self) -> AbstractContextManager[None]:
        probe, seed = self._spec.probe, self._spec.snapshot.seed
        if probe is None:
            return contextlib.nullcontext()
        return _probe.loading(probe.held, seed=seed, now=probe.now, out=self._paths.asked, source=self._source)

    def _load(self) -> Callable[[Run], object]:
        """Import the task and give it its config."""
        spec = self._spec
        # A module may call MLflow while it is imported.
        os.environ.setdefault("MLFLOW_TRACKING_URI", tracking_uri(spec, self._project))
        try:
            function = config.load_task(spec.task, self._source)
            parameters = config.task_parameters(function)
            argument = config.task_config(parameters, spec.config, where=self._origin)
        except UserError as error:
            # Told by the command that asked for the run.
            # Of a schedule's run nobody waits to be told; one that is resumed has begun long ago.
            rejected = spec.origin.kind != "schedule" and not self._resumed
            raise _TaskFailed(
                Result(error.exit_code, mask(error.what), error.where, error.fix, rejected=rejected)
            ) from error
        if spec.resources.ranks is not None:
            return lambda run: ranks.launch(self._paths, spec, self._project.store.get(run.id).params)
        return ranks.bind(function, parameters, argument)

    def _origin(self, key: str) -> str | None:
        """Which file set `key`: asked only when its value is wrong, since composing again takes time."""
        settings = self._project.settings
        composed = config.compose(self._source, settings.config_dir, settings.config_name, self._spec.overrides)
        return composed.origins.get(key)


def _take_spec(paths: RunPaths) -> RunSpec:
    """Read the spec, and leave it behind with its secrets masked: from here on only this process has them."""
    spec = from_json(paths.spec.read_bytes(), RunSpec)
    write_atomic(paths.spec, to_json(masked(spec)))
    return spec


def set_up_logging(spec: RunSpec) -> None:
    """As Hydra does for its jobs: what the task logs is printed, and goes into a file beside.

    Raises:
        UserError: If `hydra.job_logging` is not what Python's logging can be set up with.
    """
    if spec.logging is None:
        return
    for handler in (spec.logging.get("handlers") or {}).values():
        if isinstance(name := handler.get("filename"), str):
            Path(name).parent.mkdir(parents=True, exist_ok=True)  # an experiment in a folder has one in its name
    try:
        logging.config.dictConfig(spec.logging)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        why = error.__cause__ or error
        fix = "See logging.config in Python's documentation, or leave it out with `hydra/job_logging=none`."
        raise UserError(
            f"logging cannot be set up: {mask(str(error))}: {mask(str(why))}", where="hydra.job_logging", fix=fix
        ) from error


def as_metrics(task: str, returned: object) -> Mapping[str, Any]:
    if returned is None:
        return {}
    if isinstance(returned, Mapping) and all(isinstance(key, str) for key in returned):
        return returned
    raise RunError(
        f"the task returned {type(returned).__name__}, not its metrics",
        where=task,
        fix="Return a dict of names to numbers, or nothing.",
    )


# What the task cannot be blamed for.
_HOST_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def _told(error: BaseException, hide: Callable[[str], str] = mask) -> Result:
    """Print the task's own part of a traceback, and keep it. An error with a fix needs no traceback."""
    if isinstance(error, OSError) and error.errno in _HOST_ERRORS:
        error = from_os_error(error)
    if isinstance(error, KitError):
        print(f"error: {hide(str(error))}", file=sys.stderr)  # noqa: T201
        return Result(error.exit_code, hide(error.what), error.where, error.fix)
    lines = traceback.format_exception(type(error), error, crash.task_frames(error))
    text = hide("".join(lines))
    print(text, end="", file=sys.stderr)  # noqa: T201
    exit_code = _exit_code(error) if isinstance(error, SystemExit) else ExitCode.RUN
    return Result(exit_code or ExitCode.RUN, hide(_one_line(error)), traceback=text)


def _exit_code(error: SystemExit) -> int:
    """What the process would leave with; of a number the shell sees one byte only, and 256 must not be a success."""
    if error.code is None or error.code == 0:
        return 0
    return error.code if isinstance(error.code, int) and 0 < error.code < 256 else ExitCode.RUN


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:500] if said else type(error).__name__


@contextmanager
def _ending_forks() -> Iterator[None]:
    """A child that the task forked and that comes out of the task ends here: the run is not its to finish."""
    own = os.getpid()
    code = 0
    try:
        yield
    except BaseException as error:
        if os.getpid() == own:
            raise
        code = _told(error).exit_code if not isinstance(error, SystemExit) else _exit_code(error)
    if os.getpid() != own:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM becomes an exception, so that the task's `finally` blocks run; the supervisor knows why it was sent."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # who planned the run may have held it back
    # Workers that the task forks are ended by SIGTERM, as their pool expects, not by an exception in one of its locks.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if before is None else before)
