"""A project whose schedules run while things happen to it, and the account that it has to give in the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any, cast

import psutil
import pytest

from kit import _clock
from kit.fires import Fire, FireKey, FireQuery
from kit.models import RunRecord
from kit.project import Project, open_project
from kit.scheduler import Scheduler, Turn
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from kit.stores import RunQuery
from kit.triggers import After, Trigger, iter_due
from tests.conftest import write
from tests.support import KIT, environment, kit, mlflow_runs, new_project, processes_of, until

__all__ = ["KIT", "UNLOCKED", "Account", "Execution", "Production", "running_production", "unshared"]

FILES = {
    "src/tiny/work.py": '''
        """Tasks that leave a line for each execution, where nothing that happens to the project reaches it."""

        import json
        import os
        import signal
        import threading
        from pathlib import Path

        import kit

        JOURNAL = Path(__file__).resolve().parents[3] / "journal"


        def note(run: kit.Run) -> None:
            names = ("KIT_SCHEDULE", "KIT_SCHEDULED_AT", "KIT_ATTEMPT")
            line = json.dumps([*(os.environ.get(name, "") for name in names), run.id]) + "\\n"
            out = os.open(JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(out, line.encode())
            os.close(out)


        def works(cfg: dict, run: kit.Run) -> dict[str, float]:
            note(run)
            threading.Event().wait(cfg.get("seconds", 0.0))
            return {"score": 1.0}


        def daemons(cfg: dict, run: kit.Run) -> None:
            for _ in range(3):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        signal.signal(signal.SIGTERM, signal.SIG_IGN)
                        threading.Event().wait()
                    os._exit(0)
            note(run)


        def fails(cfg: dict, run: kit.Run) -> None:
            note(run)
            raise RuntimeError("this never works")
        ''',
    "conf/experiment/works.yaml": "# @package _global_\ntask: tiny.work.works\n",
    "conf/experiment/daemons.yaml": "# @package _global_\ntask: tiny.work.daemons\n",
    "conf/experiment/fails.yaml": "# @package _global_\ntask: tiny.work.fails\n",
}

UNLOCKED = """
import sys
from dataclasses import replace
from pathlib import Path

from kit import serving
from kit.project import open_project
from kit.scheduler import Scheduler
from kit.schedules import Schedules

