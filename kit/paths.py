"""Every path kit knows. Names become paths only here, and unsafe ones are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kit.errors import UserError

__all__ = ["ProjectPaths", "RunPaths", "find_project", "safe_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SETTINGS = re.compile(r"^\[tool\.kit[.\]]", re.MULTILINE)


def safe_name(name: str) -> str:
    """Give the name back if it can be one file's name on any file system.

    Raises:
        UserError: If it is empty, too long, hidden, has a separator, or climbs out of its folder.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UserError(
            f"{name!r} cannot be used as a name",
            fix="Use letters, digits, '.', '_' and '-', starting with a letter or digit, at most 100.",
        )
    return name


@dataclass(frozen=True, slots=True)
class RunPaths:
    """One run's folder, `.kit/runs/<run_id>/`."""

    root: Path

    @property
    def spec(self) -> Path:
        return self.root / "spec.json"

    @property
    def request(self) -> Path:
        """What a run that is not planned yet was asked for with; gone as soon as its planning begins."""
        return self.root / "request.json"

    @property
    def launch(self) -> Path:
        """What its supervisor has to know."""
        return self.root / "launch.json"

    @property
    def taken(self) -> Path:
        """There as soon as somebody has taken the run: one supervisor, or who gave it up."""
        return self.root / "taken"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def log(self) -> Path:
        return self.root / "console.log"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "supervisor.log"

    @property
    def spool(self) -> Path:
        """What the task logged, one JSON record a line, in order."""
        return self.root / "spool.jsonl"

    @property
    def sent(self) -> Path:
        """How many bytes of the spool the tracker has."""
        return self.root / "spool.sent"

    @property
    def result(self) -> Path:
        """What the run says of its own end; missing when it could not say anything."""
        return self.root / "result.json"

    @property
    def logs(self) -> tuple[Path, ...]:
        """What it printed: the beginning, then, of a very long output, the end in two pieces."""
        return (self.log, self.log.with_suffix(".log.2"), self.log.with_suffix(".log.1"))

    @property
    def masked(self) -> Path:
        """Copies without secrets, as the tracker gets them."""
        return self.root / "masked"

    @property
    def settling(self) -> Path:
        """Held by the process that tells the tracker how the run ended."""
        return self.root / "settle.lock"

    @property
    def cancelled(self) -> Path:
        """Why it is cancelled, left by whoever does so for a reason."""
        return self.root / "cancelled"

    @property
    def elsewhere(self) -> Path:
        """There as long as what the run leaves is on another machine, which tells the tracker of it."""
        return self.root / "elsewhere"

    @property
    def is_told_from_here(self) -> bool:
        """Whether what the tracker is told of it is here."""
        return self.spec.exists() and not self.elsewhere.exists()

    @property
    def asked(self) -> Path:
        """Which places of the task asked for what a check holds fixed."""
        return self.root / "asked.jsonl"

    @property
    def crash(self) -> Path:
        """The crash capsule of a run that failed."""
        return self.root / "crash"

    @property
    def contracts(self) -> Path:
        """How its data compares with its contracts; there only if it has any."""
        return self.root / "contracts.json"

    @property
    def terminal_wanted(self) -> Path:
        """Left by a debugger in the run that asks for the terminal: its process number."""
        return self.root / "terminal.wanted"

    @property
    def terminal_lent(self) -> Path:
        """There as long as that debugger has it."""
        return self.root / "terminal.lent"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def profile(self) -> Path:
        """Where the task spent its time."""
        return self.root / "profile"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def beginning(self) -> Path:
        """Which checkpoint of another run this one begins from; there only if it does."""
        return self.root / "beginning.json"

    def sibling(self, run_id: str) -> RunPaths:
        """Another run's folder."""
        return RunPaths(self.root.with_name(safe_name(run_id)))


@dataclass(frozen=True, slots=True)
class ProjectPaths:
    """One project's folders."""

    root: Path

    @property
    def pyproject(self) -> Path:
        return self.root / "pyproject.toml"

    @property
    def state(self) -> Path:
        return self.root / ".kit"

    @property
    def store(self) -> Path:
        return self.state / "store.db"

    @property
    def locks(self) -> Path:
        return self.state / "locks"

    @property
    def store_lock(self) -> Path:
        """Held while the store is made."""
        return self.locks / "store.lock"

    @property
    def scheduler_lock(self) -> Path:
        """Held by the scheduler of this machine."""
        return self.locks / "scheduler.lock"

    @property
    def alerts_lock(self) -> Path:
        """Held while alerts are sent."""
        return self.locks / "alerts.lock"

    @property
    def data_lock(self) -> Path:
        """Held while data is fetched or made."""
        return self.locks / "data.lock"

    @property
    def unfinished_data(self) -> Path:
        """Which data is being fetched or made; there only meanwhile, or after a kill."""
        return self.locks / "data.json"

    @property
    def omitted_hashes(self) -> Path:
        """The remembered hashes of files that are too large for a snapshot."""
        return self.state / "omitted.json"

    @property
    def data_hashes(self) -> Path:
        """The remembered hashes of data."""
        return self.state / "data-versions.json"

    @property
    def data_shapes(self) -> Path:
        """The remembered rows and columns of tables that take long to count."""
        return self.state / "data-shapes.json"

    @property
    def contracts(self) -> Path:
        """Which data is known to be what which contract says, and the remembered hashes of data that DVC has not."""
        return self.state / "contracts"

    @property
    def harness(self) -> Path:
        """This kit, for runs in other environments than its own."""
        return self.state / "harness"

    @property
    def worktrees(self) -> Path:
        """Copies of the project as earlier runs had it, while they are needed."""
        return self.state / "worktrees"

    @property
    def environments(self) -> Path:
        """Environments made anew from what earlier runs recorded."""
        return self.state / "environments"

    @property
    def trash(self) -> Path:
        """What is being removed, or was when whoever did so was killed."""
        return self.state / "trash"

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    @property
    def mlflow_store(self) -> Path:
        """Where `mlflow ui`, started in the project, looks by itself."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlruns"

    def run(self, run_id: str) -> RunPaths:
        return RunPaths(self.runs / safe_name(run_id))

    def worktree(self, name: str) -> Path:
        return self.worktrees / safe_name(name)

    @property
    def sweeps(self) -> Path:
        return self.state / "sweeps"

    def sweep(self, sweep_id: str) -> Path:
        """Where Hydra's sweeper may write."""
        return self.sweeps / safe_name(sweep_id)

    def create_state(self) -> None:
        """Make `.kit/`, private and ignored by git whatever the project's own ignore file says.

        Raises:
            OSError: If the folder cannot be made or written.
        """
        for folder in (self.state, self.locks, self.runs):
            folder.mkdir(mode=0o700, exist_ok=True)
        ignore = self.state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")


def find_project(start: Path) -> ProjectPaths:
    """The project that `start` lies in: the nearest folder upward whose pyproject.toml has `[tool.kit]`.

    Raises:
        UserError: If there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and _SETTINGS.search(pyproject.read_text("utf-8", "replace")):
            return ProjectPaths(folder)
    raise UserError(
        "not a kit project: no pyproject.toml with [tool.kit] here or above",
        where=str(start),
        fix="Change into a project, or start one with `kit new NAME`.",
    )
