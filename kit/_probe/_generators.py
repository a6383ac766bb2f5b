"""Generators that were given no seed: they ask the operating system for one, and get the same in every run."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import sys
from typing import Any

from kit._importing import after_import
from kit._probe._asking import Watch

__all__ = ["install"]

_KIND = "generator"
_DEVICES = ("/dev/urandom", "/dev/random")


def install(watch: Watch, seed: int) -> None:
    """Answer whoever asks for numbers that nobody can know with numbers made from `seed` and from where it asks."""
    urandom = _Urandom(watch, seed)
    os.urandom = urandom
    random._urandom = urandom  # type: ignore[attr-defined]  # noqa: SLF001 - what SystemRandom, `secrets` and so NumPy ask
    _hold_random(watch, seed)
    after_import("torch", lambda torch: _hold_torch(torch, watch, seed))
    _note_devices(watch)


class _Urandom:
    """In place of `os.urandom`. As that, it does not become a method where a class has it as an attribute."""

    def __init__(self, watch: Watch, seed: int) -> None:
        self._watch = watch
        self._seed = seed
        self._real = os.urandom

    def __call__(self, size: int, /) -> bytes:
        question = self._watch.asked(_KIND, "os.urandom()")
        return self._real(size) if question is None or size < 0 else _answer(self._seed, question, size)


def _answer(seed: int, question: str, size: int) -> bytes:
    blocks = (hashlib.sha256(f"{seed}/{question}/{number}".encode()).digest() for number in itertools.count())
    return b"".join(itertools.islice(blocks, -(-size // hashlib.sha256().digest_size)))[:size]


def _number(seed: int, question: str) -> int:
    """Of as many bits as any generator takes."""
    return int.from_bytes(_answer(seed, question, 8)) >> 1


def _hold_random(watch: Watch, seed: int) -> None:
    real = random.Random.seed

    def seed_it(self: random.Random, a: Any = None, version: int = 2) -> None:  # noqa: ANN401 - as Python has it
        if a is None and (question := watch.asked(_KIND, "random.seed()")) is not None:
            a = _number(seed, question)
        real(self, a, version)

    random.Random.seed = seed_it  # type: ignore[method-assign]
    random.seed = random._inst.seed  # noqa: SLF001 - the module's own generator


def _hold_torch(torch: Any, watch: Watch, seed: int) -> None:  # noqa: ANN401 - a module that may not be there
    """PyTorch asks the system from C++, but only when it is told to seed something anew."""
    real, real_seed = torch.Generator, torch.seed

    def seed_all() -> int:
        if (question := watch.asked(_KIND, "torch.seed()")) is None:
            return int(real_seed())
        torch.manual_seed(_number(seed, question))
        return int(torch.initial_seed())

    class _AlsoReal(type(real)):  # type: ignore[misc]
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

    class Generator(real, metaclass=_AlsoReal):  # type: ignore[misc, valid-type]
        def seed(self) -> int:
            if (question := watch.asked(_KIND, "torch.Generator.seed()")) is None:
                return int(super().seed())
            self.manual_seed(_number(seed, question))
            return int(self.initial_seed())

    torch.seed = torch.random.seed = seed_all
    torch.Generator = Generator


def _note_devices(watch: Watch) -> None:
    """Who reads the system's devices is noted, and gets what they hold."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments[0] in _DEVICES:
            watch.asked(_KIND, f"open({arguments[0]!r})")

    sys.addaudithook(hook)
