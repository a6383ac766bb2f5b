"""What the template asks, read from its own cookiecutter.json: nothing of it is repeated in kit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import kit
from kit.errors import HostError

__all__ = ["Question", "Template", "default_answer", "load_template", "project_folder", "template_root"]

_COOKIECUTTERS_OWN = frozenset({"_copy_without_render", "_extensions", "_jinja2_env_vars", "_new_lines", "_template"})


@dataclass(frozen=True, slots=True)
class Question:
    """One variable of the template that can be answered.

    Attributes:
        name: The variable in cookiecutter.json.
        kind: What an answer is.
        default: Taken when nobody answers; a text may refer to earlier answers, see `default_answer`.
        prompt: The question in words.
        choices: The allowed answers of a choice.
        labels: What each choice means, in the same order.
    """

    name: str
    kind: Literal["text", "choice", "flag"]
    default: str | bool
    prompt: str
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def private(self) -> bool:
        """Never asked, only set on purpose."""
        return self.name.startswith("_")


@dataclass(frozen=True, slots=True)
class Template:
    """One entry of the menu.

    Attributes:
        root: The folder of the menu, where the root cookiecutter.json is.
        directory: The template's folder below it, `/` separated.
        questions: In the order in which they are asked.
    """

    root: Path
    directory: str
    questions: tuple[Question, ...]

    @property
    def path(self) -> Path:
        return self.root / self.directory


def template_root() -> Path:
    """The folder with the menu: inside the installed package, or the root of kit's own checkout.

    Raises:
        HostError: If this installation has no template.
    """
    package = Path(kit.__file__).resolve().parent
    for root in (package / "_template", package.parent):
        if (root / "cookiecutter.json").is_file() and (root / "template").is_dir():
            return root
    raise HostError("this installation of kit has no template", where=str(package), fix="Install mlekit again.")


def load_template(root: Path, directory: str | None = None) -> Template:
    """Read one template's questions.

    Args:
        root: The folder of the menu.
        directory: The template's folder below it. By default, and where there is none any more because the template
            has moved, the menu's first entry, which is also what `cookiecutter --no-input` takes.

    Raises:
        HostError: If the menu or the template's questions cannot be read.
    """
    if directory is None or not (root / directory / "cookiecutter.json").is_file():
        menu = _read_json(root / "cookiecutter.json")
        try:
            directory = Path(next(iter(menu["templates"].values()))["path"]).as_posix()
        except (AttributeError, KeyError, StopIteration, TypeError) as error:
            raise _broken(root / "cookiecutter.json", "no menu of templates") from error
    variables = _read_json(root / directory / "cookiecutter.json")
    prompts = variables.get("__prompts__", {})
    questions = (_question(name, raw, prompts.get(name)) for name, raw in variables.items())
    asked = tuple(question for question in questions if question is not None)
    return Template(root, directory, asked)


def project_folder(template: Template, context: Mapping[str, str | bool]) -> str:
    """The name that the template gives to the project's folder, given these answers.

    Args:
        template: The template.
        context: Answers that have been checked.
    """
    from cookiecutter.find import find_template
    from cookiecutter.generate import generate_context
    from cookiecutter.prompt import prompt_for_config, render_variable
    from cookiecutter.utils import create_env_with_context

    variables = generate_context(str(template.path / "cookiecutter.json"), extra_context=dict(context))
    environment = create_env_with_context(variables)
    folder = find_template(template.path, environment).name
    return str(render_variable(environment, folder, prompt_for_config(variables, no_input=True)))


def default_answer(question: Question, answers: Mapping[str, str | bool]) -> str | bool:
    """The default of a question, given the answers to those before it."""
    from cookiecutter.prompt import render_variable
    from cookiecutter.utils import create_env_with_context

    if isinstance(question.default, bool):
        return question.default
    environment = create_env_with_context({"cookiecutter": dict(answers)})
    return str(render_variable(environment, question.default, dict(answers)))


def _question(name: str, raw: object, prompt: object) -> Question | None:
    """None for what cookiecutter itself uses and for what is derived from other answers."""
    if name.startswith("__") or name in _COOKIECUTTERS_OWN:
        return None
    words = prompt.get("__prompt__") if isinstance(prompt, dict) else prompt
    text = words if isinstance(words, str) else name.strip("_").replace("_", " ").capitalize()
    if isinstance(raw, bool):
        return Question(name, "flag", raw, text)
    if isinstance(raw, list) and raw:
        choices = tuple(map(str, raw))
        words = prompt if isinstance(prompt, dict) else {}
        return Question(name, "choice", choices[0], text, choices, tuple(str(words.get(one, one)) for one in choices))
    if isinstance(raw, str):
        return Question(name, "text", raw, text)
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(value, dict):
        raise _broken(path, "not an object")
    return value


def _broken(path: Path, reason: str) -> HostError:
    return HostError(f"the template cannot be read: {reason}", where=str(path), fix="Install mlekit again.")
