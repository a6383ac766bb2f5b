"""The options of an `argparse.ArgumentParser`, as far as the text tells them."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from kit.adopt._source import NO_VALUE, Module
from kit.adopt._types import annotation_of, clean_help, literal, of_value
from kit.adopt.model import Form, Option

__all__ = ["options_of"]

_TYPES = {"int": "int", "float": "float", "str": "str", "pathlib.Path": "Path", "Path": "Path"}
_IGNORED = {"help", "version"}
"""Actions that end the program."""


class _Unread(Exception):
    """An option that only running it would tell."""


def options_of(module: Module) -> tuple[list[Option], list[str]]:
    """What it takes, and what could not be read of it, as `path:line: what`."""
    if subcommands := [f"{module.path}:{call.lineno}: subcommands" for call in module.calls("add_subparsers")]:
        return [], subcommands  # whose option is whose, and which is meant, only their user knows
    found: dict[str, Option] = {}
    unread = []
    for call in sorted(module.calls("add_argument"), key=lambda call: call.lineno):
        try:
            option = _option(module, call)
        except _Unread as error:
            unread.append(f"{module.path}:{call.lineno}: {error}")
            continue
        if option is None:
            continue
        if option.name in found:
            option = _merged(found[option.name], option)
        found[option.name] = option
    return [_with_defaults(module, option) for option in found.values()], unread


def _option(module: Module, call: ast.Call) -> Option | None:
    names = [module.value(argument) for argument in call.args]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise _Unread("an option whose name is computed")
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if len(given) < len(call.keywords):
        raise _Unread(f"{names[0]}, whose settings are computed")
    action = module.value(given["action"]) if "action" in given else "store"
    if action is NO_VALUE:
        action = module.full_name(given["action"]).rpartition(".")[2]
    if action in _IGNORED:
        return None
    flags = tuple(name for name in names if name.startswith("-"))
    name = module.value(given.get("dest"))
    if not isinstance(name, str):
        long = next((flag for flag in flags if flag.startswith("--")), names[0])
        name = long.lstrip("-").replace("-", "_")
    flag = next((flag for flag in flags if flag.startswith("--")), names[0]) if flags else ""
    text = clean_help(module.value(given.get("help")), module.value(given.get("default")))
    base = Option(name=name, help=text, flags=(flag,) if flag else (), required=_is_true(module, given.get("required")))
    return _shaped(module, base, str(action), given)


def _is_true(module: Module, node: ast.expr | None) -> bool:
    return module.value(node) is True


def _shaped(module: Module, base: Option, action: str, given: dict[str, ast.expr]) -> Option:
    """By what it does with its words."""
    if action in {"store_true", "store_false", "BooleanOptionalAction"}:
        return _switch(module, base, action, given)
    if action == "count":
        return replace(base, type="int", form="count", default=_plain(module, given, 0))
    if action not in {"store", "append", "extend"}:
        raise _Unread(f"{_shown(base)}, whose action is {action or 'computed'}")
    nargs = module.value(given.get("nargs")) if "nargs" in given else None
    if nargs is NO_VALUE or nargs in {"A...", "..."}:
        raise _Unread(f"{_shown(base)}, which takes any number of words")
    several = action != "store" or nargs in {"*", "+"} or isinstance(nargs, int)
    form: Form = "positional" if not base.flags else "repeated" if action == "append" else "list"
    required = base.required or (not base.flags and nargs not in {"?", "*"})
    base = replace(base, required=required)
    return _several(module, base, form, given) if several else _single(module, base, given)


def _shown(base: Option) -> str:
    return (base.flags or (base.name,))[0]


def _several(module: Module, base: Option, form: Form, given: dict[str, ast.expr]) -> Option:
    inner, converted = _type(module, given)
    default = module.value(given["default"]) if "default" in given else None
    computed = ast.unparse(given["default"]) if default is NO_VALUE else None
    default = None if default is NO_VALUE else default
    if default is not None and not isinstance(default, list):
        default = [default]
    kind = f"list[{inner}]" if default is not None or base.required else f"list[{inner}] | None"
    if form == "repeated" and default:
        raise _Unread(f"{_shown(base)}, which adds to a default")
    return replace(base, type=kind, form=form, default=default, computed=computed, converted=converted)


def _single(module: Module, base: Option, given: dict[str, ast.expr]) -> Option:
    kind, converted = _type(module, given)
    form: Form = "value" if base.flags else "positional"
    if base.flags and module.full_name(given.get("type")) == "bool":
        form = "truthy"
    default = module.value(given["default"]) if "default" in given else None
    if isinstance(default, list):
        raise _Unread(f"{_shown(base)}, whose default is a list")
    computed = ast.unparse(given["default"]) if default is NO_VALUE else None
    default = None if default is NO_VALUE else default
    unlike = False
    if not converted:
        declared = kind
        kind, default = of_value(kind, default)
        unlike = default is not None and kind != declared
        if unlike and "type" in given:
            kind = f"{kind} | {declared}"
    if default is None and not base.required:
        kind += " | None"
    return replace(base, type=kind, form=form, default=default, computed=computed, converted=converted, unlike=unlike)


def _switch(module: Module, base: Option, action: str, given: dict[str, ast.expr]) -> Option:
    default: Any = module.value(given["default"]) if "default" in given else action == "store_false"
    form: Form = "no-flag" if action == "store_false" else "flag"
    if action == "BooleanOptionalAction":
        form, flag = "either", base.flags[0]
        default = None if "default" not in given else default
        base = replace(base, flags=(flag, f"--no-{flag.lstrip('-')}"))
    optional = default is None and form == "either"
    kind, value = ("bool | None", None) if optional else ("bool", default is True)
    return replace(base, type=kind, form=form, default=value)


def _type(module: Module, given: dict[str, ast.expr]) -> tuple[str, bool]:
    """The annotation, and whether the command makes something else of it."""
    choices = module.value(given.get("choices"))
    name = module.full_name(given.get("type")) if "type" in given else "str"
    if isinstance(choices, list) and choices and all(isinstance(choice, str | int) for choice in choices):
        return literal(choices), False
    if name in _TYPES:
        return _TYPES[name], False
    default = module.value(given.get("default"))
    # A function of the user's, or `bool`, which takes any text but an empty one for true.
    if name == "bool" or isinstance(default, bool):
        return "bool", True
    return (annotation_of(default) if isinstance(default, int | float) else "str"), True


def _plain(module: Module, given: dict[str, ast.expr], otherwise: Any) -> Any:  # noqa: ANN401
    found = module.value(given.get("default"))
    return otherwise if found is NO_VALUE or found is None else found


def _merged(one: Option, other: Option) -> Option:
    """`--cache` and `--no-cache`, which set the same."""
    forms = {one.form: one, other.form: other}
    if set(forms) == {"flag", "no-flag"}:
        flags = (forms["flag"].flags[0], forms["no-flag"].flags[0])
        return replace(one, form="either", flags=flags, help=one.help or other.help)
    return one


def _with_defaults(module: Module, option: Option) -> Option:
    """`parser.set_defaults(name=value)` wins over what the option says."""
    for call in module.calls("set_defaults"):
        for keyword in call.keywords:
            value = module.value(keyword.value)
            if keyword.arg == option.name and value is not NO_VALUE and value is not None:
                return replace(option, default=value, type=option.type.removesuffix(" | None"), required=False)
    return option