project = replace(open_project(Path.cwd()), patience=float(sys.argv[1]))
scheduler = Scheduler(project, Schedules(project))
said = lambda error: print(error, flush=True)
serving.serve(project, scheduler, scope="elsewhere", on_error=said)
"""
"""A scheduler that the lock file does not keep away: as on another host. Its argument: seconds to wait for a lock."""

_PROCESSES = {"supervisor": "kit.executors._supervisor", "worker": "kit._worker"}


@dataclass(frozen=True, slots=True)
class Execution:
    """A task that really ran."""

    schedule: str
    scheduled_at: datetime
    attempt: int
    run_id: str


@dataclass(frozen=True, slots=True)
class Account:
    """What became of everything."""

    fires: list[Fire]
    runs: list[RunRecord]
    executions: list[Execution]
    passed_over: int

    def runs_of(self, fire: Fire) -> list[RunRecord]:
        """Its attempts, in order."""
        return sorted((run for run in self.runs if _key(run) == fire.key), key=lambda run: run.origin.index or 0)

    def __str__(self) -> str:
        fires = Counter(fire.status.value for fire in self.fires)
        runs = Counter(run.status.value for run in self.runs)
        return (
            f"fires {dict(fires)}, passed over {self.passed_over}; runs {dict(runs)}; executions {len(self.executions)}"
        )


class Production:
    """A project in which schedules run.

    Args:
        folder: Where; the project becomes `tiny` in it, and the journal of executions lies beside it.
        schedules: The text of each `conf/schedule/<name>.yaml`.
    """

    def __init__(
        self, folder: Path, schedules: Mapping[str, str], files: Mapping[str, str] | None = None, **env: str
    ) -> None:
        self.env = environment(folder / "home", **env)
        self.root = folder / "tiny"
        self.store = self.root / ".kit" / "store.db"
        self.databases = [self.root / "mlflow.db", *([] if "KIT_STORE" in env else [self.store])]
        self._journal = folder / "journal"
        self._output = folder / "scheduler.out"
        self._schedulers: list[subprocess.Popen[bytes]] = []
        self._begun: dict[str, datetime] = {}
        texts = {f"conf/schedule/{name}.yaml": text for name, text in schedules.items()}
        new_project(self.root, FILES | dict(files or {}) | texts)
        self.project: Project = open_project(self.root)

    # What happens to it

    def meet(self, *, mlflow: bool = True) -> None:
        """Have the schedules known and the stores made; what is due counts from now on."""
        if mlflow:
            kit(self.root, "run", "experiment=works", env=self.env)  # how MLflow's store is made is tested elsewhere
            self._journal.unlink()
        self.turn()
        self.begun_anew()

    def forget(self) -> None:
        """Its journal begins anew."""
        self._journal.unlink()

    def begun_anew(self) -> None:
        """From now on every instant counts."""
        self._begun = {name: state.cursor for name, state in self.project.store.fires.states().items()}

    def turn(self, now: datetime | None = None) -> Turn:
        """One turn of a scheduler in this process, at this instant, and what it started to its end."""
        with self.scheduler() as scheduler:
            return scheduler.turn(now or _clock.now())

    @contextmanager
    def scheduler(self) -> Iterator[Scheduler]:
        """A scheduler in this process, for turns at any instant; what it started comes to its end."""
        scheduler = Scheduler(self.project, Schedules(self.project))
        try:
            yield scheduler
            for handle in scheduler.handles.values():
                handle.wait()
        finally:
            scheduler.close()

    def start(self, *before: str, **env: str) -> subprocess.Popen[bytes]:
        """Start `kit scheduler`, by another program if one is given."""
        return self.start_command([*before, str(KIT), "scheduler"], **env)

    def start_unlocked(self, *before: str, patience: float = 60.0, script: str = UNLOCKED) -> subprocess.Popen[bytes]:
        """Start a scheduler that does not care for the lock file."""
        return self.start_command([*before, sys.executable, "-P", "-c", script, str(patience)])

    def start_command(self, command: Sequence[str], **env: str) -> subprocess.Popen[bytes]:
        """Start what runs schedules, in the project; what it prints is kept."""
        with self._output.open("ab") as output:
            scheduler = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.env | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._schedulers.append(scheduler)
        return scheduler

    def said(self) -> str:
        """What all of its schedulers printed."""
        return self._output.read_text() if self._output.exists() else ""

    def processes(self, role: str) -> list[psutil.Process]:
        """The supervisors, or the workers, that live."""
        found = []
        for process in processes_of(self.root):
            with contextlib.suppress(psutil.NoSuchProcess):
                if _PROCESSES[role] in process.cmdline() and "--settle" not in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def edit(self, name: str, text: str) -> None:
        write(self.root, {f"conf/schedule/{name}.yaml": text})

    def disable(self) -> None:
        """Nothing is due by the clock any more; what comes after a success still does."""
        for path in (self.root / "conf" / "schedule").glob("*.yaml"):
            text = path.read_text()
            if "after:" not in text and "enabled:" not in text:
                path.write_text(f"{text.rstrip()}\nenabled: false\n")

    def remove(self, name: str) -> None:
        """What waits of that schedule is given up; what runs goes on."""
        (self.root / "conf" / "schedule" / f"{name}.yaml").unlink()

    def settle(self, scheduler: subprocess.Popen[bytes] | None = None) -> None:
        """Let everything that began come to its end, with this scheduler or a new one, which is then stopped."""
        self.disable()
        scheduler = scheduler or self.start()
        until(lambda: self._is_over(scheduler), "every fire to be over", seconds=300)
        scheduler.send_signal(signal.SIGTERM)
        assert scheduler.wait(60) == 0, self.said()
        self.tell_all()

    def disabled(self) -> bool:
        """Whether a scheduler has seen that nothing is due any more."""
        names = {path.stem for path in (self.root / "conf" / "schedule").glob("*.yaml")}
        known = [state for name, state in self.project.store.fires.states().items() if name in names]
        return all(not state.enabled or isinstance(state.trigger, After) for state in known)

    def _is_over(self, scheduler: subprocess.Popen[bytes]) -> bool:
        assert scheduler.poll() is None, self.said()
        begun = {RunStatus.QUEUED, RunStatus.STARTING, RunStatus.RUNNING}
        return (
            self.disabled()
            and not self.project.store.fires.active()
            and not self.project.store.runs(RunQuery(statuses=frozenset(begun)))
        )

    def tell_all(self) -> None:
        """Have MLflow told of what it could not be told before, as recovery does once a minute."""
        until(lambda: not processes_of(self.root), "everything of every run to be gone")
        if self.project.store.runs(RunQuery(tracked=False)):
            command = [sys.executable, "-P", "-m", "kit._worker", "--settle-all", str(self.root)]
            subprocess.run(command, cwd=self.root, env=self.env, check=True, timeout=120)

    def end(self) -> None:
        """Leave no process behind, whatever the test came to."""
        for scheduler in self._schedulers:
            scheduler.kill()
            scheduler.wait()
        until(self._kill_rest, "everything to be gone")

    def _kill_rest(self) -> bool:
        """Whether nothing was left; whoever is born while others are killed is met the next time."""
        left = processes_of(self.root)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return not left

    # What it has to say for itself

    def get(self, fire: Fire) -> Fire:
        """The fire as it is by now."""
        found = self.project.store.fires.fire(fire.key)
        assert found is not None, fire
        return found

    def executions(self) -> list[Execution]:
        if not self._journal.exists():
            return []
        lines = [json.loads(line) for line in self._journal.read_text().splitlines()]
        return [
            Execution(name, datetime.fromisoformat(at), int(number), run) for name, at, number, run in lines if name
        ]

    def account(self) -> Account:
        """Check that everything is known to have ended, and how; everything else is a bug in kit."""
        store = self.project.store
        fires = store.fires.fires(FireQuery())
        found = [run for run in store.runs(RunQuery()) if run.origin.kind == "schedule"]
        executions = self.executions()
        assert_sound(*self.databases)
        self._assert_over(fires, found)
        self._assert_once(fires, found, executions)
        self._assert_told(found)
        passed_over = self._assert_nothing_lost({fire.key for fire in fires})
        assert processes_of(self.root) == []
        assert not list(self.root.glob(".kit/runs/*/request.json")), "a request, which may hold secrets, was left"
        return Account(fires, found, executions, passed_over)

    def _assert_over(self, fires: list[Fire], found: list[RunRecord]) -> None:
        for fire in fires:
            assert fire.status.is_terminal, fire
            assert fire.reason or fire.status is FireStatus.SUCCEEDED, fire
        for run in found:
            assert run.status.is_terminal, run
            assert run.reason or run.status is RunStatus.SUCCEEDED, run
            assert run.tracked, run

    def _assert_once(self, fires: list[Fire], found: list[RunRecord], executions: list[Execution]) -> None:
        """At most one run for a fire and an attempt, at most one execution of a run, and only of runs there are."""
        runs = {run.run_id: run for run in found}
        attempts: dict[FireKey, set[int]] = {fire.key: set() for fire in fires}
        for run in found:
            key = _key(run)
            assert run.origin.index not in attempts[key], f"attempt {run.origin.index} of {key} was made twice"
            attempts[key].add(run.origin.index or 0)
        for fire in fires:
            numbers = sorted(attempts[fire.key])
            assert numbers == list(range(1, fire.attempt + 1)), (fire, numbers)
            if fire.status is FireStatus.SUCCEEDED:
                assert runs[fire.run_id or ""].status is RunStatus.SUCCEEDED, fire
        times = Counter(execution.run_id for execution in executions)
        assert all(number == 1 for number in times.values()), f"executed more than once: {times}"
        for execution in executions:
            run = runs[execution.run_id]
            assert (*_key(run), run.origin.index) == (execution.schedule, execution.scheduled_at, execution.attempt)
        for run in found:
            if run.status is RunStatus.SUCCEEDED:
                assert times[run.run_id] == 1, f"a success that was never executed: {run}"
        successes = Counter(_key(run) for run in found if run.status is RunStatus.SUCCEEDED)
        assert all(number == 1 for number in successes.values()), f"succeeded more than once: {successes}"

    def _assert_told(self, found: list[RunRecord]) -> None:
        """MLflow says the same: nothing runs, no failure is FINISHED, nothing is there twice."""
        known = mlflow_runs(self.root)
        with closing(sqlite3.connect(self.root / "mlflow.db")) as db:
            ids = [row[0] for row in db.execute("SELECT value FROM tags WHERE key = 'kit.run_id'")]
        assert len(ids) == len(set(ids)), "a run is in MLflow twice"
        for run in found:
            said = known.get(run.run_id)
            if run.status is RunStatus.SUCCEEDED:
                assert said is not None, f"a success that MLflow does not know: {run}"
            if said is not None:
                ends = {"FINISHED"} if run.status is RunStatus.SUCCEEDED else {"FAILED", "KILLED"}
                assert said.status in ends, (run.status, run.reason, said.status)
        assert {run.status for run in known.values()}.isdisjoint({"RUNNING", "SCHEDULED"})

    def _assert_nothing_lost(self, fires: set[FireKey]) -> int:
        """Every instant at which a schedule was due is a fire, or was passed over with a reason: one of them."""
        store = self.project.store.fires
        passed_over = 0
        states = store.states()
        for name, begun in self._begun.items():
            state = states[name]
            gaps: set[datetime] = set()
            for gap in store.gaps(name):
                assert gap.reason, gap
                assert gap.status in {FireStatus.SKIPPED, FireStatus.MISSED}, gap
                instants = _due(state.trigger, gap.first - timedelta(microseconds=1), gap.last) or [gap.first]
                assert len(instants) == gap.count, gap
                assert gaps.isdisjoint(instants), f"passed over twice: {gap}"
                gaps.update(instants)
            passed_over += len(gaps)
            if isinstance(state.trigger, After):
                due = [
                    fire.scheduled_at
                    for fire in store.fires(FireQuery(schedule=state.trigger.schedule))
                    if fire.status is FireStatus.SUCCEEDED and fire.followed
                ]
            else:
                due = _due(state.trigger, begun, state.cursor)
            for instant in due:
                ran = (name, instant) in fires
                assert ran or instant in gaps, f"{name}: nobody knows what became of {instant}"
                assert not (ran and instant in gaps), f"{name}: {instant} both ran and was passed over"
        return passed_over


def assert_sound(*databases: Path) -> None:
    """SQLite finds nothing wrong with them."""
    for path in databases:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
            assert db.execute("PRAGMA foreign_key_check").fetchall() == [], path


def _key(run: RunRecord) -> FireKey:
    return (run.origin.parent or "", cast("datetime", run.origin.scheduled_at))


def _due(trigger: Trigger, after: datetime, until_: datetime) -> list[datetime]:
    found = []
    for instant in iter_due(trigger, after):
        if instant > until_:
            break
        found.append(instant)
    return found


def unshared(*namespaces: str) -> list[str]:
    """What a command is put behind to see another machine; skips the test where that is not allowed."""
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *own_user, *namespaces]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"namespaces cannot be made here: {error}")
    return command


@contextmanager
def running_production(folder: Path, schedules: Mapping[str, str], **more: Any) -> Iterator[Production]:
    """A production of which nothing is left afterwards."""
    production = Production(folder, {name: dedent(text) for name, text in schedules.items()}, **more)
    try:
        yield production
    except BaseException:
        print(production.said()[-8000:])  # noqa: T201
        for item in production.project.store.fires.active():
            print(item)  # noqa: T201
        raise
    finally:
        production.end()
