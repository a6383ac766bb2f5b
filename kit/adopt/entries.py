"""Where the work begins: every file that may be it, the likeliest first."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kit._near import did_you_mean, nearest
from kit.adopt import _argparse
from kit.adopt._click import click_entry, typer_entry
from kit.adopt._functions import PARSES, function_entry, hydra_entry, returns_of, script_entry, starts_on_import
from kit.adopt._source import Function, Module, is_guard, parse, read
from kit.adopt.model import Call, Entry, Option, Returns
from kit.errors import UserError

__all__ = ["choose", "find_entries"]

_ELSEWHERE = re.compile(
    r"(^|/)(tests?|docs?|examples?/.*tests?|\..+|build|dist|vendor|third_party|migrations)/"
    r"|(^|/)(setup|conftest|noxfile|fabfile|tasks|kit_task|versioneer|manage|test_.*|.*_test)\.py$"
)
_TELLING = re.compile(r"argparse|click|typer|hydra|__main__|def (main|train|run|fit)\b|\.fit\(|\.backward\(")
_NAMES = ((r"train(ing|er)?", 60), (r"train_.*|.*_train", 45), (r"main|run|fit", 30), (r"__main__|cli|experiment", 15))
_TELLING_NAMES = "|".join(pattern for pattern, _ in _NAMES)
_OTHERS = re.compile(
    r"(^|_)(eval\w*|predict\w*|infer\w*|test\w*|sample\w*|generate\w*|gen|plot\w*|visuali\w*|viz|download\w*|convert\w*"
    r"|export\w*|prepare\w*|preprocess\w*|featuri\w*|features|make|dataset\w*|data|metrics|calc|bench\w*|utils?|app)(_|$)"
)
_FUNCTIONS = {"train": 6, "main": 4, "fit": 3, "run": 2}
_LEARNS = (
    "torch",
    "sklearn",
    "tensorflow",
    "keras",
    "xgboost",
    "lightgbm",
    "catboost",
    "jax",
    "lightning",
    "transformers",
)
_KINDS = {"hydra": 20, "argparse": 14, "click": 14, "typer": 14, "function": 6, "script": 0}
_MOST = 3_000
_LIKELY, _SEVERAL = 30, 2
_USUAL = {"", "src", "scripts"}
"""Where the one entry point of a repository usually is."""


def find_entries(root: Path, files: Sequence[str]) -> list[Entry]:
    """All that may be it, the likeliest first; of each file one."""
    modules = list(_modules(root, files))
    known = {module.path: module for module in modules}
    entries = [entry for module in modules if (entry := _entry(module, known, root)) is not None]
    return sorted(entries, key=lambda entry: (-entry.score, entry.path))


def choose(root: Path, files: Sequence[str], wanted: str | None) -> Entry:
    """The one that is meant: named as `FILE` or `FILE:FUNCTION`, or the likeliest.

    Raises:
        UserError: If there is none, or if several are as likely.
    """
    if wanted is not None:
        return _named(root, files, wanted)
    entries = find_entries(root, files)
    if not entries:
        raise UserError(
            "no entry point: no command of argparse, click, typer or Hydra, and no function `train` or `main`",
            fix="Name the file that trains: `kit init --entry FILE.py` or `--entry FILE.py:FUNCTION`.",
        )
    best = [entry for entry in entries if entry.score == entries[0].score]
    folders = list(dict.fromkeys(_folder(entry) for entry in entries if entry.score >= _LIKELY))
    if _folder(best[0]) not in _USUAL and len(folders) > _SEVERAL:
        shown = ", ".join(f"{folder or '.'}/" for folder in folders[:5]) + (", ..." if len(folders) > 5 else "")
        raise UserError(
            f"{len(folders)} folders may be what you mean: {shown}",
            fix=f"Change into one, or name the file that trains: `kit init --entry {best[0].path}`.",
        )
    if len(best) > 1:
        shown = ", ".join(entry.path for entry in best[:5]) + (", ..." if len(best) > 5 else "")
        raise UserError(
            f"{len(best)} files are as likely to be the entry point: {shown}",
            fix=f"Name the one that trains: `kit init --entry {best[0].path}`.",
        )
    return entries[0]


def _folder(entry: Entry) -> str:
    """The uppermost folder that it lies in."""
    return entry.path.partition("/")[0] if "/" in entry.path else ""


def _named(root: Path, files: Sequence[str], wanted: str) -> Entry:
    path, _, function = wanted.partition(":")
    path = posixpath.normpath(path)
    if path not in files:
        hint = did_you_mean(nearest(path, [name for name in files if name.endswith(".py")]))
        raise UserError(f"no file {path!r} in the repository", where="--entry", fix=hint or "Name a file in it.")
    text = read(root, path)
    module = None if text is None else parse(path, text)
    if module is None:
        raise UserError("not a Python file that can be read", where=path, fix="Name another one, or mend it.")
    if function and function not in module.functions:
        hint = did_you_mean(nearest(function, module.functions))
        raise UserError(f"no function {function!r}", where=path, fix=hint or "Name a function at the file's top level.")
    entry = _entry(module, {path: module}, root, function or None)
    if entry is None:
        what = f"{function}: its parameters" if function else "what it does"
        raise UserError(
            f"a config cannot hold {what}",
            where=path,
            fix="Write the task by hand: `def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]`.",
        )
    return entry


def _modules(root: Path, files: Sequence[str]) -> Iterator[Module]:
    """What is worth a look."""
    python = [path for path in files if path.endswith(".py") and not _ELSEWHERE.search(path)]
    for path in python[:_MOST]:
        text = read(root, path)
        told = re.fullmatch(_TELLING_NAMES, posixpath.basename(path).removesuffix(".py")) is not None
        if text is not None and (told or _TELLING.search(text)) and (module := parse(path, text)) is not None:
            yield module


def _entry(module: Module, known: dict[str, Module], root: Path, wanted: str | None = None) -> Entry | None:
    found = [entry for entry in _candidates(module, known, root, wanted) if entry is not None]
    if not found:
        return None
    best = max(found, key=lambda entry: _KINDS[entry.kind] + _FUNCTIONS.get(entry.function or "", 0))
    score = _score(module, best)
    if best.call is not Call.SCRIPT and starts_on_import(module):
        # What a function takes is no option of the file; what a command takes is.
        options = () if best.kind == "function" else best.options
        why = "importing the file starts its work"
        best = replace(
            best, call=Call.SCRIPT, function=None, attribute=None, why=why, options=options, returns=Returns.NOTHING
        )
    return replace(best, score=score)


def _candidates(module: Module, known: dict[str, Module], root: Path, wanted: str | None) -> Iterator[Entry | None]:
    functions = [one for name, one in module.functions.items() if wanted in {None, name}]
    commands = [entry for one in functions for make in _COMMANDS if (entry := make(module, one)) is not None]
    if commands:
        yield from commands
        return
    if wanted is None and (entry := _argparse_entry(module, known, root)) is not None:
        yield entry
        return
    for function in functions:
        if wanted is not None or function.name in _FUNCTIONS:
            yield _with_argv(module, function_entry(module, function))
    if wanted is None:
        yield script_entry(module)


def _with_argv(module: Module, entry: Entry | None) -> Entry | None:
    """A function without parameters may look at the command line, or call what does: that must not be kit's own."""
    if entry is None or entry.options:
        return entry
    nodes = [node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)]
    line = next((node.lineno for node in nodes if module.full_name(node) == "sys.argv"), None)
    if line is None:
        return replace(entry, call=Call.ARGV)
    why = "it reads `sys.argv` itself"
    return replace(entry, call=Call.ARGV, why=why, unread=(f"{module.path}:{line}: sys.argv",))


