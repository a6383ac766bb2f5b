"""Which file is the one that trains."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kit.adopt._argparse import options_of
from kit.adopt._click import click_entry
from kit.adopt._source import NO_VALUE, parse
from kit.adopt._types import field_type
from kit.adopt.entries import choose
from kit.adopt.model import Call, Option
from kit.adopt.survey import list_files
from kit.errors import UserError
from tests.adopting import repository

PARSES = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int, default=1)
    args = parser.parse_args()
    """


def chosen(tmp_path: Path, files: dict[str, Any], wanted: str | None = None) -> str:
    root = repository(tmp_path / "shop", files)
    return choose(root, list_files(root), wanted).label


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"train.py": PARSES, "evaluate.py": PARSES, "utils.py": PARSES}, "train.py"),
        ({"main.py": PARSES, "predict.py": PARSES, "setup.py": PARSES}, "main.py"),
        ({"scripts/train_model.py": PARSES, "tests/train.py": PARSES}, "scripts/train_model.py"),
        ({"a.py": "def train(lr: float = 1):\n    pass\n", "b.py": "x = 1\n"}, "a.py:train"),
        ({"odd.py": PARSES}, "odd.py"),
        ({"broken.py": "def main(:\n", "main.py": PARSES}, "main.py"),
    ],
)
def test_the_likeliest(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert chosen(tmp_path, files) == expected


@pytest.mark.parametrize(
    ("files", "wanted", "message"),
    [
        ({"a.py": "x = 1\n"}, None, "no entry point"),
        ({"a/train.py": PARSES, "b/train.py": PARSES}, None, "2 files are as likely"),
        ({"a/train.py": PARSES, "b/main.py": PARSES, "c/main.py": PARSES}, None, "3 folders may be what you mean"),
        ({"train.py": PARSES}, "tran.py", "no file 'tran.py'"),
        ({"train.py": "def train(x: int = 1): ...\n"}, "train.py:trian", "no function 'trian'"),
        ({"train.py": "def train(model): ...\n"}, "train.py:train", "a config cannot hold train"),
        ({"train.py": "def train(:\n"}, "train.py", "not a Python file"),
        ({"a.py": "x = 1\n"}, "a.py", "a config cannot hold what it does"),
    ],
)
def test_when_it_has_to_be_said(files: dict[str, str], wanted: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        chosen(tmp_path, files, wanted)
    assert caught.value.fix


def test_it_can_be_named(tmp_path: Path) -> None:
    files = {"train.py": PARSES, "other.py": "def fit(lr: float = 0.1, model=print): ...\n"}
    assert chosen(tmp_path, files, "./other.py:fit") == "other.py:fit"


@pytest.mark.parametrize(
    ("text", "call", "why"),
    [
        ("def train(x: int = 1): ...\ntrain()\n", Call.SCRIPT, "importing the file starts its work"),
        ("def train(x: int = 1): ...\n", Call.FUNCTION, ""),
        (f"{dedent(PARSES)}\ndef main():\n    print(args)\nif __name__ == '__main__':\n    main()\n",
         Call.SCRIPT, "importing the file starts its work"),
        ("import typer\ndef main(x: int = 1): ...\ntyper.run(main)\n",
         Call.SCRIPT, "importing the file starts its work"),
        ("import typer\ndef main(x: dict = {}): ...\nif __name__ == '__main__':\n    typer.run(main)\n",
         Call.SCRIPT, "typer has to read its options: x, whose type no config has"),
    ],
)  # fmt: skip
def test_importing_must_not_start_the_work(text: str, call: Call, why: str, tmp_path: Path) -> None:
    root = repository(tmp_path / "shop", {"train.py": text})
    entry = choose(root, list_files(root), None)
    assert (entry.call, entry.why) == (call, why)


def test_values_that_the_guard_gives_are_the_defaults(tmp_path: Path) -> None:
    text = """
        RATE = 0.5

        def train(path, epochs: int = 3, rate: float = 0.1, name=None, hidden=(1,)):
            pass

        if __name__ == "__main__":
            train("data.csv", epochs=20, rate=RATE, name=input())
        """
    root = repository(tmp_path / "shop", {"train.py": text})
    assert choose(root, list_files(root), None).options == (
        Option("path", "str", "data.csv"),
        Option("epochs", "int", 20),
        Option("rate", "float", 0.5),
        Option("name", "str | None"),
        Option("hidden", "list[int]", [1]),
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("'--x', type=float, default=1", Option("x", "float", 1.0, flags=("--x",))),
        ("'--x', type=int, default='3'", Option("x", "int", 3, flags=("--x",))),
        ("'-x', '--long-name'", Option("long_name", "str | None", flags=("--long-name",))),
        ("'--x', dest='y', type=int, required=True", Option("y", "int", flags=("--x",), required=True)),
        ("'--x', choices=[1, 2], type=int, default=SIZE", Option("x", "Literal[1, 2]", 2, flags=("--x",))),
        ("'--x', type=int, default=cpu_count()",
         Option("x", "int | None", flags=("--x",), computed="cpu_count()")),
        ("'--x', type=pathlib.Path, default=pathlib.Path('a')", Option("x", "Path", "a", flags=("--x",))),
        ("'--x', action='append', type=int", Option("x", "list[int] | None", flags=("--x",), form="repeated")),
        ("'x', nargs='+'", Option("x", "list[str]", form="positional", required=True)),
        ("'--x', default=argparse.SUPPRESS, help=argparse.SUPPRESS",
         Option("x", "str | None", flags=("--x",), computed="argparse.SUPPRESS")),
    ],
)  # fmt: skip
def test_options_of_argparse(arguments: str, expected: Option) -> None:
    text = (
        f"import argparse, pathlib\nSIZE = 1 + 1\nparser = argparse.ArgumentParser()\nparser.add_argument({arguments})"
    )
    module = parse("train.py", text)
    assert module is not None
    assert options_of(module) == ([expected], [])


@pytest.mark.parametrize(
    ("line", "unread"),
    [
        ("parser.add_argument(f'--{name}')", "an option whose name is computed"),
        ("parser.add_argument('--x', **more)", "--x, whose settings are computed"),
        ("parser.add_argument('--x', action=Own)", "--x, whose action is Own"),
        ("parser.add_argument('--x', nargs=argparse.REMAINDER)", "--x, which takes any number of words"),
        ("parser.add_argument('--x', default=[1])", "--x, whose default is a list"),
        ("parser.add_argument('--x', action='append', default=['a'])", "--x, which adds to a default"),
        ("parser.add_subparsers().add_parser('x').add_argument('--y')", "subcommands"),
    ],
)
def test_what_cannot_be_read_is_said(line: str, unread: str) -> None:
    module = parse("train.py", f"import argparse\nparser = argparse.ArgumentParser()\n{line}")
    assert module is not None
    assert options_of(module) == ([], [f"train.py:3: {unread}"])


def test_defaults_that_are_set_later_win() -> None:
    calls = ("add_argument('--x', type=int)", "set_defaults(x=4)", "add_argument('--version', action='version')")
    module = parse("train.py", "\n".join(f"parser.{call}" for call in calls))
    assert module is not None
    assert options_of(module) == ([Option("x", "int", 4, flags=("--x",))], [])


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 ** 10", 1024), ("-1e-3", -0.001), ("(1, 2)", [1, 2]), ("1 / 0", NO_VALUE), ("9 ** 9 ** 9", NO_VALUE),
     ("A", 3), ("B", NO_VALUE), ("[1, f()]", NO_VALUE), ("None", None), ("6 - 2 + 1", 5), ("{'a': 1}", NO_VALUE)],
)  # fmt: skip
def test_values_that_a_text_tells(text: str, value: object) -> None:
    module = parse("a.py", f"A = 3\nB = 1\nB = 2\nwanted = {text}")
    assert module is not None
    assert module.value(module.constants["wanted"]) == value


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("int", "int"),
        ("'float'", "float"),
        ("Optional[str]", "str | None"),
        ("pathlib.Path | None", "Path | None"),
        ("str | pathlib.Path", "Path"),
        ("Union[int, float]", "float"),
        ("List[int]", "list[int]"),
        ("tuple[float, ...]", "list[float]"),
        ("Literal['a', 'b']", 'Literal["a", "b"]'),
        ("Annotated[int, 'rows']", "int"),
        ("list", "list[str]"),
        ("dict[str, int]", None),
        ("'not an annotation('", None),
        ("Model", None),
    ],
)
def test_annotations_that_a_config_can_hold(annotation: str, expected: str | None) -> None:
    module = parse("a.py", f"import pathlib\nfrom typing import *\ndef f(x: {annotation}): ...")
    assert module is not None
    assert field_type(module, module.functions["f"].args.args[0].annotation) == expected


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        ("option('--x', type=click.IntRange(0, 9), default=3)", Option("x", "int", 3, flags=("--x",))),
        ("option('--x/--no-x', default=True)", Option("x", "bool", True, flags=("--x", "--no-x"), form="either")),
        ("option('-x', '--ex', 'y', required=True)", Option("y", "str", flags=("--ex",), required=True)),
        ("option('--x', type=Own())", Option("x", "str | None", flags=("--x",), converted=True)),
        ("option('--x', default=cpu_count())",
         Option("x", "str | None", flags=("--x",), computed="cpu_count()")),
        ("option('--x', nargs=2, type=float)", Option("x", "list[float] | None", flags=("--x",), form="list")),
        ("argument('x')", Option("x", "str", form="positional", required=True)),
        ("argument('x', nargs=-1)", Option("x", "list[str]", [], form="positional")),
    ],
)  # fmt: skip
def test_options_of_click(decorator: str, expected: Option) -> None:
    module = parse("a.py", f"import click\n@click.command()\n@click.{decorator}\ndef f(x): ...")
    assert module is not None
    entry = click_entry(module, module.functions["f"])
    assert entry is not None
    assert entry.options == (expected,)


@pytest.mark.parametrize(
    "decorator",
    ["click.option(name)", "click.option('--x', **more)", "click.option('--x', is_flag=True, default=True)", "common"],
)
def test_options_of_click_that_only_click_can_read(decorator: str) -> None:
    module = parse("a.py", f"import click\n@click.command()\n@{decorator}\ndef f(x): ...")
    assert module is not None
    entry = click_entry(module, module.functions["f"])
    assert entry is not None
    assert (entry.call, entry.options, len(entry.unread)) == (Call.ARGUMENTS, (), 1)
