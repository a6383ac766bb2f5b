"""The order of sets: objects have numbers instead of addresses, and other interpreters get this one's hash seed."""

from __future__ import annotations

import builtins
import itertools
import os
import subprocess
import weakref
from typing import Any

from kit._probe._asking import Watch

__all__ = ["Hashes"]

_KIND = "hash order"
_SEED = "PYTHONHASHSEED"
_MOST = 1_000_000
"""Objects that have no weak references are kept for as long as the run lasts; so many at most."""


class Hashes:
    """Stands in for what depends on where in memory something lies."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._count = itertools.count(1)
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []
        self._classes: list[type] = []

    def install(self) -> None:
        """Before the task's modules are imported."""
        _hold_children(self._watch)
        self._hold_id()
        self._collect_classes()

    def begin(self) -> None:
        """When they have been: only now is it known which of their classes have no hash of their own.

        What decorates a class, as `dataclass`, may give it one.
        """
        for made in self._classes:
            if vars(made).get("__hash__", made.__hash__) == object.__hash__:
                setattr(made, "__hash__", self._hash())  # noqa: B010 - not for mypy
        self._classes.clear()

    def _hash(self) -> Any:  # noqa: ANN401 - a method of any class
        def hash_it(instance: object) -> int:
            return self._number(instance, f"hash({type(instance).__name__})")

        return hash_it

    def _number(self, thing: object, call: str, *, direct: bool = False) -> int:
        """In the order in which they were first asked for. Whoever is not of the task gets the address."""
        address = _address(thing)
        if address in self._numbers:
            return self._numbers[address]
        if self._watch.asked(_KIND, call, direct=direct) is None or not self._can_keep(thing, address):
            return address
        return self._numbers.setdefault(address, next(self._count))

    def _can_keep(self, thing: object, address: int) -> bool:
        """Whether the number can be taken back before another object lies there."""
        try:
            weakref.finalize(thing, self._numbers.pop, address, None).atexit = False
        except TypeError:
            if len(self._kept) == _MOST:
                return False
            self._kept.append(thing)
        return True

    def _hold_id(self) -> None:
        numbers = self

        class _Id:
            def __call__(self, thing: object, /) -> int:
                return numbers._number(thing, "id()", direct=True)

        builtins.id = _Id()

    def _collect_classes(self) -> None:
        real = builtins.__build_class__

        def build(body: Any, name: str, *bases: Any, **options: Any) -> Any:  # noqa: ANN401 - as Python has it
            made = real(body, name, *bases, **options)
            if isinstance(made, type) and self._watch.is_the_tasks(body.__code__.co_filename):
                self._classes.append(made)
            return made

        builtins.__build_class__ = build  # type: ignore[assignment]


_address = id


def _hold_children(watch: Watch) -> None:
    real, seed = subprocess.Popen.__init__, os.environ.get(_SEED)

    def start(self: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as it has it
        environment = options.get("env")
        theirs = os.environ if environment is None else environment
        if seed is not None and theirs.get(_SEED) != seed and watch.asked(_KIND, "subprocess.Popen()") is not None:
            options["env"] = {**theirs, _SEED: seed}
        real(self, *arguments, **options)

    subprocess.Popen.__init__ = start  # type: ignore[method-assign]
