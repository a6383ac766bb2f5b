"""One seed for every generator that is there, and for those that come later."""

from __future__ import annotations

import random

from kit._importing import after_import

__all__ = ["hash_seed", "seed_everything"]


def hash_seed(seed: int) -> int:
    """What `PYTHONHASHSEED` is set to, which takes less than other generators do."""
    return seed % 2**32


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch; a library that is imported later as soon as it is there.

    Importing them for this would cost seconds. The hash seed is set before the interpreter starts, by the supervisor.
    """
    random.seed(seed)
    # Each of them draws its first seed from the operating system.
    after_import("numpy.random", lambda module: module.seed(seed % 2**32))
    after_import("torch", lambda module: module.manual_seed(seed))  # every device's generator
