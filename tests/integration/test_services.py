"""MLflow on PostgreSQL with S3 and a password, DVC over S3 and SSH: real servers, and what they do on bad days."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.conftest import git
from tests.databases import Postgres
from tests.servers import S3, Server, Wire, mlflow_server, s3_server, ssh_server
from tests.support import closed_port, commit_all, environment, kit, mlflow_runs, new_project, until

PASSWORD = "mlflow-Password-4711"
FILES = {
    "src/tiny/train.py": '''
        """A task that logs everything there is."""

        from dataclasses import dataclass
        from pathlib import Path

        import kit


        @dataclass(frozen=True)
        class TrainConfig:
            imports: bool = False


        def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
            if cfg.imports:
                import mlflow

                mlflow.log_metric("own", 1.5)
                mlflow.log_text("by MLflow itself", "own/note.txt")
            run.params({"rows": 336})
            for step in range(40):
                run.log({"loss": 1 / (step + 1)}, step=step)
            Path("report.txt").write_text("all is well\\n" * 1000)
            run.artifact("report.txt", "reports/report.txt")
            return {"score": 0.75}
        ''',
    "conf/config.yaml": """
        defaults:
          - _self_
          - experiment: baseline

        seed: 7
        imports: false
        """,
    "conf/experiment/direct.yaml": "# @package _global_\ntask: tiny.train.train\n",
    ".gitignore": "__pycache__/\n.kit/\nmlflow.db*\nmlruns/\nreport.txt\n",
}
_OWN_TAGS = {"kit.run_id", "kit.command", "mlflow.artifact.location", "mlflow.user"}
"""What differs between any two runs."""


@dataclass(frozen=True)
class World:
    """A project, and a team's servers."""

    root: Path
    server: Server
    serve: Callable[[Mapping[str, str]], Any]
    s3: S3
    env: dict[str, str]
    known: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def at(self, uri: str, **more: str) -> dict[str, str]:
        login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        return self.env | login | {"MLFLOW_TRACKING_URI": uri} | more

    def run(self, env: Mapping[str, str], *overrides: str) -> dict[str, Any]:
        done = kit(self.root, "run", "--json", "--tag", "team=pricing", *overrides, env=env)
        assert PASSWORD not in done.out + done.err
        found: dict[str, Any] = done.json()
        assert (found["status"], found["exit_code"], found["metrics"]["score"]) == ("succeeded", 0, 0.75)
        return found

    def sync(self, env: Mapping[str, str]) -> dict[str, Any]:
        told: dict[str, Any] = kit(self.root, "sync", "--json", env=env).json()
        return told

    def ask(self, method: str, **body: Any) -> Any:
        """The server's own API, as its administrator."""
        asked = urllib.request.Request(f"{self.server.uri}/api/2.0/mlflow/{method}", json.dumps(body).encode())
        asked.add_header("Authorization", "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode())
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        query = urllib.parse.urlencode({"run_id": run_id, "metric_key": key})
        asked = urllib.request.Request(f"{self.server.uri}/api/2.0/mlflow/metrics/get-history?{query}")
        asked.add_header("Authorization", "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return [(int(point["step"]), point["value"]) for point in json.loads(answer.read())["metrics"]]

    def told(self, run_id: str) -> dict[str, Any]:
        """What the server knows of a run, which it has once; its artifacts as they lie in S3."""
        experiments = [each["experiment_id"] for each in self.ask("experiments/search", max_results=100)["experiments"]]
        query = f"tags.`kit.run_id` = '{run_id}'"
        (run,) = self.ask("runs/search", experiment_ids=experiments, filter=query, max_results=10)["runs"]
        place = urllib.parse.urlsplit(run["info"]["artifact_uri"])
        prefix = place.path.strip("/") if place.scheme == "s3" else f"artifacts{place.path}"
        found = self.s3.objects("mlflow", f"{prefix}/")
        data = run["data"]
        return _comparable(
            status=run["info"]["status"],
            params={each["key"]: each["value"] for each in data["params"]},
            tags={each["key"]: each["value"] for each in data["tags"]},
            series={each["key"]: self.history(run["info"]["run_id"], each["key"]) for each in data["metrics"]},
            artifacts={key.removeprefix(f"{prefix}/"): content for key, content in found.items()},
        )

    def control(self, *overrides: str) -> dict[str, Any]:
        """What the project's own file knows of the same run, made without any server; once for all tests."""
        if overrides not in self.known:
            self.known[overrides] = self._control(*overrides)
        return self.known[overrides]

    def _control(self, *overrides: str) -> dict[str, Any]:
        found = self.run({name: value for name, value in self.env.items() if name != "MLFLOW_TRACKING_URI"}, *overrides)
        run = mlflow_runs(self.root)[found["run_id"]]
        files = [path for path in run.artifacts.rglob("*") if path.is_file()]
        artifacts = {path.relative_to(run.artifacts).as_posix(): path.read_bytes() for path in files}
        return _comparable(run.status, run.params, run.tags, run.metrics, artifacts)


def _comparable(
    status: str,
    params: dict[str, str],
    tags: dict[str, str],
    series: dict[str, list[tuple[int, float]]],
    artifacts: dict[str, bytes],
) -> dict[str, Any]:
    """But for what differs between any two runs: ids, times, and what the machine did meanwhile."""
    own = {"spec.json", "logs/console.log"}
    return {
        "status": status,
        "params": params,
        "tags": {key: value for key, value in tags.items() if key not in _OWN_TAGS},
        "series": {key: points for key, points in series.items() if not key.startswith("system/")},
        "artifacts": {name: content for name, content in artifacts.items() if name not in own},
        "own": own & artifacts.keys(),
    }


def findings(root: Path, env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What `kit doctor` says, by subject."""
    told = kit(root, "doctor", "--json", env=env, code=None).json()["findings"]
    return {one["subject"]: one for one in told}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, s3: S3) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("mlflow")
    database = postgres.url(postgres.new_database()).replace("postgresql:", "postgresql+psycopg:")
    (folder / "auth.ini").write_text(f"[mlflow]\ndefault_permission = EDIT\ndatabase_uri = {database}\n")
    s3.bucket("mlflow")

    def serve(more: Mapping[str, str]) -> Any:
        own = {
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-these-tests-only",
        }
        env = s3.variables | own | dict(more)
        options = ("--app-name", "basic-auth")
        return mlflow_server(folder, store=database, artifacts="s3://mlflow/artifacts", options=options, env=env)

    root = new_project(tmp_path_factory.mktemp("project") / "tiny", FILES)
    with serve({}) as server:
        world = World(root, server, serve, s3, environment(folder / "home"))
        world.ask("experiments/create", name="tiny/direct", artifact_location="s3://mlflow/direct")
        yield world


def secrets_in(folder: Path, *secrets: str) -> list[Path]:
    """The files that hold one of them, as it is or in base64."""
    spelled = [text.encode() for text in secrets] + [base64.b64encode(f"admin:{text}".encode()) for text in secrets]
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return [path for path in files if any(text in path.read_bytes() for text in spelled)]


@pytest.mark.parametrize(
    "overrides",
    [pytest.param((), marks=pytest.mark.slow), pytest.param(("imports=true",), marks=pytest.mark.exhaustive)],
)
def test_a_run_through_the_server_equals_one_without(world: World, overrides: tuple[str, ...]) -> None:
    """Its task may import MLflow, whose own client has to be let in, too."""
    told = world.told(world.run(world.at(world.server.uri), *overrides)["run_id"])
    assert told == world.control(*overrides)
    assert told["artifacts"]["reports/report.txt"] == b"all is well\n" * 1000
    assert told["tags"]["team"] == "pricing"
    assert world.sync(world.at(world.server.uri)) == {"sent": [], "left": []}
    assert secrets_in(world.root, PASSWORD) == []


@pytest.mark.slow
def test_whatever_keeps_runs_from_the_server_they_arrive_later_once(world: World) -> None:
    with Wire(world.server.uri) as wire:
        good = world.at(wire.uri)
        nobody = {name: value for name, value in good.items() if not name.startswith("MLFLOW_TRACKING_USER")}
        bad: dict[str, tuple[Literal["carries", "stalls", "resets"], dict[str, str]]] = {
            "stalls": ("stalls", good),
            "resets": ("resets", good),
            "wrong password": ("carries", good | {"MLFLOW_TRACKING_PASSWORD": "not-the-password"}),
            "expired token": ("carries", nobody | {"MLFLOW_TRACKING_TOKEN": "expired-token-0815"}),
        }
        ids = []
        for state, env in bad.values():
            wire.state, before = state, wire.carried
            found = world.run(env)
            assert not found["tracked"]
            assert wire.carried > before
            ids.append(found["run_id"])
        wire.state = "carries"
        until(lambda: world.sync(good)["left"] == [], "everything to arrive")  # a worker of the last run may be at it
        for run_id in ids:
            assert world.told(run_id) == world.control()
        assert world.sync(good) == {"sent": [], "left": []}
    assert secrets_in(world.root, PASSWORD, "not-the-password", "expired-token-0815") == []


@pytest.mark.exhaustive
def test_a_server_that_its_store_refuses_gets_the_artifacts_later(world: World) -> None:
    with Wire(world.server.uri) as wire:
        with world.serve({"AWS_SECRET_ACCESS_KEY": "not-the-secret"}) as refused:
            wire.lead_to(refused.uri)
            found = world.run(world.at(wire.uri))
            assert not found["tracked"]
            left = kit(world.root, "sync", "--json", env=world.at(wire.uri), code=4).json()["left"]
            assert [each["id"] for each in left] == [found["run_id"]]
            told = findings(world.root, world.at(wire.uri))
            assert told["mlflow login"]["ok"]
            assert "does not match the signature" in told["artifacts"]["what"]
            assert not told["artifacts"]["ok"]
        wire.lead_to(world.server.uri)
        until(lambda: world.sync(world.at(wire.uri))["left"] == [], "everything to arrive")
    assert world.told(found["run_id"]) == world.control()


@pytest.mark.exhaustive
def test_artifacts_that_go_past_the_server_arrive_once_the_secret_is_right(world: World) -> None:
    """The experiment's artifacts lie in S3 itself, so the run's own process has to be let in there."""
    good = world.at(world.server.uri, **world.s3.variables)
    ids = []
    for bad in (
        {"AWS_SECRET_ACCESS_KEY": "not-the-secret"},
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_SESSION_TOKEN": "expired-token-0815"},
    ):
        found = world.run(good | bad, "experiment=direct")
        assert not found["tracked"]
        ids.append(found["run_id"])
    until(lambda: world.sync(good)["left"] == [], "everything to arrive")
    for run_id in ids:
        assert world.told(run_id) == world.control("experiment=direct")
    assert secrets_in(world.root, world.s3.secret, "not-the-secret", "expired-token-0815") == []


# DVC

READS = {
    "src/tiny/train.py": '''
        """A task that reads data."""

        from dataclasses import dataclass
        from pathlib import Path

        import kit


        @dataclass(frozen=True)
        class TrainConfig:
            steps: int = 3


        def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
            return {"rows": float(len(Path("data/rows.csv").read_text().splitlines()))}
        ''',
    "conf/config.yaml": "defaults: [_self_, experiment: baseline]\nseed: 7\nsteps: 3\n",
}


@dataclass(frozen=True)
class Team:
    """A project with data in two versions, of which this machine has none: both lie on the remote."""

    root: Path
    env: dict[str, str]
    first: str

    def dvc(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments]
        subprocess.run(command, cwd=self.root, env=self.env, check=True, capture_output=True)

    def lose(self) -> None:
        """Have this machine know the project only as git does."""
        shutil.rmtree(self.root / ".dvc" / "cache", ignore_errors=True)
        (self.root / "data" / "rows.csv").unlink(missing_ok=True)

    def run(self, *arguments: str, code: int = 0, **more: str) -> Any:
        return kit(self.root, "run", *arguments, env=self.env | more, code=code)


def _team(root: Path, env: dict[str, str], url: str, settings: Mapping[str, str]) -> Team:
    """One that pushed twice, and ran in between."""
    team = Team(new_project(root, READS), env, "")
    team.dvc("init", "--quiet")
    team.dvc("remote", "add", "--default", "shared", url)
    for name, value in settings.items():
        team.dvc("remote", "modify", "shared", name, value)
    ids = []
    for rows in (3, 5):
        (root / "data").mkdir(exist_ok=True)
        (root / "data" / "rows.csv").write_text("1\n" * rows)
        team.dvc("add", "--quiet", "data/rows.csv")
        team.dvc("push", "--quiet")
        commit_all(root, f"{rows} rows")
        ids.append(team.run("--json").json()["run_id"] if rows == 3 else "")
    team.lose()
    return Team(root, env, ids[0])


@pytest.fixture(scope="module")
def over_s3(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> Team:
    folder = tmp_path_factory.mktemp("over-s3")
    env = environment(folder / "home", DVC_SITE_CACHE_DIR=str(folder / "site"), **s3.variables)
    return _team(folder / "tiny", env, f"s3://{s3.bucket('dvc')}/store", {"endpointurl": s3.uri})


@pytest.mark.slow
def test_a_run_pulls_its_data_over_s3_and_an_old_one_is_repeated(over_s3: Team) -> None:
    over_s3.lose()
    assert findings(over_s3.root, over_s3.env)["dvc remote"]["what"].endswith("can be listed, and data/rows.csv read")
    assert over_s3.run("--json").json()["metrics"] == {"rows": 5.0}
    over_s3.lose()
    again = kit(over_s3.root, "reproduce", over_s3.first, "--here", "--json", env=over_s3.env).json()
    assert again["verdict"] == "identical"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("wrong secret", marks=pytest.mark.slow),
        pytest.param("no secret", marks=pytest.mark.exhaustive),
        pytest.param("unreachable", marks=pytest.mark.exhaustive),
    ],
)
def test_an_s3_remote_that_does_not_give_the_data_is_named(over_s3: Team, kind: str) -> None:
    over_s3.lose()
    more = {
        "wrong secret": {"AWS_SECRET_ACCESS_KEY": "not-the-secret"},
        "no secret": {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "unreachable": {},
    }[kind]
    wanted = {
        "wrong secret": "remote 'shared': it refuses this key and secret",
        "no secret": "remote 'shared': no credentials are given",
        "unreachable": "remote 'shared': it cannot be reached",
    }[kind]
    if kind == "unreachable":
        over_s3.dvc("remote", "modify", "--local", "shared", "endpointurl", f"http://127.0.0.1:{closed_port()}")
    try:
        done = over_s3.run(code=4, **more)
        doctor = findings(over_s3.root, over_s3.env | more)["dvc remote"]
    finally:
        (over_s3.root / ".dvc" / "config.local").unlink(missing_ok=True)
    error = done.err.strip().splitlines()[-1]
    assert wanted in error
    assert doctor["ok"] is False
    assert wanted.partition(": ")[2] in doctor["what"]
    assert "AWS_SECRET_ACCESS_KEY" in error or "`dvc remote list`" in error
    assert "Traceback" not in done.err
    assert "not-the-secret" not in done.out + done.err


@pytest.mark.slow
def test_a_run_pulls_its_data_over_ssh_and_is_told_of_a_wrong_key(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as ssh:
        env = environment(tmp_path / "home", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
        (tmp_path / "home" / ".ssh").mkdir(mode=0o700)
        (tmp_path / "home" / ".ssh" / "known_hosts").write_text(ssh.host_key)
        url = f"ssh://{ssh.user}@127.0.0.1:{ssh.port}{tmp_path}/store"
        team = _team(tmp_path / "tiny", env, url, {"keyfile": str(ssh.key)})
        assert team.run("--json").json()["metrics"] == {"rows": 5.0}
        for option, value, wanted in (
            ("keyfile", str(tmp_path / "host"), "remote 'shared': it does not let this user in"),
            ("url", url.replace(f":{ssh.port}", f":{closed_port()}"), "remote 'shared': it cannot be reached"),
        ):
            team.lose()
            team.dvc("remote", "modify", "--local", "shared", option, value)
            done = team.run(code=4)
            (team.root / ".dvc" / "config.local").unlink()
            assert wanted in done.err
            assert "`dvc remote" in done.err
        assert git(team.root, "status", "--porcelain") == ""
        assert os.environ.get("AWS_SECRET_ACCESS_KEY") is None  # nobody's own was used
