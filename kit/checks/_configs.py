"""What would run: every experiment, and every schedule's choice and overrides of one, composed once for all rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.checks._places import first_line_with
from kit.checks._yaml import line_of
from kit.checks.rule import Finding
from kit.checks.tree import Tree
from kit.errors import KitError

if TYPE_CHECKING:
    from kit.config import Composed
    from kit.schedules import Loaded

__all__ = ["Planned", "finding_of", "needs_more", "planned", "schedule_file", "schedules"]

_HERE_ONLY = re.compile(r"environment variable '.*' is not set")
_MISSING = re.compile(r"no value for '")
_PLACE = re.compile(r"(?P<path>.+?)(?::(?P<line>\d+))?")
_KEY = re.compile(r"(?P<key>[\w.\[\]-]+): ")


@dataclass(frozen=True, slots=True)
class Planned:
    """A config that something runs with.

    Attributes:
        file: What asks for it: an experiment's or a schedule's.
        result: The config, or why there is none.
        schedule: The schedule's name; None for an experiment by itself.
    """

    file: str
    result: Composed | KitError
    schedule: str | None = None


def planned(tree: Tree) -> tuple[Planned, ...]:
    """Experiments first, then schedules; those that are broken themselves are not among them."""
    return tree.remember("planned", lambda: _planned(tree))


def schedules(tree: Tree) -> Loaded:
    """The project's schedules, and what is wrong with those that cannot be used."""
    return tree.remember("schedules", lambda: _load_schedules(tree))


def schedule_file(tree: Tree, name: str) -> str:
    """Where a schedule is written."""
    return f"{tree.config_dir}/schedule/{name}.yaml"


def needs_more(error: KitError, *, from_command: bool) -> bool:
    """Whether nothing is wrong but that this machine, or the command line, has to say more.

    Args:
        from_command: Whether there will be a command line: `???` in an experiment asks whoever runs it.
    """
    return bool(_HERE_ONLY.search(error.what) or (from_command and _MISSING.match(error.what)))


def finding_of(tree: Tree, error: KitError, file: str) -> Finding:
    """An error about a config as a finding, in the file and line that it is about.

    Args:
        file: Where it is if the error does not say so.
    """
    place = _PLACE.fullmatch(error.where or "")
    path, line = (place["path"], place["line"]) if place else ("", None)
    path, number = (path, int(line) if line else None) if path in tree else (file, None)
    if number is None and (key := _KEY.match(error.what)):
        number = line_of(tree, path, key["key"])
    if number is None:
        number = first_line_with(tree.text(path), *re.findall(r"'([^']+)'", error.what))
    return Finding(path, error.what, number, hint=error.fix or "")


def _load_schedules(tree: Tree) -> Loaded:
    from kit.schedules import Loaded, Schedules

    if not tree.is_kit or not any(tree.all_matching(f"{tree.config_dir}/schedule/*")):
        return Loaded({}, {})
    return Schedules(tree.project).load()


def _planned(tree: Tree) -> tuple[Planned, ...]:
    from kit import config

    experiments = tree.composed()
    found = [Planned(f"{tree.config_dir}/experiment/{name}.yaml", made) for name, made in experiments.items()]
    with config.sharing():
        for name, schedule in schedules(tree).schedules.items():
            made = _compose(tree, name, schedule.arguments)
            found.append(Planned(schedule_file(tree, name), made, name))
    return tuple(found)


def _compose(tree: Tree, name: str, arguments: tuple[str, ...]) -> Composed | KitError:
    """As a run of the schedule does, with what it finds in its environment."""
    from kit import _clock, planning
    from kit._variables import variables
    from kit.models import Origin, Request

    origin = Origin("schedule", name, 1, _clock.now())
    try:
        with variables(planning.schedule_environment(origin)):
            return planning.draft(tree.project, Request(overrides=arguments, origin=origin)).composed
    except KitError as error:
        return error
