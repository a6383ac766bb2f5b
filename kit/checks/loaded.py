"""Every rule, imported: a forkserver has them ready for a check that is forked from it."""

from __future__ import annotations

from kit.checks import registry

__all__ = ["RULES"]

RULES = tuple(registry.every())
