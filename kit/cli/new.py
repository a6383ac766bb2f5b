"""`kit new`: start a project."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from kit.cli.render import console, print_json
from kit.errors import KitError
from kit.scaffold.effects import Observer

if TYPE_CHECKING:
    from rich.console import Console

    from kit.scaffold.effects import Effect
    from kit.scaffold.new import NewProject
    from kit.scaffold.template import Question

__all__ = ["new", "register"]

_MARKS = {"ok": ("✓", "green"), "skipped": ("-", "dim"), "failed": ("✗", "red")}


def _questions() -> dict[str, Question]:
    """What the template asks, for the help texts; empty in an installation without a template."""
    from kit.scaffold.template import load_template, template_root

    with contextlib.suppress(KitError):
        return {question.name: question for question in load_template(template_root()).questions}
    return {}


def _choices(name: str, words: str) -> str:
    question = _questions().get(name)
    return f"{words}." if question is None else f"{words}: {', '.join(question.choices)}."


def _extras() -> str:
    names = ", ".join(question.name.lstrip("_") for question in _questions().values() if question.private)
    return f"Set an extra of the template; repeatable. Extras: {names}." if names else "Set an extra of the template."


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("new")(new)


def new(  # noqa: PLR0913 - typer wants one parameter for each option
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The project's name; its folder and package follow from it.")
    ] = None,
    *,
    description: Annotated[str | None, typer.Option(help="What the project is for, in one sentence.")] = None,
    author: Annotated[str | None, typer.Option(help="Who its authors are. Default: the name that git knows.")] = None,
    framework: Annotated[str | None, typer.Option(help=_choices("framework", "Which example to start from"))] = None,
    license_: Annotated[str | None, typer.Option("--license", help=_choices("license", "The license"))] = None,
    ci: Annotated[str | None, typer.Option(help=_choices("ci", "Which service runs the tests on each push"))] = None,
    answers: Annotated[Path | None, typer.Option(metavar="FILE", help="Answers as TOML, JSON or YAML.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=_extras())] = None,
    output_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where to put the project's folder.")] = Path(),
    into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Add the files to this folder; nothing is overwritten.")
    ] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing; take the defaults.")] = False,
    no_git: Annotated[bool, typer.Option("--no-git", help="Make no repository.")] = False,
    no_commit: Annotated[bool, typer.Option("--no-commit", help="Make no first commit.")] = False,
    no_dvc: Annotated[bool, typer.Option("--no-dvc", help="Do not check DVC's files.")] = False,
    no_lock: Annotated[bool, typer.Option("--no-lock", help="Do not lock the dependencies.")] = False,
    no_install: Annotated[bool, typer.Option("--no-install", help="Do not install the project.")] = False,
    no_hooks: Annotated[bool, typer.Option("--no-hooks", help="Do not install the pre-commit hooks.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Start a project: files, repository, environment and first commit.

    Every answer is checked before anything is written, and a step that this machine cannot do now, such as
    installing without a network, is reported with the command that does it later.
    """
    from kit.cli._asking import asker
    from kit.scaffold.answers import parse_pairs
    from kit.scaffold.effects import Observer
    from kit.scaffold.new import Request, new_project

    options = {"description": description, "author": author, "framework": framework, "license": license_, "ci": ci}
    skips = {
        "git": no_git, "commit": no_commit, "dvc": no_dvc, "lock": no_lock, "install": no_install, "hooks": no_hooks
    }  # fmt: skip
    request = Request(
        name=name,
        answers={key: value for key, value in options.items() if value is not None} | parse_pairs(set_ or []),
        answers_file=answers,
        output_dir=output_dir,
        into=into,
        skip=frozenset(step for step, unwanted in skips.items() if unwanted),
    )
    asks = sys.stdin.isatty() and not no_input and not json_
    with contextlib.ExitStack() as stack:
        observer = Observer() if json_ else stack.enter_context(_Progress(console()))
        made = new_project(request, ask=asker(console()) if asks else None, observer=observer)
    if json_:
        print_json(_as_json(made))
    else:
        _show_next(console(), made)


class _Progress(Observer):
    """One line for each effect; on a terminal also what is being waited for."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._status = out.status("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()  # also after Ctrl-C, which would leave the cursor hidden

    def begin(self, name: str) -> None:
        if self._out.is_terminal:
            self._status.update(f"{name} ...")
            self._status.start()

    def end(self, effect: Effect) -> None:
        from rich.text import Text

        self._status.stop()
        mark, style = _MARKS[effect.status]
        word = mark if self._out.is_terminal else f"{effect.status:<7}"
        line = Text.assemble((f"{word} ", style), (f"{effect.name:<8}", "bold"), effect.detail)
        self._out.print(line, soft_wrap=True)
        if effect.fix is not None:
            self._out.print(Text(f"  {effect.fix}", style="yellow"), soft_wrap=True)


def _show_next(out: Console, made: NewProject) -> None:
    from rich.text import Text

    out.print()
    out.print(Text.assemble(("Made ", "bold"), f"{made.root}, {len(made.added)} files. Next:"), soft_wrap=True)
    for step in _next_steps(made):
        out.print(Text(f"  {step}", style="cyan"), soft_wrap=True)


def _next_steps(made: NewProject) -> list[str]:
    """What to type now; installing first if that could not be done yet."""
    here = Path.cwd()
    folder = made.root.relative_to(here) if made.root.is_relative_to(here) else made.root
    steps = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    if not (made.root / ".venv").is_dir():
        steps.append("uv sync")
    return [*steps, "source .venv/bin/activate", "kit run"]


def _as_json(made: NewProject) -> dict[str, Any]:
    return {
        "path": str(made.root),
        "name": made.name,
        "answers": made.answers,
        "files": list(made.added),
        "effects": [
            {"name": one.name, "status": one.status, "detail": one.detail, "fix": one.fix} for one in made.effects
        ],
        "next": _next_steps(made),
    }
