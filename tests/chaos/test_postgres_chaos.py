"""A store that hosts share: its server restarted, hosts cut off, and all the same nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from kit.states import RunStatus
from kit.stores import RunQuery
from kit.stores.opening import VARIABLE
from tests.chaos.production import UNLOCKED, Production, running_production, unshared
from tests.databases import Postgres, postgres_server
from tests.support import environment, new_project, start_kit, until

# A few restarts each time; many before a release.
RESTARTS = [3, pytest.param(25, marks=pytest.mark.exhaustive)]

OFTEN = {
    "often": "trigger: {interval: 2 s}\nexperiment: works\nretry: {attempts: 5, delay: 0.3 s}",
    "queue": "trigger: {interval: 9 s}\nexperiment: works\noverlap: queue",
}


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


class Restarts:
    """A server that goes away every few seconds, politely or as in a crash, and is back a moment later."""

    def __init__(self, server: Postgres, seed: int) -> None:
        self.count: Counter[str] = Counter()
        self._server = server
        self._moments = random.Random(seed)

    def once(self) -> None:
        wait(self._moments.uniform(0.5, 3))
        how = self._moments.choice((signal.SIGINT, signal.SIGQUIT))
        self._server.stop(how)
        wait(self._moments.uniform(0, 1.5))
        self._server.start()
        self.count[how.name] += 1


@pytest.mark.slow
@pytest.mark.parametrize("restarts", RESTARTS)
def test_a_server_restarted_under_a_schedule(tmp_path: Path, restarts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_server() as server:
        url = server.url(server.new_database())
        monkeypatch.setenv(VARIABLE, url)
        with running_production(tmp_path, OFTEN, KIT_STORE=url) as production:
            production.meet()
            scheduler = production.start()
            until(production.executions, "a run")
            chaos = Restarts(server, restarts)
            for _ in range(restarts):
                chaos.once()
            before = len(production.executions())
            until(lambda: len(production.executions()) > before, "it to go on")
            production.settle(scheduler)
            account = production.account()
    assert "Traceback" not in production.said()
    assert {run.status for run in account.runs} <= {RunStatus.SUCCEEDED, RunStatus.CANCELLED}
    print(f"\nrestarted {dict(chaos.count)}; {account}")  # noqa: T201


TRIALS = {
    "src/tiny/trial.py": """
        import os
        from pathlib import Path

        import kit

        JOURNAL = Path(__file__).resolve().parents[3] / "journal"


        def works(cfg: dict, run: kit.Run) -> dict[str, float]:
            out = os.open(JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(out, f"{cfg['x']} {run.id}\\n".encode())
            os.close(out)
            return {"score": float(cfg["x"])}
        """,
    "conf/experiment/trial.yaml": "# @package _global_\ntask: tiny.trial.works\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("restarts", RESTARTS)
def test_a_server_restarted_under_a_sweep(tmp_path: Path, restarts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = restarts * 2
    with postgres_server() as server:
        url = server.url(server.new_database())
        env = environment(tmp_path / "home", KIT_STORE=url)
        root = new_project(tmp_path / "tiny", TRIALS)
        values = ",".join(str(number) for number in range(trials))
        sweep = start_kit(root, "run", "-m", "experiment=trial", f"+x={values}", env=env)
        until((tmp_path / "journal").exists, "a trial")
        chaos = Restarts(server, restarts)
        for _ in range(restarts):
            if sweep.poll() is None:
                chaos.once()
        out, err = sweep.communicate(timeout=300)
        assert sweep.returncode == 0, out + err
        listed = subprocess.run(
            [*_kit(), "runs", "--json", "--limit", "1000"], cwd=root, env=env, check=True, capture_output=True
        )
    runs = [run for run in json.loads(listed.stdout) if run["experiment"] == "trial"]
    lines = [line.split() for line in (tmp_path / "journal").read_text().splitlines()]
    assert sorted(int(value) for value, _ in lines) == list(range(trials)), "each trial once"
    assert {run_id for _, run_id in lines} == {run["run_id"] for run in runs}
    assert {run["status"] for run in runs} == {"succeeded"}
    assert sorted(run["metrics"]["score"] for run in runs) == [float(number) for number in range(trials)]
    print(f"\nrestarted {dict(chaos.count)}; trials {len(runs)}, executions {len(lines)}")  # noqa: T201


def _kit() -> list[str]:
    from tests.support import KIT

    return [str(KIT)]


# Two hosts

_HERE, _THERE = "10.231.77.1", "10.231.77.2"


@dataclass(frozen=True, slots=True)
class Host:
    """Another host, as far as the network and its processes go; files it shares."""

    name: str
    before: list[str]

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        subprocess.run(["ip", "link", "set", f"{self.name}a", "down"], check=True)

    def rejoin(self) -> None:
        subprocess.run(["ip", "link", "set", f"{self.name}a", "up"], check=True)


@contextlib.contextmanager
def another_host() -> Iterator[Host]:
    elsewhere = unshared("--pid", "--uts", "--fork", "--mount-proc", "--kill-child")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces cannot be made here: `ip` is missing (Debian: iproute2)")
    name = f"kit{random.SystemRandom().randrange(16**6):06x}"
    steps = [
        f"ip netns add {name}",
        f"ip link add {name}a type veth peer name {name}b netns {name}",
        f"ip addr add {_HERE}/30 dev {name}a",
        f"ip link set {name}a up",
        f"ip -n {name} addr add {_THERE}/30 dev {name}b",
        f"ip -n {name} link set {name}b up",
        f"ip -n {name} link set lo up",
    ]
    try:
        for step in steps:
            done = subprocess.run(step.split(), check=False, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be made here: {done.stderr.strip()}")
        yield Host(name, ["ip", "netns", "exec", name, *elsewhere])
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{name}a"], check=False, capture_output=True)


def hosts_at_work(production: Production) -> int:
    """How many schedulers there are that did not stop."""
    return len([record for record in production.project.store.fires.schedulers() if record.stopped_at is None])


# Seconds for which one host is cut off: shorter than a connection bears, longer, and so long that it is given up.
CUTS = [(4, 18), pytest.param((4, 18, 75, 1, 75, 30), marks=pytest.mark.exhaustive)]


@pytest.mark.slow
@pytest.mark.parametrize("cuts", CUTS, ids=["two", "six"])
def test_two_schedulers_on_two_hosts_of_which_one_is_cut_off(
    tmp_path: Path, cuts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off in the middle of whatever it does, and goes on with that when it is back."""
    moments = random.Random(len(cuts))
    with another_host() as host, postgres_server(listen=f"127.0.0.1,{_HERE}") as server:
        database = server.new_database()
        monkeypatch.setenv(VARIABLE, server.url(database))
        schedules = {f"often{number}": OFTEN["often"] for number in range(2)}
        with running_production(tmp_path, schedules, KIT_STORE=server.url(database)) as production:
            production.meet()
            command = [*host.before, sys.executable, "-P", "-c", UNLOCKED, "10"]
            there = production.start_command(command, KIT_STORE=server.url(database, host=_HERE))
            until(production.executions, "a run over there")
            here = production.start()
            until(lambda: hosts_at_work(production) == 2, "both")
            for seconds in cuts:
                wait(moments.uniform(0.2, 2))
                host.cut()
                wait(seconds)
                before = len(production.executions())
                host.rejoin()
                until(lambda: len(production.executions()) > before, "them to go on")  # noqa: B023
            production.disable()
            until(production.disabled, "it to be seen that nothing is due any more")
            [scheduler] = psutil.Process(there.pid).children()  # `unshare` itself ignores the signal
            scheduler.terminate()
            assert there.wait(120) == 0, production.said()
            production.settle(here)
            account = production.account()
            known = production.project.store.runs(RunQuery())
    hosts = Counter(run.starter.boot for run in known if run.starter is not None)
    print(f"\ncut off for {cuts} s; {len(hosts)} hosts started {sorted(hosts.values())} runs; {account}")  # noqa: T201
    assert len(hosts) == 2, "one of them did nothing"
