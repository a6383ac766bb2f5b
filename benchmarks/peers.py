"""kit beside what users would pick instead: one run, a sweep, a fire of a schedule, a new project, memory.

    python benchmarks/peers.py [--rounds N] [--only NAME,...] [--json FILE] [--environments DIR]

The work is the same for all: ten parameters, a hundred points of a metric, one artifact; the task does nothing. Each
peer keeps them where it keeps such things. Each has an environment of its own, made with uv from pinned requirements
(benchmarks/_peers/requirements), bytecode compiled; kit's has what uv.lock says and a wheel of this work tree.
Everything is measured in every round, one after the other and every other round backwards, so that what else the
machine does falls on all alike; what counts are the medians and their ratios. A peer that cannot be installed, or
fails, is reported as such, and the others go on. Then what each has in its store is counted: a run that did not do its
work is an error. Memory is measured afterwards, apart.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._peers.environments import REPOSITORY, Failed, installed
from benchmarks._peers.measuring import memory, turn, warm_up
from benchmarks._peers.peer import Peer
from benchmarks._peers.report import Found, as_json, fires_of, scaffolds, shown, table, targets
from benchmarks._peers.scripts import ByHand, Cookiecutter, Joblib, Kit, Mlflow
from benchmarks._peers.tools import Dvc, Guild, Kedro, Metaflow, Prefect

PEERS: dict[str, type[Peer]] = {
    kind.name: kind for kind in (Kit, ByHand, Joblib, Mlflow, Dvc, Guild, Kedro, Metaflow, Prefect, Cookiecutter)
}
FIRES = 20
"""Of the schedules, all rounds together."""
_STRETCHES = 2


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


class Measurement:
    """The peers that still take part, and what was found so far."""

    def __init__(self, names: list[str], place: Path, environments: Path, trials: int) -> None:
        self.trials = trials
        self.found = {n: Found(PEERS[n].about, PEERS[n].first, PEERS[n].sweeps) for n in names}
        self.peers: dict[str, Peer] = {}
        programs: dict[str, Path | Failed] = {}
        for name in names:
            needed = PEERS[name].environment
            if needed not in programs:
                say(f"environment: {needed}")
                try:
                    programs[needed] = installed(needed, environments)
                except Failed as error:
                    programs[needed] = error
            there = programs[needed]
            if isinstance(there, Failed):
                self._leaves(name, there)
            else:
                self.peers[name] = PEERS[name](place / name, there, os.cpu_count() or 1)

    def warm_up(self) -> None:
        for name, peer in list(self.peers.items()):
            say(f"first run: {name}")
            self._guarded(name, lambda peer=peer: warm_up(peer))

    def round(self, number: int, fires: int) -> None:
        names = list(self.peers)
        for name in names if number % 2 == 0 else reversed(names):
            began = time.monotonic()
            peer, found = self.peers[name], self.found[name]
            self._guarded(name, lambda: turn(peer, found, self.trials, fires))  # noqa: B023
            say(f"round {number + 1}: {name} {time.monotonic() - began:.0f} s")

    def afterwards(self) -> None:
        """Memory, and whether everything was done that was measured."""
        for name, peer in list(self.peers.items()):
            say(f"memory: {name}")
            self._guarded(name, lambda: self._afterwards(name, peer))  # noqa: B023

    def _afterwards(self, name: str, peer: Peer) -> None:
        found = self.found[name]
        memory(peer, found)
        found.note = peer.note
        found.works = {"wanted": peer.works, "recorded": peer.recorded()}
        if found.works["wanted"] != found.works["recorded"]:
            raise Failed(f"did its work {found.works['recorded']} times, not {found.works['wanted']}")

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()

    def _guarded(self, name: str, work: object) -> None:
        assert callable(work)
        try:
            work()
        except (Failed, OSError, ValueError) as error:
            self._leaves(name, error)

    def _leaves(self, name: str, error: Exception) -> None:
        self.found[name].error = f"{type(error).__name__}: {error}"
        say(f"{name} takes part no more: {error}")
        peer = self.peers.pop(name, None)
        if peer is not None:
            peer.close()


def about(rounds: int) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return {
        "rounds": rounds,
        "commit": commit.stdout.strip(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--only", help=f"of {','.join(PEERS)}")
    parser.add_argument("--no-schedules", action="store_true", help="leave out what takes minutes: fires of schedules")
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "kit-benchmarks")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(PEERS)
    if unknown := [name for name in names if name not in PEERS]:
        parser.error(f"no such peer: {', '.join(unknown)}. There are {', '.join(PEERS)}.")
    facts = about(options.rounds)
    with tempfile.TemporaryDirectory(prefix="kit-peers-", ignore_cleanup_errors=True) as folder:
        measured = Measurement(names, Path(folder), options.environments.absolute(), options.trials)
        stretches = 0 if options.no_schedules else min(_STRETCHES, options.rounds)
        try:
            measured.warm_up()
            for number in range(options.rounds):
                measured.round(number, math.ceil(FIRES / stretches) if number < stretches else 0)
            measured.afterwards()
        finally:
            measured.close()
    found = measured.found
    wanted = targets(found, options.trials)
    parts = [table(found, options.trials), fires_of(found), scaffolds(found), shown(wanted)]
    print("\n\n".join(part for part in parts if part), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(found, options.trials, facts), indent=2) + "\n")


if __name__ == "__main__":
    main()
