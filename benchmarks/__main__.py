"""Every benchmark, one after the other: prints their tables and writes one JSON.

    python benchmarks [--only NAME,...] [--rounds N] [--json FILE] [--list]

One that fails is said to have failed, and the others go on; the exit code is then 1. Give the machine nothing else to
do meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_HERE = Path(__file__).resolve().parent
ALL = {
    "runs": "one run, by hand and as kit run",
    "sweep": "a trial of a sweep",
    "tracking": "points of a metric accepted and delivered, SQLite and HTTP",
    "commands": "what a command costs before it does anything",
    "snapshot": "a snapshot of ten thousand files",
    "checks": "kit check in a repository of two thousand files",
    "scheduler": "claims, starts, drift and adoption",
    "scaling": "what grows with runs that are kept, and with schedules",
    "engines": "SLURM and Ray: submitted to user code, a trial, a thousand queued",
    "airflow": "due to user code: Airflow's own task, kit's in Airflow, kit's scheduler",
    "peers": "kit beside other tools, each in an environment of its own",
}
"""In this order. `schedules_load` is not among them: it is a load, and takes what time it is given."""
_ROUNDLESS = {"airflow", "scaling", "scheduler"}
_NO_JSON = {"scheduler"}


def measured(name: str, rounds: int | None, folder: Path) -> dict[str, object]:
    """Run one; what it prints goes where ours goes."""
    told = folder / f"{name}.json"
    command = [sys.executable, str(_HERE / f"{name}.py")]
    command += [] if name in _NO_JSON else ["--json", str(told)]
    command += [] if rounds is None or name in _ROUNDLESS else ["--rounds", str(rounds)]
    began = time.monotonic()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    result: dict[str, object] = {"exit_code": process.returncode, "seconds": time.monotonic() - began}
    if told.exists():
        return result | {"figures": json.loads(told.read_text())}
    return result | {"printed": "".join(lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"of {','.join(ALL)}")
    parser.add_argument("--rounds", type=int, help="of each; default: its own")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:<12}{what}" for name, what in ALL.items()))
        return
    names = options.only.split(",") if options.only else list(ALL)
    if unknown := [name for name in names if name not in ALL]:
        parser.error(f"no such benchmark: {', '.join(unknown)}. There are {', '.join(ALL)}.")
    told: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="kit-benchmarks-") as folder:
        for name in names:
            print(f"\n== {name}: {ALL[name]}", flush=True)
            told[name] = measured(name, options.rounds, Path(folder))
            if told[name]["exit_code"]:
                print(f"{name} failed: exit code {told[name]['exit_code']}", flush=True)
            if options.json is not None:  # after each, so that an end in between loses only what was not measured
                options.json.write_text(json.dumps(told, indent=2) + "\n")
    sys.exit(any(result["exit_code"] for result in told.values()))


if __name__ == "__main__":
    main()
