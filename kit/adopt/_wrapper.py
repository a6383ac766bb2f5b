"""The text of the task: a dataclass of the options, and a function that gives them to the user's code."""

from __future__ import annotations

import posixpath
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.adopt._text import identifier, python, quoted, yaml_value
from kit.adopt.model import Call, Entry, Option, Returns

__all__ = ["MODULE", "Place", "config_lines", "fields_of", "place_of", "wrapper"]

MODULE = "kit_task"
_WIDTH = 120
_TAKEN = frozenset(
    {"arguments", "contract", "defaults", "experiment", "hydra", "name", "note", "tags", "task", "timeout"}
)
"""Keys that mean something else at the top of a config."""
_REAL = "{name: value for name, value in found.items() if isinstance(value, Real)}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is among Python's modules.

    Attributes:
        module: Its dotted name; None if it has none that Python can import.
        base: The folder that this name starts from, relative to the project.
    """

    module: str | None
    base: str

    @property
    def on_path(self) -> bool:
        """Whether kit puts the folder on `sys.path`."""
        return self.base in {"", "src"}


def place_of(path: str, files: Sequence[str]) -> Place:
    """Upward through the packages that the file lies in."""
    base = posixpath.dirname(path)
    while base and f"{base}/__init__.py" in files:
        base = posixpath.dirname(base)
    names = path.removesuffix(".py")[len(base) :].strip("/").split("/")
    return Place(".".join(names) if all(name.isidentifier() for name in names) else None, base)


def fields_of(entry: Entry) -> dict[str, Option]:
    """The options by the names that they have in the config."""
    found: dict[str, Option] = {}
    for option in entry.options:
        whole = option.type.removesuffix(" | None") == "int"
        taken = _TAKEN if option.name == "seed" and whole else _TAKEN | {"seed"}
        found.setdefault(identifier(option.name, taken), option)
    return found


def config_lines(entry: Entry) -> list[str]:
    """The options as lines of YAML."""
    lines = []
    for name, option in fields_of(entry).items():
        value = "???" if option.required else yaml_value(option.default)
        said = [option.help] if option.help else []
        said += ["required"] if option.required else []
        said += [f"by default {option.computed}"] if option.computed is not None else []
        line = f"{name}: {value}"
        comment = "; ".join(" ".join(part.split()) for part in said)
        lines.append(f"{line} # {comment}" if comment and len(line) + len(comment) + 3 <= _WIDTH else line)
    if entry.unread:
        lines.append(
            'arguments: [] # options that `kit init` could not read, as on the command line: ["--name", "value"]'
        )
    return lines


def wrapper(entry: Entry, place: Place, folder: str) -> str:
    """The module's text.

    Args:
        entry: What it calls.
        place: Where that is.
        folder: Where the wrapper is, relative to the project; empty for the project's own folder.
    """
    body = [_docstring(entry), "from __future__ import annotations", _imports(entry, place, folder)]
    if entry.call is not Call.CONFIG:
        body.append(_dataclass(entry))
    body.append(_function(entry, place))
    if entry.call in {Call.ARGUMENTS, Call.ARGV, Call.SCRIPT} and (entry.options or entry.command):
        body.append(_arguments(entry))
    head, rest = body[:3], body[3:]
    return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join(rest) + "\n"


def _docstring(entry: Entry) -> str:
    what = "the options of" if entry.options or entry.unread else "the work of"
    said = "Written by `kit init`, and yours from now on."
    if entry.why:
        said += f" It is not called as a plain function with these options: {_in_docstring(entry.why)}."
    first = f'"""The task of `kit run`: {what} {_in_docstring(entry.path)} as a config.'
    return "\n".join([first, "", *textwrap.wrap(said, _WIDTH), '"""'])


def _in_docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")


