"""What nobody needs is found and freed; what is young, or in use, is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import filelock
import pytest

from kit import _clock, planning, worktrees
from kit._git_fetch import watch_ref
from kit._process import ProcessId, identify, this_process
from kit.errors import HostError, UserError
from kit.executors._token import take
from kit.garbage import Garbage, Kind, Scope, find, free
from kit.models import Origin, Request
from kit.project import Project, open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery
from tests.conftest import git, write
from tests.factories import spec
from tests.garbage import DAYS, HOURS, add_run, environment, everything, sweep, worktree
from tests.support import run_refs

USUAL = Scope()


@pytest.fixture
def opened(project: Path) -> Project:
    opened = open_project(project)
    opened.paths.create_state()
    return opened


@pytest.fixture
def later() -> datetime:
    """Two hours from now: what is made now is not young any more."""
    return _clock.now() + 2 * HOURS


@pytest.fixture
def dead() -> ProcessId:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1) as process:
        named = identify(process.pid)
    assert named is not None
    return named


def found(project: Project, now: datetime, scope: Scope = USUAL) -> list[tuple[Kind, str]]:
    return [(each.kind, each.name) for each in find(project, scope, now)]


def freed(project: Project, now: datetime, scope: Scope = USUAL) -> list[tuple[Kind, str]]:
    wanted = find(project, scope, now)
    assert [(each.kind, each.name) for each in free(project, scope, wanted, now)] == [(w.kind, w.name) for w in wanted]
    assert find(project, scope, now) == []
    assert list(project.paths.trash.glob("*")) == []
    return [(each.kind, each.name) for each in wanted]


def test_a_project_without_runs_has_no_garbage(project: Path, later: datetime) -> None:
    assert found(open_project(project), later) == []


def test_a_worktree_goes_with_its_owner(opened: Project, dead: ProcessId) -> None:
    left = worktree(opened, "left", dead)
    worktree(opened, "used", this_process())
    (left / "large").write_bytes(os.urandom(1 << 20))
    os.sync()
    now = _clock.now()
    (only,) = find(opened, Scope(), now)
    assert (only.kind, only.name, only.why) == (Kind.WORKTREE, "left", "its command was killed")
    assert only.bytes > 1 << 20
    assert freed(opened, now) == [(Kind.WORKTREE, "left")]
    assert sorted(path.name for path in opened.paths.worktrees.iterdir()) == ["used", "used.json"]
    known = [line.split()[0] for line in git(opened.root, "worktree", "list").splitlines()]
    assert [Path(path).name for path in known] == ["tiny", "used"]


def test_a_worktree_of_nobody_goes_when_it_is_not_young(opened: Project, later: datetime) -> None:
    worktree(opened, "nobodys", None)
    assert found(opened, _clock.now()) == []
    assert freed(opened, later) == [(Kind.WORKTREE, "nobodys")]


@pytest.mark.parametrize("broken", ["git", "folder", "half"])
def test_a_worktree_that_was_half_made_or_half_removed_goes(
    opened: Project, dead: ProcessId, broken: str, later: datetime
) -> None:
    folder = worktree(opened, "half", dead)
    if broken == "git":  # as after `git worktree add` was killed
        (folder / ".git").unlink()
        (opened.root / ".git/worktrees/half/locked").write_text("initializing")
    elif broken == "half":
        (folder / "pyproject.toml").unlink()
        (opened.root / ".git/worktrees/half/index").unlink()
    else:
        subprocess.run(["rm", "-r", folder, folder.with_name("half.json")], check=True)
    assert freed(opened, later) == [(Kind.WORKTREE, "half")]
    assert len(git(opened.root, "worktree", "list").splitlines()) == 1


def test_a_worktree_whose_owner_cannot_be_seen_gets_a_day(opened: Project, later: datetime) -> None:
    own = this_process()
    worktree(opened, "elsewhere", ProcessId(own.pid, own.started, "another container"))
    assert worktrees.stale(opened) == []
    assert found(opened, later) == []
    assert found(opened, later + DAYS) == [(Kind.WORKTREE, "elsewhere")]


def test_a_worktree_that_a_run_works_in_stays(opened: Project, dead: ProcessId) -> None:
    folder = worktree(opened, "left", dead)
    add_run(opened, "a1", ended=None, worktree=str(folder / "sub"))
    assert found(opened, _clock.now()) == []


def test_the_users_own_worktrees_stay_also_when_their_disk_is_not_there(
    opened: Project, dead: ProcessId, tmp_path: Path, later: datetime
) -> None:
    worktree(opened, "left", dead)
    git(opened.root, "worktree", "add", "--quiet", str(tmp_path / "mine"))
    git(opened.root, "worktree", "add", "--quiet", str(tmp_path / "away"))
    (tmp_path / "away").rename(tmp_path / "on a disk elsewhere")
    assert freed(opened, later) == [(Kind.WORKTREE, "left")]
    assert len(git(opened.root, "worktree", "list").splitlines()) == 3
    (tmp_path / "on a disk elsewhere").rename(tmp_path / "away")
    assert git(tmp_path / "away", "status", "--porcelain") == ""


def test_what_a_killed_command_left_of_a_run_goes_when_it_is_not_young(opened: Project, later: datetime) -> None:
    opened.paths.run("a1").artifacts.mkdir(parents=True)
    opened.paths.run("a1").spec.write_text("{}")
    for run_id in ("a1", "b2"):
        git(opened.root, "update-ref", f"refs/kit/runs/{run_id}", "HEAD")
    assert found(opened, _clock.now()) == []
    assert freed(opened, later) == [(Kind.STILLBORN, "a1")]
    assert not opened.paths.run("a1").root.exists()
    # Whose that is cannot be known: it may have been fetched from another clone.
    assert run_refs(opened.root) == ["refs/kit/runs/b2"]


def test_a_run_that_was_planned_and_never_started_goes_with_its_snapshot(opened: Project, later: datetime) -> None:
    """As when its command is killed just then."""
    write(opened.root, {"notes.txt": "uncommitted"})
    planned = planning.plan(opened, Request())
    assert run_refs(opened.root) == [planned.snapshot.code.ref]
    assert found(opened, _clock.now()) == []
    assert freed(opened, later) == [(Kind.STILLBORN, planned.run_id)]
    assert run_refs(opened.root) == []


def test_what_cannot_be_planned_leaves_nothing(opened: Project) -> None:
    (opened.root / "src" / "tiny" / "huge.bin").write_bytes(bytes(8 << 20))
    for index in range(130):
        os.link(opened.root / "src/tiny/huge.bin", opened.root / f"src/tiny/huge{index}.bin")
    with pytest.raises(UserError, match="untracked files"):
        planning.plan(opened, Request())
    assert list(opened.paths.runs.iterdir()) == []


def test_a_run_that_ran_stays_although_the_store_does_not_know_it(opened: Project, later: datetime) -> None:
    for run_id, name in (("a1", "taken"), ("b2", "spool"), ("c3", "log")):
        opened.paths.run(run_id).root.mkdir(parents=True)
        getattr(opened.paths.run(run_id), name).touch()
        git(opened.root, "update-ref", f"refs/kit/runs/{run_id}", "HEAD")
    assert found(opened, later) == []
    orphans = Scope(orphans=True)
    assert found(opened, _clock.now(), orphans) == []
    assert freed(opened, later, orphans) == [(Kind.ORPHAN, run_id) for run_id in ("a1", "b2", "c3")]
    assert run_refs(opened.root) == []


def test_orphans_of_living_supervisors_stay(opened: Project, later: datetime) -> None:
    take(opened.paths.run("a1"), this_process())
    assert found(opened, later, Scope(orphans=True)) == []


def test_snapshots_without_a_run_go_only_when_asked_for(opened: Project, later: datetime) -> None:
    add_run(opened, "a1")
    git(opened.root, "update-ref", "refs/kit/runs/b2", "HEAD")
    assert found(opened, later) == []
    assert found(opened, _clock.now(), Scope(orphans=True)) == []
    assert freed(opened, later, Scope(orphans=True)) == [(Kind.ORPHAN, "b2")]
    assert run_refs(opened.root) == ["refs/kit/runs/a1"]


def test_orphans_are_refused_where_another_project_shares_the_refs(
    opened: Project, tmp_path: Path, later: datetime
) -> None:
    git(opened.root, "worktree", "add", "--quiet", str(tmp_path / "other"))
    git(opened.root, "update-ref", "refs/kit/runs/b2", "HEAD")
    write(tmp_path / "other", {".kit/store.db": ""})
    with pytest.raises(UserError, match="another project"):
        find(opened, Scope(orphans=True), later)


def test_what_was_fetched_for_a_schedule_goes_with_it(opened: Project, later: datetime) -> None:
    write(
        opened.root,
        {"conf/schedule/new.yaml": "trigger: {data: data, rev: main, remote: origin}\nexperiment: baseline\n"},
    )
    needed, other = watch_ref("origin", "main"), watch_ref("origin", "gone")
    for ref in (needed, other):
        git(opened.root, "update-ref", ref, "HEAD")
    assert found(opened, _clock.now()) == []
    write(opened.root, {"conf/schedule/broken.yaml": "trigger: {\n"})
    assert found(opened, later) == []  # who knows what that one looks at
    (opened.root / "conf/schedule/broken.yaml").unlink()
    assert freed(opened, later) == [(Kind.WATCHED, other.rpartition("/")[2])]
    assert run_refs(opened.root) == [needed]


def test_a_sweep_goes_when_none_of_its_runs_is_under_way(opened: Project, later: datetime) -> None:
    sweep(opened, "sweep-1")
    sweep(opened, "sweep-2")
    add_run(opened, "a1", ended=None, origin=Origin("sweep", "sweep-2", 0))
    assert found(opened, later) == []
    assert found(opened, later, Scope(unused=HOURS)) == [(Kind.SWEEP, "sweep-1")]
    assert freed(opened, later + 30 * DAYS) == [(Kind.SWEEP, "sweep-1")]
    assert opened.paths.sweep("sweep-2").is_dir()


def test_an_environment_goes_when_it_was_not_used_for_long(opened: Project, later: datetime) -> None:
    environment(opened, "old")
    used = environment(opened, "used")
    add_run(opened, "a1", ended=None, python=str(used / "bin" / "python"))
    assert found(opened, later) == []
    assert freed(opened, later + 30 * DAYS) == [(Kind.ENVIRONMENT, "old")]
    assert used.is_dir()


def test_an_environment_that_was_never_finished_goes_soon(opened: Project, later: datetime) -> None:
    environment(opened, "half", complete=False)
    assert found(opened, _clock.now()) == []
    assert freed(opened, later) == [(Kind.ENVIRONMENT, "half")]


def test_an_environment_that_somebody_takes_this_moment_stays(opened: Project, later: datetime) -> None:
    folder = environment(opened, "old")
    scope = Scope(unused=HOURS)
    wanted = find(opened, scope, later)
    with filelock.FileLock(folder.with_suffix(".lock")):
        assert list(free(opened, scope, wanted, later)) == []
    os.utime(folder / ".complete", (later.timestamp(),) * 2)
    assert list(free(opened, scope, wanted, later)) == []
    assert folder.is_dir()


def test_a_way_to_a_kit_that_is_gone_goes(opened: Project, tmp_path: Path, later: datetime) -> None:
    for name, target in (("here", tmp_path), ("gone", tmp_path / "nothing")):
        (opened.paths.harness / name).mkdir(parents=True)
        (opened.paths.harness / name / "kit").symlink_to(target)
    assert found(opened, _clock.now()) == []
    assert freed(opened, later) == [(Kind.HARNESS, "gone")]
    assert tmp_path.is_dir()


def test_runs_stay_unless_asked_for(opened: Project) -> None:
    add_run(opened, "a1", ended=1000 * DAYS)
    assert found(opened, _clock.now() + 1000 * DAYS) == []


def test_the_folders_of_old_runs_go_and_their_records_stay(opened: Project) -> None:
    add_run(opened, "old", ended=100 * DAYS)
    add_run(opened, "new", ended=10 * DAYS)
    add_run(opened, "untold", ended=100 * DAYS, tracked=False)
    add_run(opened, "active", ended=None)
    assert freed(opened, _clock.now(), Scope(runs=90 * DAYS)) == [(Kind.RUN, "old")]
    assert sorted(path.name for path in opened.paths.runs.iterdir()) == ["active", "new", "untold"]
    assert opened.store.get("old").status is RunStatus.SUCCEEDED
    assert opened.store.spec("old") is not None
    assert len(run_refs(opened.root)) == 4


def test_a_run_that_another_one_goes_on_from_stays(opened: Project) -> None:
    add_run(opened, "old", ended=100 * DAYS)
    add_run(opened, "active", ended=None)
    opened.paths.run("active").beginning.write_text('{"run_id": "old", "step": 3}')
    assert found(opened, _clock.now(), Scope(runs=90 * DAYS)) == []


def test_a_run_is_forgotten_only_when_asked_for_and_a_schedules_never(opened: Project) -> None:
    add_run(opened, "old", ended=100 * DAYS)
    nightly = Origin("schedule", "nightly", 1, _clock.now())
    add_run(opened, "nightly", ended=100 * DAYS, origin=nightly)
    scope = Scope(runs=90 * DAYS, forget=True)
    assert sorted(freed(opened, _clock.now(), scope)) == [(Kind.RUN, "nightly"), (Kind.FORGOTTEN, "old")]
    assert [run.run_id for run in opened.store.runs(RunQuery())] == ["nightly"]
    assert run_refs(opened.root) == ["refs/kit/runs/nightly"]


def test_a_run_that_began_once_more_meanwhile_stays(opened: Project) -> None:
    add_run(opened, "old", ended=100 * DAYS)
    scope, now = Scope(runs=90 * DAYS), _clock.now()
    wanted = find(opened, scope, now)
    add_run(opened, "active", ended=None)
    opened.paths.run("active").beginning.write_text('{"run_id": "old", "step": 3}')
    assert list(free(opened, scope, wanted, now)) == []
    assert opened.paths.run("old").root.is_dir()


def test_only_what_was_shown_goes(opened: Project, later: datetime) -> None:
    environment(opened, "one", complete=False)
    wanted = find(opened, Scope(), later)
    environment(opened, "two", complete=False)
    assert [each.name for each in free(opened, Scope(), wanted, later)] == ["one"]
    assert found(opened, later) == [(Kind.ENVIRONMENT, "two")]


def test_two_do_not_free_at_a_time(opened: Project, later: datetime) -> None:
    environment(opened, "one", complete=False)
    with filelock.FileLock(opened.paths.locks / "gc.lock"), pytest.raises(HostError, match="another `kit gc`"):
        list(free(opened, Scope(), find(opened, Scope(), later), later))


def test_what_others_put_into_the_folders_is_theirs(opened: Project, later: datetime) -> None:
    for folder in (opened.paths.runs, opened.paths.worktrees):
        write(folder, {".hidden/file": "", "a file of mine": "", "my folder/file": ""})
    assert found(opened, later) == []


def test_what_an_interrupted_removal_left_goes(opened: Project) -> None:
    write(opened.paths.trash, {"0a1b2c3d-old/artifacts/model": "x"})
    now = _clock.now()
    assert freed(opened, now) == [(Kind.TRASH, "0a1b2c3d-old")]


def test_it_can_be_interrupted_after_each_step(opened: Project, dead: ProcessId, later: datetime) -> None:
    scope = everything(opened, dead)
    wanted = find(opened, scope, later)
    assert {each.kind for each in wanted} == set(Kind)
    rounds: list[Garbage] = []
    while left := find(opened, scope, later):
        removing = free(opened, scope, left, later)
        rounds.append(next(removing))
        removing.close()
    assert _names(rounds) == {(each.kind, each.name) for each in wanted} - {
        # Refs go first, all in one step.
        (each.kind, each.name)
        for each in wanted
        if not each.paths and each.kind in {Kind.WATCHED, Kind.ORPHAN} and each not in rounds
    }
    assert run_refs(opened.root) == ["refs/kit/runs/nightly"]


def _names(garbage: Iterable[Garbage]) -> set[tuple[Kind, str]]:
    return {(each.kind, each.name) for each in garbage}


def test_a_worktree_that_is_being_made_is_left_alone(opened: Project, later: datetime) -> None:
    """The lead's own code makes it: the name of its owner is written first."""
    begun = spec("a1", project_root=str(opened.root))
    assert begun.snapshot.data
    with pytest.raises(UserError), worktrees.restored(opened, begun, "x1"):  # there is no such commit
        pytest.fail("made")
    assert found(opened, later) == []
