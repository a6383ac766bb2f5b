"""Copies of a run: each in a folder of its own, shown in the run's, and gone on with by the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit import checkpoints
from kit._process import this_process
from kit.checkpoints import Logged
from kit.executors import _copies
from kit.executors._lease import Lease
from kit.models import from_json
from kit.paths import RunPaths
from kit.stores import MemoryStore
from kit.trackers.base import Artifact
from kit.trackers.spool import Spool
from tests.factories import INSTANT, record, spec


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    made = RunPaths(tmp_path / "abc123")
    made.artifacts.mkdir(parents=True)
    made.config.write_text("x: 1\n")
    return made


def write(copy: RunPaths, text: str, step: int) -> None:
    with copy.log.open("a") as log:
        log.write(text)
    (copy.artifacts / f"{text}.txt").write_text(text)
    Spool(copy.spool).append(Artifact(copy.artifacts / f"{text}.txt", text))
    with checkpoints.make(copy, step, Logged(), keep=3) as folder:
        (folder / "step").write_text(str(step))


def test_what_a_copy_writes_is_shown_and_the_next_one_goes_on_with_it(run: RunPaths) -> None:
    first = _copies.begin(run, 1)
    write(first, "one", 1)
    assert run.log.read_text() == "one"
    assert (run.artifacts / "one.txt").read_text() == "one"
    second = _copies.begin(run, 2)
    assert second.root.name == run.root.name
    found = checkpoints.latest(second)
    assert found is not None
    assert found.files == second.checkpoints / "step-000000000001" / "files"
    assert str(second.artifacts / "one.txt").encode() in second.spool.read_bytes()
    write(second, "two", 2)
    assert run.log.read_text() == "onetwo"
    assert sorted(path.name for path in run.artifacts.iterdir()) == ["one.txt", "two.txt"]


def test_a_run_that_was_of_this_machine_goes_on_after_what_was_sent(run: RunPaths) -> None:
    spool = Spool(run.spool)
    spool.append(Artifact(run.artifacts / "sent.txt", "sent"))
    run.sent.write_text(str(run.spool.stat().st_size))
    spool.append(Artifact(run.artifacts / "left.txt", "left"))
    copy = _copies.begin(run, 1)
    left = copy.spool.read_bytes()[int(copy.sent.read_text()) :]
    assert from_json(left, dict[str, list[str]]) == {"artifact": [str(copy.artifacts / "left.txt"), "left"]}


def test_what_a_copy_writes_that_lives_on_counts_for_nothing(run: RunPaths) -> None:
    first = _copies.begin(run, 1)
    write(first, "one", 1)
    second = _copies.begin(run, 2)
    write(first, "late", 7)
    assert run.log.read_text() == "one"
    assert not (run.artifacts / "late.txt").exists()
    found = checkpoints.latest(run)
    assert found is not None
    assert found.step == 1
    _copies.show(run, 1)  # it wakes, and shows itself
    assert run.log.read_text() == "onelate"
    _copies.close(run, 2)
    assert run.log.read_text() == "one"
    assert not first.root.exists()
    assert second.root.exists()


def test_a_lease_is_held_by_the_last_copy_only(run: RunPaths) -> None:
    store = MemoryStore()
    store.create(spec(), replace(record(), executor="slurm"))
    for _ in range(2):
        token = store.lease("abc123", at=INSTANT, holder=this_process()).token or 0
        _copies.begin(run, token)
    old, new = Lease(run, 1, until=0.0), Lease(run, 2, until=0.0)
    assert not old.is_held(store, None)
    assert old.has_run_out()
    assert new.is_held(store, None)
    assert not new.has_run_out()
