"""The project as files, each read and parsed once, however many rules look at it."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import stat
import tomllib
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from kit import _git
from kit.errors import KitError

if TYPE_CHECKING:
    from pathlib import Path

    from kit.config import Composed
    from kit.project import Project

__all__ = ["Tree", "is_match"]

T = TypeVar("T")

_LARGEST = 4 * 2**20
"""Bytes. What is larger is data, whatever it is called."""
_SUBMODULE = b"160000 "
_YAML = ".yaml"


class Tree:
    """What rules look at.

    Attributes:
        project: Where the files are, and its settings.
        root: Its folder.
        files: What git tracks or would track, relative to the root, with slashes, in order.
        tracked: Those that it tracks.
        wanted: Those that are asked for.
        typed: Why kit's own command line would not take these words, None if it would; None where nobody can be asked.
    """

    typed: Callable[[list[str]], str | None] | None = None

    def __init__(self, project: Project, *, only: Collection[str] | None = None) -> None:
        """Ask git for the files; `only` says which of them are wanted, None: all.

        Raises:
            UserError: If the project is in no repository.
            HostError: If git is not installed.
        """
        self.project = project
        self.root: Path = project.root.resolve()
        self._folder = str(self.root)
        self.tracked, untracked = _listed(self.root)
        self.files: tuple[str, ...] = tuple(sorted(self.tracked | untracked))
        self.wanted = self.files if only is None else tuple(path for path in self.files if path in only)
        self._texts: dict[str, str | None] = {}
        self._modules: dict[str, ast.Module | None] = {}
        self._parsed: dict[str, Any] = {}
        self._made: dict[object, Any] = {}

    @property
    def whole(self) -> Tree:
        """The same, with all files wanted; what is read of one is read of the other."""
        other = copy.copy(self)
        other.wanted = self.files
        return other

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.files)

    def __contains__(self, path: str) -> bool:
        return path in self._known

    @cached_property
    def is_kit(self) -> bool:
        """Whether it has `[tool.kit]`; other repositories have neither experiments nor schedules in kit's sense."""
        return "kit" in self.toml("pyproject.toml").get("tool", {})

    @property
    def config_dir(self) -> str:
        """The folder of the configs, relative to the root."""
        return self.project.settings.config_dir.strip("/")

    def matching(self, *patterns: str) -> Iterator[str]:
        """Those of `wanted` that one of the globs matches; `**/` stands for any folders, or none."""
        return _matching(self.wanted, patterns)

    def all_matching(self, *patterns: str) -> Iterator[str]:
        """The same of all files."""
        return _matching(self.files, patterns)

    def text(self, path: str) -> str | None:
        """A file's text, line ends as they are; None if there is none, it is no UTF-8, or too large for a text."""
        if path not in self._texts:
            self._texts[path] = _read(os.path.join(self._folder, path))  # noqa: PTH118 - Path takes longer than reading
        return self._texts[path]

    def module(self, path: str) -> ast.Module | None:
        """A Python file, parsed; None if it does not parse, which is ruff's to say."""
        if path not in self._modules:
            self._modules[path] = _parse(self.text(path))
        return self._modules[path]

    def yaml(self, path: str) -> Any:  # noqa: ANN401 - what the file says
        """A YAML file as plain containers, interpolations as they are written; None if it is none."""
        return self._once(path, _load_yaml)

    def toml(self, path: str) -> dict[str, Any]:
        """A TOML file; empty if it is none."""
        found = self._once(path, _load_toml)
        return found if isinstance(found, dict) else {}

    def notebook(self, path: str) -> dict[str, Any] | None:
        """A notebook as its JSON; None if it is none."""
        found = self._once(path, _load_notebook)
        return found if isinstance(found, dict) and isinstance(found.get("cells"), list) else None

    def composed(self) -> Mapping[str, Composed | KitError]:
        """The config of every experiment, or why it has none; nothing of the project's code runs for that."""
        return self.remember("composed", lambda: _compose_all(self))

    def remember(self, key: object, make: Callable[[], T]) -> T:
        """What several rules make of the files, made once."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the project's experiments."""
        return self.options("experiment") if self.is_kit else ()

    def options(self, group: str) -> tuple[str, ...]:
        """The names of the configs of a group, those that others are based on (`_base`) left out."""
        folder = f"{self.config_dir}/{group}/"
        names = (path.removeprefix(folder).removesuffix(_YAML) for path in self.all_matching(f"{folder}*{_YAML}"))
        return tuple(name for name in names if not name.startswith((".", "_")))

    def forget(self, paths: Iterable[str]) -> None:
        """Read these anew when they are next asked for: they were written, and may be new."""
        paths = frozenset(paths)
        if new := paths - self._known:
            everything = self.wanted is self.files
            self.files = tuple(sorted(self._known | new))
            self.wanted = self.files if everything else self.wanted
            del self.__dict__["_known"]
        for path in paths:
            self._texts.pop(path, None)
            self._modules.pop(path, None)
            self._parsed.pop(path, None)
        self._made.clear()

    def _once(self, path: str, load: Any) -> Any:  # noqa: ANN401
        if path not in self._parsed:
            text = self.text(path)
            self._parsed[path] = None if text is None else load(text)
        return self._parsed[path]


