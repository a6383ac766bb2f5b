"""What `kit check` costs in a repository of 2,000 files: the whole of it, and one changed file as in a hook.

    python benchmarks/checks.py [--rounds N] [--files N] [--profile] [--json FILE]

Most files are Python, and are kit's own modules over and over; the others are configs, tests, notebooks and pages.
Twenty are experiments. Counted is the whole command, with its interpreter: seconds by the clock, and of the processor.
Medians, in turn. No check keeps anything for the next: each is the first one. Forked is one out of the project's
forkserver, as behind its first run. `--profile` says instead which rules take how long, in this process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kit.checks import registry
from kit.checks.engine import check
from kit.checks.tree import Tree
from kit.project import open_project
from tests.conftest import write
from tests.support import KIT, forkserver, new_project

_REPOSITORY = Path(__file__).resolve().parent.parent
_TARGET = 2.0
_EXPERIMENTS = 20
_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def repository(root: Path, number: int) -> Path:
    """So many files, committed."""
    new_project(root)
    modules = [path.read_text("utf-8") for path in sorted((_REPOSITORY / "kit").rglob("*.py"))]
    tests = [path.read_text("utf-8") for path in sorted((_REPOSITORY / "tests/unit").rglob("test_*.py"))]
    for index in range(_EXPERIMENTS):
        text = f"# @package _global_\ntask: tiny.train.train\nsteps: {index + 4}\n"
        write(root, {f"conf/experiment/e{index}.yaml": text})
    made = itertools.count(sum(1 for path in root.rglob("*") if path.is_file() and ".git/" not in str(path)))
    while (index := next(made)) < number:
        kind = index % 20
        folder = f"part{index % 40}"
        if kind < 12:
            (root / "src/tiny" / folder).mkdir(parents=True, exist_ok=True)
            (root / f"src/tiny/{folder}/m{index}.py").write_text(modules[index % len(modules)])
        elif kind < 15:
            (root / "tests" / folder).mkdir(parents=True, exist_ok=True)
            (root / f"tests/{folder}/test_{index}.py").write_text(tests[index % len(tests)])
        elif kind < 18:
            write(root, {f"conf/{folder}/c{index}.yaml": f"depth: {index}\nfolder: data/{folder}\nnames: [a, b, c]\n"})
        elif kind == 18:
            write(root, {f"docs/{folder}/d{index}.md": f"# Page {index}\n\n" + "Words, words, words.\n" * 40})
        else:
            write(root, {f"notebooks/{folder}/n{index}.ipynb": json.dumps(_NOTEBOOK)})
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    return root


def measured(root: Path, *arguments: str, env: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor that one command takes; what is forked is none of its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([str(KIT), "check", *arguments], cwd=root, capture_output=True, check=False, env=env)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in {0, 1}:
        sys.exit(done.stderr.decode())
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def profiled(root: Path) -> None:
    """Which rules take how long, one after the other on one tree: who comes first pays for what others share."""
    tree = Tree(open_project(root))
    took = {}
    for rule in registry.every():
        began = time.process_time()
        found = len(list(rule.check(tree)))
        took[f"{rule.code} {rule.name}"] = (time.process_time() - began, found)
    for name, (seconds, found) in sorted(took.items(), key=lambda one: -one[1][0])[:20]:
        print(f"{seconds * 1000:8.0f} ms  {name} ({found} found)")
    began = time.process_time()
    check(open_project(root), codes=registry.select())
    print(f"{(time.process_time() - began) * 1000:8.0f} ms  all of them, anew")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cold = os.environ | {"KIT_FORKSERVER": "off"}
    forked = {name: value for name, value in os.environ.items() if name != "KIT_FORKSERVER"}
    with tempfile.TemporaryDirectory() as folder:
        root = repository(Path(folder) / "tiny", options.files)
        if options.profile:
            profiled(root)
            return
        cases = {"everything": (), "one file": ("conf/experiment/e1.yaml",), "nothing but the start": ("--list",)}
        ways = {name: (arguments, cold) for name, arguments in cases.items()}
        ways |= {f"{name}, forked": (arguments, forked) for name, arguments in cases.items()}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        with forkserver(root, forked):
            for _ in range(options.rounds):
                for name, (arguments, env) in ways.items():
                    found[name].append(measured(root, *arguments, env=env))
    medians = {name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in found.items()}
    print(f"{options.files} files, medians of {options.rounds}; target {_TARGET:.0f} s\n")
    for name, (clock, processor) in medians.items():
        print(f"{name:<30}  {clock:6.2f} s by the clock  {processor:6.2f} s of the processor")
    if options.json:
        options.json.write_text(json.dumps({"files": options.files, "rounds": options.rounds, "seconds": medians}))


if __name__ == "__main__":
    main()
