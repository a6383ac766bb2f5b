"""What a snapshot of a project costs with ten thousand files under DVC: the first time, and when nothing has changed.

    python benchmarks/snapshot.py [--rounds N] [--files N] [--json FILE]

Two projects: all files in one folder with one `.dvc` file, and each with one of its own. A snapshot is what `kit run`
takes before a run: whether git is ready, which versions the data has, the code as a commit. Beside it `git status` in
the same project, a bare `stat` of every file, and `dvc status`, once. All but that take turns; what counts are medians.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kit import data, vcs
from kit._dvc_tree import directory_md5
from tests.conftest import git
from tests.support import commit_all

_SETTLED = 2.5
"""Seconds after which what was written is trusted to stay as it is."""
OUTPUT = "outs:\n- md5: {md5}\n  size: {size}\n{more}  hash: md5\n  path: {path}\n"


def one_folder(root: Path, number: int) -> None:
    """All files in one output."""
    listing = []
    for index in range(number):
        name = f"{index % 100:02}/{index:06}.bin"
        listing.append((name, _write(root / "data" / name, index)))
    more = f"  nfiles: {number}\n"
    (root / "data.dvc").write_text(OUTPUT.format(md5=directory_md5(listing), size=8 * number, more=more, path="data"))
    (root / ".gitignore").write_text(".kit/\n/data\n")


def many_outputs(root: Path, number: int) -> None:
    """Each file an output of its own."""
    for index in range(number):
        name = f"{index:06}.bin"
        md5 = _write(root / "data" / name, index)
        (root / "data" / f"{name}.dvc").write_text(OUTPUT.format(md5=md5, size=8, more="", path=name))
    (root / ".gitignore").write_text(".kit/\n/data/*.bin\n")


def _write(path: Path, index: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = f"{index:08}".encode()
    path.write_bytes(content)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def make(root: Path, fill: Callable[[Path, int], None], number: int) -> Path:
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (root / "pyproject.toml").write_text("[project]\nname = 'big'\n[tool.kit]\n")
    (root / ".kit").mkdir()
    fill(root, number)
    git(root, "init", "--quiet")
    commit_all(root)
    return root


def snapshot(root: Path) -> None:
    """As `kit run` does it."""
    vcs.check(root)
    found = data.versions(root, cache=root / ".kit" / "hashes.json")
    if {version.state for version in found} != {"matches"}:
        sys.exit(f"{root}: the data is not what is recorded")
    vcs.snapshot(root, "bench", max_bytes=2**20)


def stats(root: Path) -> None:
    """The least: every file looked at."""
    for parent, _, names in os.walk(root / "data"):
        for name in names:
            os.stat(f"{parent}/{name}")  # noqa: PTH116


def git_status(root: Path) -> None:
    subprocess.run(["git", "status", "--porcelain"], cwd=root, check=True, capture_output=True)


def dvc_status(root: Path) -> None:
    command = [sys.executable, "-m", "dvc", "status", "--quiet"]
    subprocess.run(command, cwd=root, check=False, capture_output=True)


def timed(work: Callable[[Path], None], root: Path) -> tuple[float, float]:
    """Seconds of wall time, and of the processor's with that of the programs that were called."""
    before, began = _used(), time.perf_counter()
    work(root)
    return time.perf_counter() - began, _used() - before


def _used() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results: dict[str, dict[str, list[tuple[float, float]]]] = {}
    ways: dict[str, Callable[[Path], None]] = {"unchanged": snapshot, "git status": git_status, "stat alone": stats}
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as folder:
        for fill in (one_folder, many_outputs):
            root = make(Path(folder, fill.__name__), fill, asked.files)
            time.sleep(_SETTLED)
            found = results[fill.__name__] = {name: [] for name in ("first time", *ways, "dvc status")}
            found["first time"].append(timed(snapshot, root))
            for _ in range(asked.rounds):
                for name, work in ways.items():
                    found[name].append(timed(work, root))
            found["dvc status"].append(timed(dvc_status, root))
            for name, figures in found.items():
                wall, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
                print(f"{fill.__name__:<14} {name:<12} {wall * 1e3:>8.0f} ms {cpu * 1e3:>8.0f} ms of CPU", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"files": asked.files, "seconds": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
