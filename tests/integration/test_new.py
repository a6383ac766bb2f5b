"""`kit new` as people run it: the command, the terminal, cookiecutter and cruft beside it, and the built package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit.scaffold.effects import ALL
from kit.scaffold.new import Request, new_project
from tests.conftest import REPOSITORY, git, write
from tests.support import on_terminal

FILES_ONLY = [f"--no-{step}" for step in ALL]
WITHOUT_NETWORK = ["--no-lock", "--no-install"]


def kit(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kit", *arguments]
    # Another copy of kit is not what coverage measures.
    measured = "PYTHONPATH" not in variables
    inherited = {name: value for name, value in os.environ.items() if measured or not name.startswith("COV")}
    return subprocess.run(
        argv,
        cwd=folder,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def content(root: Path) -> dict[str, tuple[bytes, bool]]:
    """Every file's bytes and whether it can be executed, but for what belongs to one way of making it only."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): (path.read_bytes(), os.access(path, os.X_OK))
        for path in files
        if path.relative_to(root).parts[0] not in {".git", ".cruft.json", "uv.lock"}
    }


def test_it_reports_each_step_and_what_to_do_next(tmp_path: Path) -> None:
    done = kit("new", "Late Flights", "--framework", "none", *WITHOUT_NETWORK, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("ok", "skipped", "failed"))] == [
        ["ok", "cruft"],
        ["ok", "git"],
        ["ok", "dvc"],
        ["skipped", "lock"],
        ["skipped", "install"],
        ["skipped", "hooks"],
        ["ok", "commit"],
    ]
    assert "  cd late-flights" in lines
    assert lines[-1] == "  kit run"
    project = tmp_path / "late-flights"
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "--format=%s") == "Start from the kit template"


