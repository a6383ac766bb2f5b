"""The contracts that a project's configs name, held by hand; and a first one, written from the data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kit import config, contracts, data
from kit._files import write_atomic
from kit._near import did_you_mean, nearest
from kit.contracts import Contract, Place, Verdict
from kit.errors import UserError, from_os_error
from kit.project import Project

__all__ = ["check", "write_first"]

_GROUP = "data"


def check(project: Project, name: str | None = None, *, again: bool = False) -> list[tuple[str, Verdict]]:
    """Hold contracts against the data that lies in the working tree.

    Args:
        name: The option of the config group `data`; None for all of them, or without such a group for the config.
        again: Also those that are known to hold.

    Returns:
        Each with the option that names it, the first one if several name the same; None of them names any if empty.

    Raises:
        UserError: If there is no such option, or a config or a contract cannot be used.
        HostError: If pandera is not installed.
        DataError: If data is not there, or cannot be read.
    """
    found: dict[tuple[str, str], tuple[str, Contract]] = {}
    for option, each in _named(project, name):
        found.setdefault((each.schema, each.path), (option, each))
    if not found:
        return []
    with contextlib.suppress(OSError):  # what holds is only not remembered
        project.paths.create_state()
    versions = data.versions(project.root, cache=project.paths.data_hashes)
    place = Place(project.root, project.paths.contracts, versions)
    return [(option, contracts.hold(each, place, again=again)) for option, each in found.values()]


def _named(project: Project, name: str | None) -> Iterator[tuple[str, Contract]]:
    settings = project.settings
    options = _options(project)
    if name is not None and name not in options:
        listed = f"There are {', '.join(options)}." if options else f"Write {settings.config_dir}/{_GROUP}/{name}.yaml."
        fix = did_you_mean(nearest(name, options)) or listed
        raise UserError(f"no data config {name!r}", where=f"{settings.config_dir}/{_GROUP}", fix=fix)
    if not options:
        composed = config.compose(project.root, settings.config_dir, settings.config_name, [])
        yield from ((settings.config_name, each) for each in contracts.named(composed.config))
    for option in options if name is None else [name]:
        yield from ((option, each) for each in contracts.named({_GROUP: _composed(project, option)}))


def _composed(project: Project, option: str) -> object:
    """What a file of the group says by itself; one that refers to the rest of the config, as part of it."""
    root, settings = project.root, project.settings
    try:
        return config.compose_group(root, settings.config_dir, f"{_GROUP}/{option}").config
    except UserError as alone:
        try:
            chosen = [f"{_GROUP}={option}"]
            return config.compose(root, settings.config_dir, settings.config_name, chosen).config.get(_GROUP)
        except UserError:
            raise alone from None


def _options(project: Project) -> list[str]:
    folder = project.root / project.settings.config_dir / _GROUP
    return sorted(file.stem for file in folder.glob("*.yaml") if not file.name.startswith((".", "_")))


def write_first(project: Project, path: str, *, name: str, target: Path | None) -> str:
    """A first contract of the data at a path, as the source of a module.

    Args:
        path: Relative to the project.
        name: What its schema is called.
        target: A file that is to have it; None writes none.

    Raises:
        UserError: If there is a file already, or nothing to learn from.
        DataError: If the data cannot be read.
    """
    if target is not None and target.exists():
        raise UserError("there is such a file already", where=str(target), fix="Name another one, or move it away.")
    if not name.isidentifier():
        raise UserError(f"{name!r} is no name in Python", fix="Use letters, digits and `_`, as `--name FLIGHTS`.")
    if not (project.root / path).exists():
        raise UserError("there is nothing to learn from", where=path, fix="Name a table, or a folder of tables.")
    text = contracts.infer(project.root / path, name=name, about=path)
    if target is not None:
        try:
            write_atomic(target, text)
        except OSError as error:
            raise from_os_error(error) from error
    return text
