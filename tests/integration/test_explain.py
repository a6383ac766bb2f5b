"""`kit explain` and `kit bisect`: a metric that moved is traced to what moved it, by real runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.errors import ExitCode
from tests.conftest import git, write
from tests.support import commit_all, environment, kit, new_project, stop_forkservers

FILES = {
    "src/tiny/score.py": '''
        """A metric that is easy to reckon."""

        import csv
        from pathlib import Path

        import kit

        FACTOR = 1.0


        def score(cfg: dict, run: kit.Run) -> dict[str, float]:
            total = sum(float(row[0]) for row in csv.reader(Path("data/x.csv").open()))
            return {"score": FACTOR * total * cfg["gain"], "steady": 1.0}
        ''',
    "conf/config.yaml": "defaults: [_self_, experiment: score]\nseed: 7\ngain: 1.0\n",
    "conf/experiment/score.yaml": "# @package _global_\ntask: tiny.score.score\n",
}


class Story:
    """A project with a history in which a metric moves."""

    def __init__(self, folder: Path) -> None:
        self.env = environment(folder / "home", KIT_FORKSERVER="on")
        self.root = new_project(folder / "tiny", FILES)
        self._dvc("init", "--quiet")
        self.data("1\n2\n3\n")
        self.commit("data")

    def _dvc(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments]
        subprocess.run(command, cwd=self.root, check=True, env=os.environ | {"DVC_NO_ANALYTICS": "true"})

    def data(self, text: str) -> None:
        write(self.root, {"data/x.csv": text})
        self._dvc("add", "--quiet", "data/x.csv")

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def commit(self, message: str) -> str:
        commit_all(self.root, message)
        return git(self.root, "rev-parse", "HEAD").strip()

    def idle(self, *names: str) -> None:
        for name in names:
            write(self.root, {f"{name}.md": name})
            self.commit(name)

    def run(self) -> str:
        return str(kit(self.root, "run", "--json", env=self.env).json()["run_id"])

    def ask(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = kit(self.root, *arguments, "--json", env=self.env).json()
        return found


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    yield Story(tmp_path)
    stop_forkservers(tmp_path)


@pytest.mark.slow
def test_the_change_of_a_metric_is_shared_out(story: Story) -> None:
    old = story.run()
    story.data("1\n2\n30\n")
    story.edit("src/tiny/score.py", "FACTOR = 1.0", "FACTOR = 1.5")
    story.commit("more")
    story.edit("conf/config.yaml", "gain: 1.0", "gain: 1.1")
    new = story.run()

    found = story.ask("explain", old, new, "--seeds", "1")
    shares = {share["factor"]: share for share in found["shares"]}
    # Of data, code and config: 6 -> 33, x 1 -> x 1.5, x 1 -> x 1.1; in this order, and in the opposite one.
    assert shares["data"]["effect"] == pytest.approx(((33 - 6) + (33 - 6) * 1.5 * 1.1) / 2)
    assert shares["code"]["effect"] == pytest.approx((33 * 0.5 + 6 * 1.1 * 0.5) / 2)
    assert shares["config"]["effect"] == pytest.approx((33 * 1.5 * 0.1 + 6 * 0.1) / 2)
    assert sum(share["effect"] for share in found["shares"]) == pytest.approx(found["change"])
    assert shares["config"]["what"] == ["gain 1.0 → 1.1"]
    assert (found["metric"], found["noise"]) == ("score", 0.0)
    assert len(found["runs"]) == 5
    assert len(git(story.root, "worktree", "list").splitlines()) == 1

    shown = kit(story.root, "explain", old, new, "--seeds", "0", env=story.env).out
    assert "6 → 54.45  (+48.45)" in shown
    refused = kit(story.root, "explain", old, new, "--metric", "scorn", env=story.env, code=ExitCode.USER)
    assert "score" in refused.err


@pytest.mark.slow
def test_bisect_finds_the_commit_and_what_in_it_is_to_blame(story: Story) -> None:
    good = story.run()
    story.idle("one", "two")
    story.edit("src/tiny/score.py", "FACTOR = 1.0", "FACTOR = 1.01")
    story.data("1\n2\n30\n")
    broken = story.commit("new data, and a little code")
    story.edit("conf/config.yaml", "gain: 1.0", "gain: [1.0")
    story.commit("a config that cannot be read")
    story.edit("conf/config.yaml", "gain: [1.0", "gain: 1.0")
    story.commit("one that can")
    story.idle("three")
    bad = story.run()

    found = story.ask("bisect", "--good", good, "--bad", bad, "--metric", "score")
    assert found["first"]["commit"] == broken
    assert found["first"]["title"] == "new data, and a little code"
    assert found["changed"] == {"data": ["data/x.csv"], "code": ["src/tiny/score.py"]}
    assert found["blamed"] == ["data"]
    assert found["candidates"] == 7
    assert len(found["runs"]) <= 6


@pytest.mark.exhaustive
def test_bisect_finds_data_that_nobody_committed(story: Story) -> None:
    good = story.run()
    runs = []
    for text in ("1\n2\n4\n", "1\n2\n300\n", "1\n2\n301\n"):
        story.data(text)
        runs.append(story.run())
    found = story.ask("bisect", "--good", good, "--bad", runs[-1], "--metric", "score")
    assert found["first"]["run"] == runs[1]
    assert found["blamed"] == ["data"]

    refused = kit(story.root, "bisect", "--good", good, "--bad", runs[-1], "-m", "steady", env=story.env, code=2)
    assert "is 1 in both runs" in refused.err


@pytest.mark.exhaustive
def test_bisect_says_when_it_is_neither_the_code_nor_the_data(story: Story) -> None:
    good = story.run()
    story.idle("one", "two")
    bad = str(kit(story.root, "run", "--json", "gain=9", env=story.env).json()["run_id"])
    found = story.ask("bisect", "--good", good, "--bad", bad, "--metric", "score")
    assert (found["first"], len(found["runs"])) == (None, 1)
