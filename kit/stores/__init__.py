"""kit's own state: which runs there are and how they stand."""

from __future__ import annotations

from kit.stores.base import Comparison, RunQuery, Store
from kit.stores.memory import MemoryStore

__all__ = ["Comparison", "MemoryStore", "RunQuery", "Store"]
