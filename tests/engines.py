"""Engines for tests, on this machine: a real SLURM with accounting and three nodes, a real Ray of two, a real Airflow.

Each is ended with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import filelock
import psutil

from kit._process import marked
from tests.support import closed_port, until

__all__ = ["Ray", "Slurm", "airflow_standalone", "airflow_variables", "ray_cluster", "slurm_cluster"]

NODES = ("n1", "n2", "n3")
_PROGRAMS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd", "sbatch", "sacctmgr")

_CONF = """
ClusterName=kit
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[ctld]}
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
MpiDefault=none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePass={folder}/munge.sock
AccountingStoragePort={ports[dbd]}
AccountingStorageEnforce=associations
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n1]} CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n2]} CPUs=2 RealMemory=2000
NodeName=n3 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n3]} CPUs=2 RealMemory=2000
PartitionName=main Nodes=ALL Default=YES State=UP
"""

_DBD = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdPort={ports[dbd]}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[mysql]}
StorageUser=slurm
StoragePass=x
LogFile={folder}/dbd.log
PidFile={folder}/dbd.pid
"""


@dataclass
class Slurm:
    """A cluster that is up.

    Attributes:
        environment: What SLURM's commands, and kit, need to find it.
    """

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """By name: state and node."""
        lines = self.ask("squeue", "--noheader", "--states=all", "--format=%j|%T|%N").splitlines()
        return {name: (state, node) for name, state, node in (line.split("|") for line in lines)}

    def jobs_of(self, root: Path) -> set[str]:
        """The names of all jobs of the project there."""
        lines = self.ask("squeue", "--noheader", "--states=all", "--format=%j|%Z").splitlines()
        return {name for name, _, folder in (line.partition("|") for line in lines) if folder == str(root)}

    def has_saved(self, root: Path) -> bool:
        """Whether all jobs of the project there would outlive the controller: it saves them once in a few seconds."""
        with contextlib.suppress(FileNotFoundError):
            saved = (self.folder / "state" / "job_state").read_bytes()
            return all(name.encode() in saved for name in self.jobs_of(root))
        return False

    def running_on(self, node: str) -> list[str]:
        return [name for name, (state, where) in self.jobs().items() if state == "RUNNING" and where == node]

    def start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                command,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def start_node(self, node: str) -> None:
        (self.folder / "spool" / node).mkdir(parents=True, exist_ok=True)
        self.start(node, "slurmd", "-D", "-N", node)

    def start_controller(self) -> None:
        self.start("ctld", "slurmctld", "-D")
        until(lambda: self._answers("scontrol", "ping"), "slurmctld to answer")

    def kill_controller(self) -> None:
        self.daemons["ctld"].kill()
        self.daemons["ctld"].wait()

    def kill_node(self, node: str) -> None:
        """As when its machine loses power: slurmd, and every process of every job on it, at once."""
        mine = set(marked("SLURM_CONF", self.environment["SLURM_CONF"]))
        of_jobs = [each for each in marked("SLURMD_NODENAME", node) if each in mine]
        steps = {above for each in of_jobs for above in _above(each) if above.name().startswith("slurmstepd")}
        # Those first that would tell the controller what became of the others.
        tellers = [psutil.Process(self.daemons[node].pid), *steps]
        for process in tellers:
            process.suspend()
        for process in [*of_jobs, *(below for each in steps for below in _below(each)), *tellers]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.daemons[node].wait()

    def hurry(self, run_id: str) -> None:
        """Do not wait the two minutes after which SLURM starts a job again whose node failed."""
        for line in self.ask("squeue", "--noheader", "--states=PENDING", "--format=%i|%j|%r").splitlines():
            job, name, reason = line.split("|")
            if name != f"kit-{run_id}" or reason != "BeginTime":
                continue
            shown = self.ask("scontrol", "--oneliner", "show", "job", job)
            # Not at once, else it fails: in the second in which it was queued again, its credential counts as revoked.
            # And once only, since each change has the job considered anew.
            soon = datetime.now() + timedelta(seconds=5)  # noqa: DTZ005 - SLURM speaks of its own wall clock
            if datetime.fromisoformat(shown.partition("EligibleTime=")[2].split()[0]) > soon:
                self.ask("scontrol", "update", f"JobId={job}", "StartTime=now+3")

    def _answers(self, *command: str) -> bool:
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, check=False)
        return done.returncode == 0


