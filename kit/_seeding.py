"""One seed for every generator that is there."""

from __future__ import annotations

import random
import sys

__all__ = ["hash_seed", "seed_everything"]


def hash_seed(seed: int) -> int:
    """What `PYTHONHASHSEED` is set to, which takes less than other generators do."""
    return seed % 2**32


def seed_everything(seed: int) -> None:
    """Seed Python, and NumPy and PyTorch if they are imported: importing them for this would cost seconds.

    The hash seed is set before the interpreter starts, by the supervisor.
    """
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed % 2**32)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)  # every device's generator
