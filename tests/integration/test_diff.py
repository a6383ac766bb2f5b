"""`kit diff` on real runs with real data: data file by file, secrets planted, and the page. The runs are made once."""

from __future__ import annotations

import json
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import git, write
from tests.support import Done, commit_all, environment, kit, new_project, on_screen
from tests.unit.test_data import dvc

TOKEN = "ghp_" + "a1B2" * 9
SECRETS = ("hunter2", "hunter3", "plainword", TOKEN)
TASK = """
import kit


def train(cfg: dict, run: kit.Run) -> dict[str, float]:
    for step in range(5):
        run.log({"loss <b>": 1.0 / (step + 1) * RATE}, step=step)
    return {"score": RATE}
"""


@dataclass(frozen=True)
class Made:
    root: Path
    env: dict[str, str]
    old: str
    new: str

    def diff(self, *options: str, code: int = 0) -> Done:
        return kit(self.root, "diff", self.old, self.new, *options, env=self.env, code=code)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("diff")
    env = environment(folder / "home", DVC_SITE_CACHE_DIR=str(folder / "site"))
    root = new_project(
        folder / "tiny",
        {
            "src/tiny/rated.py": TASK.replace("RATE", "1.0"),
            "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.rated.train\n",
            "settings.yaml": f"user: me\npassword: hunter2\nurl: postgresql://me:hunter2@host/db\ntoken: {TOKEN}\n",
            "secrets.yaml": "key: plainword one\n",
        },
    )
    dvc(root, "init", "--quiet")
    dvc(root, "remote", "add", "--quiet", "--default", "there", str(folder / "remote"))
    dvc(root, "config", "core.autostage", "true")
    write(root, {"data/x/a.csv": "a,b\n1,2\n", "data/x/gone.txt": "x", "data/x/same.txt": "y"})
    dvc(root, "add", "--quiet", "data/x")
    dvc(root, "push", "--quiet")
    commit_all(root)
    old = kit(root, "run", "--json", env=env).json()["run_id"]
    (root / "data" / "x" / "gone.txt").unlink()
    write(root, {"data/x/a.csv": 'a,c\n1,"2\n2"\n3,4\n', "data/x/made.csv": "a\n1\n", ".env": "A=plainword\n"})
    dvc(root, "add", "--quiet", "data/x")
    dvc(root, "push", "--quiet")
    write(
        root,
        {
            "src/tiny/rated.py": TASK.replace("RATE", "2.0") + "# </style><script>alert(1)</script>\n",
            "settings.yaml": (root / "settings.yaml").read_text().replace("hunter2", "hunter3"),
            "secrets.yaml": "key: plainword two\n",
        },
    )
    new = kit(root, "run", "--json", "seed=8", env=env).json()["run_id"]
    return Made(root, env, old, new)


@pytest.fixture
def made(original: Made, tmp_path: Path) -> Made:
    """A copy that a test may break."""
    root = tmp_path / "tiny"
    shutil.copytree(original.root, root, symlinks=True)
    return Made(root, original.env, original.old, original.new)


def state(root: Path) -> dict[str, tuple[int, int, int]]:
    """Everything but kit's own, and what DVC and git keep for themselves."""
    found = {}
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if parts[0] not in {".kit", ".git"} and parts[:2] not in {(".dvc",), (".dvc", "tmp"), (".dvc", "cache")}:
            known = path.lstat()
            found[str(path)] = (known.st_mtime_ns, known.st_size, stat.S_IMODE(known.st_mode))
    return found


def test_data_is_told_file_by_file(original: Made) -> None:
    out = original.diff().out
    part = out[out.index("\ndata") : out.index("\nconfig")]
    assert re.search(r"^  ~ data/x: \w{8} → \w{8}, 3 files, 10 B → 21 B, \+2 rows$", part, re.MULTILINE)
    assert "\n      ~ a.csv: 8 B → 16 B, 1 → 2 rows, + column c, - column b\n" in part
    assert "\n      - gone.txt: 1 B\n" in part
    assert "\n      + made.csv: 4 B, 1 row\n" in part
    assert "same.txt" not in part


