"""Starting points work as they are written, and nothing is left of one that would not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.errors import HostError, UserError
from kit.project import open_project
from kit.starting_points import KINDS, StartingPoint, add
from kit.starting_points.writing import new_files
from kit.testing import compose_config, load_schedule, task_config
from tests.conftest import git, write

Make = Callable[..., Path]


def begin(root: Path, kind: str, name: str, like: str | None = None) -> StartingPoint:
    return add(open_project(root), kind, name, experiment=like)


def untracked(root: Path) -> list[str]:
    return git(root, "status", "--porcelain", "--untracked-files=all").splitlines()


def test_an_experiment_begins_as_what_the_project_runs_but_for_its_seed(project: Path) -> None:
    made = begin(project, "experiment", "wide-net")
    assert made.files == ("conf/experiment/wide-net.yaml", "tests/test_experiment_wide_net.py")
    assert made.next[0] == ("pytest", "tests/test_experiment_wide_net.py")
    assert made.next[-1] == ("kit", "run", "experiment=wide-net")
    assert compose_config(["experiment=wide-net"], root=project) == compose_config(root=project) | {"seed": 8}
    begin(project, "experiment", "another")
    assert compose_config(["experiment=another"], root=project)["seed"] == 9


def test_what_could_be_changed_is_shown_and_its_secrets_are_not(make_project: Make) -> None:
    root = make_project({"conf/model/small.yaml": "depth: 3\nrate: 0.1\napi_token: 9f8e7d6c5b4a\nsizes: [1, 2]\n"})
    text = (root / begin(root, "experiment", "x").files[0]).read_text()
    assert "# model:\n#   depth: 3\n#   rate: 0.1\n#   api_token: '***'\n#   sizes: [1, 2]\n" in text
    assert "9f8e7d6c5b4a" not in text


def test_an_experiment_can_begin_from_another(project: Path) -> None:
    begin(project, "experiment", "deeper", "deep")
    deeper = compose_config(["experiment=deeper"], root=project)
    assert deeper == compose_config(["experiment=deep"], root=project) | {"seed": 8}
    with pytest.raises(UserError, match=r"no experiment 'dep' .*Did you mean 'deep'"):
        begin(project, "experiment", "x", "dep")


def test_where_nothing_runs_by_itself_an_experiment_is_added_to_the_config(make_project: Make) -> None:
    root = make_project({"conf/config.yaml": "defaults:\n  - model: small\n\nseed: 7\nsteps: 3\n"})
    assert begin(root, "experiment", "wide").next[-1] == ("kit", "run", "+experiment=wide")
    assert compose_config(["+experiment=wide"], root=root)["seed"] == 8
    begin(root, "schedule", "weekly")
    assert load_schedule("weekly", root=root).arguments == ("+experiment=baseline",)
    assert begin(root, "model", "tall").next[-1] == ("kit", "run", "+experiment=baseline", "model=tall")


def test_a_model_begins_as_a_copy_of_the_one_in_use(project: Path) -> None:
    assert begin(project, "model", "tall").next[-1] == ("kit", "run", "model=tall")
    assert compose_config(["model=tall"], root=project) == compose_config(root=project)
    begin(project, "model", "taller", "deep")
    assert (project / "conf/model/taller.yaml").read_text().endswith("different.\ndepth: 9\nrate: 0.01\n")


def test_a_model_needs_the_group(make_project: Make) -> None:
    root = make_project({"conf/config.yaml": "defaults:\n  - experiment: baseline\n"})
    git(root, "rm", "-r", "--quiet", "conf/model")
    with pytest.raises(UserError, match=r"no config group `model` .*Move what the model takes"):
        begin(root, "model", "tall")
    assert untracked(root) == ["D  conf/model/large.yaml", "D  conf/model/small.yaml"]


def test_a_schedule_is_whole_and_tells_whom_the_others_tell(make_project: Make) -> None:
    other = "trigger: {cron: '0 2 * * *'}\nalert: {to: 'json://localhost', when: [failure]}\n"
    root = make_project({"conf/schedule/nightly.yaml": other})
    begin(root, "schedule", "weekly", "deep")
    made = load_schedule("weekly", root=root)
    assert (made.experiment, made.timeout, made.retry.attempts) == ("deep", 3600, 3)
    assert made.alert == load_schedule("nightly", root=root).alert
    text = (root / "conf/schedule/weekly.yaml").read_text()
    policies = (
        "overrides",
        "repro",
        "retry",
        "timeout",
        "grace",
        "overlap",
        "catch_up",
        "slots",
        "priority",
        "enabled",
    )
    for policy in policies:
        line = next(line for line in text.splitlines() if line.startswith((f"{policy}:", f"# {policy}:")))
        assert " # " in line


def test_tests_are_written_where_the_projects_are(make_project: Make) -> None:
    told = "[tool.kit]\npackage = 'tiny'\n[tool.pytest.ini_options]\ntestpaths = ['gone', 'checks/fast']\n"
    root = make_project({"pyproject.toml": told, "checks/fast/test_a.py": "", "tests/test_b.py": ""})
    test = root / begin(root, "schedule", "weekly").files[1]
    assert test == root / "checks/fast/test_schedule_weekly.py"
    assert "ROOT = Path(__file__).resolve().parents[2]\n" in test.read_text()


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("experiment", "../x", "cannot be used as a name"),
        ("schedule", ".x", "cannot be used as a name"),
        ("model", "x.yaml", "Leave the ending out: 'x'"),
        ("experiment", "deep", "is there already"),
        ("experiment", "taken", "is there already"),
        ("experiment", "null", "must choose an option by its name"),
        ("model", "12", "must choose an option by its name"),
        ("schedule", "_", "cannot be used as a name"),
        ("layer", "x", "nothing to begin from"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(make_project: Make, kind: str, name: str, why: str) -> None:
    root = make_project({"tests/test_experiment_taken.py": "mine\n"})
    with pytest.raises(UserError, match=why):
        begin(root, kind, name)
    assert untracked(root) == []


def test_a_project_that_runs_nothing_is_told_so(make_project: Make) -> None:
    root = make_project({"conf/config.yaml": "defaults:\n  - experiment: gone\n", "conf/experiment/deep.yaml": "a: ["})
    git(root, "rm", "--quiet", "conf/experiment/baseline.yaml")
    for kind in KINDS:
        with pytest.raises(UserError, match="gone"):
            begin(root, kind, "x")


def test_files_are_taken_back_with_their_folders_when_what_follows_fails(tmp_path: Path) -> None:
    def interrupted() -> None:
        assert (tmp_path / "a/b/c.txt").read_text() == "c"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), new_files(tmp_path, {"a/b/c.txt": "c", "a/d.txt": "d"}):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    write(tmp_path, {"file": ""})
    with pytest.raises(HostError), new_files(tmp_path, {"a/b.txt": "b", "file/c.txt": "c"}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UserError, match="is there already"), new_files(tmp_path, {"dangling": ""}):
        pass


def test_the_task_is_given_what_it_takes(make_project: Make) -> None:
    given = task_config(["experiment=deep"], root=make_project())
    assert (type(given).__name__, given.steps, given.model.depth) == ("TrainConfig", 5, 9)
    with pytest.raises(UserError, match="no function 'trian'"):
        task_config(["task=tiny.train.trian"], root=make_project(name="other"))