_COMMANDS = (hydra_entry, typer_entry, click_entry)


def _score(module: Module, entry: Entry) -> int:
    stem = posixpath.basename(entry.path).removesuffix(".py")
    named = next((points for pattern, points in _NAMES if re.fullmatch(pattern, stem)), 0)
    if named < 40 and _OTHERS.search(stem):  # `train_test.py` trains
        named -= 40
    learns = 10 if module.imports(*_LEARNS) else 0
    guarded = 4 if any(is_guard(statement) for statement in module.tree.body) else 0
    function = _FUNCTIONS.get(entry.function or "", 0)
    return named + learns + guarded + function + _KINDS[entry.kind] - 3 * entry.path.count("/")


def _argparse_entry(module: Module, known: dict[str, Module], root: Path) -> Entry | None:
    """What parses its options with argparse; they may be declared in a file that it imports."""
    parses = any(next(module.calls(name), None) is not None for name in PARSES)
    declares = next(module.calls("add_argument"), None) is not None
    elsewhere = any(_is_parser(module, name) for name in module.names.values())
    if not parses and not elsewhere and not (declares and module.imports("argparse")):
        return None
    options, unread = _argparse.options_of(module)
    if not options and not unread:
        options, unread = _from_imports(module, known, root)
        if not options and not unread:
            return None
    call, function, why = _argparse_call(module, options, unread)
    returns = returns_of(module, module.functions[function]) if function else None
    entry = Entry(module.path, function, "argparse", call, why, tuple(options), tuple(unread))
    if returns is Returns.NUMBER and _leaves_with(module, function):
        returns = Returns.STATUS
    return entry if returns is None else replace(entry, returns=returns)


def _leaves_with(module: Module, name: str | None) -> bool:
    """`sys.exit(main())`."""
    calls = (argument for word in ("exit", "SystemExit") for call in module.calls(word) for argument in call.args)
    return any(isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name for one in calls)


