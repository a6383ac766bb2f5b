"""The wrapper: the user's code does with the config what it does with its own defaults."""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from kit import config
from kit.adopt import Option, apply, propose
from kit.adopt._argparse import options_of
from kit.adopt._source import parse
from kit.adopt._wrapper import Place, config_lines, fields_of, place_of, wrapper
from kit.adopt.model import Call, Entry
from kit.project import open_project
from tests.adopting import SHAPES, repository


@pytest.fixture
def _own_modules(tmp_path: Path) -> Iterator[None]:
    """Each test imports the modules of a repository of its own, which have the same names."""
    path, argv = list(sys.path), list(sys.argv)
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:], sys.argv[:] = path, argv


def run_task(root: Path, overrides: list[str]) -> Any:
    """What `kit run` does in the run's own process, here."""
    settings = open_project(root).settings
    composed = config.compose(root, settings.config_dir, settings.config_name, overrides)
    task = config.load_task(composed.task, root)
    parameters = config.task_parameters(task)
    return task(config.task_config(parameters, composed.config, where=composed.origins.get))


def last_line(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


@pytest.mark.usefixtures("_own_modules")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_gets_what_the_script_itself_would_have(
    shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SHAPES[shape]
    root = repository(tmp_path / "shop", files)
    monkeypatch.chdir(root)
    proposal = propose(root)
    words = str(files.get("entry", proposal.entry.path)).split()
    environment = {"PYTHONPATH": f"{root}:{root / 'src'}", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    original = subprocess.run(
        [sys.executable, *words, *files.get("arguments", [])],
        cwd=root, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    apply(root, proposal)
    run_task(root, list(proposal.run[2:]))
    assert last_line(capsys.readouterr().out) == last_line(original.stdout)


@pytest.mark.usefixtures("_own_modules")
@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ("argparse: a main that parses", Call.ARGV),
        ("argparse: a function of a namespace", Call.NAMESPACE),
        ("argparse: a main that takes a command line", Call.ARGUMENTS),
        ("argparse: all at the top level", Call.SCRIPT),
        ("argparse: a package whose files import each other by their bare names", Call.ARGV),
        ("argparse: options in another file", Call.SCRIPT),
        ("click: plain types", Call.FUNCTION),
        ("click: types that click converts", Call.ARGUMENTS),
        ("typer", Call.FUNCTION),
        ("typer: a default that only it knows", Call.SCRIPT),
        ("a plain function", Call.FUNCTION),
        ("a script that reads sys.argv", Call.ARGV),
        ("a script", Call.SCRIPT),
        ("hydra", Call.CONFIG),
    ],
)
def test_the_users_own_function_is_called_where_that_is_possible(shape: str, call: Call, tmp_path: Path) -> None:
    proposal = propose(repository(tmp_path / "shop", SHAPES[shape]))
    assert proposal.entry.call is call
    why_not = call not in {Call.FUNCTION, Call.NAMESPACE, Call.CONFIG} and shape != (
        "argparse: a main that takes a command line"
    )
    assert bool(proposal.entry.why) is why_not
    for change in proposal.changes:
        if change.path.endswith(".py"):
            assert all(len(line) <= 120 for line in change.after.splitlines())
            said = " ".join((ast.get_docstring(ast.parse(change.after)) or "").split())
            assert said.endswith(f"{proposal.entry.why}." if why_not else "yours from now on.")


@pytest.mark.usefixtures("_own_modules")
@pytest.mark.parametrize(
    ("shape", "overrides", "expected"),
    [
        (
            "argparse: a main that parses",
            ["lr=0.5", "no_cuda=true", "fancy=false", "cache=false", "layers=[1,2]", "tag=[a,b]", "verbose=2", "n=7",
             "load=model.pt", "checked=true", "tiny=0.2", "lambda_=2", "data=other.csv", "name_=x", "resume=last"],
            {"lr": "0.5", "no_cuda": "True", "fancy": "False", "cache": "False", "layers": "[1, 2]",
             "tag": "['a', 'b']", "verbose": "2", "n": "7", "load": "model.pt", "checked": "True", "tiny": "0.2",
             "lambda": "2.0", "data": "other.csv", "name": "x", "resume": "last"},
        ),
        ("argparse: a function of a namespace", ["task_=many", "epochs=9"], {"task": "many", "epochs": "9"}),
        ("click: plain types", ["layers=[1]", "fast=true", "kind=a"], {"layers": "[1]", "fast": "True", "kind": "a"}),
        ("click: types that click converts", ["dry_run=true", "out=x"], {"dry_run": "True", "out": "x"}),
        ("typer", ["data=a/b", "fast=false"], {"data": "a/b", "fast": "False"}),
        ("typer: a default that only it knows", ["out=/tmp/there"], {"out": "there"}),
        ("a plain function", ["name_=x", "hidden=[1]"], {"name": "x", "hidden": "[1]"}),
        ("a script that reads sys.argv", ["arguments=['--x=1',b]"], {"words": "['--x=1', 'b']"}),
        ("hydra", ["model.lr=3"], {"lr": "3"}),
    ],
)  # fmt: skip
def test_overrides_reach_the_users_code(
    shape: str,
    overrides: list[str],
    expected: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = repository(tmp_path / "shop", SHAPES[shape])
    monkeypatch.chdir(root)
    proposal = propose(root)
    apply(root, proposal)
    run_task(root, [*proposal.run[2:], *overrides])
    printed = last_line(capsys.readouterr().out)
    assert {name: printed[name] for name in expected} == expected


@pytest.mark.usefixtures("_own_modules")
@pytest.mark.parametrize(
    ("shape", "metrics"),
    [
        ("a plain function", {"loss": 0.5}),
        ("argparse: a function of a namespace", {"loss": 0.5}),
        ("hydra", {"objective": 0.5}),
        ("argparse: a main that takes a command line", None),
    ],
)
def test_what_the_function_returns_is_the_runs_metrics(
    shape: str, metrics: dict[str, float] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "shop", SHAPES[shape])
    monkeypatch.chdir(root)
    proposal = propose(root)
    apply(root, proposal)
    assert run_task(root, list(proposal.run[2:])) == metrics


@pytest.mark.usefixtures("_own_modules")
def test_a_command_that_leaves_with_a_status_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "train.py": """
            import argparse, sys

            def main(argv=None) -> int:
                parser = argparse.ArgumentParser()
                parser.add_argument("--code", type=int, default=0)
                return parser.parse_args(argv).code

            if __name__ == "__main__":
                sys.exit(main())
            """
    }
    root = repository(tmp_path / "shop", files)
    monkeypatch.chdir(root)
    apply(root, propose(root))
    assert run_task(root, []) is None
    with pytest.raises(SystemExit, match="3"):
        run_task(root, ["code=3"])


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
_VALUES = {
    "int": st.integers(-(10**9), 10**9),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str": _WORDS,
}
# In a list a word with a `-` in front is the next option, for argparse as for everybody.
_ITEMS = {"int": st.integers(0, 10**9), "float": st.floats(0, 1e9), "str": _WORDS.filter(lambda word: word[:1] != "-")}
_CONVERT = {"int": int, "float": float, "str": str}


@st.composite
def _options(draw: st.DrawFn) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Calls of `add_argument`, as people write them; values to give, and what is expected of them."""
    calls, values, expected = [], {}, {}
    for index in range(draw(st.integers(1, 4))):
        kind, several, typed = draw(st.sampled_from(list(_VALUES))), draw(st.booleans()), draw(st.booleans())
        strategy: st.SearchStrategy[Any] = st.lists(_ITEMS[kind], min_size=1, max_size=3) if several else _VALUES[kind]
        default, value = draw(st.none() | strategy), draw(strategy)
        shown = [f"default={default!r}", *([f"type={kind}"] if typed else []), *(['nargs="*"'] if several else [])]
        calls.append(f'parser.add_argument("--option-{index}", {", ".join(shown)})')
        values[f"option_{index}"] = value
        convert: Callable[[Any], Any] = _CONVERT[kind] if typed else str
        changed = [convert(item) for item in value] if several else convert(value)
        expected[f"option_{index}"] = value if value == default else changed
    if draw(st.booleans()):
        calls.append('parser.add_argument("--flag", action="store_true")')
        values["flag"] = expected["flag"] = draw(st.booleans())
    return calls, values, expected


@given(_options())
def test_a_command_line_of_the_config_means_the_config(
    drawn: tuple[list[str], dict[str, Any], dict[str, Any]],
) -> None:
    calls, values, expected = drawn
    parser = argparse.ArgumentParser(exit_on_error=False)
    for call in calls:
        eval(call, {"parser": parser})
    module = parse("train.py", "\n".join(["import argparse", "parser = argparse.ArgumentParser()", *calls]))
    assert module is not None
    options, unread = options_of(module)
    assert not unread
    entry = Entry("train.py", "main", "argparse", Call.ARGV, "", tuple(options))
    scope: dict[str, Any] = {"__name__": __name__, "__file__": "made.py"}
    text = wrapper(entry, Place("train", ""), "").replace("import train as source", "")
    exec(compile(text, "made.py", "exec", dont_inherit=True), scope)
    defaults = OmegaConf.to_container(OmegaConf.create("\n".join(config_lines(entry))))
    assert isinstance(defaults, dict)
    words = scope["_arguments"](argparse.Namespace(**{str(name): value for name, value in defaults.items()}))
    assert vars(parser.parse_args(words)) == vars(parser.parse_args([]))
    words = scope["_arguments"](argparse.Namespace(**values))
    assert vars(parser.parse_args(words)) == expected


def test_odd_names_and_helps_are_still_python() -> None:
    option = Option("x", type="str", help="a \\ and \"\"\" and '''", flags=("--x",))
    entry = Entry('odd "\\name.py', None, "argparse", Call.SCRIPT, 'only its parser knows "', (option,))
    ast.parse(wrapper(entry, place_of(entry.path, []), ""))


def test_names_that_mean_something_else_in_a_config_get_another() -> None:
    options = tuple(Option(name, type="str") for name in ("task", "lambda", "seed", "_x", "a-b", "lr"))
    entry = Entry("train.py", None, "argparse", Call.SCRIPT, options=options)
    assert list(fields_of(entry)) == ["task_", "lambda_", "seed_", "x", "a_b", "lr"]
    whole = Entry("train.py", None, "argparse", Call.SCRIPT, options=(Option("seed", type="int | None"),))
    assert list(fields_of(whole)) == ["seed"]  # kit's own, and the same


@pytest.mark.parametrize(
    ("path", "files", "expected"),
    [
        ("train.py", [], Place("train", "")),
        ("src/train.py", [], Place("train", "src")),
        ("src/train.py", ["src/__init__.py"], Place("src.train", "")),
        ("src/a/b/train.py", ["src/a/__init__.py", "src/a/b/__init__.py"], Place("a.b.train", "src")),
        ("scripts/train.py", [], Place("train", "scripts")),
        ("python/a/train.py", ["python/a/__init__.py"], Place("a.train", "python")),
        ("train-model.py", [], Place(None, "")),
    ],
)
def test_where_a_file_is_among_modules(path: str, files: list[str], expected: Place) -> None:
    assert place_of(path, files) == expected
