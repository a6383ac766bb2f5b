"""The task that a configuration names: its import, its signature, and the argument it takes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from kit.config._problems import did_you_mean
from kit.config._typed import is_schema, typed
from kit.errors import UserError

__all__ = ["TaskParameters", "as_omegaconf", "load_task", "task_config", "task_parameters"]

_EXPECTED = "def {name}(cfg: TrainConfig, run: kit.Run) -> dict[str, float]: ..."
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Where the name to install is not the name to import."""


@dataclass(frozen=True, slots=True)
class TaskParameters:
    """What a task takes.

    Attributes:
        schema: The dataclass of its first parameter; None for the other kinds.
        kind: What its first parameter is given.
        wants_run: Whether it takes a `kit.Run` as well.
        run_name: That parameter's name; pass it by position unless `run_by_name`.
        run_by_name: Whether that parameter is keyword-only.
    """

    schema: type | None
    kind: Literal["dataclass", "dictconfig", "dict"]
    wants_run: bool
    run_name: str = "run"
    run_by_name: bool = False


def load_task(name: str, root: Path) -> Callable[..., Any]:
    """Import `package.module.function`. What else the module raises while it is imported comes out as it is.

    Args:
        name: The task.
        root: The project's folder; it and its `src` are put on `sys.path`, and stay there for the task's own imports.

    Raises:
        UserError: If there is no such module or function, or the module needs a package that is not installed.
    """
    for folder in (root, root / "src"):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise UserError(f"task: {name!r} does not name a function", fix="Write it as `task: package.module.function`.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _not_found(error, name, module_name, root) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise _no_function(name, attribute, module)
    return typing.cast("Callable[..., Any]", function)


def _not_found(error: ModuleNotFoundError, name: str, module_name: str, root: Path) -> Exception:
    wanted = error.name or ""
    if f"{module_name}.".startswith(f"{wanted}."):
        parent, _, last = wanted.rpartition(".")
        package = sys.modules.get(parent)
        folders = [str(path) for path in (root / "src", root)]
        known = _modules(list(getattr(package, "__path__", [])) if parent else folders)
        otherwise = f"Known there: {', '.join(known[:10])}." if known else "Create the module."
        return UserError(
            f"task {name!r}: no module {wanted!r}", fix=did_you_mean(last, known, otherwise=otherwise), where="task"
        )
    top = wanted.partition(".")[0]
    if top == module_name.partition(".")[0]:
        return error  # the project's own code imports a part of itself that is not there: its traceback says it best
    return UserError(
        f"task {name!r}: its code needs the package {top!r}, which is not installed",
        where=_importer(error),
        fix=f"Add it with `uv add {_DISTRIBUTIONS.get(top, top)}`.",
    )


def _modules(folders: Sequence[str]) -> list[str]:
    return sorted({module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")})


def _importer(error: ModuleNotFoundError) -> str | None:
    """The last line of the user's that the import went through."""
    place, frame = None, error.__traceback__
    while frame is not None:
        if not frame.tb_frame.f_code.co_filename.startswith("<frozen"):
            place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
        frame = frame.tb_next
    return place


def _no_function(name: str, attribute: str, module: ModuleType) -> UserError:
    where = getattr(module, "__file__", None)
    if hasattr(module, attribute):
        kind = type(getattr(module, attribute)).__name__
        return UserError(f"task {name!r} is a {kind}, not a function", where=where, fix="Name a function.")
    functions = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
    fix = did_you_mean(attribute, functions, otherwise=f"Write it: `{_EXPECTED.format(name=attribute)}`")
    return UserError(f"task {name!r}: no function {attribute!r} in {module.__name__}", where=where, fix=fix)


def task_parameters(function: Callable[..., Any]) -> TaskParameters:
    """Read the task's signature: a config, and if it wants one a `kit.Run`.

    The config is a dataclass, an OmegaConf `DictConfig` (also without annotation), or a dict or Mapping. The run is the
    parameter after it, by its annotation or the name `run`.

    Raises:
        UserError: If the signature is another one.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if any(check(function) for check in _NOT_PLAIN):
        raise _wrong_signature(function, "must be a plain function, not async or a generator")
    if not parameters or parameters[0].kind not in _BY_POSITION or _is_run(parameters[0], first=True):
        raise _wrong_signature(function, "must take the config first")
    first, *rest = parameters
    schema, kind = _config_kind(function, first)
    run = next((parameter for parameter in rest if _is_run(parameter)), None)
    for parameter in rest:
        if parameter is not run and parameter.default is parameter.empty and parameter.kind not in _VARIADIC:
            raise _wrong_signature(function, f"has a parameter that kit does not know: {parameter.name!r}")
    if run is None:
        return TaskParameters(schema, kind, wants_run=False)
    by_name = run.kind is run.KEYWORD_ONLY or run is not rest[0]
    return TaskParameters(schema, kind, wants_run=True, run_name=run.name, run_by_name=by_name)


_NOT_PLAIN = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_BY_POSITION = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def _is_run(parameter: inspect.Parameter, *, first: bool = False) -> bool:
    """By names: the class lies above this layer, and its import may be for type checkers only.

    Args:
        parameter: Any but `*rest` and `**more`.
        first: Whether it is the config's place, where an annotation says more than the name `run`.
    """
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotated = bool(re.search(r"\bRun\b", annotation))
    else:
        kinds = typing.get_args(annotation) or (annotation,)
        annotated = any(getattr(kind, "__name__", "") == "Run" and _of_kit(kind) for kind in kinds)
    named = parameter.name == "run" and parameter.kind not in _VARIADIC
    return annotated or (named and not (first and annotation is not parameter.empty))


def _of_kit(kind: object) -> bool:
    return getattr(kind, "__module__", "").partition(".")[0] == "kit"


def _config_kind(
    function: Callable[..., Any], parameter: inspect.Parameter
) -> tuple[type | None, Literal["dataclass", "dictconfig", "dict"]]:
    annotation = _annotation(function, parameter)
    if is_schema(annotation):
        return annotation, "dataclass"
    origin = typing.get_origin(annotation) or annotation
    if annotation in {parameter.empty, Any} or getattr(origin, "__name__", "") == "DictConfig":
        return None, "dictconfig"
    if isinstance(origin, type) and issubclass(dict, origin) and issubclass(origin, Mapping):
        return None, "dict"
    shown = getattr(annotation, "__name__", annotation)
    raise _wrong_signature(function, f"must take a dataclass, DictConfig or dict first, not {shown}")


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:  # noqa: ANN401
    """Each by itself: `kit.Run` may be imported for type checkers only, the config's class may not."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    plain: Any = inspect.unwrap(function)
    plain = getattr(plain, "func", plain)  # a partial's
    plain = plain if hasattr(plain, "__globals__") else type(plain).__call__
    try:
        return eval(parameter.annotation, getattr(plain, "__globals__", {}))  # noqa: S307 the task's own source, as typing.get_type_hints does
    except (NameError, AttributeError) as error:
        raise UserError(
            f"task {_name(function)!r}: cannot read the annotation {parameter.annotation!r}: {error}",
            where=_location(function),
            fix="Import the name at the top of the module, not under `if TYPE_CHECKING:`.",
        ) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _location(function: Callable[..., Any]) -> str | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _wrong_signature(function: Callable[..., Any], problem: str) -> UserError:
    name = _name(function)
    return UserError(
        f"task {name!r} {problem}", where=_location(function), fix=f"Write it as `{_EXPECTED.format(name=name)}`"
    )


def task_config(parameters: TaskParameters, config: Mapping[str, Any], *, where: Callable[[str], str | None]) -> Any:  # noqa: ANN401 what the task asks for
    """The resolved configuration as the task's first argument.

    Raises:
        UserError: If it does not fit the task's dataclass.
    """
    if parameters.schema is not None:
        return typed(config, parameters.schema, where=where)
    return as_omegaconf(config) if parameters.kind == "dictconfig" else dict(config)


def as_omegaconf(value: Any) -> Any:  # noqa: ANN401 a DictConfig, a ListConfig or a plain value
    """A resolved value as OmegaConf holds it: closed to new keys, as Hydra hands it out."""
    from omegaconf import OmegaConf

    if not isinstance(value, Mapping | list):
        return value
    made = OmegaConf.create(_escaped(value))
    OmegaConf.set_struct(made, True)  # noqa: FBT003 OmegaConf's signature
    return made


def _escaped(value: Any) -> Any:  # noqa: ANN401
    """`${` in a resolved value is text; OmegaConf must not interpolate it a second time."""
    if isinstance(value, Mapping):
        return {key: _escaped(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_escaped(child) for child in value]
    return _escape(value) if isinstance(value, str) else value


def _escape(text: str) -> str:
    return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", text)