def _above(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.parents()
    return []


def _below(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


@contextlib.contextmanager
def slurm_cluster() -> Iterator[Slurm]:
    """A cluster of this machine's user root, with its own munge, accounting and ports."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    assert not missing, f"{missing} not installed: see .ci/run"
    folder = Path(tempfile.mkdtemp(prefix="kit-slurm-"))
    folder.chmod(0o755)
    ports = {name: closed_port() for name in ("ctld", "dbd", "mysql", *NODES)}
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    cluster = Slurm(folder, environment)
    try:
        # Two databases that are made at once were seen to fail.
        with filelock.FileLock(Path(tempfile.gettempdir()) / "kit-slurm.lock"):
            _set_up(cluster, ports)
        yield cluster
    finally:
        _end(cluster)
        shutil.rmtree(folder, ignore_errors=True)


def _set_up(cluster: Slurm, ports: dict[str, int]) -> None:
    folder, names = (
        cluster.folder,
        {"folder": cluster.folder, "ports": ports, "host": socket.gethostname().split(".")[0]},
    )
    for name in ("state", "spool", "my"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(_CONF.format(**names))
    (folder / "slurmdbd.conf").write_text(_DBD.format(**names))
    (folder / "slurmdbd.conf").chmod(0o600)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    files = {"socket": "munge.sock", "key-file": "munge.key", "pid-file": "munge.pid", "log-file": "munge.log"}
    files["seed-file"] = "munge.seed"
    cluster.start("munge", "munged", "--foreground", "--force", *(f"--{o}={folder / f}" for o, f in files.items()))
    shutil.chown(folder / "my", "mysql")
    data = f"--datadir={folder / 'my'}"
    subprocess.run(["mariadb-install-db", "--user=mysql", data], stdout=subprocess.DEVNULL, check=True)
    database = ("--no-defaults", "--user=mysql", data, f"--port={ports['mysql']}", "--bind-address=127.0.0.1")
    small = ("--innodb-buffer-pool-size=64M", f"--pid-file={folder / 'my' / 'pid'}")
    cluster.start("mysql", "mariadbd", *database, *small, f"--socket={folder / 'my' / 's'}")
    who = "slurm@'127.0.0.1'"
    made = f"create database slurm_acct_db; create user {who} identified by 'x'; grant all on slurm_acct_db.* to {who}"
    until(lambda: cluster._answers("mariadb", "-S", str(folder / "my" / "s"), "-e", made), "the database")
    cluster.start("dbd", "slurmdbd", "-D")
    until(lambda: cluster._answers("sacctmgr", "-i", "add", "cluster", "kit"), "slurmdbd")
    cluster.ask("sacctmgr", "-i", "add", "account", "science")
    cluster.ask("sacctmgr", "-i", "add", "user", "root", "account=science")
    cluster.start("ctld", "slurmctld", "-D", "-i")
    until(lambda: cluster._answers("scontrol", "ping"), "slurmctld to answer")
    for node in NODES:
        cluster.start_node(node)
    until(lambda: cluster.ask("sinfo", "--noheader", "--states=idle", "--format=%D").strip() == "3", "three nodes")


def _end(cluster: Slurm) -> None:
    """Everything that has this cluster's name in its environment: daemons, jobs and what those left."""
    _end_marked("SLURM_CONF", cluster.environment["SLURM_CONF"], cluster.daemons)
    for step in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # one writes its title over its environment, but holds its node's log
            if step.name() == "slurmstepd" and any(each.is_relative_to(cluster.folder) for each in _held(step)):
                step.kill()


def _held(process: psutil.Process) -> list[Path]:
    folder = Path(f"/proc/{process.pid}/fd")
    with contextlib.suppress(OSError):
        return [each.readlink() for each in folder.iterdir()]
    return []


def _end_marked(name: str, value: str, daemons: Mapping[str, subprocess.Popen[bytes]]) -> None:
    pause = threading.Event()
    for _ in range(50):
        mine = {os.getpid(), os.getppid()}
        left = [process for process in marked(name, value) if process.pid not in mine]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for daemon in daemons.values():
            daemon.poll()
        if not left:
            return
        pause.wait(0.1)


_HASTE = {
    # Ray gives a node up that was not heard for so long; it takes the better part of a minute without these.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}
_SMALL = ("--num-cpus=2", "--object-store-memory=80000000", "--disable-usage-stats", "--include-log-monitor=false")
_MARK, _NODE = "KIT_TEST_RAY", "KIT_TEST_RAY_NODE"


@dataclass
class Ray:
    """A cluster that is up: a head, which runs jobs too, and one more node.

    Attributes:
        environment: What Ray's commands, and kit, need to find it.
    """

    folder: Path
    ports: dict[str, int]
    environment: dict[str, str]

    def start(self, node: str) -> None:
        head, dashboard, client = (self.ports[name] for name in ("head", "dashboard", "client"))
        own = {
            "head": [
                "--head",
                "--node-ip-address=127.0.0.1",
                f"--port={head}",
                f"--dashboard-port={dashboard}",
                f"--ray-client-server-port={client}",
                f"--temp-dir={self.folder}",
            ],
            "other": [f"--address=127.0.0.1:{head}", "--node-ip-address=127.0.0.2"],
        }[node]
        agent = f"--dashboard-agent-listen-port={self.ports[f'{node} agent']}"
        command = [str(Path(sys.executable).with_name("ray")), "start", *own, agent, *_SMALL]
        with (self.folder / f"{node}.out").open("ab") as out:
            env = self._outside() | self.environment | _HASTE | {_MARK: str(self.folder), _NODE: node}
            subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)

    @staticmethod
    def _outside() -> dict[str, str]:
        """What a node has: nothing of the test that happens to be the first to need it."""
        return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def kill(self, node: str) -> None:
        """As when its machine loses power: every process on it, those of jobs too, at once."""
        mine = set(marked(_MARK, str(self.folder)))
        there = [each for each in marked(_NODE, node) if each in mine]
        for how in (psutil.Process.suspend, psutil.Process.kill):  # nobody is left to tell what became of another
            for process in there:
                with contextlib.suppress(psutil.NoSuchProcess):
                    how(process)

    def runs_on(self, node: str) -> set[str]:
        """The ids of runs that have a process there."""
        mine = set(marked(_MARK, str(self.folder)))
        found = set()
        for process in (each for each in marked(_NODE, node) if each in mine):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.add(process.environ().get("KIT_RUN_ID", ""))
        return found - {""}


@contextlib.contextmanager
def ray_cluster() -> Iterator[Ray]:
    """A cluster with a token and ports of its own."""
    folder = Path(tempfile.mkdtemp(prefix="kit-ray-"))
    ports = {name: closed_port() for name in ("head", "dashboard", "client", "head agent", "other agent")}
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{ports['dashboard']}",
    }
    cluster = Ray(folder, ports, environment)
    try:
        for node in ("head", "other"):
            cluster.start(node)
        yield cluster
    finally:
        _end_marked(_MARK, str(folder), {})
        shutil.rmtree(folder, ignore_errors=True)


def airflow_variables(program: Path, folder: Path, port: int) -> dict[str, str]:
    """What an Airflow needs besides its environment's own programs; its ports are this one and the two after it."""
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port + 1),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port + 2),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }


@contextlib.contextmanager
def airflow_standalone(program: Path, env: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Airflow with everything that it needs to tick, ended with all of its children, which share its group."""
    with (folder / "standalone.log").open("w") as log:
        standalone = subprocess.Popen(
            [program, "standalone"], env=dict(env), stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
    try:
        yield
    finally:
        os.killpg(standalone.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may wait for one of them for ever
            standalone.wait(timeout=30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(standalone.pid, signal.SIGKILL)
        standalone.wait(timeout=60)
