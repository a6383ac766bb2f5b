"""What a project says of its template: `.cruft.json`, as cruft reads and writes it, so that both serve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kit.errors import UserError, from_os_error

__all__ = ["NAME", "State", "read_state"]

NAME = ".cruft.json"


@dataclass(frozen=True, slots=True)
class State:
    """The state file.

    Attributes:
        template: A git URL or the path of a repository.
        commit: The commit or tag that the project was last rendered from.
        checkout: The branch that updates follow; None for the default one. From cruft it may be a tag, which is none.
        context: Every answer, derived variables included.
        directory: The template's folder in the repository.
        skip: Paths and patterns that updates leave alone.
    """

    template: str
    commit: str
    checkout: str | None
    context: dict[str, Any]
    directory: str | None
    skip: tuple[str, ...]

    def skips(self, path: str) -> bool:
        """Whether updates leave this file, or a folder that it is in, alone."""
        whole = PurePosixPath(path)
        return any(part.match(pattern) for part in (whole, *whole.parents) for pattern in self.skip)


def read_state(root: Path) -> State:
    """Read the project's state.

    Raises:
        UserError: If there is none, or it is not what cruft writes.
        HostError: If it cannot be read.
    """
    path = root / NAME
    try:
        raw = json.loads(path.read_text("utf-8"))
        return State(
            template=_text(raw["template"]),
            commit=_text(raw["commit"]),
            checkout=None if raw.get("checkout") is None else _text(raw["checkout"]),
            context=dict(raw["context"]["cookiecutter"]),
            directory=None if raw.get("directory") is None else _text(raw["directory"]),
            skip=tuple(_text(one) for one in raw.get("skip") or ()),
        )
    except FileNotFoundError as error:
        fix = "Say where it came from: `cruft link URL --directory template/ml-project`."
        raise UserError("the project does not say which template it came from", where=str(path), fix=fix) from error
    except OSError as error:
        raise from_os_error(error) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "Bring it back from git: `git checkout HEAD -- .cruft.json`."
        raise UserError("the state of the template cannot be read", where=str(path), fix=fix) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
