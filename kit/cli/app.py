"""The application: what commands there are, and each of them loaded when it is asked for."""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typer._click import Command, Context, HelpFormatter, Parameter

__all__ = ["FAMILIES", "application", "find", "load_ahead"]

FAMILIES = {
    "new": {"new": "Start a project: files, repository, environment and first commit."},
    "init": {"init": "Make an existing repository a project: its options become a config, its work a task."},
    "update": {"update": "Bring the newer template into the project, as a commit on a branch."},
    "add": {"add": "Add a layer of the template, on a branch; or an experiment, a model or a schedule, with its test."},
    "run": {"run": "Run an experiment: now, with -m once for every combination of a sweep, or as a schedule says."},
    "runs": {
        "runs": "List runs.",
        "show": "Show one run: how it ended, what it was made from, its metrics and its config.",
        "logs": "Show what a run printed.",
        "cancel": "Stop a run: politely, then after its grace by force.",
    },
    "diff": {"diff": "Show what differs between two runs: code, data, config, environment, seed, host and metrics."},
    "data": {"data": "Data: what there is, how it came about, what changed, and whether it keeps its contracts."},
    "reproduce": {
        "reproduce": "Repeat a run from its snapshot, data, environment, config and seed, and compare the results."
    },
    "explain": {
        "explain": "Say how much of a metric's change the data, the code, the config, ... are responsible for.",
        "bisect": "Find the commit, or the version of the data, with which a metric broke.",
    },
    "debug": {"debug": "Open the crash of a run with pdb, as it was; on a pipe, print it."},
    "check": {"check": "Are the conventions kept? `kit check determinism`: does a run repeat, bit for bit?"},
    "scheduled": {"scheduler": "Run the project's schedules, until it is stopped; runs go on without it."},
    "schedules": {"schedule": "Schedules: what they do and did, and what is to be done with them."},
    "status": {"status": "Is production well? Leaves with 1 if somebody has to do something."},
    "doctor": {"doctor": "Is this machine fit for work? Leaves with 3 if it is not, with 4 if a service is not."},
    "sync": {"sync": "Send the tracker what it lacks of ended runs and sweeps. Leaves with 4 if something is left."},
    "forkserver": {"forkserver": "The process that runs are forked from, with all imported."},
    "stack": {"stack": "What a team shares: PostgreSQL, S3, MLflow and the scheduler."},
    "gc": {"gc": "Show what kit keeps that nobody needs any more, and free it."},
}
"""The modules with the commands of each and the first line of their help, in the order in which help shows them.

A test compares the lines with the commands' own: so that help and completion need not load every command there is.
"""


@cache
def application() -> Command:
    """The command line as a whole."""
    app = typer.Typer(
        cls=_Kit,
        help="Machine-learning projects whose runs can be trusted, found, explained and repeated.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich would double the time that help takes
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_kit)
    return _lightened(typer.main.get_command(app))


def load_ahead(names: Iterable[str]) -> None:
    """Have these commands ready for whoever is forked from this process."""
    application()
    for name in names:
        _load(name)


def find(name: str) -> Command | None:
    """A command, loaded; None if there is none of that name."""
    return _load(name) if any(name in commands for commands in FAMILIES.values()) else None


class _Kit(TyperGroup):
    """Knows its commands by name, and loads the one that is wanted."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's, handed on
        lines = {name: line for commands in FAMILIES.values() for name, line in commands.items()}
        settings["commands"] = {name: TyperCommand(name, callback=None, help=line) for name, line in lines.items()}
        super().__init__(**settings)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name, known, rest = super().resolve_command(ctx, args)
        return name, known if name is None else _load(name), rest

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002
        """Whole lines: typer's own would cut them off."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help or "") for name, command in self.commands.items()])


@cache
def _load(name: str) -> Command:
    """The command itself; its module is imported, and no other."""
    module = next(module for module, commands in FAMILIES.items() if name in commands)
    family = typer.Typer(rich_markup_mode=None)
    import_module(f"kit.cli.{module}").register(family)
    return _lightened(typer.main.get_group(family).commands[name])


def _lightened(command: Command) -> Command:
    """Have typer convert only what needs it: loading what it does that with takes as long as typer itself."""
    params = command.get_params

    def lighter(ctx: Context) -> list[Parameter]:
        found = params(ctx)
        for param in found:
            if "process_value" not in vars(param):
                param.process_value = partial(_value, param, param.process_value)  # type: ignore[method-assign]
        return found

    command.get_params = lighter  # type: ignore[method-assign]
    for below in getattr(command, "commands", {}).values():
        _lightened(below)
    return command


def _value(param: Parameter, convert: Callable[[Context, Any], Any], ctx: Context, value: Any) -> Any:  # noqa: ANN401
    """A default is what it is declared to be, and a text that is to be one is one; all else is typer's to judge."""
    source = ctx.get_parameter_source(param.name)
    several = param.nargs != 1 or param.multiple
    as_declared = not param.required and source is not None and source.name == "DEFAULT"
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if as_declared or (annotation is str and isinstance(value, str)):
        found = () if several and value is None else value
        return found if param.callback is None else param.callback(ctx, param, found)
    return convert(ctx, value)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kit {version('mlekit')}")
        raise typer.Exit


def _kit(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options of `kit` itself."""
