"""The whole way from a request to a project, in kit's own template; the command itself is in integration/."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.errors import Cancelled, KitError, UserError
from kit.scaffold.answers import Answer
from kit.scaffold.effects import ALL
from kit.scaffold.new import NewProject, Request, new_project, unfinished
from kit.scaffold.template import Question
from tests.conftest import git, write

FILES_ONLY = frozenset(ALL)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., NewProject]:
    """Make a project in `out`, without side effects unless `skip` says otherwise."""
    output = tmp_path / "out"
    output.mkdir()

    def start(name: str | None = "demo", **more: object) -> NewProject:
        settings = ({} if "into" in more else {"output_dir": output}) | {"skip": FILES_ONLY} | more
        return new_project(Request(name=name, **settings))  # type: ignore[arg-type]

    return start


def test_a_name_is_enough(make: Callable[..., NewProject]) -> None:
    made = make("Late Flights", answers={"framework": "none"})
    assert made.name == "late-flights"
    assert made.root.name == "late-flights"
    assert sorted(made.added) == sorted(str(p.relative_to(made.root)) for p in made.root.rglob("*") if p.is_file())
    assert {"pyproject.toml", ".cruft.json"} <= set(made.added)
    assert [path.name for path in made.root.parent.iterdir()] == ["late-flights"]
    assert {effect.status for effect in made.effects[1:]} == {"skipped"}


def test_kit_finds_itself_again(make: Callable[..., NewProject]) -> None:
    made = make(answers={"framework": "none"})
    assert '"mlekit @ file://' in (made.root / "pyproject.toml").read_text()
    other = make("other", answers={"framework": "none", "kit_requirement": "mlekit==0.1.0"})
    assert '"mlekit==0.1.0"' in (other.root / "pyproject.toml").read_text()


def test_options_win_over_the_file_and_the_file_over_defaults(make: Callable[..., NewProject], tmp_path: Path) -> None:
    write(tmp_path, {"a.toml": 'project_name = "x1"\nframework = "none"\nci = "gitlab"\nlicense = "BSD-3-Clause"\n'})
    made = make(None, answers_file=tmp_path / "a.toml", answers={"ci": "none"})
    assert made.name == "x1"
    assert (made.answers["ci"], made.answers["license"]) == ("none", "BSD-3-Clause")
    assert not (made.root / ".gitlab-ci.yml").exists()


def test_the_author_is_whom_git_knows(make: Callable[..., NewProject]) -> None:
    write(Path.home(), {".gitconfig": "[user]\n    name = Ada\n"})
    assert make(answers={"framework": "none"}).answers["author"] == "Ada"
    assert make("two", answers={"framework": "none", "author": "Eve"}).answers["author"] == "Eve"


def test_a_name_in_git_that_cannot_be_an_answer_is_left(make: Callable[..., NewProject]) -> None:
    write(Path.home(), {".gitconfig": '[user]\n    name = "{{ x }}"\n'})
    assert "{{" not in str(make(answers={"framework": "none"}).answers["author"])


def test_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    asked: list[tuple[str, Answer]] = []

    def ask(question: Question, default: Answer) -> Answer:
        asked.append((question.name, default))
        return "none" if "none" in question.choices else default

    request = Request(name="demo", answers={"license": "MIT"}, output_dir=tmp_path, skip=FILES_ONLY)
    made = new_project(request, ask=ask)
    assert [name for name, _ in asked] == ["description", "author", "framework", "ci"]
    assert made.answers["framework"] == "none"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(), r"needs a name.*kit new NAME"),
        (Request(name="../x"), "is a path, not a name"),
        (Request(name="kit"), "would hide a package"),
        (Request(name="mlflow"), "would hide the package"),
        (Request(name="x1", answers={"framwork": "none"}), "Did you mean 'framework'"),
        (Request(name="x1", answers={"framework": "nine"}), "Choices: scikit-learn, pytorch, none"),
        (Request(name="x1", answers={"description": ""}), "description is empty"),
        (Request(name="x1", skip=frozenset({"instal"})), "Did you mean 'install'"),
        (Request(name="x1", answers_file=Path("nothing.toml")), "no such file of answers"),
        (Request(name="x1", output_dir=Path("nowhere")), "no such folder"),
        (Request(name="x1", into=Path("nowhere")), "no such folder"),
        (Request(name="x1", into=Path("taken"), output_dir=Path("taken")), "cannot both say where"),
        (Request(name="taken"), "something of that name already"),
    ],
)
def test_what_cannot_be_used_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: Request, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match=message) as caught:
        new_project(request_)
    assert caught.value.fix
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_without_git_there_is_no_commit_and_there_are_no_hooks(make: Callable[..., NewProject]) -> None:
    made = make(answers={"framework": "none"}, skip=frozenset({"git", "lock", "install"}))
    assert {effect.status for effect in made.effects[1:]} == {"skipped"}
    assert not (made.root / ".git").exists()


def test_into_a_repository_adds_what_is_missing(make: Callable[..., NewProject], tmp_path: Path) -> None:
    mine = tmp_path / "my-work"
    write(mine, {"notes.txt": "mine\n"})
    git(mine, "init", "--quiet")
    steps = frozenset({"lock", "install"})
    made = make(None, answers={"framework": "none"}, into=mine, skip=steps)
    assert (made.root, made.name) == (mine, "my-work")
    assert {"pyproject.toml", ".cruft.json"} <= set(made.added)
    assert {effect.name: effect.detail for effect in made.effects}["commit"] == "left to you"
    assert not [path for path in mine.iterdir() if path.name.startswith(".kit-new")]
    again = make(None, answers={"framework": "none"}, into=mine, skip=steps)
    assert again.added == ()


def test_into_a_repository_lists_all_conflicts_and_writes_nothing(
    make: Callable[..., NewProject], tmp_path: Path
) -> None:
    mine = tmp_path / "my-work"
    write(mine, {"README.md": "mine\n", "pyproject.toml": "mine\n"})
    with pytest.raises(UserError, match=r"2 of .*README\.md, pyproject\.toml"):
        make(None, answers={"framework": "none"}, into=mine)
    assert sorted(path.name for path in mine.iterdir()) == ["README.md", "pyproject.toml"]
    assert (mine / "README.md").read_text() == "mine\n"


def test_stopped_before_it_was_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Cancelled, match="Nothing was written") as caught, unfinished(tmp_path):
        raise KeyboardInterrupt
    assert isinstance(caught.value, KitError)


def test_cruft_knows_the_answers(make: Callable[..., NewProject]) -> None:
    made = make("Tides", answers={"framework": "none"})
    state = json.loads((made.root / ".cruft.json").read_text())
    assert state["directory"] == "template/ml-project"
    assert state["context"]["cookiecutter"]["project_name"] == "Tides"
    assert made.effects[0].name == "cruft"