def _is_parser(module: Module, name: str) -> bool:
    """`from options import get_args`, where that file is the project's own."""
    last = name.rpartition(".")[2]
    return (
        bool(re.search(r"(parse|get|make|build)_?(args|arguments|options|parser|opts?)$", last)) and name != module.path
    )


def _from_imports(module: Module, known: dict[str, Module], root: Path) -> tuple[list[Option], list[str]]:
    folder = posixpath.dirname(module.path)
    for name in module.names.values():
        parts = [part for part in name.lstrip(".").split(".") if part]
        for base in dict.fromkeys((folder, "", "src")):
            for stop in (len(parts), len(parts) - 1):
                path = posixpath.join(base, *parts[:stop]) + ".py" if stop > 0 else ""
                other = known.get(path) or (_load(root, path) if path else None)
                if other is not None and next(other.calls("add_argument"), None) is not None:
                    return _argparse.options_of(other)
    return [], []


def _load(root: Path, path: str) -> Module | None:
    text = read(root, path) if (root / path).is_file() else None
    return None if text is None else parse(path, text)


def _argparse_call(module: Module, options: list[Option], unread: list[str]) -> tuple[Call, str | None, str]:
    """How it can be called, the simplest way first, and why not in a simpler one."""
    guard = next((statement for statement in module.tree.body if is_guard(statement)), None)
    body = [] if guard is None else guard.body
    if (function := _with_namespace(module, body)) is not None:
        special = next((option.name for option in options if option.converted or option.computed is not None), None)
        if special is None and not unread:
            return Call.NAMESPACE, function, ""
        reason = unread[0].partition(": ")[2] if special is None else f"what it makes of {special}"
        return Call.SCRIPT, None, f"only its parser knows {reason}"
    name = _called_alone(body) or ("main" if guard is None and "main" in module.functions else None)
    function_node = module.functions.get(name or "")
    if function_node is None or isinstance(function_node, ast.AsyncFunctionDef):
        return Call.SCRIPT, None, "its parser runs outside of any function"
    parameters = [*function_node.args.posonlyargs, *function_node.args.args]
    needed = len(parameters) - len(function_node.args.defaults)
    if needed == 0 and parameters and _passes_on(module, function_node, parameters[0].arg):
        return Call.ARGUMENTS, name, ""
    if needed == 0 and not any(default is None for default in function_node.args.kw_defaults):
        return Call.ARGV, name, f"`{name}` reads its options from `sys.argv` itself"
    return Call.SCRIPT, None, f"`{name}` needs what only the file itself gives it"


def _with_namespace(module: Module, body: list[ast.stmt]) -> str | None:
    """The function of `args = parser.parse_args(); train(args)`; what stands before makes the parser."""
    if not body:
        return None
    last = body[-1].value if isinstance(body[-1], ast.Expr) else None
    if not isinstance(last, ast.Call) or not isinstance(last.func, ast.Name) or last.func.id not in module.functions:
        return None
    if len(last.args) != 1 or last.keywords:
        return None
    function = module.functions[last.func.id]
    if len(function.args.args) != 1 or isinstance(function, ast.AsyncFunctionDef):
        return None
    given = last.args[0]
    before = body[:-1]
    if isinstance(given, ast.Name):
        parsing = before.pop() if before else None
        if not isinstance(parsing, ast.Assign) or not _names(parsing.targets, given.id):
            return None
        given = parsing.value
    parses = isinstance(given, ast.Call) and _parses(module, given)
    return function.name if parses and all(map(_makes_parser, before)) else None


def _names(targets: list[ast.expr], name: str) -> bool:
    return len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == name


def _parses(module: Module, call: ast.Call) -> bool:
    """`parser.parse_args()`, or a function of the file that returns nothing else."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr == "parse_args"
    function = module.functions.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if function is None or call.args or call.keywords:
        return False
    given = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return bool(given) and all(
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "parse_args"
        for value in given
    )


def _makes_parser(statement: ast.stmt) -> bool:
    words = {"ArgumentParser", "add_argument", "add_argument_group", "add_mutually_exclusive_group", "set_defaults"}
    value = statement.value if isinstance(statement, ast.Assign | ast.Expr) else None
    if not isinstance(value, ast.Call):
        return False
    name = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
    return name in words or bool(re.search(r"parser$", name))


def _called_alone(body: list[ast.stmt]) -> str | None:
    """The `main` of `main()` and of `sys.exit(main())`, if there is nothing else."""
    only = body[0] if len(body) == 1 else None
    call = only.value if isinstance(only, ast.Expr) else None
    if isinstance(call, ast.Call) and len(call.args) == 1 and isinstance(call.args[0], ast.Call):
        call = call.args[0]
    plain = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args and not call.keywords
    return call.func.id if plain and isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None


def _passes_on(module: Module, function: Function, name: str) -> bool:
    """Whether the parameter is the command line: `parser.parse_args(argv)`."""
    return any(
        call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == name
        for parses in PARSES
        for call in module.calls(parses, function)
    )
