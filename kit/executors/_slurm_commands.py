"""SLURM's own commands: what is asked of them and what they answer, and what to do when they refuse."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kit.errors import HostError

__all__ = ["Job", "ask", "find_jobs"]

FORGOTTEN = "forgotten by SLURM"
"""The state of a job that has one in the accounts, while the controller knows nothing of it."""
_SECONDS = 60.0
_NAMES_AT_ONCE = 500
_ALIVE = {
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED",
    "RESIZING", "SIGNALING", "STAGE_OUT", "SPECIAL_EXIT", "STOPPED",
}  # fmt: skip
_FIXES = {
    "partition": "List the partitions with `sinfo`, and set `partition` in [tool.kit.executors.NAME].",
    "account": "`sacctmgr show associations user=$USER` lists yours; set `account` in [tool.kit.executors.NAME].",
    "qos": "List them with `sacctmgr show qos`, and set `qos` in [tool.kit.executors.NAME].",
    "controller": "See whether it is up with `scontrol ping`; the run can be started once it is.",
    "node configuration": "Ask for less in `resources`: `sinfo -o '%P %c %m %G'` lists what nodes have.",
    "time limit": "Ask for less time in `resources.time`: `sinfo -o '%P %l'` lists the limits.",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One of SLURM's.

    Attributes:
        state: In its own words, such as `RUNNING`.
    """

    id: str
    state: str

    @property
    def is_alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state in _ALIVE


def ask(program: str, *arguments: str, given: str | None = None) -> str:
    """What the command prints.

    Raises:
        HostError: If it is not there, refuses, or does not answer.
    """
    try:
        done = subprocess.run(
            [program, *arguments], input=given or "", capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError as error:
        fix = "Do it where SLURM's commands are, or run it here with `--on local`."
        raise HostError(f"there is no `{program}` on this machine", fix=fix) from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"`{program}` timed out", fix=_FIXES["controller"]) from error
    if done.returncode != 0:
        raise _refused(program, done.stderr)
    return done.stdout


def _refused(program: str, said: str) -> HostError:
    lines = [re.sub(r"^\w+: (?:error: )?", "", line).strip() for line in said.splitlines() if line.strip()]
    what = lines[-1] if lines else "no reason given"
    fix = next((fix for word, fix in _FIXES.items() if word in said.lower()), f"See `man {program}`.")
    return HostError(f"SLURM refuses: {what}", where=program, fix=fix)


def find_jobs(names: Sequence[str]) -> dict[str, Job]:
    """The last job of each of these names that SLURM knows, one that waits or runs before all others.

    Raises:
        HostError: If it cannot be asked.
    """
    found: dict[str, Job] = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        some = names[start : start + _NAMES_AT_ONCE]
        of_these = f"--name={','.join(some)}"
        _add(found, ask("squeue", "--noheader", "--states=all", "--format=%i|%j|%T", of_these))
        if missing := [name for name in some if name not in found]:
            of_these = f"--name={','.join(missing)}"
            what = (
                "--noheader",
                "--parsable2",
                "--allocations",
                "--format=JobIDRaw,JobName%100,State",
                "--starttime=now-90days",
            )
            with contextlib.suppress(HostError):  # a cluster may keep no accounts
                _add(found, ask("sacct", *what, of_these), ended=True)
    return found


def _add(found: dict[str, Job], listing: str, *, ended: bool = False) -> None:
    """Add the jobs of a listing; `ended` where it is known that none of them waits or runs any more."""
    for job_id, name, state in _rows(listing):
        job, known = Job(job_id, state.split()[0]), found.get(name)  # "CANCELLED by 0"
        if ended and job.is_alive:  # a controller that lost its state never told the accounts
            job = Job(job_id, FORGOTTEN)
        if known is None or (job.is_alive, int(job.id)) > (known.is_alive, int(known.id)):
            found[name] = job


def _rows(listing: str) -> Iterable[tuple[str, str, str]]:
    for line in listing.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 3 and fields[0].isdecimal():
            yield fields[0], fields[1], fields[2]
