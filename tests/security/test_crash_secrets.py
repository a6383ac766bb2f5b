"""Secrets planted wherever a run may come across one are in nothing that its crash leaves, sends or shows."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import Done, environment, kit, mlflow_runs, new_project

CONFIG = "config-zebra-71-quagga"
DERIVED = "derived-okapi-72-gnu"
ENVIRONMENT = "environment-lemur-73-loris"
IN_URL = "url/p@ss-tapir-74"
ENV_FILE = "envfile-bongo-75-kudu"
HARD_CODED = "hardcoded-civet-76-genet"
LOCAL = "local-dingo-77-quoll"
TOKEN = "ghp_" + "aB3" * 12
PLANTED = {
    "config": CONFIG,
    "derived": DERIVED,
    "environment": ENVIRONMENT,
    "url": IN_URL,
    "quoted url": quote(IN_URL, safe=""),
    "env file": ENV_FILE,
    "hard-coded": HARD_CODED,
    "local": LOCAL,
    "token": TOKEN,
    "basic auth": base64.b64encode(f"me:{CONFIG}".encode()).decode(),
}

TASK = f'''
"""Comes across every secret there is, and fails."""

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import kit

DEPLOY_KEY = "{HARD_CODED}"


@dataclass
class Client:
    url: str
    password: str
    headers: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Client({{self.url}}, {{self.password}})"

    @property
    def everything(self) -> str:
        return os.environ["DB_PASSWORD"]


class Refused(Exception):
    pass


def connect(client, *arguments, **options):
    text = f"{{client.url}} as {{client.password}}"
    used = DEPLOY_KEY
    nested = {{"a": [("b", {{"c": client.password}})], "bytes": client.password.encode()}}
    array = np.array([client.password, "x"])
    raise Refused(f"refused for {{client.password}} at {{client.url}}, {{os.environ['DB_PASSWORD']}}")


def train(cfg: dict, run: kit.Run) -> None:
    lines = Path(os.environ["TINY_ROOT"], ".env").read_text().splitlines()
    plain = [line.partition("=")[2] for line in lines]
    password = "{LOCAL}"
    copied = "again " + password
    derived = cfg["service"]["auth"]
    token = "{TOKEN}"
    pin = cfg["pin_code"]
    blob = "x" * 970 + cfg["db"]["password"] + "y" * 5000
    client = Client(cfg["db"]["url"], cfg["db"]["password"])
    basic = base64.b64encode(f"me:{{client.password}}".encode()).decode()
    client.headers["Authorization"] = "Basic " + basic
    try:
        connect(client, plain, derived, token=token, environ=dict(os.environ))
    except Refused as error:
        error.add_note(f"with {{copied}}")
        raise ValueError(f"{{derived}} did not help; {{plain}}") from error
'''


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[Done]]:
    folder = tmp_path_factory.mktemp("crash-secrets")
    root = folder / "tiny"
    env = environment(folder / "home", DB_PASSWORD=ENVIRONMENT, SERVICE_SECRET=DERIVED, TINY_ROOT=str(root))
    new_project(
        root,
        {
            "src/tiny/tells.py": TASK,
            "conf/experiment/tells.yaml": "# @package _global_\ntask: tiny.tells.train\n"
            "service:\n  auth: ${oc.env:SERVICE_SECRET}\ndb:\n  url: ???\npin_code: 1\n",
            ".gitignore": "__pycache__/\n.kit/\nmlflow.db*\nmlruns/\n.env\n",
        },
    )
    (root / ".env").write_text(f"SERVICE_API_KEY='{ENV_FILE}'\nVISIBLE=yes\n")
    url = f"postgresql://me:{quote(IN_URL, safe='')}@host/db"
    done = kit(root, "run", "experiment=tells", f"+db.password={CONFIG}", f"'db.url={url}'".strip("'"), env=env, code=1)
    run_id = kit(root, "runs", "--json", env=env).json()[0]["run_id"]
    shown = [
        kit(root, *arguments, env=env, code=None)
        for arguments in (
            ["debug", run_id],
            ["debug", run_id, "--json"],
            ["logs", run_id],
            ["show", run_id],
            ["show", run_id, "--json"],
            ["runs", "--json"],
        )
    ]
    return root, run_id, [done, *shown]


def test_there_is_something_to_find(crashed: tuple[Path, str, list[Done]]) -> None:
    root, run_id, (_, text, *_) = crashed
    assert "***" in text.out
    for name in ("client", "copied", "plain", "derived", "nested", "array", "options", "DEPLOY_KEY", "blob"):
        assert f"      {name} " in text.out
    assert (root / ".kit/runs" / run_id / "crash/crash.json").stat().st_size > 5000
    assert (mlflow_runs(root)[run_id].artifacts / "crash/crash.json").exists()


@pytest.mark.parametrize("where", PLANTED)
def test_no_file_has_it(crashed: tuple[Path, str, list[Done]], where: str) -> None:
    root, _, _ = crashed
    kept = [root / "mlflow.db", *(root / ".kit").rglob("*"), *(root / "mlruns").rglob("*")]
    files = [path for path in kept if path.is_file()]
    assert {"crash.json", "crash.txt", "console.log", "store.db", "result.json"} <= {path.name for path in files}
    assert [path for path in files if PLANTED[where].encode() in path.read_bytes()] == []


@pytest.mark.parametrize("where", PLANTED)
def test_no_command_shows_it(crashed: tuple[Path, str, list[Done]], where: str) -> None:
    assert [done.out for done in crashed[2] if PLANTED[where] in done.out + done.err] == []


def test_no_half_of_it_is_left_where_texts_are_cut(crashed: tuple[Path, str, list[Done]]) -> None:
    root, run_id, _ = crashed
    text = (root / ".kit/runs" / run_id / "crash/crash.json").read_text()
    for half in ("config-z", "71-quagga", "derived-o", "environment-l", "tapir-74", "envfile-b", "local-d", "ghp_"):
        assert half not in text
