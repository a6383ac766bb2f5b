"""Plain functions and those of Hydra: their parameters, and what they give back."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from dataclasses import replace

from kit.adopt._source import NO_VALUE, Function, Module, is_guard
from kit.adopt._types import annotation_of, field_type, of_value
from kit.adopt.model import Call, Entry, HydraConf, Option, Returns

__all__ = ["PARSES", "function_entry", "hydra_entry", "parameters", "returns_of", "script_entry", "starts_on_import"]

PARSES = ("parse_args", "parse_known_args")
_NUMBERS = {"float", "int"}


def parameters(module: Module, function: Function) -> Iterator[tuple[Option, ast.expr | None, ast.expr | None]]:
    """Each parameter as an option, with its default and annotation; its type is empty if no config can hold it."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    helps = _documented(function)
    for argument, default in [
        *zip(plain, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]:
        yield _parameter(module, argument, default, helps.get(argument.arg, "")), default, argument.annotation


def _parameter(module: Module, argument: ast.arg, default: ast.expr | None, text: str) -> Option:
    value = module.value(default) if default is not None else None
    kind = field_type(module, argument.annotation)
    if kind is None and argument.annotation is None and value is not NO_VALUE:
        kind = annotation_of(value) if value is not None else "str"
    if kind is None or kind == "None":
        return Option(argument.arg, type="", help=text, required=default is None)
    if default is None:
        return Option(argument.arg, type=kind, help=text, required=True)
    bare = kind.removesuffix(" | None")
    if value is NO_VALUE or value is None:
        computed = ast.unparse(default) if value is NO_VALUE else None
        return Option(argument.arg, type=f"{bare} | None", help=text, computed=computed)
    found, value = of_value(bare, value)
    return Option(argument.arg, type=found if kind == bare else f"{found} | None", default=value, help=text)


def _documented(function: Function) -> dict[str, str]:
    """What the docstring says of each parameter, in Google's style or Sphinx's."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    found: dict[str, str] = {}
    for line in (ast.get_docstring(function) or "").splitlines():
        head, colon, said = line.strip().removeprefix(":param ").partition(":")
        words = head.split("(")[0].split()
        if colon and said.strip() and words and words[-1] in names and len(words) <= 2:
            found.setdefault(words[-1], " ".join(said.split()))
    return found


def returns_of(module: Module, function: Function) -> Returns:
    """What it gives back, by its annotation, else by what stands behind its `return`s."""
    if function.returns is not None:
        return _annotated(module, function.returns)
    given = [node.value for node in _own(function) if isinstance(node, ast.Return) and node.value is not None]
    given = [node for node in given if not (isinstance(node, ast.Constant) and node.value is None)]
    if not given:
        return Returns.NOTHING
    if all(isinstance(node, ast.Dict) for node in given):
        return Returns.MAPPING
    numbers = all(isinstance(module.value(node), int | float) for node in given)
    return Returns.NUMBER if numbers else Returns.UNKNOWN


def _annotated(module: Module, node: ast.expr) -> Returns:
    if isinstance(node, ast.Constant) and node.value is None:
        return Returns.NOTHING
    kind = (field_type(module, node) or "").removesuffix(" | None")
    if kind in _NUMBERS:
        return Returns.NUMBER
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        name = module.full_name(node.value).rpartition(".")[2]
        inner = [field_type(module, item) for item in node.slice.elts]
        if name in {"dict", "Dict", "Mapping"} and inner[0] == "str":
            return Returns.METRICS if inner[1] in _NUMBERS else Returns.MAPPING
    name = module.full_name(node).rpartition(".")[2]
    return Returns.MAPPING if name in {"dict", "Dict", "Mapping"} else Returns.UNKNOWN


def _own(function: Function) -> Iterator[ast.AST]:
    """What is in it, without what is in the functions within."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
            yield node


def hydra_entry(module: Module, function: Function) -> Entry | None:
    """The function under `@hydra.main`, and where its configs are."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and module.full_name(decorator.func) == "hydra.main":
            return _hydra(module, function, decorator)
    return None


def _hydra(module: Module, function: Function, decorator: ast.Call) -> Entry:
    given = {keyword.arg: module.value(keyword.value) for keyword in decorator.keywords}
    given |= dict(zip(("config_path", "config_name"), map(module.value, decorator.args), strict=False))
    folder, name = given.get("config_path"), given.get("config_name")
    conf = None
    if isinstance(name, str) and isinstance(folder, str) and "://" not in folder:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(module.path), folder))
        conf = HydraConf(place, name.removesuffix(".yaml").removesuffix(".yml"))
    return Entry(
        path=module.path,
        function=function.name,
        kind="hydra",
        call=Call.CONFIG,
        conf=conf,
        returns=returns_of(module, function),
    )


def function_entry(module: Module, function: Function) -> Entry | None:
    """A function without a command line; None if a config cannot hold what it needs."""
    options, left_out = [], []
    given = _given_in_guard(module, function)
    for found, default, annotation in parameters(module, function):
        option = _with_value(found, given)
        unknown = option.type == "" or (annotation is None and option is found)
        if default is None and unknown:
            return None
        if option.type:
            options.append(option)
        else:
            left_out.append(option.name)
    if isinstance(function, ast.AsyncFunctionDef):
        return None
    returns = returns_of(module, function)
    return Entry(
        path=module.path,
        function=function.name,
        kind="function",
        call=Call.FUNCTION,
        options=tuple(options),
        left_out=tuple(left_out),
        returns=returns,
    )


def _given_in_guard(module: Module, function: Function) -> dict[str, object]:
    """What `train("data.csv", epochs=20)` under the guard says, if there is one such call: these are the defaults."""
    guards = [statement for statement in module.tree.body if is_guard(statement)]
    calls = [call for guard in guards for call in module.calls(function.name, guard)]
    if len(calls) != 1:
        return {}
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    pairs = [*zip(names, calls[0].args, strict=False), *((one.arg or "", one.value) for one in calls[0].keywords)]
    return {name: value for name, node in pairs if (value := module.value(node)) is not NO_VALUE and value is not None}


def _with_value(option: Option, given: dict[str, object]) -> Option:
    if option.name not in given:
        return option
    bare = option.type.removesuffix(" | None") or annotation_of(given[option.name])
    if bare.startswith("list") != isinstance(given[option.name], list):
        return option
    kind, value = of_value(bare, given[option.name])
    kind = f"{kind} | None" if option.optional and option.computed is None else kind
    return replace(option, type=kind, default=value, required=False, computed=None)


def starts_on_import(module: Module) -> bool:
    """Whether importing it does the work: `main()`, `app()` or `typer.run(main)` outside of a guard, or a loop.

    Or whether it needs its command line for that: `args = parser.parse_args()` there.
    """
    own = module.functions.keys() | module.constants.keys()
    for statement in module.tree.body:
        if isinstance(statement, ast.For | ast.While):
            return True
        defines = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or is_guard(statement)
        if not defines and any(next(module.calls(name, statement), None) for name in PARSES):
            return True
        call = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
        if not isinstance(call, ast.Call):
            continue
        if isinstance(call.func, ast.Name) and call.func.id in own:
            return True
        if module.full_name(call.func) == "typer.run":
            return True
    return False


def script_entry(module: Module) -> Entry | None:
    """A file that does its work itself; None if it only defines what others use.

    It may read `sys.argv`, or run a file that does: what is to stand there can be said in any case.
    """
    if not any(is_guard(statement) or _works(statement) for statement in module.tree.body):
        return None
    return Entry(
        path=module.path,
        function=None,
        kind="script",
        call=Call.SCRIPT,
        why="its work is not in a function that a config could call",
        unread=(f"{module.path}: what it reads from sys.argv",),
    )


def _works(statement: ast.stmt) -> bool:
    """A loop, or a call whose result nobody keeps."""
    if isinstance(statement, ast.For | ast.While | ast.With):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
