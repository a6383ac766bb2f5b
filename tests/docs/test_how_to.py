"""How-to pages, done as they say: what they type, in their order, with what they show compared with what comes."""

from __future__ import annotations

import base64
import functools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, git, write
from tests.docs.test_tutorials import Command, Shell, commands, follow, shows
from tests.servers import s3_server
from tests.support import commit_all, environment, kit, new_project
from tests.unit.test_data import dvc

SECRET = "correct-horse-battery"
WAREHOUSE = """
import kit


def train(cfg: dict, run: kit.Run) -> dict[str, float]:
    run.log({"asked": 1.0})
    run.params({"dsn": f"postgresql://reader:{cfg['warehouse']['password']}@warehouse"})
    print("connecting with", cfg["warehouse"]["password"])
    return {"letters": float(len(cfg["warehouse"]["password"]))}
"""


def page(name: str) -> str:
    return (REPOSITORY / "docs/how-to" / f"{name}.md").read_text()


def block(name: str, language: str) -> str:
    """The first block of a page in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_a_secret_is_used_and_kept_nowhere(tmp_path: Path) -> None:
    root = new_project(
        tmp_path / "flights",
        {"src/flights/warehouse.py": WAREHOUSE, "conf/experiment/warehouse.yaml": block("secrets", "yaml")},
    )
    env = environment(tmp_path / "home", PATH=f"{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}", TERM="dumb")
    with Shell(root, **env) as shell:
        for step in commands(page("secrets")):
            follow(step, shell, port=0)
    with_secret = [
        file for file in (root / ".kit").rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()
    ]
    assert [file.name for file in with_secret] == ["console.log"], "what the task printed, as the page says"
    assert with_secret[0].stat().st_mode & 0o777 == 0o600
    assert SECRET.encode() not in (root / "mlflow.db").read_bytes()
    artifacts = [file for file in (root / "mlruns").rglob("*") if file.is_file()]
    assert [file for file in artifacts if SECRET.encode() in file.read_bytes()] == []
    kept = git(root, "ls-tree", "-r", "--name-only", f"refs/kit/runs/{with_secret[0].parent.name}").splitlines()
    assert "src/flights/warehouse.py" in kept
    assert [
        name for name in kept if SECRET in git(root, "show", f"refs/kit/runs/{with_secret[0].parent.name}:{name}")
    ] == []


@pytest.mark.slow
def test_projects_in_one_repository(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    repository = tmp_path / "ml"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    made = ("--framework", "none", "--no-input", "--no-lock", "--no-install", "--no-hooks")
    kit(repository, "new", "churn", *made, env=env)
    kit(repository, "new", "prices", *made, env=env)
    write(repository, {"shared/src/shared/__init__.py": "x = 1\n"})
    commit_all(repository)
    write(repository, {"shared/src/shared/__init__.py": "x = 2\n"})

    kit(repository / "churn", "run", env=env)
    [run] = kit(repository / "churn" / "src", "runs", "--json", env=env).json()
    assert kit(repository / "prices", "runs", "--json", env=env).json() == []
    assert "no pyproject.toml with [tool.kit] here or above" in kit(repository, "runs", env=env, code=2).err
    assert git(repository, "show", f"refs/kit/runs/{run['run_id']}:shared/src/shared/__init__.py").strip() == "x = 2"


@pytest.mark.slow
def test_data_is_shared_by_s3(tmp_path: Path) -> None:
    """The page's commands, but for those that this environment has no need of (`uv add`), against a real server."""
    home = tmp_path / "home"
    root = new_project(tmp_path / "flights")
    dvc(root, "init", "--quiet")
    write(root, {"data/raw.csv": "day,late\n1,0\n"})
    dvc(root, "add", "--quiet", "data/raw.csv")
    commit_all(root)
    with s3_server(tmp_path) as server:
        server.bucket("team-data")
        said = {
            "https://s3.example.internal": server.uri,
            "AWS_ACCESS_KEY_ID=...": f"AWS_ACCESS_KEY_ID={server.key}",
            "AWS_SECRET_ACCESS_KEY=...": f"AWS_SECRET_ACCESS_KEY={server.secret}",
            "git@example.com:team/flights.git": f"{root} {tmp_path}/clone",
            "cd flights": f"cd {tmp_path}/clone",
            " access_key_id ...": f" access_key_id {server.key}",
            " secret_access_key ...": f" secret_access_key {server.secret}",
            "kit doctor": "kit doctor | grep 'can be listed, and data/raw.csv read'",
        }
        path = f"{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}"
        with Shell(root, **environment(home, PATH=path, TERM="dumb", AWS_EC2_METADATA_DISABLED="true")) as shell:
            for step in commands(page("s3-remote")):
                text = functools.reduce(lambda text, pair: text.replace(*pair), said.items(), step.text)
                if not text.startswith("uv "):
                    follow(Command(text), shell, port=0)
        assert (tmp_path / "clone/data/raw.csv").read_text() == "day,late\n1,0\n"
        assert (root / ".dvc/config.local").stat().st_mode & 0o777 == 0o600

        shutil.rmtree(tmp_path / "clone/.dvc/cache")
        (tmp_path / "clone/data/raw.csv").unlink()
        wrong = environment(home, **server.variables | {"AWS_SECRET_ACCESS_KEY": "wrong"})
        refused = kit(tmp_path / "clone", "run", env=wrong, code=4).err
    [shown] = re.findall(
        r"^error: (data is missing: .*? what they may do)", page("s3-remote"), re.MULTILINE | re.DOTALL
    )
    assert shows(refused, shown), refused


class _Index(SimpleHTTPRequestHandler):
    """A package index of static files that asks for a password."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(b"ci:s3cret-of-the-index").decode():
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    source = tmp_path / "source"
    name = '[project]\nname = "acme-features"\nversion = "1.2.0"\n'
    backend = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    write(source, {"pyproject.toml": name + backend, "src/acme_features/__init__.py": ""})
    folder = tmp_path / "index/simple/acme-features"
    _uv(source, "build", "--wheel", "--quiet", "--out-dir", str(folder))
    [wheel] = folder.glob("*.whl")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Index, directory=str(tmp_path / "index")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def _uv(folder: Path, *arguments: str, code: int = 0, **env: str) -> str:
    command = ["uv", *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_a_package_comes_from_the_private_index(tmp_path: Path, index: str) -> None:
    [address] = set(re.findall(r'url = "(\S+)"', block("private-index", "toml")))
    settings = block("private-index", "toml").replace(address, index)
    root = tmp_path / "flights"
    project = '[project]\nname = "flights"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = []\n'
    write(root, {"pyproject.toml": project + settings})
    assert "401" in _uv(root, "add", "--no-sync", "acme-features", code=1)
    assert "acme-features>=" not in (root / "pyproject.toml").read_text()

    [exported] = [step.text for step in commands(page("private-index")) if step.text.startswith("export ")]
    names = re.findall(r"(\w+)=", exported)
    login = dict(zip(names, ("ci", "s3cret-of-the-index"), strict=True))
    _uv(root, "add", "--no-sync", "acme-features", **login)
    lock = (root / "uv.lock").read_text()
    assert f'source = {{ registry = "{index}" }}' in lock
    assert "s3cret" not in lock + (root / "pyproject.toml").read_text()
