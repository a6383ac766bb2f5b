"""What is proposed for a repository, and when nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.adopt import Proposal, apply, propose
from kit.errors import HostError, UserError
from kit.project import open_project
from tests.adopting import SHAPES, repository
from tests.conftest import git, write

TRAIN = """
    import argparse

    def main():
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=0.1)
        print(parser.parse_args())

    if __name__ == "__main__":
        main()
    """


def by_path(proposal: Proposal) -> dict[str, str]:
    return {change.path: change.after for change in proposal.changes}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop", {"train.py": TRAIN})


def test_nothing_is_written_until_it_is_applied(root: Path) -> None:
    before = git(root, "status", "--porcelain")
    proposal = propose(root)
    assert git(root, "status", "--porcelain") == before == ""
    apply(root, proposal)
    assert sorted(git(root, "status", "--porcelain", "-uall").split()[1::2]) == sorted(by_path(proposal))
    assert {path: (root / path).read_text() for path in by_path(proposal)} == by_path(proposal)
    assert open_project(root).settings.package is None


def test_a_diff_is_one_that_git_can_apply(root: Path, tmp_path: Path) -> None:
    (root / ".gitignore").write_text("__pycache__/")  # without an end of line
    git(root, "commit", "--quiet", "--all", "--message", "no end")
    proposal = propose(root)
    (tmp_path / "patch").write_text("".join(change.diff() for change in proposal.changes))
    git(root, "apply", str(tmp_path / "patch"))
    assert {path: (root / path).read_text() for path in by_path(proposal)} == by_path(proposal)


def test_files_that_are_there_are_added_to_in_their_own_way(tmp_path: Path) -> None:
    root = repository(tmp_path / "shop", {"train.py": TRAIN})
    (root / "pyproject.toml").write_bytes(b'[project]\r\nname = "shop"\r\nversion = "1"\r\n')
    (root / ".gitignore").write_text("__pycache__/\n.kit\n*.db\nmlruns\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "more")
    proposal = propose(root)
    assert ".gitignore" not in by_path(proposal)  # git ignores it all as it is
    apply(root, proposal)
    written = (root / "pyproject.toml").read_bytes()
    assert written == b'[project]\r\nname = "shop"\r\nversion = "1"\r\n\r\n[tool.kit]\r\n'


@pytest.mark.parametrize("path", ["pyproject.toml", ".gitignore"])
def test_work_that_is_not_committed_is_not_mixed_with(root: Path, path: str) -> None:
    (root / path).write_text("# mine\n")
    with pytest.raises(UserError, match="not committed") as caught:
        propose(root)
    assert caught.value.where == path
    assert (root / path).read_text() == "# mine\n"


def test_other_work_that_is_not_committed_stays(root: Path) -> None:
    write(root, {"notes.md": "mine\n", "train.py": TRAIN + "\n    # mine\n"})
    apply(root, propose(root))
    assert (root / "notes.md").read_text() == "mine\n"
    assert git(root, "diff", "--name-only").split() == [".gitignore", "train.py"]


@pytest.mark.parametrize("path", ["kit_task.py", "conf"])
def test_nothing_is_overwritten(root: Path, path: str) -> None:
    (root / path).write_text("mine\n")
    with pytest.raises(UserError, match=r"there is something of that name already|a file is in the way"):
        propose(root)


def test_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "conf").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a link is in the way"):
        propose(root)


def test_a_folder_conf_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    root = repository(tmp_path / "shop", {"train.py": TRAIN, "conf/base/catalog.yml": "x: 1\n"})
    proposal = propose(root)
    assert 'config-dir = "kit-conf"' in by_path(proposal)["pyproject.toml"]
    assert {path for path in by_path(proposal) if path.startswith("conf/")} == set()


def test_what_was_stopped_half_way_is_gone_on_with(root: Path) -> None:
    proposal = propose(root)
    for change in proposal.changes[:-1]:  # all but what makes it a project
        (root / change.path).parent.mkdir(parents=True, exist_ok=True)
        if change.before is None:
            (root / change.path).write_text(change.after)
    again = propose(root)
    assert by_path(again).keys() == {".gitignore", "pyproject.toml"}
    apply(root, again)
    assert open_project(root).root == root


def test_a_file_that_cannot_be_written_takes_back_all(root: Path) -> None:
    proposal = propose(root)
    (root / "conf").write_text("")  # has come to be there in the meantime
    before = sorted(root.iterdir())
    with pytest.raises(HostError):
        apply(root, proposal)
    assert sorted(root.iterdir()) == before
    assert git(root, "status", "--porcelain") == "?? conf"


def test_a_file_that_changed_meanwhile_stops_it(root: Path) -> None:
    proposal = propose(root)
    with (root / ".gitignore").open("a") as file:
        file.write("more\n")
    with pytest.raises(UserError, match="has changed meanwhile"):
        apply(root, proposal)
    assert not (root / "pyproject.toml").exists()


def test_a_project_is_not_adopted_again(root: Path) -> None:
    apply(root, propose(root))
    with pytest.raises(UserError, match="is a project already"):
        propose(root)
    (root / "sub").mkdir()
    with pytest.raises(UserError, match="lies in a project already"):
        propose(root / "sub")


def test_no_repository_and_no_commit(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    with pytest.raises(UserError, match="not a git repository"):
        propose(tmp_path)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UserError, match="no commit"):
        propose(tmp_path)


def test_a_folder_of_a_repository_is_a_project_of_its_own(tmp_path: Path) -> None:
    top = repository(tmp_path / "many", {"one/train.py": TRAIN, "two/train.py": TRAIN})
    proposal = propose(top / "one")
    assert proposal.entry.path == "train.py"
    apply(top / "one", proposal)
    assert git(top, "status", "--porcelain").split() == ["??", "one/.gitignore", "??", "one/conf/", "??",
                                                        "one/kit_task.py", "??", "one/pyproject.toml"]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "manager", "said"),
    [
        ({"uv.lock": ""}, "uv", "`uv add mlekit`"),
        ({"pyproject.toml": "[tool.poetry]\nname = 'x'\n"}, "poetry", "`poetry add mlekit`"),
        ({"pyproject.toml": "[tool.pdm]\n"}, "pdm", "`pdm add mlekit`"),
        ({"Pipfile": ""}, "pipenv", "`pipenv install mlekit`"),
        ({"environment.yml": ""}, "conda", "`pip:` in environment.yml"),
        ({"requirements.txt": "numpy\n"}, "pip", "requirements.txt"),
        ({"requirements/base.txt": "numpy\n"}, "pip", "requirements/base.txt"),
        ({"setup.py": ""}, "setuptools", "`install_requires` in setup.py"),
        ({"pyproject.toml": "[project]\nname = 'x'\nversion = '1'\n"}, "pyproject", "pip install -e ."),
        ({}, None, "`pip install mlekit`"),
    ],
)
def test_who_manages_the_dependencies(files: dict[str, str], manager: str | None, said: str, tmp_path: Path) -> None:
    proposal = propose(repository(tmp_path / "shop", {"train.py": TRAIN} | files))
    assert proposal.survey.manager == manager
    assert said in proposal.notes[-1]


def test_kit_among_the_dependencies_is_no_news(tmp_path: Path) -> None:
    root = repository(tmp_path / "shop", {"train.py": TRAIN, "requirements.txt": "mlekit>=0.1\n"})
    assert not any("dependencies" in note for note in propose(root).notes)


def test_data_tests_dvc_and_mlflow_are_seen(tmp_path: Path) -> None:
    files = {
        "train.py": "import mlflow\n\nmlflow.set_tracking_uri('http://tracker')\nmlflow.log_metric('x', 1)\n",
        "tests/test_train.py": "",
        ".dvc/config": "",
        "data/raw.csv.dvc": "",
    }
    proposal = propose(repository(tmp_path / "shop", files))
    found = proposal.survey
    assert (found.data, found.tests, found.dvc, found.mlflow) == (("data/",), "tests/", True, ("train.py",))
    assert any(note.startswith("train.py:3 sets MLflow's server itself") for note in proposal.notes)


def test_a_required_option_is_asked_for_and_not_made_up(tmp_path: Path) -> None:
    text = TRAIN.replace("default=0.1", "required=True, help='how fast'")
    proposal = propose(repository(tmp_path / "shop", {"train.py": text}))
    assert proposal.missing == ("lr",)
    assert "lr: ??? # how fast; required" in by_path(proposal)["conf/config.yaml"]


def test_hydras_configs_are_used_as_they_are(tmp_path: Path) -> None:
    root = repository(tmp_path / "shop", SHAPES["hydra"])
    proposal = propose(root)
    assert set(by_path(proposal)) == {
        "kit_task.py", "configs/kit.yaml", "configs/experiment/baseline.yaml", ".gitignore", "pyproject.toml",
    }  # fmt: skip
    assert proposal.run == ("kit", "run")


def test_hydras_own_experiments_and_environment(tmp_path: Path) -> None:
    main = "defaults:\n  - _self_\n  - paths: default\n  - optional experiment: null\nsteps: 2\n"
    files = SHAPES["hydra"] | {
        "configs/main.yaml": main,
        "configs/paths/default.yaml": "root_dir: ${oc.env:PROJECT_ROOT}\ntoken: ${oc.env:NOT_SET_HERE}\n",
        "configs/experiment/baseline.yaml": "# @package _global_\nsteps: 3\n",
        "run.py": SHAPES["hydra"]["run.py"].replace("-> float", "-> None").replace("return cfg.model.lr", "pass"),
    }
    proposal = propose(repository(tmp_path / "shop", files))
    assert proposal.task == "run.main"  # a function that takes Hydra's config is a task as it is
    assert proposal.run == ("kit", "run", "experiment=kit_baseline")
    assert by_path(proposal)["configs/experiment/kit_baseline.yaml"].endswith(
        "paths:\n  root_dir: ${hydra:runtime.cwd}\n"
    )
    assert any("NOT_SET_HERE" in note for note in proposal.notes)
    assert any(note.startswith("The config does not compose yet:") for note in proposal.notes)


def test_configs_that_only_running_would_find(tmp_path: Path) -> None:
    text = SHAPES["hydra"]["run.py"]
    root = repository(tmp_path / "one", SHAPES["hydra"] | {"run.py": text.replace('"configs"', "__import__('os').sep")})
    with pytest.raises(UserError, match="only running it would tell"):
        propose(root)
    root = repository(tmp_path / "two", SHAPES["hydra"] | {"run.py": text.replace('"main"', '"other"')})
    with pytest.raises(UserError, match="no config 'other' in configs/"):
        propose(root)
