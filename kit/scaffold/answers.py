"""Check every answer before anything is written. An answer is data: it is never run as part of the template."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import sys
import sysconfig
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

from kit import _near
from kit.errors import UserError, from_os_error
from kit.scaffold.template import Question

__all__ = [
    "NAME",
    "Answer",
    "Ask",
    "check_answer",
    "check_answers",
    "check_folder",
    "nearest",
    "parse_pairs",
    "read_answers",
]

Answer = str | bool
Ask = Callable[[Question, Answer], Answer]
"""Asks a person one question, given the default."""
NAME = "project_name"
"""The variable with the project's name, from which the template makes its folder's and its package's."""

_LONGEST = 500
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NAME = re.compile(r"\w[\w .-]{0,99}")
_FOLDER = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not among the known ones: the nearest, or all of them."""
    known = list(known)
    return _near.did_you_mean(_near.nearest(word, known)) or f"Known: {', '.join(known)}."


def read_answers(path: Path) -> dict[str, object]:
    """Read a file of answers; its suffix says whether it is TOML, JSON or YAML.

    Raises:
        UserError: If it cannot be parsed, is not a table, or has another suffix.
        HostError: If it cannot be read.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise UserError("no such file of answers", where=str(path), fix="Check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError("the answers are not UTF-8 text", where=str(path), fix="Save the file as UTF-8.") from error
    except OSError as error:
        raise from_os_error(error) from error
    try:
        value = _parse(text, path.suffix.lower())
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the answers cannot be read: {reason}", where=str(path), fix="Mend the file.") from error
    if not isinstance(value, dict):
        raise UserError("the answers are not a table of names and values", where=str(path), fix="Mend the file.")
    return {str(key): item for key, item in value.items()}


def parse_pairs(pairs: Iterable[str]) -> dict[str, object]:
    """Turn `name=value` texts into answers.

    Raises:
        UserError: If one has no `=`.
    """
    answers: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{pair!r} is not of the form name=value", where="--set", fix="Write `--set name=value`.")
        answers[name] = value
    return answers


def check_answers(questions: Iterable[Question], given: Mapping[str, object], *, where: str) -> dict[str, Answer]:
    """Check all answers and give them back under the template's own names. A private one may be given without its `_`.

    Args:
        questions: What the template asks.
        given: The answers, by name.
        where: Where they come from, for messages.

    Raises:
        UserError: At the first unknown name or unusable answer.
    """
    by_name = {question.name.lstrip("_"): question for question in questions}
    answers = {}
    for name, value in given.items():
        question = by_name.get(name.lstrip("_"))
        if question is None:
            raise UserError(f"the template has no option {name!r}", where=where, fix=nearest(name, by_name))
        answers[question.name] = check_answer(question, value, where=where)
    return answers


def check_answer(question: Question, value: object, *, where: str) -> Answer:
    """Check one answer.

    Raises:
        UserError: If it has the wrong type, is not among the choices, or cannot be put into a file as it is.
    """
    label = question.name.lstrip("_")
    if question.kind == "flag":
        flag = _FLAGS.get(str(value).lower())
        if flag is None:
            raise UserError(f"{label} is yes or no, not {value!r}", where=where, fix="Write true or false.")
        return flag
    if not isinstance(value, str):
        kind = type(value).__name__
        raise UserError(f"{label} must be a text, not {kind} {value!r}", where=where, fix="Put it in quotes.")
    if question.kind == "choice":
        if value not in question.choices:
            fix = f"{nearest(value, question.choices)} Choices: {', '.join(question.choices)}."
            fix = fix if "Did you mean" in fix else f"Choices: {', '.join(question.choices)}."
            raise UserError(f"{label} cannot be {value!r}", where=where, fix=fix)
        return value
    text = _check_text(label, value, where=where)
    return _check_name(text, where=where) if question.name == NAME else text


def _check_name(name: str, *, where: str) -> str:
    """The project's name as people write it: blanks are allowed, anything that leads elsewhere is not."""
    if "/" in name or "\\" in name or ".." in name:
        raise UserError(
            f"{name!r} is a path, not a name", where=where, fix="Give the name only; say where with `--output-dir DIR`."
        )
    if not _NAME.fullmatch(name) or name != name.strip():
        raise UserError(
            f"{name!r} cannot be used as a name",
            where=where,
            fix="Use letters, digits, blanks, '.', '_' and '-', starting with a letter, at most 100.",
        )
    return name


def check_folder(folder: str, *, name: str) -> str:
    """Check the folder name that the template made of the project's name: it names a package as well.

    The template refuses more by itself: names of what its projects import.

    Args:
        folder: The folder's name.
        name: The project's name, for messages.

    Raises:
        UserError: If it is no safe name, or Python or a package that the project needs has it already.
    """
    package = folder.replace("-", "_")
    if not _FOLDER.fullmatch(folder):
        reason = f"makes {folder!r}, which is no package name"
    elif keyword.iskeyword(package) or keyword.issoftkeyword(package):
        reason = f"makes {package!r}, a keyword of Python"
    elif package in sys.stdlib_module_names:
        reason = f"makes {package!r}, a module of Python's own library"
    elif _is_installed(folder, package):
        reason = f"makes {package!r}, which would hide the package of that name"
    else:
        return folder
    fix = f"Choose another, for instance `my-{folder}`." if _FOLDER.fullmatch(folder) else "Start it with a letter."
    raise UserError(f"the name {name!r} {reason}", where="NAME", fix=fix)


def _is_installed(folder: str, package: str) -> bool:
    """Whether kit's environment has it. What is installed from elsewhere, as an editable project is, does not count."""
    libraries = {Path(sysconfig.get_path(which)).resolve() for which in ("purelib", "platlib", "stdlib")}

    def lies_in_libraries(path: str | None) -> bool:
        return path is not None and any(Path(path).resolve().is_relative_to(library) for library in libraries)

    try:
        installed = metadata.distribution(folder)
    except metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
        return any(lies_in_libraries(place) for place in places)
    return '"editable"' not in (installed.read_text("direct_url.json") or "")


def _parse(text: str, suffix: str) -> object:
    """Raises ValueError when the text is not what its suffix says."""
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return json.loads(text)
    if suffix in {".yaml", ".yml"}:
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(error) from error
    raise ValueError("the name must end in .toml, .json, .yaml or .yml")


def _check_text(label: str, value: str, *, where: str) -> str:
    """cookiecutter renders answers as Jinja, and answers end up in TOML, Python and Markdown."""
    if len(value) > _LONGEST:
        raise UserError(f"{label} is longer than {_LONGEST} characters", where=where, fix="Shorten it.")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value):
        raise UserError(f"{label} has a control character", where=where, fix="Write it on one line, without tabs.")
    if any(mark in value for mark in ("{{", "{%", "{#")):
        raise UserError(f"{label} has template marks", where=where, fix="Leave out '{{', '{%' and '{#'.")
    return value