def _imports(entry: Entry, place: Place, folder: str) -> str:
    types = " ".join(option.type for option in entry.options)
    script, inserts = entry.call is Call.SCRIPT, not place.on_path
    runs_file = script and _runs_file(place)
    plain = [
        *(["argparse"] if entry.call is Call.NAMESPACE else []),
        *(["runpy"] if script else []),
        *(["sys"] if inserts or entry.call in {Call.ARGV, Call.SCRIPT} else []),
    ]
    named = [
        *(["from dataclasses import dataclass"] if entry.call is not Call.CONFIG else []),
        *(["from numbers import Real"] if entry.returns is Returns.MAPPING else []),
        *(["from pathlib import Path"] if "Path" in types or inserts or runs_file else []),
        *(["from typing import Literal"] if "Literal" in types else []),
    ]
    parts = ["\n".join([*(f"import {name}" for name in plain), *named])]
    if entry.call is Call.CONFIG:
        parts.append("from omegaconf import DictConfig")
    if inserts:
        parts.append(f"sys.path.insert(0, str({_path_to(folder, place.base)}))  # where its own imports start from")
    if not script:
        parts.append(f"import {place.module} as source" + ("  # noqa: E402" if inserts else ""))
    if runs_file:
        parts.append(f"SCRIPT = {_path_to(folder, entry.path)}")
    return "\n\n".join(part for part in parts if part)


def _runs_file(place: Place) -> bool:
    """Whether it is run by its path: only a module in a package needs to be run by its name."""
    return place.module is None or "." not in place.module


def _path_to(folder: str, path: str) -> str:
    up = "Path(__file__).resolve()" + ".parent" * (1 + (folder.count("/") + 1 if folder else 0))
    return up + "".join(f" / {quoted(part)}" for part in path.split("/") if part)


def _dataclass(entry: Entry) -> str:
    fields = fields_of(entry)
    lines = ["@dataclass(frozen=True)", "class TrainConfig:"]
    helped = {name: option.help for name, option in fields.items() if option.help}
    if not helped:
        lines.append('    """What an experiment may set."""')
    else:
        lines += ['    """What an experiment may set.', "", "    Attributes:"]
        for name, said in helped.items():
            text = said.replace("\\", "\\\\").replace('"""', "'''")
            lines += textwrap.wrap(
                f"{name}: {text}", _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12, break_long_words=False
            )
        lines.append('    """')
    lines.append("")
    lines += [f"    {name}: {option.type}" for name, option in fields.items()]
    lines += ["    arguments: list[str]"] if entry.unread else []
    return "\n".join(lines).rstrip()


def _function(entry: Entry, place: Place) -> str:
    is_status = entry.returns is Returns.STATUS
    has_metrics = entry.returns in {Returns.METRICS, Returns.MAPPING, Returns.NUMBER}
    config = "DictConfig" if entry.call is Call.CONFIG else "TrainConfig"
    lines = [f"def train(cfg: {config}) -> {'dict[str, float]' if has_metrics else 'None'}:"]
    lines.append(f'    """{_said(entry)}"""')
    before, call = _call(entry, place)
    lines += [f"    {line}" for line in before]
    if entry.call is Call.SCRIPT:
        lines += [
            "    try:",
            f"        {call}",
            "    except SystemExit as left:",
            "        if left.code:",
            "            raise",
        ]
    elif entry.returns is Returns.METRICS:
        lines.append(f"    return {call}")
    elif entry.returns is Returns.MAPPING:
        lines += [f"    found = {call}", f"    return {_REAL}"]
    elif entry.returns is Returns.NUMBER:
        lines += [f"    value = {call}", '    return {} if value is None else {"objective": float(value)}']
    elif is_status:
        lines += [f"    status = {call}", "    if status:", "        raise SystemExit(status)"]
    else:
        lines.append(f"    {call}")
    return "\n".join(lines)


def _said(entry: Entry) -> str:
    if entry.call is Call.SCRIPT:
        return _in_docstring(f"Run {entry.path} as `python {entry.path}` does.")
    return _in_docstring(f"Call `{entry.function}` of {entry.path}.")