def test_everything_is_in_the_json(original: Made) -> None:
    found = original.diff("--json").json()
    (data,) = found["data"]
    assert (data["name"], data["old_files"], data["new_files"], data["rows"]) == ("data/x", 3, 3, 2)
    files = {file["path"]: file for file in data["files"]}
    assert files["a.csv"]["added_columns"] == ["c"]
    assert (files["a.csv"]["old_rows"], files["a.csv"]["new_rows"], files["a.csv"]["rows"]) == (1, 2, 1)
    assert (files["gone.txt"]["kind"], files["gone.txt"]["new_md5"]) == ("removed", None)
    assert (found["seed"], found["config"]) == ({"old": 7, "new": 8}, [])  # the seed is told once
    assert {file["path"] for file in found["files"]} >= {"src/tiny/rated.py", "data/x.dvc", "settings.yaml"}
    assert (found["old"]["status"], found["new"]["dirty"]) == ("succeeded", True)
    assert {file["path"] for file in found["files"] if file["hidden"]} == {"secrets.yaml"}
    assert found["omitted"][0]["name"] == ".env"


@pytest.mark.parametrize("options", [[], ["--full"], ["--json"], ["--html", "-"]], ids=" ".join)
def test_no_secret_is_shown(original: Made, options: list[str]) -> None:
    out = original.diff(*options).out
    for secret in SECRETS:
        assert secret not in out
    assert "settings.yaml" in out
    assert "***" in out


def test_the_screen_has_eighty_columns(original: Made) -> None:
    lines = on_screen(original.root, "diff", original.old, original.new, env=original.env)
    assert max(map(len, lines)) <= 90  # what is longer is folded by the terminal, at its edge
    assert lines[0].startswith(f"old  {original.old}  baseline  succeeded")
    assert any(line.startswith("  ~ data/x.dvc: +") for line in lines)  # told by name only
    assert any(line.split() == ["score", "1", "2", "+1", "+100.00"] for line in lines)


def test_a_page_is_written_whole_and_runs_no_script(made: Made, tmp_path: Path) -> None:
    target = tmp_path / "page <1>.html"
    assert made.diff("--html", str(target)).out == f"written: {target}\n"
    text = target.read_text()
    assert text.startswith("<!doctype html>")
    assert "&lt;/style&gt;&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert 'class="curve new" d="M' in text
    assert made.diff("--html", "-").out.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--html", "no/such/folder/x.html"], "no/such/folder"),
        (["--html", "."], "."),
        (["--html", "x.html", "--json"], "two forms of the same"),
        (["--html"], "--html"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_written_is_said_on_one_line(original: Made, options: list[str], said: str) -> None:
    done = kit(original.root, "diff", original.old, original.new, *options, env=original.env, code=None)
    assert done.code in {2, 3}
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert said in done.err


def test_nothing_is_touched_by_looking(made: Made) -> None:
    before, head = state(made.root), git(made.root, "status", "--porcelain")
    for options in ([], ["--json"], ["--html", "-"]):
        made.diff(*options)
    assert state(made.root) == before
    assert git(made.root, "status", "--porcelain") == head


def test_data_that_is_not_here_is_fetched_only_when_asked(made: Made) -> None:
    cache = made.root / ".dvc" / "cache"
    shutil.rmtree(cache)
    looked: dict[str, Any] = made.diff("--json").json()["data"][0]
    assert looked["files"] == []
    assert f"`kit diff {made.old} {made.new} --fetch` gets it" in looked["note"]
    assert not cache.exists()
    before = state(made.root)
    fetched = made.diff("--fetch", "--json").json()["data"][0]
    assert (fetched["rows"], fetched["note"]) == (2, None)
    assert state(made.root) == before
    assert list((made.root / ".kit" / "worktrees").iterdir()) == []
    assert made.diff("--json").json()["data"][0] == fetched


def test_data_that_is_nowhere_is_an_error_when_it_is_asked_for(made: Made, tmp_path: Path) -> None:
    shutil.rmtree(made.root / ".dvc" / "cache")
    write(made.root, {".dvc/config": f"[core]\n    remote = x\n['remote \"x\"']\n    url = {tmp_path / 'nowhere'}\n"})
    done = made.diff("--fetch", code=4)
    assert done.err.splitlines()[-1].startswith("error: data is missing: data/x")


def test_a_cache_elsewhere_is_found(made: Made, tmp_path: Path) -> None:
    shutil.move(made.root / ".dvc" / "cache", tmp_path / "elsewhere")
    dvc(made.root, "cache", "dir", "--local", str(tmp_path / "elsewhere"))
    assert json.loads(made.diff("--json").out)["data"][0]["rows"] == 2
