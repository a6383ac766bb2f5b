"""What a template says of its earlier versions, `migrations.toml`: how answers of then are called now."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from kit.errors import HostError, UserError
from kit.scaffold.answers import check_answer
from kit.scaffold.template import Question, Template

__all__ = ["Migrations", "Moved", "read_migrations"]

_NAME = "migrations.toml"


@dataclass(frozen=True, slots=True)
class Moved:
    """Recorded answers as the template calls them now.

    Attributes:
        context: All answers.
        renamed: The new names of variables, by the old ones.
        chosen: Answers that are called otherwise now, by the new names of their variables.
    """

    context: dict[str, object]
    renamed: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Migrations:
    """The file.

    Attributes:
        renamed: What variables are called now, by what they were called in earlier versions.
        choices: For variables, by their names of now: what answers are called now, by what they were called.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def move(self, template: Template, context: Mapping[str, object]) -> Moved:
        """Bring recorded answers to what the template asks now; what it does not know of stays as it is."""
        asked = {question.name: question for question in template.questions}
        moved = Moved(dict(context))
        for old in context:
            name = _follow(self.renamed, old, asked.__contains__)
            if name != old and name not in context:
                moved.context[name] = moved.context.pop(old)
                moved.renamed[old] = name
        for name in asked.keys() & self.choices.keys() & moved.context.keys():
            question, answer = asked[name], moved.context[name]
            old = answer if isinstance(answer, str) else json.dumps(answer)
            new = _follow(self.choices[name], old, partial(_taken, question))
            if new != old:
                moved.context[name] = moved.chosen[name] = new
        return moved


def read_migrations(template: Template) -> Migrations:
    """Read the template's file; a template that never renamed anything has none.

    Raises:
        HostError: If it cannot be read.
    """
    path = template.path / _NAME
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        choices = {str(name): _texts(table) for name, table in tables.get("choices", {}).items()}
        return Migrations(_texts(tables.get("renamed", {})), choices)
    except FileNotFoundError:
        return Migrations()
    except (AttributeError, OSError, ValueError) as error:
        what = f"the template cannot be read: {error}"
        raise HostError(what, where=str(path), fix="Report it as a fault of the template.") from error


def _texts(table: Mapping[str, object]) -> dict[str, str]:
    return {str(old): new if isinstance(new, str) else json.dumps(new) for old, new in table.items()}


def _follow(table: Mapping[str, str], old: str, known: Callable[[str], bool]) -> str:
    """What something is called now, over several changes; as it was, where that leads to nothing known."""
    name, seen = old, {old}
    while not known(name):
        name = table.get(name, name)
        if name in seen:
            return old
        seen.add(name)
    return name


def _taken(question: Question, answer: str) -> bool:
    try:
        check_answer(question, answer, where=_NAME)
    except UserError:
        return False
    return True
