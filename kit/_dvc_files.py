"""What `.dvc`, `dvc.yaml` and `dvc.lock` files say, read as the documented YAML that they are."""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import yaml

from kit._dvc_tree import directory_md5
from kit._plain_yaml import safe_loader
from kit._stat_cache import Kind
from kit._working_tree import WorkingTree
from kit.errors import UserError

__all__ = ["DVC_FILES", "Files", "Output", "find_dvc_root", "read_outputs", "read_stages"]

DVC_FILES = ("*.dvc", "dvc.yaml")
"""What the files are called in which outputs are declared."""

_INTERPOLATION = re.compile(r"(?<!\\)\$\{\s*([^}]*?)\s*\}")
_Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Output:
    """One DVC output as declared and recorded. `path` is relative to the project, `location` absolute."""

    path: str
    location: str
    source: str
    md5: str | None = None
    kind: Kind = "md5"
    size: int | None = None
    files: int | None = None
    stage: str | None = None
    dependencies: tuple[Path, ...] = ()

    @property
    def file(self) -> Path:
        return Path(self.location)


class Files(Protocol):
    """Where DVC's files, and those that they refer to, are read from."""

    def names(self) -> Iterable[str]:
        """The `DVC_FILES` of the project, relative to it."""
        ...

    def read(self, path: Path) -> bytes:
        """The content of a file; raises OSError if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file of DVC's lies, and so what its paths are relative to."""

    root: Path
    folder: Path
    files: Files

    def path(self, wdir: str | None, path: str) -> tuple[str, Path]:
        file = Path(os.path.normpath(self.folder / (wdir or ".") / path))
        return Path(os.path.relpath(file, self.root)).as_posix(), file

    def name(self, file: str) -> str:
        return self.path(None, file)[0]

    def address(self, stage: str) -> str:
        """What `dvc repro`, in the project, calls a stage that is declared here."""
        return stage if self.folder == self.root else f"{self.name('dvc.yaml')}:{stage}"


def find_dvc_root(root: Path) -> Path | None:
    """The folder with `.dvc/`: `root` or one above it, within the same git repository."""
    for folder in (root, *root.parents):
        if (folder / ".dvc").is_dir():
            return folder
        if (folder / ".git").exists():
            return None
    return None


def read_outputs(root: Path, files: Files | None = None) -> list[Output]:
    """Every cached output that is declared in the project.

    Args:
        root: The project, absolute.
        files: Where to read; None reads the working tree.

    Raises:
        UserError: If one of the files is not YAML, or the project is not in a git repository.
        HostError: If git is not installed.
    """
    files = WorkingTree(root, DVC_FILES) if files is None else files
    found: dict[str, Output] = {}
    for name in sorted(files.names()):
        path = root / name
        read = _read_pipeline if path.name == "dvc.yaml" else _read_dvc
        with _as_dvc_writes_it(path, name):
            found |= {output.path: output for output in read(_Place(root, path.parent, files), path)}
    return [found[path] for path in sorted(found)]


def read_stages(root: Path) -> set[str]:
    """What `dvc repro` takes in the project: its stages, those that `foreach` and `matrix` make, and DVC's files.

    Raises as `read_outputs` does.
    """
    files = WorkingTree(root, DVC_FILES)
    found: set[str] = set()
    for name in files.names():
        path = root / name
        found.add(name)
        if path.name == "dvc.yaml":
            with _as_dvc_writes_it(path, name):
                place = _Place(root, path.parent, files)
                found |= {place.address(stage) for group in _groups(place, path) for stage in group}
    return found


def _groups(place: _Place, path: Path) -> Iterator[list[str]]:
    """The name of each definition in a pipeline, with those of the stages that it makes."""
    pipeline, entries = _pipeline(place, path)
    context = _context(place.files, place.folder, pipeline.get("vars"))
    for name, definition in _mapping(pipeline.get("stages")).items():
        yield [str(name), *(stage for stage, _, _ in _instances(str(name), _mapping(definition), context, entries))]


