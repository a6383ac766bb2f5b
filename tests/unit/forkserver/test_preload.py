"""What is imported before a fork, what is noted of it, and what is not; each in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.forkserver._preload import UNSAFE, learn, learned
from tests.conftest import write

PRELOAD = """
import json, os, sys, threading
from pathlib import Path
from kit.forkserver import _preload
sys.path.insert(0, os.getcwd())
_preload._OWN = ()
Path("names").write_text(" ".join(sys.argv[1:]))
try:
    found = _preload.preload(Path("names"), os.environ.get("UNSAFE", "").split())
except _preload.ThreadStarted as error:
    print(json.dumps({"thread": error.module}), flush=True)
    os._exit(0)
print(json.dumps({
    "skipped": found.skipped, "read": sorted(found.read), "added": found.added, "files": sorted(found.files),
    "modules": [name for name in sys.argv[1:] if name in sys.modules],
}))
"""


def preloaded(folder: Path, *names: str, **variables: str) -> Any:
    path = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PRELOAD, *names],
        cwd=folder, env={"PYTHONPATH": str(path)} | variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_what_cannot_be_imported_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    write(tmp_path, {"good.py": "", "bad.py": "raise SystemExit('no')\n"})
    found = preloaded(tmp_path, "bad", "missing", "good")
    assert found["modules"] == ["good"]
    assert found["skipped"] == {
        "bad": "cannot be imported: no",
        "missing": "cannot be imported: No module named 'missing'",
    }


def test_a_module_that_starts_a_thread_is_found_and_then_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"threads.py": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"},
    )
    assert preloaded(tmp_path, "json", "threads") == {"thread": "threads"}
    found = preloaded(tmp_path, "json", "threads", UNSAFE="threads")
    assert found["modules"] == ["json"]
    assert found["skipped"] == {"threads": "starts a thread while it is imported"}


def test_known_ones_are_never_imported_nor_what_is_below_them(tmp_path: Path) -> None:
    write(tmp_path, {"ray/__init__.py": "", "ray/data.py": "", "rays.py": ""})
    found = preloaded(tmp_path, "ray", "ray.data", "rays")
    assert found["modules"] == ["rays"]
    assert found["skipped"] == dict.fromkeys(("ray", "ray.data"), UNSAFE["ray"])


def test_variables_and_files_that_are_read_are_noted(tmp_path: Path) -> None:
    code = """
        import os
        from pathlib import Path
        os.environ.get("GOT"), os.getenv("ASKED"), "LOOKED" in os.environ
        everything = dict(os.environ), os.environ.copy(), {**os.environ}, list(os.environ.items())
        os.environ["SET"] = "1"
        Path("settings").read_text()
        with open("more") as file:
            file.read()
    """
    write(tmp_path, {"reader.py": code, "settings": "", "more": ""})
    found = preloaded(tmp_path, "reader", COPIED="1", GOT="1")
    assert set(found["read"]) >= {"ASKED", "GOT", "LOOKED"}
    assert "COPIED" not in found["read"]
    assert found["added"] == {"SET": "1"}
    assert found["files"] == [str(tmp_path / "more"), str(tmp_path / "settings")]


@pytest.mark.parametrize("place", ["", "src/"])
def test_the_projects_own_code_is_never_learned(tmp_path: Path, place: str) -> None:
    """Not even where the project is installed like a library: its package is called like one of its folders."""
    write(tmp_path, {f"{place}json/__init__.py": "", f"{place}pytest.py": ""})
    file = tmp_path / "imported"
    learn(file, tmp_path)
    names = learned(file)
    assert "subprocess" in names
    assert "_pytest.fixtures" in names
    assert not [name for name in names if name.partition(".")[0] in {"json", "pytest", "tests", "__main__"}]
    learn(file, tmp_path)
    assert learned(file) == names
