"""Where metrics and artifacts go."""

from __future__ import annotations

from kit.trackers.base import Artifact, Entry, Metrics, Params, Tags, Tracker
from kit.trackers.memory import MemoryTracker

__all__ = ["Artifact", "Entry", "MemoryTracker", "Metrics", "Params", "Tags", "Tracker"]