def _call(entry: Entry, place: Place) -> tuple[list[str], str]:
    """The lines before the call, and the call."""
    words = "_arguments(cfg)" if entry.options or entry.command else "cfg.arguments" if entry.unread else ""
    target = f"source.{entry.function}" + (f".{entry.attribute}" if entry.attribute else "")
    match entry.call:
        case Call.FUNCTION:
            return _computed(entry), _joined(f"{target}(", _keywords(entry), ")")
        case Call.NAMESPACE:
            renamed = any(name != option.name for name, option in fields_of(entry).items())
            given = (
                _joined("argparse.Namespace(", _keywords(entry), ")") if renamed else "argparse.Namespace(**vars(cfg))"
            )
            return [], f"{target}({given})"
        case Call.CONFIG:
            return [], f"{target}(cfg)"
        case Call.ARGUMENTS:
            alone = ", standalone_mode=False" if entry.attribute == "main" else ""
            return [], f"{target}({words or '[]'}{alone})"
        case Call.ARGV:
            return [f"sys.argv = [{quoted(entry.path)}{f', *{words}' if words else ''}]"], f"{target}()"
    name = "str(SCRIPT)" if _runs_file(place) else quoted(entry.path)
    run = 'runpy.run_path(str(SCRIPT), run_name="__main__")'
    if not _runs_file(place):
        run = f'runpy.run_module({quoted(place.module or "")}, run_name="__main__", alter_sys=True)'
    return [f"sys.argv = [{name}{f', *{words}' if words else ''}]"], run


def _keywords(entry: Entry) -> list[str]:
    """Each option by its name; those whose default only the user's code knows if they are set."""
    fields = fields_of(entry)
    plain = [f"{option.name}=cfg.{name}" for name, option in fields.items() if option.computed is None]
    if len(plain) == len(fields):
        return plain
    return [*plain, "**{name: value for name, value in given.items() if value is not None}"]


def _computed(entry: Entry) -> list[str]:
    """The lines that say which those are."""
    found = {name: option for name, option in fields_of(entry).items() if option.computed is not None}
    pairs = [f"    {quoted(option.name)}: cfg.{name}," for name, option in found.items()]
    return ["given = {  # what is not set, the function knows itself", *pairs, "}"] if pairs else []


def _joined(head: str, parts: Sequence[str], tail: str) -> str:
    """On one line if it fits, else one a line, as formatters do."""
    line = head + ", ".join(parts) + tail
    if len(line) + 11 <= _WIDTH or not parts:
        return line
    return "\n".join([head, *(f"        {part}," for part in parts), f"    {tail}"])


def _arguments(entry: Entry) -> str:
    lines = [
        "def _arguments(cfg: TrainConfig) -> list[str]:",
        '    """The config as a command line."""',
        "    return [",
    ]
    lines += [f"        {quoted(word)}," for word in entry.command]
    lines += [f"        {part}," for part in _words(entry)]
    lines += ["        *cfg.arguments,"] if entry.unread else []
    return "\n".join([*lines, "    ]"])


def _words(entry: Entry) -> Iterator[str]:
    """Positional ones first: behind an option that takes several words they would be its."""
    fields = fields_of(entry).items()
    for name, option in sorted(fields, key=lambda item: item[1].form != "positional"):
        yield _word(f"cfg.{name}", option)


def _word(value: str, option: Option) -> str:  # noqa: PLR0911 - one for each form
    flag = quoted(option.flags[0]) if option.flags else ""
    match option.form:
        case "flag":
            return f"*([{flag}] if {value} else [])"
        case "no-flag":
            return f"*([] if {value} else [{flag}])"
        case "either":
            both = f"{flag} if {value} else {quoted(option.flags[1])}"
            return f"*([] if {value} is None else [{both}])" if option.optional else both
        case "count":
            return f"*[{flag}] * {value}"
        case "list":
            return f"*([{flag}, *map(str, {value})] if {_differs(value, option)} else [])"
        case "repeated":
            each = f"({value} or [])" if option.optional else value
            return f"*(word for value in {each} for word in ({flag}, str(value)))"
        case "positional" if option.type.startswith("list"):
            return f"*map(str, {value} or [])" if option.optional else f"*map(str, {value})"
    return _single_word(value, option)


def _single_word(value: str, option: Option) -> str:
    """One value; left out where the user's command has to fall back to a default that no text gives."""
    shown = f"{{{value} or ''}}" if option.form == "truthy" else f"{{{value}}}"
    if option.form == "positional":
        words = f"str({value})"
    elif option.flags[0].startswith("--"):
        words = f'f"{option.flags[0]}={shown}"'
    else:
        words = f'{quoted(option.flags[0])}, f"{shown}"'
    if not (option.optional or option.unlike or option.computed is not None):
        return words
    return f"*([{words}] if {_differs(value, option)} else [])"


def _differs(value: str, option: Option) -> str:
    is_one = option.default is None or isinstance(option.default, bool)
    return f"{value} {'is not' if is_one else '!='} {python(option.default)}"
