"""What every tracker must do: in memory, and as the real MLflow, on a SQLite store and behind a server."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from kit.errors import ServiceError
from kit.models import MetricPoint, Origin
from kit.paths import RunPaths
from kit.snapshot import DataVersion
from kit.states import TERMINAL, RunStatus
from kit.trackers import Artifact, Entry, MemoryTracker, Metrics, Params, Tags, Tracker
from kit.trackers.spool import Spool, deliver
from tests.factories import snapshot, spec
from tests.servers import Server, mlflow_server
from tests.support import closed_port, mlflow_runs, until


@dataclass
class Seen:
    """What anyone who asks the tracker sees of a run."""

    name: str
    ended_well: bool | None
    params: dict[str, str]
    tags: dict[str, str]
    series: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)


class Place(Protocol):
    """Where one kind of tracker keeps its runs."""

    def tracker(self) -> Tracker: ...

    def seen(self, tracker: Tracker, run_id: str = "abc123") -> Seen: ...


class InMemory:
    def __init__(self) -> None:
        self._one = MemoryTracker()

    def tracker(self) -> Tracker:
        return self._one

    def seen(self, tracker: Tracker, run_id: str = "abc123") -> Seen:  # noqa: ARG002 - there is one
        assert isinstance(tracker, MemoryTracker)
        series: dict[str, list[tuple[int, float]]] = {}
        for point in sorted(tracker.points, key=lambda point: point.step):
            if math.isfinite(point.value):
                series.setdefault(point.key, []).append((point.step, point.value))
        files: dict[str, bytes] = {}
        for name, path in tracker.artifacts.items():
            found = [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file())
            files |= {f"{name}/{each.relative_to(path)}".removesuffix("/."): each.read_bytes() for each in found}
        ended = None if tracker.status not in TERMINAL else tracker.status is RunStatus.SUCCEEDED
        return Seen("baseline", ended, tracker.params, tracker.tags, series, files)


class InMlflow:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._uri = f"sqlite:///{folder}/mlflow.db"

    def tracker(self) -> Tracker:
        from kit.trackers.mlflow import MlflowTracker

        return MlflowTracker(self._uri, locks=self.folder)

    def seen(self, tracker: Tracker, run_id: str = "abc123") -> Seen:
        assert not isinstance(tracker, MemoryTracker)
        found = mlflow_runs(self.folder)[run_id]
        files = {
            str(path.relative_to(found.artifacts)): path.read_bytes()
            for path in found.artifacts.rglob("*")
            if path.is_file()
        }
        ended = {"RUNNING": None, "FINISHED": True, "FAILED": False, "KILLED": False}[found.status]
        return Seen(found.name, ended, found.params, found.tags, found.metrics, files)


class BehindServer:
    """The server is one for all tests, and empty for each."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._locks = folder
        self.folder = server.folder
        with closing(sqlite3.connect(server.folder / "mlflow.db", timeout=60)) as db, db:
            for table in ("metrics", "latest_metrics", "params", "tags", "inputs", "input_tags", "datasets", "runs"):
                db.execute(f"DELETE FROM {table}")

    def tracker(self) -> Tracker:
        from kit.trackers._rest import RestService
        from kit.trackers.mlflow import MlflowTracker

        tracker = MlflowTracker(self._server.uri, locks=self._locks)
        assert isinstance(tracker._service, RestService)
        return tracker

    def seen(self, tracker: Tracker, run_id: str = "abc123") -> Seen:
        assert not isinstance(tracker, MemoryTracker)
        found = mlflow_runs(self.folder)[run_id]
        ended = {"RUNNING": None, "FINISHED": True, "FAILED": False, "KILLED": False}[found.status]
        files = self._server.artifacts_of(found.run_id)
        return Seen(found.name, ended, found.params, found.tags, found.metrics, files)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fresh_mlflow: bytes) -> Iterator[Server]:
    with mlflow_server(tmp_path_factory.mktemp("server"), fresh=fresh_mlflow) as started:
        yield started


