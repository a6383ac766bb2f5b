"""Changing a library as soon as the task imports it, and not at all if it never does."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["after_import"]


def after_import(name: str, change: Callable[[ModuleType], object]) -> None:
    """Change a module: now if it is there, else when it has been imported."""
    if (module := sys.modules.get(name)) is not None:
        change(module)
    else:
        sys.meta_path.insert(0, _Finder(name, change))


class _Finder:
    """Finds one module, once, as those behind it do."""

    def __init__(self, name: str, change: Callable[[ModuleType], object]) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the import system's own protocol
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec
