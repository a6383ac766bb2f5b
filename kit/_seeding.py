"""One seed for every generator that is there, and for those that come later."""

from __future__ import annotations

import random

from kit._importing import after_import

__all__ = ["HASH_SEED", "seed_everything"]

HASH_SEED = 0
"""What `PYTHONHASHSEED` is for every run, whatever its seed.

The order of a set is no experiment. And it is fixed when an interpreter starts, before anybody knows of which seed the
run will be that is forked from it.
"""


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch; a library that is imported later as soon as it is there.

    Importing them for this would cost seconds. The hash seed is set before an interpreter starts.
    """
    random.seed(seed)
    # Each of them draws its first seed from the operating system.
    after_import("numpy.random", lambda module: module.seed(seed % 2**32))
    after_import("torch", lambda module: module.manual_seed(seed))  # every device's generator
