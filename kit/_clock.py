"""The one place that reads the clock."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)