@contextmanager
def _as_dvc_writes_it(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, RecursionError, TypeError) as error:  # valid YAML of the wrong shape
        raise UserError(
            f"{name} is not as DVC writes it", where=str(path), fix="See what `dvc status` says."
        ) from error


def _read_dvc(place: _Place, path: Path) -> Iterator[Output]:
    content = _load(place.files, path)
    for out in _mappings(content.get("outs")):
        if out.get("cache") is not False and _is_local(out.get("path")):
            name, file = place.path(_str(content.get("wdir")), out["path"])
            yield _recorded(name, file, out, source=place.name(path.name))


def _recorded(name: str, file: Path, out: _Values, *, source: str, stage: str | None = None) -> Output:
    listing = [
        (entry["relpath"], entry["md5"]) for entry in _mappings(out.get("files")) if {"relpath", "md5"} <= entry.keys()
    ]
    md5 = out.get("md5") or (directory_md5(listing) if listing else None)  # a versioned cloud remote records each file
    return Output(
        path=name,
        location=str(file),
        source=source,
        md5=_str(md5),
        kind="md5" if out.get("hash") == "md5" else "md5-dos2unix",
        size=_int(out.get("size")),
        files=_int(out.get("nfiles")) or (len(listing) or None),
        stage=stage,
    )


def _read_pipeline(place: _Place, path: Path) -> Iterator[Output]:
    pipeline, entries = _pipeline(place, path)
    context = _context(place.files, place.folder, pipeline.get("vars"))
    for name, definition in _mapping(pipeline.get("stages")).items():
        for stage, body, values in _instances(str(name), _mapping(definition), context, entries):
            yield from _stage_outputs(place, stage, body, values, _mapping(entries.get(stage)))


def _pipeline(place: _Place, path: Path) -> tuple[_Values, _Values]:
    """What is declared, and what is recorded of each stage."""
    lock = _load(place.files, path.with_name("dvc.lock"))
    return _load(place.files, path), _mapping(lock.get("stages", lock))


def _stage_outputs(place: _Place, stage: str, body: _Values, context: _Values, entry: _Values) -> Iterator[Output]:
    wdir = _resolve(_str(body.get("wdir")) or ".", context) or "."
    values = _context(place.files, place.folder / wdir, body.get("vars"), context)
    address = place.address(stage)
    recorded = {out.get("path"): out for out in _mappings(entry.get("outs"))}
    needs = [_resolve(path, values) for path in body.get("deps") or () if isinstance(path, str)]
    dependencies = tuple(place.path(wdir, path)[1] for path in needs if path and _is_local(path))
    for path in filter(_is_local, _cached_paths(body, values, recorded)):
        name, file = place.path(wdir, path)
        if path in recorded:
            made = _recorded(name, file, recorded[path], source=place.name("dvc.lock"), stage=address)
        else:
            made = Output(name, str(file), place.name("dvc.yaml"), stage=address)
        yield replace(made, dependencies=dependencies)


def _cached_paths(body: _Values, values: _Values, recorded: Mapping[Any, _Values]) -> list[str]:
    """The outputs of a stage that DVC caches, as the lock names them where `${...}` is beyond us."""
    declared = [(_resolve(path, values), path, cached) for path, cached in _declared(body)]
    if recorded and any(resolved is None for resolved, _, _ in declared):
        return sorted(recorded.keys() - {resolved for resolved, _, cached in declared if not cached})
    return [resolved or path for resolved, path, cached in declared if cached]


def _declared(body: _Values) -> Iterator[tuple[str, bool]]:
    """Each output of a stage with whether DVC caches it; git keeps the others."""
    for section in ("outs", "metrics", "plots"):
        for out in body.get(section) or ():
            if isinstance(out, str):
                yield out, True
            else:
                for path, options in _mapping(out).items():
                    yield str(path), _mapping(options).get("cache") is not False


