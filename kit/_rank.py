"""One rank of a run, as `torchrun` starts it, and torchrun as the run starts it.

python -P -m kit._rank --launch RANKS RUN_FOLDER   torchrun, on this machine
python -P -m kit._rank RUN_FOLDER                  one rank: RANK and WORLD_SIZE say which
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from kit import config
from kit._files import write_atomic
from kit._process import die_with_parent
from kit._seeding import seed_everything
from kit.config import task_config, task_parameters
from kit.crash import task_frames
from kit.errors import ExitCode, KitError
from kit.execution import as_metrics, set_up_logging
from kit.models import from_json, to_json
from kit.paths import RunPaths
from kit.ranks import Given, RankPaths, RankResult, bind
from kit.redact import mask
from kit.run import Run

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kit._rank")
    parser.add_argument("--launch", type=int, metavar="RANKS")
    parser.add_argument("run", type=Path)
    options = parser.parse_args(arguments)
    die_with_parent()
    paths = RankPaths(RunPaths(options.run))
    if options.launch is not None:
        return _launch(paths, options.launch)
    return _Rank(paths, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])).run()


def _launch(paths: RankPaths, ranks: int) -> int:
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    rank = ["--no-python", sys.executable, "-P", "-m", "kit._rank", str(paths.run.root)]
    try:
        torchrun.main(["--standalone", f"--nproc-per-node={ranks}", "--max-restarts=0", *rank])
    except ChildFailedError as error:
        first, failure = error.get_first_failure()
        write_atomic(paths.failed, to_json(RankResult(first, failure.exitcode)))
        return ExitCode.RUN
    except SignalException:
        return ExitCode.CANCELLED
    return ExitCode.OK


class _Stopped(BaseException):
    """The run is to end."""


class _Rank:
    """One of them."""

    def __init__(self, paths: RankPaths, rank: int, ranks: int) -> None:
        self._paths = paths
        self._rank = rank
        self._ranks = ranks

    def run(self) -> int:
        """Do its share; gives the process's exit code."""
        signal.signal(signal.SIGTERM, _stop)
        if self._rank:
            self._print_apart()
        try:
            self._work(from_json(self._paths.given.read_bytes(), Given))
        except _Stopped:
            return ExitCode.CANCELLED
        except BaseException as error:  # noqa: BLE001 - whatever it was, it is told
            return self._failed(error)
        return ExitCode.OK

    def _print_apart(self) -> None:
        out = os.open(self._paths.log(self._rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(out, stream)
        os.close(out)

    def _work(self, given: Given) -> None:
        spec = given.spec
        seed_everything(spec.snapshot.seed)
        set_up_logging(spec)
        function = config.load_task(spec.task, Path(spec.worktree or spec.project_root))
        parameters = task_parameters(function)
        argument = task_config(parameters, spec.config, where=lambda _key: None)  # the run's own process has looked
        seed_everything(spec.snapshot.seed)
        run = self._handle(given)
        returned = bind(function, parameters, argument)(run)
        run.log(as_metrics(spec.task, returned))

    def _handle(self, given: Given) -> Run:
        spec = given.spec
        return self._paths.handle(
            self._rank,
            self._ranks,
            name=spec.name,
            seed=spec.snapshot.seed,
            params=given.params,
            scheduled_at=spec.origin.scheduled_at,
        )

    def _failed(self, error: BaseException) -> int:
        reason = error.what if isinstance(error, KitError) else f"{type(error).__name__}: {error}"
        write_atomic(self._paths.told(self._rank), to_json(RankResult(self._rank, 1, mask(reason))))
        print(mask("".join(traceback.format_exception(type(error), error, task_frames(error)))), file=sys.stderr)  # noqa: T201
        return error.exit_code if isinstance(error, KitError) else ExitCode.RUN


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main())
