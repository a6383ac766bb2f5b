"""`kit check`: the conventions as rules; and `kit check determinism`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from kit.errors import ExitCode, UserError

if TYPE_CHECKING:
    from typer._click import Command, Context

    from kit.checks.engine import Report
    from kit.project import Project
    from kit.settings import CheckSettings

__all__ = ["check", "register"]

_DETERMINISM = "determinism"


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    JUNIT = "junit"


class _Check(TyperCommand):
    """Takes paths, and is a command with another below it: the first word says which."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> Context:
        if args[:1] == [_DETERMINISM]:
            return _determinism().make_context(f"{info_name} {_DETERMINISM}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("check", cls=_Check)(check)


def _determinism() -> Command:
    from kit.cli._determinism import check_determinism

    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(_DETERMINISM)(check_determinism)
    return typer.main.get_command(app)


def _offered(incomplete: str) -> Iterator[str]:
    """What could come next on the command line: the other command, and files."""
    if _DETERMINISM.startswith(incomplete):
        yield _DETERMINISM
    if incomplete:
        folder, _, beginning = incomplete.rpartition("/")
        for path in sorted(Path(folder or ".").glob(f"{beginning}*")):
            yield f"{path}/" if path.is_dir() else str(path)


_Words = list[str] | None


def check(  # noqa: PLR0913 - typer wants one parameter for each option
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files and folders; all if none.", autocompletion=_offered),
    ] = None,
    *,
    select: Annotated[
        _Words, typer.Option(metavar="RULE", help="Only this: KIT301, KIT3, a name; also KIT1,KIT2; repeatable.")
    ] = None,
    ignore: Annotated[_Words, typer.Option(metavar="RULE", help="Not this, in the same words; repeatable.")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only files that differ from the last commit.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Only files that differ from where this branched off.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended by itself.")] = False,
    output: Annotated[Format, typer.Option("--format", help="How to print what is found.")] = Format.TEXT,
    listing: Annotated[bool, typer.Option("--list", help="List the rules.")] = False,
    explain: Annotated[str | None, typer.Option(metavar="RULE", help="Show a rule's page.")] = None,
) -> int:
    """Are the conventions kept? `kit check determinism`: does a run repeat, bit for bit?

    Leaves with 1 if anything was found that is more than a note.
    """
    if explain is not None:
        return _explain(explain)
    from kit.checks import engine, files
    from kit.cli._command_lines import fault

    project = files.any_project(Path.cwd())
    codes = _codes(project.settings.check, _words(select), _words(ignore))
    if listing:
        return _list(codes, output)
    only = _only(project, paths or (), changed=changed, since=since)
    report = engine.check(project, codes=codes, only=only, fix=fix, typed=fault)
    _print(report, output, project)
    return ExitCode.RUN if report.fails else ExitCode.OK


def _words(given: Iterable[str] | None) -> list[str]:
    return [word.strip() for text in given or () for word in text.split(",") if word.strip()]


def _codes(settings: CheckSettings, select: list[str], ignore: list[str]) -> frozenset[str]:
    """What the command says wins: a rule that is asked for by it is looked after, whatever the settings leave out."""
    from kit.checks import registry

    where = "pyproject.toml, [tool.kit.check]"
    for exception in settings.exceptions:
        registry.select([exception.rule], where=where)
    set_up = registry.select(settings.select, settings.ignore, where=where)
    return registry.select(select, ignore) if select else set_up - (registry.select() - registry.select((), ignore))


def _only(project: Project, paths: Iterable[Path], *, changed: bool, since: str | None) -> frozenset[str] | None:
    from kit.checks import files

    given = list(paths)
    if (changed or since is not None) and given:
        raise UserError("paths are given, and asked for by --changed or --since", fix="Leave out one of them.")
    if changed or since is not None:
        return files.changed(project, since=since)
    return files.named(project, given) if given else None


def _print(report: Report, output: Format, project: Project) -> None:
    from kit.cli import _check_formats, _check_text

    if output is Format.TEXT:
        _check_text.show(report)
    else:
        _check_formats.write(report, output.value, project.root)


def _list(codes: frozenset[str], output: Format) -> int:
    from kit.checks import engine, registry
    from kit.cli import _check_text

    rules = [engine.WITHOUT_REASON, engine.UNUSED, *registry.every()]
    if output is Format.JSON:
        from kit.cli.render import print_json

        keys = ("code", "name", "severity", "scope", "summary")
        print_json([{key: getattr(one, key) for key in keys} | {"on": one.code in codes} for one in rules])
    elif output is Format.TEXT:
        _check_text.show_rules(rules, codes)
    else:
        raise UserError(f"no list of rules as {output.value}", fix="Take `--format text` or `--format json`.")
    return ExitCode.OK


def _explain(word: str) -> int:
    from kit.checks import pages, registry
    from kit.cli import _check_text

    found = sorted(registry.select([word]))
    if len(found) > 1:
        raise UserError(f"{word!r} means {len(found)} rules", fix=f"Name one: {', '.join(found)}.")
    _check_text.show_page(pages.page(found[0]))
    return ExitCode.OK
