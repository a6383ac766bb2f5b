"""Commands of click and typer, as far as the text tells them."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from kit.adopt._functions import parameters, returns_of
from kit.adopt._source import NO_VALUE, Function, Module
from kit.adopt._types import annotation_of, clean_help, literal, of_value
from kit.adopt.model import Call, Entry, Form, Option, Returns

__all__ = ["click_entry", "typer_entry"]

_TYPES = {"INT": "int", "FLOAT": "float", "STRING": "str", "BOOL": "bool", "IntRange": "int", "FloatRange": "float"}
_CONTEXT = {"pass_context", "pass_obj", "make_pass_decorator"}
_PLAIN = {"int", "float", "str", "bool"}


class _Unread(Exception):
    """An option that only running it would tell."""


def click_entry(module: Module, function: Function) -> Entry | None:
    """The command, if the function is one."""
    names = [(_name(module, decorator), decorator) for decorator in function.decorator_list]
    if "click" not in {name.partition(".")[0] for name in module.names.values()}:
        return None
    if not any(name.rpartition(".")[2] == "command" for name, _ in names):
        return None
    options: list[Option] = []
    unread: list[str] = []
    context = None
    for name, decorator in names:
        kind = name.rpartition(".")[2]
        if kind in {"option", "argument"} and isinstance(decorator, ast.Call):
            try:
                options.append(_option(module, decorator, is_argument=kind == "argument"))
            except _Unread as error:
                unread.append(f"{module.path}:{decorator.lineno}: {error}")
        elif kind in _CONTEXT:
            context = kind
        elif kind not in {"command", "version_option", "help_option"}:
            unread.append(f"{module.path}:{decorator.lineno}: the decorator {name or 'here'}")
    why = _why_arguments(options, unread) or ("" if context is None else f"only click can give it what {context} does")
    return Entry(
        path=module.path,
        function=function.name,
        kind="click",
        call=Call.ARGUMENTS if why else Call.FUNCTION,
        why=why,
        options=tuple(options),
        unread=tuple(unread),
        attribute="main" if why else "callback",
        returns=returns_of(module, function),
    )


def _name(module: Module, decorator: ast.expr) -> str:
    return module.full_name(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _why_arguments(options: list[Option], unread: list[str]) -> str:
    if unread:
        return f"click has to read its options: {unread[0].partition(': ')[2]}"
    converted = next((option.name for option in options if option.converted or option.computed is not None), None)
    return "" if converted is None else f"click has to convert {converted}"


def _option(module: Module, call: ast.Call, *, is_argument: bool) -> Option:
    names = [module.value(argument) for argument in call.args]
    if not names or not all(isinstance(name, str) for name in names):
        raise _Unread("an option whose name is computed")
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if len(given) < len(call.keywords):
        raise _Unread(f"{names[0]}, whose settings are computed")
    flags, name = _flags(names)
    text = clean_help(module.value(given.get("help")))
    base = Option(name=name, help=text, flags=() if is_argument else flags)
    if not is_argument and (len(flags) == 2 or module.value(given.get("is_flag")) is True):
        default = module.value(given["default"]) if "default" in given else False
        form: Form = "either" if len(flags) == 2 else "flag"
        if form == "flag" and default is True:
            raise _Unread(f"{flags[0]}, a flag that is there by itself")
        return replace(base, type="bool", form=form, default=default is True)
    return _valued(module, base, given, is_argument=is_argument)


def _flags(names: list[str]) -> tuple[tuple[str, ...], str]:
    """What it is called on the command line, and in the function."""
    dashed = [name for name in names if name.startswith("-")]
    plain = next((name for name in names if not name.startswith("-")), None)
    longest = max(dashed, key=lambda name: len(name) - len(name.lstrip("-")), default="")
    flags = tuple(part.strip() for part in longest.split("/") if part.strip())
    name = plain if plain is not None else (flags[0] if flags else "").lstrip("-")
    return flags, name.replace("-", "_").lower() if plain is None else plain


def _valued(module: Module, base: Option, given: dict[str, ast.expr], *, is_argument: bool) -> Option:
    kind, converted = _type(module, given)
    several = module.value(given.get("multiple")) is True
    nargs = module.value(given.get("nargs"))
    form: Form = "positional" if is_argument else "repeated" if several else "value"
    if isinstance(nargs, int) and nargs != 1:
        several, form = True, "positional" if is_argument else "list"
    if "callback" in given or "envvar" in given:
        converted = True
    default = module.value(given["default"]) if "default" in given else None
    computed = ast.unparse(given["default"]) if default is NO_VALUE else None
    default = None if default is NO_VALUE else default
    required = module.value(given.get("required")) is True or (
        is_argument and default is None and computed is None and nargs != -1 and given.get("required") is None
    )
    if several:
        kind = f"list[{kind}]"
        any_number = nargs == -1 or module.value(given.get("multiple")) is True
        default = [] if default is None and not required and computed is None and any_number else default
    elif not converted:
        kind, default = of_value(kind, default)
    if default is None and not required:
        kind += " | None"
    return replace(
        base, type=kind, form=form, default=default, required=required, computed=computed, converted=converted
    )


def _type(module: Module, given: dict[str, ast.expr]) -> tuple[str, bool]:
    """The annotation, and whether click makes something else of it."""
    node = given.get("type")
    if node is None:
        default = module.value(given.get("default"))
        return (annotation_of(default) if default is not NO_VALUE and default is not None else "str"), False
    maker = node.func if isinstance(node, ast.Call) else node
    name = module.full_name(maker).rpartition(".")[2]
    if name in _PLAIN:
        return name, False
    if name == "Choice" and isinstance(node, ast.Call) and node.args:
        choices = module.value(node.args[0])
        plain = isinstance(choices, list) and choices and all(isinstance(choice, str) for choice in choices)
        return (literal(choices), bool(node.keywords)) if plain else ("str", True)
    if name == "Path":
        keywords = node.keywords if isinstance(node, ast.Call) else []
        return "str", any(keyword.arg in {"path_type", "resolve_path"} for keyword in keywords)
    if name in {"IntRange", "FloatRange"}:
        clamps = isinstance(node, ast.Call) and any(keyword.arg == "clamp" for keyword in node.keywords)
        return _TYPES[name], clamps
    return (_TYPES[name], False) if name in _TYPES else ("str", True)


def typer_entry(module: Module, function: Function) -> Entry | None:
    """The command, if the function is one: decorated, or given to `typer.run`."""
    if "typer" not in {name.partition(".")[0] for name in module.names.values()}:
        return None
    decorated = any(_name(module, one).rpartition(".")[2] == "command" for one in function.decorator_list)
    run = any(
        call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == function.name
        for call in module.calls("run")
        if module.full_name(call.func) == "typer.run"
    )
    if not decorated and not run:
        return None
    options, unread = [], []
    for option, default, annotation in parameters(module, function):
        found = _typer_option(module, option, default, annotation)
        if found is None:
            unread.append(f"{module.path}:{function.lineno}: {option.name}, whose type no config has")
        else:
            options.append(found)
    why = _why_script(options, unread)
    return Entry(
        path=module.path,
        function=None if why else function.name,
        kind="typer",
        call=Call.SCRIPT if why else Call.FUNCTION,
        why=why,
        options=tuple(options),
        unread=tuple(unread),
        command=_subcommand(module, function) if why and decorated else (),
        returns=Returns.NOTHING if why else returns_of(module, function),
    )


def _why_script(options: list[Option], unread: list[str]) -> str:
    if unread:
        return f"typer has to read its options: {unread[0].partition(': ')[2]}"
    hidden = next((option.name for option in options if option.converted), None)
    return "" if hidden is None else f"only typer knows the default of {hidden}"


def _typer_option(
    module: Module, option: Option, default: ast.expr | None, annotation: ast.expr | None
) -> Option | None:
    """`x: int = typer.Option(3, help=...)` and `x: Annotated[int, typer.Option(help=...)] = 3`, told apart by place."""
    flag = f"--{option.name.replace('_', '-')}"
    form: Form = "value" if default is not None else "positional"
    settings = _settings(module, default) or _settings_in(module, annotation)
    if settings is not None:
        option = replace(option, help=clean_help(module.value(_keyword(settings, "help"))) or option.help)
        is_argument = module.full_name(settings.func).endswith("Argument")
        form = "positional" if is_argument else "value"
        named = [name for name in map(module.value, settings.args) if isinstance(name, str) and name.startswith("--")]
        flag = named[0].partition("/")[0] if named else flag
    if settings is not None and settings is default:
        option = _default_inside(module, option, settings)
    if option.type.startswith("bool"):
        form = "either"
    elif option.type.startswith("list") and form == "value":
        form = "repeated"
    flags = () if form == "positional" else (flag, f"--no-{flag.lstrip('-')}") if form == "either" else (flag,)
    return None if option.type == "" else replace(option, form=form, flags=flags)


def _settings(module: Module, node: ast.expr | None) -> ast.Call | None:
    called = isinstance(node, ast.Call) and module.full_name(node.func) in {"typer.Option", "typer.Argument"}
    return node if called and isinstance(node, ast.Call) else None


def _settings_in(module: Module, annotation: ast.expr | None) -> ast.Call | None:
    if annotation is None:
        return None
    return next((found for node in ast.walk(annotation) if (found := _settings(module, _expression(node)))), None)


def _expression(node: ast.AST) -> ast.expr | None:
    return node if isinstance(node, ast.expr) else None


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _default_inside(module: Module, option: Option, settings: ast.Call) -> Option:
    node = settings.args[0] if settings.args else _keyword(settings, "default")
    bare = option.type.removesuffix(" | None")
    if node is None or (isinstance(node, ast.Constant) and node.value is ...):
        return replace(option, type=bare, default=None, required=True, computed=None)
    value: Any = module.value(node)
    if value is NO_VALUE:
        return replace(option, type=f"{bare} | None", default=None, computed=ast.unparse(node), converted=True)
    if value is None:
        return replace(option, type=f"{bare} | None", default=None, computed=None)
    kind, value = of_value(bare, value)
    return replace(option, type=kind, default=value, computed=None)


def _subcommand(module: Module, function: Function) -> tuple[str, ...]:
    """typer leaves the name of an application's only command out."""
    commands = [
        one.name
        for one in module.functions.values()
        if any(
            _name(module, decorator).rpartition(".")[2] in {"command", "callback"} for decorator in one.decorator_list
        )
    ]
    if len(commands) < 2:
        return ()
    decorator = next(one for one in function.decorator_list if _name(module, one).rpartition(".")[2] == "command")
    named = module.value(decorator.args[0]) if isinstance(decorator, ast.Call) and decorator.args else None
    return (named if isinstance(named, str) else function.name.replace("_", "-"),)
