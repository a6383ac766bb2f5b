"""One seed for every generator that is there, and for those that come later."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["hash_seed", "seed_everything"]


def hash_seed(seed: int) -> int:
    """What `PYTHONHASHSEED` is set to, which takes less than other generators do."""
    return seed % 2**32


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch; a library that is imported later as soon as it is there.

    Importing them for this would cost seconds. The hash seed is set before the interpreter starts, by the supervisor.
    """
    random.seed(seed)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _SeedLater)]
    for name, seed_it in _LIBRARIES.items():
        if (module := sys.modules.get(name)) is not None:
            seed_it(module, seed)
        else:
            sys.meta_path.insert(0, _SeedLater(name, seed))


_LIBRARIES: dict[str, Callable[[Any, int], object]] = {
    "numpy.random": lambda module, seed: module.seed(seed % 2**32),
    "torch": lambda module, seed: module.manual_seed(seed),  # every device's generator
}


class _SeedLater:
    """Seeds one library when it is imported: each of them draws its first seed from the operating system."""

    def __init__(self, name: str, seed: int) -> None:
        self._name = name
        self._seed = seed

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """That of the other finders, whose loader then seeds as well. It stays the loader that it is."""
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_seed(module: ModuleType) -> None:
                execute(module)
                _LIBRARIES[name](module, self._seed)

            spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
        return spec