def _listed(root: Path) -> tuple[frozenset[str], frozenset[str]]:
    """What git tracks, submodules left out, and what it would track; names that are no texts are nobody's files."""
    staged = _git.run(root, "ls-files", "-z", "--cached", "--stage").split(b"\0")
    tracked = [entry.partition(b"\t")[2] for entry in staged if entry and not entry.startswith(_SUBMODULE)]
    others = _git.run(root, "ls-files", "-z", "--others", "--exclude-standard").split(b"\0")
    present = (name for name in map(_decoded, tracked) if name and os.path.lexists(root / name))
    untracked = (name for name in map(_decoded, others) if name and not name.endswith("/"))
    return frozenset(present), frozenset(untracked)


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""


def is_match(path: str, *patterns: str) -> bool:
    """Whether a path is one that `Tree.matching` would give."""
    return _compiled(patterns).fullmatch(path) is not None


def _matching(paths: Iterable[str], patterns: tuple[str, ...]) -> Iterator[str]:
    match = _compiled(patterns).fullmatch
    return (path for path in paths if match(path))


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_translated, patterns)))


def _translated(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(meanings.get(part) or re.escape(part) for part in parts)


def _read(path: str) -> str | None:
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return None
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - there may be thousands
            content = file.read()
        return None if b"\0" in content else content.decode()
    except (OSError, UnicodeDecodeError):
        return None


def _parse(text: str | None) -> ast.Module | None:
    if text is None:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # of a `\d` in somebody's text
            return ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _load_yaml(text: str) -> Any:  # noqa: ANN401
    import yaml

    from kit._plain_yaml import safe_loader

    try:
        return yaml.load(text, safe_loader(text))  # noqa: S506 - both are safe ones
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _load_toml(text: str) -> Any:  # noqa: ANN401
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _load_notebook(text: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _compose_all(tree: Tree) -> dict[str, Composed | KitError]:
    from kit import config

    settings, found = tree.project.settings, dict[str, "Composed | KitError"]()
    choice = "experiment=" if _is_chosen(tree) else "+experiment="
    source = config.Source(tree.root, settings.config_dir, settings.config_name)
    with config.composed_ahead(source, several=True):
        for name in tree.experiments:
            try:
                found[name] = config.compose(tree.root, settings.config_dir, settings.config_name, [f"{choice}{name}"])
            except KitError as error:
                found[name] = error
    return found


def _is_chosen(tree: Tree) -> bool:
    """Whether the primary config has a place for an experiment; else it is added, as `kit run +experiment=NAME`."""
    primary = tree.yaml(f"{tree.config_dir}/{tree.project.settings.config_name}{_YAML}")
    defaults = primary.get("defaults") if isinstance(primary, dict) else None
    entries = defaults if isinstance(defaults, list) else ()
    groups = [key for entry in entries if isinstance(entry, dict) for key in entry]
    return any(re.fullmatch(r"(override\s+|optional\s+)*/?experiment(@\S+)?", str(key)) for key in groups)
