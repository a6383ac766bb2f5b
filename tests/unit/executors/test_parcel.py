"""A parcel: packed in one project, opened where there is none; runs from some: `integration/test_ray_upload.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit import vcs
from kit.errors import HostError
from kit.executors._parcel import expect_servers, pack, unpack
from kit.models import Launch, RunSpec, from_json, to_json
from kit.paths import ProjectPaths, RunPaths
from kit.project import open_project
from kit.trackers import Artifact
from kit.trackers.spool import Spool
from tests.conftest import git, write
from tests.factories import snapshot, spec
from tests.support import new_project

TOOL = '[tool.kit]\npackage = "tiny"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One in whose folder `deep/project` a project is, with a commit before the last."""
    top = tmp_path / "a top"
    write(top, {"beside.txt": "first", "deep/project/pyproject.toml": TOOL})
    for command in (["init"], ["add", "--all"], ["commit", "-m", "first"]):
        git(top, *command)
    write(top, {"beside.txt": "second"})
    git(top, "commit", "--all", "-m", "second")
    return top


def planned(root: Path) -> RunPaths:
    """The folder of a run that is made from the working tree as it is."""
    paths = ProjectPaths(root)
    paths.create_state()
    code = vcs.snapshot(root, "abc123", max_bytes=1000)
    run = paths.run("abc123")
    made = spec("abc123", project_root=str(root), snapshot=snapshot(code=code))
    write(run.root, {"spec.json": to_json(made).decode(), "launch.json": to_json(Launch("abc123", str(root))).decode()})
    return run


def test_what_names_the_project_names_the_one_there(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    run = planned(root)
    made = from_json(run.spec.read_bytes(), RunSpec)
    config = {"out": f"{root}/.kit/runs/abc123", "all": [str(root), f"{root}2/x", 3], "cwd": f"file://{root}"}
    logging = {"handlers": {"file": {"filename": f"{root}/.kit/runs/abc123/a.log"}}}
    run.spec.write_bytes(to_json(replace(made, config=config, logging=logging)))
    opened = unpack(packed(root, run, tmp_path / "parcel"), tmp_path / "scratch").run
    there, new = from_json(opened.spec.read_bytes(), RunSpec), open_project(opened.root).root
    assert there.config == {"out": str(opened.root), "all": [str(new), f"{root}2/x", 3], "cwd": f"file://{new}"}
    assert there.logging == {"handlers": {"file": {"filename": f"{opened.root}/a.log"}}}


def packed(root: Path, run: RunPaths, into: Path) -> Path:
    into.mkdir()
    pack(ProjectPaths(root), run, into)
    return into


def test_a_project_is_made_of_a_parcel_as_the_snapshot_had_it(repository: Path, tmp_path: Path) -> None:
    root = repository / "deep" / "project"
    write(root, {"src/new.py": "not committed\n"})
    run = planned(root)
    write(root, {"src/new.py": "changed since\n"})
    parcel = packed(root, run, tmp_path / "parcel")
    repository.rename(tmp_path / "away")

    made = unpack(parcel, tmp_path / "scratch" / "new")
    opened = made.run
    project = open_project(opened.root)
    assert (project.root.parts[-3:], opened.root.name) == (("a top", "deep", "project"), "abc123")
    assert (project.root / "src" / "new.py").read_text() == "not committed\n"
    assert (project.root.parents[1] / "beside.txt").read_text() == "second"
    there = from_json(opened.spec.read_bytes(), RunSpec)
    launch = from_json(opened.launch.read_bytes(), Launch)
    assert {there.project_root, launch.project_root} == {str(project.root)}
    assert vcs.resolve(project.root, there.snapshot.code.commit) == there.snapshot.code.commit
    assert git(project.root, "rev-list", "--count", "HEAD") == "1", "the history stays where it is"
    assert made.folder.parent == tmp_path / "scratch" / "new"
    assert made.folder.stat().st_mode & 0o777 == 0o700


def test_what_a_run_has_by_now_goes_along_but_nothing_that_is_its_machines_own(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    run = planned(root)
    write(run.root, {"copies/000001/abc123/checkpoints/step-3/state": "3", "cancelled": "x", "settle.lock": ""})
    (run.root / "checkpoints").symlink_to("copies/000001/abc123/checkpoints")
    run.elsewhere.touch()
    opened = unpack(packed(root, run, tmp_path / "parcel"), tmp_path / "scratch").run
    assert (opened.checkpoints / "step-3" / "state").read_text() == "3"
    assert opened.checkpoints.is_symlink()
    assert not [path for path in (opened.cancelled, opened.settling, opened.elsewhere) if path.exists()]


def test_what_was_logged_and_not_sent_is_found_where_it_is_now(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    copy = RunPaths(planned(root).root / "copies" / "000001" / "abc123")
    write(copy.root, {"artifacts/a.txt": "a", "artifacts/b.txt": "b"})
    spool = Spool(copy.spool)
    spool.append(Artifact(copy.artifacts / "a.txt", "a.txt"))
    copy.sent.write_text(str(copy.spool.stat().st_size))
    spool.append(Artifact(copy.artifacts / "b.txt", "b.txt"))
    run = ProjectPaths(root).run("abc123")
    opened = unpack(packed(root, run, tmp_path / "parcel"), tmp_path / "a scratch of another length").run
    there = RunPaths(opened.root / "copies" / "000001" / "abc123")
    sent = int(there.sent.read_text())
    assert from_json(there.spool.read_bytes()[sent:], dict[str, list[str]]) == {
        "artifact": [str(there.artifacts / "b.txt"), "b.txt"]
    }
    assert (there.artifacts / "b.txt").read_text() == "b"


def test_it_can_be_packed_again_where_it_was_opened(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    first = unpack(packed(root, planned(root), tmp_path / "one"), tmp_path / "scratch").run
    there = open_project(first.root).root
    second = unpack(packed(there, first, tmp_path / "two"), tmp_path / "scratch").run
    assert open_project(second.root).root != there
    assert (open_project(second.root).root / "pyproject.toml").read_text() == (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("store", "changes", "words"),
    [
        ("", {}, "the run store is a file of this machine"),
        ("postgresql://me@db/kit", {"tracking_uri": "sqlite:////project/mlflow.db"}, "MLflow's store is a file"),
        ("postgresql://me@db/kit", {"config": {"password": "hunter2hunter2"}}, "its config holds a secret"),
        ("postgresql://me@db/kit", {}, None),
    ],
)
def test_what_a_parcel_would_be_of_no_use_or_harm_for_is_refused(
    tmp_path: Path, store: str, changes: dict[str, object], words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = new_project(tmp_path / "tiny")
    run = planned(root)
    made = replace(from_json(run.spec.read_bytes(), RunSpec), tracking_uri="http://mlflow:5000")
    run.spec.write_bytes(to_json(replace(made, **changes)))  # type: ignore[arg-type]
    monkeypatch.setenv("KIT_STORE", store)
    if words is None:
        expect_servers(ProjectPaths(root), run)
        return
    with pytest.raises(HostError, match=words) as refused:
        expect_servers(ProjectPaths(root), run)
    assert refused.value.fix
    assert "hunter2" not in str(refused.value)


def test_a_folder_that_is_no_parcel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        unpack(tmp_path, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def test_one_that_is_torn_leaves_nothing(tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    parcel = packed(root, planned(root), tmp_path / "parcel")
    (parcel / "run" / "launch.json").unlink()
    with pytest.raises(HostError):
        unpack(parcel, tmp_path / "scratch")
    assert not [*(tmp_path / "scratch").iterdir()]
