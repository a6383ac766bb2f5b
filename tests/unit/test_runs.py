"""What a run spec is made of."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit import _clock, runs
from kit._process import ProcessId, identify, this_process
from kit.errors import HostError, UserError
from kit.executors._token import take, taken_by
from kit.executors.local import LocalExecutor
from kit.models import Launch, Limits, Origin, Request, RunRecord, RunSpec, from_json, masked, to_json
from kit.project import Project, open_project
from kit.states import RunStatus
from tests.factories import INSTANT, claimed
from tests.support import claim, run_refs

MakeProject = Callable[..., Path]


def claim_one(project: Project, status: RunStatus, **changes: Any) -> RunRecord:
    made = claimed("abc123", status=status, created_at=_clock.now(), **changes)
    claim(project.store, made)
    return made


def planned(root: Path, *overrides: str, **request: Any) -> RunSpec:
    return runs.plan(open_project(root), runs.Request(overrides=overrides, **request))


def test_note_and_timeout_may_stand_in_the_config(project: Path) -> None:
    spec = planned(project, "+note=why", "+timeout=90")
    assert (spec.note, spec.limits) == ("why", Limits(timeout=90.0))


def test_the_command_line_wins_over_the_config(project: Path) -> None:
    limits = Limits(timeout=5.0, grace=1.0)
    spec = planned(project, "+note=why", "+timeout=90", note="because", limits=limits)
    assert (spec.note, spec.limits) == ("because", limits)


@pytest.mark.parametrize(
    "override", ["+timeout=0", "+timeout=-1", "+timeout=soon", "+timeout=true", "+timeout=inf", "+note=5"]
)
def test_a_note_or_timeout_of_another_kind_is_refused(project: Path, override: str) -> None:
    with pytest.raises(UserError, match=override[1:].partition("=")[0]):
        planned(project, override)


def test_what_the_environment_holds_in_secret_is_not_stored(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    spec = planned(make_project(), "+database.auth=${oc.env:DB_PASSWORD}", tags={"api_key": "hunter2"})
    assert spec.config["database"] == {"auth": "hunter2"}
    assert b"hunter2" not in to_json(masked(spec))


def test_a_claimed_run_keeps_its_id_and_says_how_to_have_it(project: Path) -> None:
    origin = Origin("schedule", "nightly", 2, INSTANT)
    spec = runs.plan(open_project(project), Request(origin=origin), run_id="abc123")
    assert (spec.run_id, spec.origin) == ("abc123", origin)
    assert spec.snapshot.command == ("kit", "run", "--schedule", "nightly", "--at", "2026-03-01T12:00:00+00:00")
    assert run_refs(project) == ["refs/kit/runs/abc123"]


class TestLaunch:
    """Starting a run that was claimed; what it does then is in tests/integration/test_claimed_runs.py."""

    def test_what_it_needs_lies_in_its_folder_for_nobody_else(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = open_project(project)
        claim_one(opened, RunStatus.STARTING)
        submitted: list[tuple[Launch, dict[str, bool]]] = []
        monkeypatch.setattr(LocalExecutor, "submit", lambda _, launch, **how: submitted.append((launch, how)))
        request = Request(("db.password=hunter2",), limits=Limits(timeout=5.0), origin=claimed().origin)
        runs.launch(opened, "abc123", request)
        paths = opened.paths.run("abc123")
        assert submitted == [
            (Launch("abc123", str(project), Limits(timeout=5.0)), {"interactive": False, "attached": False})
        ]
        assert from_json(paths.launch.read_bytes(), Launch) == submitted[0][0]
        assert from_json(paths.request.read_bytes(), Request) == request
        assert (paths.root.stat().st_mode & 0o777, paths.request.stat().st_mode & 0o777) == (0o700, 0o600)

    def test_a_folder_that_cannot_be_made_leaves_the_row_alone(self, project: Path) -> None:
        opened = open_project(project)
        made = claim_one(opened, RunStatus.STARTING)
        opened.paths.run("abc123").root.write_text("in the way")
        with pytest.raises(HostError):
            runs.launch(opened, "abc123", Request())
        assert opened.store.get("abc123") == made


class TestCancel:
    """A run that is not there yet, or not any more; those that run are in tests/integration."""

    @pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.STARTING])
    def test_a_run_without_a_supervisor_is_cancelled_at_once(self, project: Path, status: RunStatus) -> None:
        opened = open_project(project)
        claim_one(opened, status)
        record = runs.cancel(opened, "abc123")
        assert record == opened.store.get("abc123")
        assert (record.status, record.exit_code, record.reason) == (RunStatus.CANCELLED, 130, "cancelled on request")
        assert record.tracked
        assert not take(opened.paths.run("abc123"))
        with pytest.raises(UserError, match="is not running: cancelled"):
            runs.cancel(opened, "abc123")

    @pytest.mark.parametrize("recorded", [True, False])
    def test_a_supervisor_is_asked_as_soon_as_it_took_the_run(self, project: Path, recorded: bool) -> None:
        opened = open_project(project)
        code = "import signal; signal.signal(15, lambda *_: exit(15)); print(1, flush=True); signal.pause()"
        with subprocess.Popen([sys.executable, "-c", code], stdout=-1) as supervisor:
            assert supervisor.stdout is not None
            assert supervisor.stdout.read(2) == b"1\n"
            named = identify(supervisor.pid)
            claim_one(opened, RunStatus.STARTING, supervisor=named if recorded else None)
            assert take(opened.paths.run("abc123"), named)
            assert runs.cancel(opened, "abc123").status is RunStatus.STARTING
        assert supervisor.returncode == signal.SIGTERM

    def test_a_run_whose_supervisor_is_gone_is_not_running(self, project: Path) -> None:
        opened = open_project(project)
        claim_one(opened, RunStatus.STARTING)
        take(opened.paths.run("abc123"), ProcessId(1, 1, "the boot before"))
        with pytest.raises(UserError, match="is not running: starting"):
            runs.cancel(opened, "abc123")


def test_a_run_is_taken_once(project: Path) -> None:
    paths = open_project(project).paths.run("abc123")
    assert taken_by(paths) is None
    assert take(paths, this_process())
    assert not take(paths)
    assert taken_by(paths) == this_process()
    assert paths.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("said", [b"", b"{"])
def test_a_run_that_was_given_up_has_no_supervisor(project: Path, said: bytes) -> None:
    paths = open_project(project).paths.run("abc123")
    assert take(paths)
    paths.taken.write_bytes(said)
    assert taken_by(paths) is None
