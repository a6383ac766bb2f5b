"""Which file, or the command line, each value of a composed configuration comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.config._session import Source, composing
from kit.config._sharing import Marks, kept_marks, kept_read

__all__ = ["COMMAND_LINE", "Origins", "collect", "leaves", "mark_defaults", "share_repository"]

COMMAND_LINE = "command line"


class Origins:
    """Who set which key, in the order of composition: the last one to touch a value owns it."""

    def __init__(self, marks: Marks | None = None) -> None:
        self.marks: Marks = {} if marks is None else marks
        self._count = max((count for count, _ in self.marks.values()), default=0)

    def mark(self, key: str, origin: str) -> None:
        self._count += 1
        self.marks[key] = (self._count, origin)

    def mark_tree(self, prefix: str, value: object, origin: str) -> None:
        """Mark every leaf of `value`, which was merged in at `prefix`. A missing value leaves an older one in place."""
        for key, leaf in leaves(value, prefix):
            if leaf != "???" or key not in self.marks:
                self.mark(key, origin)

    def mark_override(self, key: str, value: object) -> None:
        """Mark what an override of the command line set; one element of a list makes the whole list its own."""
        for parent in _upward(key):
            if parent in self.marks:
                self.mark(parent, COMMAND_LINE)
        self.mark_tree(key, value, COMMAND_LINE)

    def of(self, key: str) -> str | None:
        """The origin of a leaf; what an interpolated mapping holds belongs to the file with the interpolation."""
        found = [self.marks[name] for name in _upward(key.partition("[")[0]) if name in self.marks]
        return max(found)[1] if found else None


def _upward(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted key and value of everything that is not a mapping with something in it; a list is one leaf."""
    if isinstance(value, Mapping) and (value or not prefix):
        for key, child in value.items():
            yield from leaves(child, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def share_repository(loader: Any) -> None:  # noqa: ANN401 Hydra has no types
    """Read each YAML file once for both composing and finding origins; Hydra would copy its cache for each use.

    Right only as long as the loader composes one configuration, because composing changes what it read.
    """
    from hydra._internal.config_repository import CachingConfigRepository

    class Shared(CachingConfigRepository):  # type: ignore[misc]
        def __init__(self, delegate: Any) -> None:  # noqa: ANN401 Hydra has no types
            super().__init__(None)  # else it copies that, too
            self.delegate = delegate

        def load_config(self, config_path: str) -> Any:  # noqa: ANN401 Hydra has no types
            if config_path not in self.cache:
                self.cache[config_path] = kept_read(self.delegate, config_path)
            return self.cache[config_path]

        def __deepcopy__(self, memo: object) -> Shared:
            return self

    loader.repository = Shared(loader.repository)


def collect(loader: Any, source: Source, overrides: Sequence[str]) -> Origins:  # noqa: ANN401 Hydra has no types
    """Follow the defaults list as Hydra did.

    Args:
        loader: Hydra's config loader, after `share_repository` and composing.
        source: The project's configs.
        overrides: The same as composed with.
    """
    from hydra.types import RunMode

    with composing():
        composed = loader.compute_defaults_list(source.config_name, list(overrides), RunMode.RUN)

    def mark() -> Marks:
        made = Origins()
        mark_defaults(made, loader.repository, composed.defaults, source)
        return made.marks

    origins = Origins(kept_marks(composed.defaults, mark))
    for override in composed.config_overrides:
        if not override.is_delete():
            origins.mark_override(override.key_or_group, override.value())
    return origins


def mark_defaults(origins: Origins, repository: Any, defaults: Sequence[Any], source: Source) -> list[str]:  # noqa: ANN401
    """Mark what each config of a defaults list sets, in their order; gives their files."""
    from omegaconf import OmegaConf

    names = []
    for default in defaults:
        if default.config_path.startswith("hydra/"):
            continue
        found = repository.load_config(default.config_path)
        content = OmegaConf.to_container(found.config, resolve=False)
        package = found.header["package"] if default.package is None else default.package
        names.append(_name(found.path, default.config_path, source))
        origins.mark_tree(_prefix(package), content, names[-1])
    return names


def _prefix(package: str | None) -> str:
    return "" if package in {None, "_global_"} else str(package)


def _name(source_path: str, config_path: str, source: Source) -> str:
    """The file, or for a config that a plugin brings, the address that Hydra gives it."""
    if source_path.startswith("file://"):
        return source.relative(Path(source_path.removeprefix("file://")) / f"{config_path}.yaml")
    return f"{source_path}{'' if source_path.endswith('//') else '/'}{config_path}"