def test_offline_it_still_makes_the_project(tmp_path: Path) -> None:
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "uv")}
    done = kit("new", "demo", "--framework", "none", "--json", folder=tmp_path, **offline)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    status = {effect["name"]: effect["status"] for effect in made["effects"]}
    assert (status["lock"], status["install"], status["commit"]) == ("failed", "skipped", "ok")
    assert all(effect["fix"] for effect in made["effects"] if effect["status"] == "failed")
    assert made["path"] == str(tmp_path / "demo")
    assert "uv sync" in made["next"]
    assert git(tmp_path / "demo", "ls-files").splitlines() == sorted(made["files"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new"], ["needs a name"]),
        (["new", "../up"], ["path, not a name", "--output-dir"]),
        (["new", "x1", "--framwork", "none"], ["--framwork", "--framework"]),
        (["new", "x1", "--framework", "pytroch"], ["'pytroch'", "'pytorch'", "scikit-learn"]),
        (["new", "x1", "--set", "dokcer=yes"], ["'dokcer'", "'docker'"]),
        (["new", "x1", "--set", "docker"], ["name=value"]),
        (["new", "x1", "--answers", "a.toml"], ["a.toml", "'licence'", "'license'"]),
        (["new", "taken"], ["taken", "already"]),
        (["new", "x1", "--into", "taken"], ["pyproject.toml", "Nothing was written"]),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    write(tmp_path, {"taken/pyproject.toml": "mine\n", "a.toml": 'licence = "MIT"\n'})
    done = kit(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "a.toml",
        "taken",
        "taken/pyproject.toml",
    ]


def test_on_a_terminal_it_asks_for_what_is_missing(tmp_path: Path) -> None:
    typed = "../up\nTides\n\n{{ x }}\nAda\njax\nnone\nnone\n"
    done = on_terminal(typed, "new", "--license", "BSD-3-Clause", *FILES_ONLY, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "is a path, not a name" in done.stdout
    assert "template marks" in done.stdout
    assert "gradient boosting" in done.stdout
    context = json.loads((tmp_path / "tides/.cruft.json").read_text())["context"]["cookiecutter"]
    assert {name: context[name] for name in ("project_name", "author", "framework", "license", "ci")} == {
        "project_name": "Tides",
        "author": "Ada",
        "framework": "none",
        "license": "BSD-3-Clause",
        "ci": "none",
    }


def test_no_input_asks_nothing_on_a_terminal(tmp_path: Path) -> None:
    done = on_terminal("", "new", "demo", "--framework", "none", "--no-input", *FILES_ONLY, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "demo/pyproject.toml").is_file()


def test_into_an_existing_repository(tmp_path: Path) -> None:
    write(tmp_path, {"notes.txt": "mine\n"})
    git(tmp_path, "init", "--quiet")
    done = kit("new", "demo", "--framework", "none", "--into", ".", *WITHOUT_NETWORK, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "  cd " not in done.stdout
    assert (tmp_path / "notes.txt").read_text() == "mine\n"
    assert (tmp_path / "pyproject.toml").is_file()
    assert git(tmp_path, "status", "--porcelain", "--", "pyproject.toml") == "?? pyproject.toml"


@pytest.mark.parametrize("way", [["."], [".", "--directory", "template/ml-project"]], ids=["menu", "directory"])
@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"framework": "pytorch", "license": "Apache-2.0", "ci": "gitlab", "_docker": "true"},
        {"framework": "none", "license": "Proprietary", "ci": "none", "description": 'A "quoted" \\ text'},
    ],
    ids=["defaults", "pytorch", "none"],
)
def test_cookiecutter_makes_the_same_files(tmp_path: Path, way: list[str], answers: dict[str, str]) -> None:
    answers = {"project_name": "Some Tides", "author": "Ada"} | answers
    command = [sys.executable, "-m", "cookiecutter", *way, "--no-input", "--output-dir", str(tmp_path / "theirs")]
    subprocess.run([*command, *(f"{k}={v}" for k, v in answers.items())], cwd=REPOSITORY, check=True)
    (tmp_path / "ours").mkdir()
    new_project(Request(answers=answers, output_dir=tmp_path / "ours", skip=frozenset(ALL)))
    ours, theirs = content(tmp_path / "ours/some-tides"), content(tmp_path / "theirs/some-tides")
    assert sorted(ours) == sorted(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository of kit as it is in this working tree, committed."""
    listed = git(REPOSITORY, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    root = tmp_path / "checkout"
    for name in listed.split("\0"):
        if name.startswith(("kit/", "hydra_plugins/", "template/", "docs/reference/rules/")) or "/" not in name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / name).is_file():
                shutil.copy(REPOSITORY / name, root / name)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "kit")
    return root


@pytest.fixture
def installed(checkout: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which kit is the checkout, installed from there as an installer would record it."""
    record = tmp_path / "site/mlekit-0.1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: mlekit\nVersion: 0.1.0\n")
    (record / "direct_url.json").write_text(json.dumps({"url": checkout.as_uri(), "dir_info": {"editable": True}}))
    return {"PYTHONPATH": os.pathsep.join([str(record.parent), str(checkout)])}


def cruft(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "cruft", *arguments]
    return subprocess.run(argv, cwd=project, capture_output=True, text=True, check=False)


def test_cruft_brings_a_newer_template_into_the_project(
    checkout: Path, installed: dict[str, str], tmp_path: Path
) -> None:
    done = kit("new", "tides", "--framework", "none", *WITHOUT_NETWORK, folder=tmp_path, **installed)
    assert done.returncode == 0, done.stderr
    project = tmp_path / "tides"
    assert checkout.as_uri() in (project / "pyproject.toml").read_text()
    assert cruft(project, "check").returncode == 0
    clean = cruft(project, "diff", "--exit-code")
    assert (clean.returncode, clean.stdout) == (0, "")

    write(project, {"README.md": "# My own words\n"})
    git(project, "commit", "--quiet", "--all", "--message", "mine")
    ignore = next((checkout / "template/ml-project").glob("*cookiecutter*/.gitignore"))
    ignore.write_text(ignore.read_text() + "from-the-template/\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "newer")
    assert cruft(project, "check").returncode == 1
    updated = cruft(project, "update", "--skip-apply-ask")
    assert updated.returncode == 0, updated.stdout + updated.stderr
    assert (project / ".gitignore").read_text().endswith("from-the-template/\n")
    assert (project / "README.md").read_text() == "# My own words\n"
    assert json.loads((project / ".cruft.json").read_text())["commit"] == git(checkout, "rev-parse", "HEAD")
    assert cruft(project, "check").returncode == 0


def built(checkout: Path, version: str) -> Path:
    """The wheel, built from the source distribution, unpacked and compiled as installers do."""
    uv, dist = Path(sys.executable).with_name("uv"), checkout.parent / "dist"
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('\nversion = "0.1.0"\n', f'\nversion = "{version}"\n'))
    subprocess.run([uv, "build", "--quiet", "--out-dir", dist], cwd=checkout, check=True)
    (wheel,) = dist.glob(f"mlekit-{version}-*.whl")
    installed = checkout.parent / f"installed-{version}"
    shutil.unpack_archive(wheel, installed, "zip")
    subprocess.run([sys.executable, "-m", "compileall", "-q", installed], check=False, capture_output=True)
    return installed


@pytest.fixture
def wheel(checkout: Path) -> Path:
    return built(checkout, "0.1.0")


@pytest.mark.slow
def test_the_wheel_makes_the_same_files_as_the_checkout(wheel: Path, tmp_path: Path) -> None:
    assert list((wheel / "kit/_template").rglob("*.pyc"))
    answers = ["--author", "Ada", "--set", "docker=yes", "--set", "kit_requirement=mlekit"]
    for name, variables in (("ours", {}), ("theirs", {"PYTHONPATH": str(wheel)})):
        (tmp_path / name).mkdir()
        done = kit("new", "tides", *answers, *FILES_ONLY, folder=tmp_path / name, **variables)
        assert done.returncode == 0, done.stderr
    ours, theirs = content(tmp_path / "ours/tides"), content(tmp_path / "theirs/tides")
    assert ours == theirs


@pytest.mark.slow
def test_a_kit_from_an_index_is_updated_by_its_own_templates(wheel: Path, checkout: Path, tmp_path: Path) -> None:
    ignore = next((checkout / "template/ml-project").glob("*cookiecutter*/.gitignore"))
    ignore.write_text(ignore.read_text() + "new-in-it/\n")
    older = {"PYTHONPATH": str(wheel), "UV_NO_INDEX": "1"}
    newer = older | {"PYTHONPATH": str(built(checkout, "0.2.0"))}
    with_index = newer | {"UV_FIND_LINKS": str(tmp_path / "dist")}
    done = kit("new", "tides", "--framework", "none", *WITHOUT_NETWORK, folder=tmp_path, **older)
    assert "template of mlekit v0.1.0; `kit update` brings newer ones" in done.stdout
    project = tmp_path / "tides"
    assert '"mlekit>=0.1.0,<0.2"' in (project / "pyproject.toml").read_text()
    assert kit("update", "--check", folder=project, **older).returncode == 0
    readme = project / "README.md"
    readme.write_text("My own words.\n\n" + readme.read_text())
    git(project, "commit", "--quiet", "--all", "--message", "mine")

    behind = kit("update", "--check", folder=project, **newer)
    assert (behind.returncode, behind.stdout) == (
        1,
        "Behind: the project has v0.1.0, the template is at v0.2.0.\n",
    ), behind.stderr
    cut_off = kit("update", folder=project, **newer)
    assert cut_off.returncode == 4, cut_off.stderr
    assert "the template of mlekit==0.1.0 cannot be had" in cut_off.stderr
    done = kit("update", folder=project, **with_index)
    assert done.returncode == 0, done.stderr
    git(project, "merge", "--quiet", "kit/update-v0.2.0")
    assert (project / ".gitignore").read_text().endswith("new-in-it/\n")
    assert readme.read_text().startswith("My own words.\n")
    assert '"mlekit>=0.2.0,<0.3"' in (project / "pyproject.toml").read_text()
    assert kit("update", "--check", folder=project, **newer).returncode == 0
    assert kit("add", "docker", folder=project, **newer).returncode == 0
    assert "Dockerfile" in git(project, "ls-tree", "--name-only", "kit/add-docker").split()
    back = kit("update", folder=project, **older)
    assert back.returncode == 2
    assert "the project has the template of v0.2.0, and this kit is v0.1.0" in back.stderr