def _instances(
    name: str, definition: _Values, context: _Values, entries: _Values
) -> Iterator[tuple[str, _Values, _Values]]:
    """A stage, or each one that `foreach` or `matrix` makes of it, with the values that it knows."""
    body = _mapping(definition.get("do", definition))
    choices = _choices(definition, context)
    if choices is None:
        yield name, body, context
    elif choices:
        yield from ((f"{name}@{key}", body, {**context, **values}) for key, values in choices.items())
    else:
        made = [stage for stage in entries if stage.startswith(f"{name}@")]
        yield from ((stage, body, context) for stage in made or [name])


def _choices(definition: _Values, context: _Values) -> dict[str, _Values] | None:
    """The keys of a `foreach` or `matrix`, and what each means; None for a plain stage, empty if it is beyond us."""
    if "foreach" in definition:
        data = _value(definition["foreach"], context)
        if isinstance(data, list) and any(isinstance(item, dict | list) for item in data):
            return {str(index): {"item": item, "key": str(index)} for index, item in enumerate(data)}
        if isinstance(data, list):
            return {str(item): {"item": item} for item in data}
        return {str(key): {"item": item, "key": key} for key, item in _mapping(data).items()}
    if "matrix" not in definition:
        return None
    axes = {key: _value(data, context) for key, data in _mapping(definition["matrix"]).items()}
    found: dict[str, _Values] = {}
    for picks in itertools.product(*(_labelled(key, axis) for key, axis in axes.items())):
        name = "-".join(label for label, _ in picks)
        found[name] = {"item": {key: item for key, (_, item) in zip(axes, picks, strict=True)}, "key": name}
    return found


def _labelled(key: str, axis: object) -> list[tuple[str, object]]:
    """The values of one axis of a `matrix`, with what DVC calls each in a stage's name; none if it is not a list."""
    if not isinstance(axis, list):
        return []
    return [(f"{key}{i}" if isinstance(item, dict | list) else _plain(item), item) for i, item in enumerate(axis)]


def _context(files: Files, folder: Path, variables: object, base: _Values | None = None) -> dict[str, Any]:
    """The values that `${...}` may name: params.yaml, then `vars`."""
    values = dict(_load_params(files, folder / "params.yaml")) if base is None else dict(base)
    for item in variables if isinstance(variables, list) else ():
        values |= _load_params(files, folder / item.partition(":")[0]) if isinstance(item, str) else _mapping(item)
    return values


def _resolve(text: str, context: _Values) -> str | None:
    """The text with its `${...}` filled in; None if one cannot be."""
    missing = False

    def fill(found: re.Match[str]) -> str:
        nonlocal missing
        value = _look_up(found[1], context)
        missing = missing or value is None or isinstance(value, dict | list)
        return _plain(value)

    filled = _INTERPOLATION.sub(fill, text)
    return None if missing else filled.replace("\\${", "${")


def _value(data: object, context: _Values) -> object:
    """What `${name}` stands for when it is the whole value."""
    found = _INTERPOLATION.fullmatch(data) if isinstance(data, str) else None
    return _look_up(found[1], context) if found else data


def _look_up(name: str, context: _Values) -> object:
    value: object = context
    for part in re.findall(r"[^.\[\]]+", name):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _load_params(files: Files, path: Path) -> _Values:
    """Parameters are the user's and may be anything; what cannot be read is left to `dvc.lock`."""
    try:
        if path.suffix == ".toml":
            return tomllib.loads(files.read(path).decode())
        return _load(files, path)  # JSON is YAML too
    except (UserError, ValueError, OSError):
        return {}


def _load(files: Files, path: Path) -> _Values:
    try:
        content = files.read(path)
        return _mapping(yaml.load(content, safe_loader(content)))  # noqa: S506
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(
            f"{path.name} is not valid YAML", where=where, fix="Mend the file; a merge may have left marks."
        ) from error


def _mapping(value: object) -> _Values:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Sequence[_Values]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _str(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _is_local(path: object) -> bool:
    """Whether it is a file here; an output on a remote such as `s3://` is never in the workspace."""
    return isinstance(path, str) and not re.match(r"[a-z][a-z0-9+-]*://", path)