@pytest.fixture(scope="module")
def fresh_mlflow(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store that has its tables and no runs: making one takes seconds, copying one does not."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture(params=["memory", "mlflow", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "memory":
        return InMemory()
    if request.param == "server":
        return BehindServer(request.getfixturevalue("server"), tmp_path)
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts where it is
    (tmp_path / "mlflow.db").write_bytes(request.getfixturevalue("fresh_mlflow"))
    return InMlflow(tmp_path)


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tracker sets in this process's environment goes with the test."""
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


def point(key: str, value: float, step: int = 0) -> MetricPoint:
    return MetricPoint(key, value, step, 1_700_000_000.25 + step)


def begun(place: Place, **changes: Any) -> Tracker:
    tracker = place.tracker()
    tracker.start(spec(**changes), {"model.rate": "0.2"})
    return tracker


def test_a_started_run_is_under_way_with_its_parameters_and_tags(place: Place) -> None:
    seen = place.seen(begun(place, tags={"team": "pricing"}))
    assert (seen.name, seen.ended_well) == ("baseline", None)
    assert seen.params == {"model.rate": "0.2"}
    assert seen.tags["team"] == "pricing"


def test_series_arrive_whole(place: Place) -> None:
    tracker = begun(place)
    tracker.send([Metrics(tuple(point("loss", 1 / (step + 1), step) for step in range(2500)))])
    tracker.send([Metrics((point("auc", 0.1 + 0.2), point("deep/auc", -5e300)))])
    series = place.seen(tracker).series
    assert series["loss"] == [(step, 1 / (step + 1)) for step in range(2500)]
    assert (series["auc"], series["deep/auc"]) == ([(0, 0.1 + 0.2)], [(0, -5e300)])


def test_odd_numbers_hold_up_nothing(place: Place) -> None:
    tracker = begun(place)
    tracker.send([Metrics((point("loss", math.nan), point("loss", math.inf, 1), point("loss", 0.5, 2)))])
    assert place.seen(tracker).series == {"loss": [(2, 0.5)]}


def test_what_comes_again_changes_nothing(place: Place, tmp_path: Path) -> None:
    tracker = begun(place)
    (tmp_path / "a.txt").write_text("a")
    entries: list[Entry] = [
        Metrics((point("loss", 1), point("loss", 0.5, 1))),
        Params({"rows": "5"}),
        Tags({"stage": "late"}),
        Artifact(tmp_path / "a.txt", "texts/a.txt"),
    ]
    tracker.send(entries)
    once = place.seen(tracker)
    tracker.send(entries)
    assert place.seen(tracker) == once
    assert once.series == {"loss": [(0, 1.0), (1, 0.5)]}


def test_many_parameters_and_tags_arrive(place: Place) -> None:
    tracker = begun(place)
    many = {f"key.{number}": str(number) for number in range(250)}
    tracker.send([Params(many), Tags(many)])
    seen = place.seen(tracker)
    assert many.items() <= seen.params.items()
    assert many.items() <= seen.tags.items()


def test_the_last_value_of_a_tag_counts(place: Place) -> None:
    tracker = begun(place)
    tracker.send([Tags({"stage": "early"}), Tags({"stage": "late"})])
    assert place.seen(tracker).tags["stage"] == "late"


def test_files_and_folders_are_kept_under_their_names(place: Place, tmp_path: Path) -> None:
    tracker = begun(place)
    folder = tmp_path / "plots"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    tracker.send([Artifact(folder / "a.txt", "a.txt"), Artifact(folder / "a.txt", "x/y/a.txt")])
    tracker.send([Artifact(folder, "plots")])
    assert place.seen(tracker).artifacts == {
        "a.txt": b"a",
        "x/y/a.txt": b"a",
        "plots/a.txt": b"a",
        "plots/deep/b.txt": b"b",
    }


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_the_end_is_told_as_it_was(place: Place, status: RunStatus) -> None:
    tracker = begun(place)
    tracker.end(status, None if status is RunStatus.SUCCEEDED else "it broke")
    assert place.seen(tracker).ended_well == (status is RunStatus.SUCCEEDED)


def test_the_last_word_about_the_end_counts(place: Place) -> None:
    tracker = begun(place)
    tracker.end(RunStatus.SUCCEEDED, None)
    tracker.end(RunStatus.LOST, "it broke")
    assert place.seen(tracker).ended_well is False


def test_another_process_can_go_on(place: Place) -> None:
    first = place.tracker()
    tracker_id = first.start(spec(), {})
    first.send([Metrics((point("loss", 1),))])
    second = place.tracker()
    second.resume(tracker_id)
    second.send([Metrics((point("loss", 0.5, 1),))])
    second.end(RunStatus.LOST, "its supervisor was killed")
    seen = place.seen(second)
    assert seen.series == {"loss": [(0, 1.0), (1, 0.5)]}
    assert seen.ended_well is False


def test_a_run_that_ended_goes_on(place: Place) -> None:
    first = place.tracker()
    tracker_id = first.start(spec(), {})
    first.send([Metrics((point("loss", 1),))])
    first.end(RunStatus.FAILED, "it broke")
    second = place.tracker()
    second.resume(tracker_id)
    second.reopen()
    seen = place.seen(second)
    assert seen.ended_well is None
    assert "kit.reason" not in seen.tags
    second.send([Metrics((point("loss", 0.5, 1),))])
    second.reopen()  # once more, as after a kill
    second.end(RunStatus.SUCCEEDED, None)
    seen = place.seen(second)
    assert seen.series == {"loss": [(0, 1.0), (1, 0.5)]}
    assert seen.ended_well is True
    assert "kit.reason" not in seen.tags


def test_a_sweep_is_one_run_above_its_trials(place: Place) -> None:
    sweep = place.tracker()
    above = sweep.start_sweep("sweep-1", experiment="tiny/baseline", tags={"team": "pricing"})
    sweep.send([Metrics((point("best", 0.5),)), Tags({"kit.best": "abc123"})])
    again = place.tracker()
    assert again.start_sweep("sweep-1", experiment="tiny/other", tags={"team": "another"}) == above
    again.end(RunStatus.FAILED, "one of them broke")
    seen = place.seen(sweep, above)
    assert {"kit.sweep": "sweep-1", "team": "pricing", "kit.best": "abc123"}.items() <= seen.tags.items()
    assert (seen.series, seen.ended_well) == ({"best": [(0, 0.5)]}, False)
    trial = begun(place, origin=Origin("sweep", "sweep-1", 0))
    assert place.seen(trial).tags["mlflow.parentRunId"] == above


def test_a_trial_begins_the_sweep_that_is_not_there_yet(place: Place) -> None:
    trial = begun(place, origin=Origin("sweep", "sweep-1", 0))
    above = place.seen(trial).tags["mlflow.parentRunId"]
    assert place.tracker().start_sweep("sweep-1", experiment="tiny/baseline") == above
    assert place.seen(trial, above).ended_well is None


def test_a_spool_is_delivered(place: Place, tmp_path: Path) -> None:
    tracker = begun(place)
    run = RunPaths(tmp_path / "run")
    run.root.mkdir()
    spool = Spool(run.spool)
    for step in range(5):
        spool.append(Metrics((point("loss", float(step), step),)))
    spool.append(Params({"rows": "5"}))
    deliver(run, tracker)
    deliver(run, tracker)
    seen = place.seen(tracker)
    assert [step for step, _ in seen.series["loss"]] == [0, 1, 2, 3, 4]
    assert seen.params["rows"] == "5"


class TestMlflow:
    """What only MLflow has."""

    @pytest.fixture(params=["mlflow", "server"])
    def here(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_mlflow: bytes
    ) -> InMlflow | BehindServer:
        if request.param == "server":
            return BehindServer(request.getfixturevalue("server"), tmp_path)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mlflow.db").write_bytes(fresh_mlflow)
        return InMlflow(tmp_path)

    def test_the_run_is_found_by_its_code_experiment_and_host(self, here: InMlflow | BehindServer) -> None:
        tags = here.seen(begun(here, note="why", origin=Origin("sweep", "sweep-1", 2))).tags
        expected = {
            "kit.run_id": "abc123",
            "kit.experiment": "baseline",
            "kit.host": "box",
            "kit.seed": "7",
            "kit.dirty": "false",
            "kit.origin": "sweep",
            "kit.parent": "sweep-1",
            "mlflow.source.git.commit": "c" * 40,
            "mlflow.note.content": "why",
        }
        assert expected.items() <= tags.items()

    def test_data_is_an_input_with_its_md5(self, here: InMlflow | BehindServer) -> None:
        never = DataVersion("never", None, None, None, "unrecorded", "dvc.lock", "prepare")
        versions = (*snapshot().data, never)
        begun(here, snapshot=snapshot(data=versions))
        assert mlflow_runs(here.folder)["abc123"].datasets == {"data/flights": "d" * 32 + ".dir"}

    def test_odd_numbers_are_told_in_tags(self, here: InMlflow | BehindServer) -> None:
        tracker = begun(here)
        tracker.send([Metrics((point("loss", math.nan, 3), point("auc", -math.inf)))])
        tags = here.seen(tracker).tags
        assert tags["kit.nonfinite.loss"] == "nan at step 3"
        assert tags["kit.nonfinite.auc"] == "-inf at step 0"

    def test_what_is_refused_for_good_holds_up_nothing(
        self, here: InMlflow | BehindServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        tracker = begun(here)
        tracker.send(
            [
                Params({"model.rate": "0.9"}),  # it has another value
                Params({"bad=key": "1"}),
                Artifact(tmp_path / "gone.txt", "gone.txt"),
                Metrics((point("loss", 1.0),)),
                Tags({"after": "all"}),
            ]
        )
        seen = here.seen(tracker)
        assert seen.params == {"model.rate": "0.2"}
        assert (seen.tags["after"], seen.series) == ("all", {"loss": [(0, 1.0)]})
        assert len([entry for entry in caplog.records if entry.name == "kit.trackers.mlflow"]) == 3

    def test_the_reason_of_a_failure_is_told(self, here: InMlflow | BehindServer) -> None:
        tracker = begun(here)
        tracker.end(RunStatus.FAILED, "ValueError: no such column")
        assert here.seen(tracker).tags["kit.reason"] == "ValueError: no such column"

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("succeeded", "FINISHED"),
            ("failed", "FAILED"),
            ("lost", "FAILED"),
            ("timed_out", "KILLED"),
            ("cancelled", "KILLED"),
        ],
    )
    def test_mlflow_has_words_for_every_end(self, here: InMlflow | BehindServer, status: str, said: str) -> None:
        begun(here).end(RunStatus(status), None)
        assert mlflow_runs(here.folder)["abc123"].status == said

    def test_secrets_in_tags_are_masked(self, here: InMlflow | BehindServer) -> None:
        made = spec(tags={"url": "https://me:hunter2hunter2@host/x"}, note="password=hunter2hunter2")
        tracker = here.tracker()
        tracker.start(made, {})
        assert "hunter2hunter2" not in str(here.seen(tracker).tags)

    def test_a_very_long_tag_is_cut_and_kept(self, here: InMlflow | BehindServer) -> None:
        tracker = begun(here, note="x" * 20_000)
        tracker.end(RunStatus.FAILED, "y" * 20_000)
        assert len(here.seen(tracker).tags["mlflow.note.content"]) == 8000
        assert len(here.seen(tracker).tags["kit.reason"]) == 8000

    def test_a_server_that_is_down_is_a_service_error_with_a_fix(self, tmp_path: Path) -> None:
        from kit.trackers.mlflow import MlflowTracker

        tracker = MlflowTracker(f"http://me:hunter2hunter2@127.0.0.1:{closed_port()}", locks=tmp_path)
        with pytest.raises(ServiceError, match="does not answer") as caught:
            tracker.start(spec(), {})
        assert caught.value.exit_code == 4
        assert caught.value.fix is not None
        assert "hunter2hunter2" not in str(caught.value)

    def test_a_store_that_is_no_store_is_a_service_error(self, tmp_path: Path) -> None:
        (tmp_path / "mlflow.db").write_bytes(b"not a database " * 300)
        with pytest.raises(ServiceError):
            begun(InMlflow(tmp_path))

    @pytest.fixture
    def _put_back(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """What makes a run the active one changes MLflow in this process."""
        import mlflow

        before = mlflow.get_tracking_uri()
        for name in ("TRACKING_URI", "RUN_ID", "EXPERIMENT_ID", "SYSTEM_METRICS_SAMPLING_INTERVAL"):
            monkeypatch.setenv(f"MLFLOW_{name}", "")  # noted, to be put back
            monkeypatch.delenv(f"MLFLOW_{name}")
        yield
        mlflow.set_tracking_uri(before)

    @pytest.mark.usefixtures("_put_back")
    def test_the_machine_is_sampled_while_a_run_goes_on(
        self, here: InMlflow | BehindServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from kit.trackers import _active, mlflow

        monkeypatch.setattr(_active, "_SAMPLED_AFTER", 0.05)
        monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
        tracker = here.tracker()
        assert isinstance(tracker, mlflow.MlflowTracker)
        tracker.start(spec(), {})
        tracker.activate()
        try:
            until(lambda: any(key.startswith("system/") for key in here.seen(tracker).series), "a sample")
        finally:
            tracker.end(RunStatus.SUCCEEDED, None)
            tracker.leave(RunStatus.SUCCEEDED)
        assert not [thread.name for thread in threading.enumerate() if "SystemMetrics" in thread.name]

    @pytest.mark.usefixtures("_put_back")
    def test_what_mlflow_finds_active_is_this_run(self, here: InMlflow | BehindServer) -> None:
        import mlflow

        from kit.trackers.mlflow import MlflowTracker

        tracker = here.tracker()
        assert isinstance(tracker, MlflowTracker)
        run_id = tracker.start(spec(), {})
        try:
            tracker.activate()
            active = mlflow.active_run()
            assert active is not None
            assert active.info.run_id == run_id
            mlflow.log_param("own", 1)
            with mlflow.start_run(nested=True) as inner:
                assert inner.info.experiment_id == active.info.experiment_id
        finally:
            tracker.end(RunStatus.SUCCEEDED, None)
            tracker.leave(RunStatus.SUCCEEDED)
        assert mlflow.active_run() is None
        assert here.seen(tracker).params["own"] == "1"
