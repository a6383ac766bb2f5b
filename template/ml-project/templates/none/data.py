"""The measurements: written by the `ingest` stage as far as they are known. Replace it with where your data comes from.

They were taken one after the other all through 2013. A run that was scheduled for March 1 gets those taken until then,
and a run of today gets them all.
"""

from __future__ import annotations

import csv
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["Point", "ingest", "load", "main", "taken"]

MEASUREMENTS = Path("data/measurements.csv")
ALL = 200

Point = tuple[float, float]


def taken(at: datetime) -> int:
    """How many measurements were taken until an instant: one about every 44 hours of 2013."""
    share = (at - datetime(2013, 1, 1, tzinfo=UTC)) / timedelta(days=365)
    return int(ALL * min(max(share, 0), 1))


def ingest(path: Path = MEASUREMENTS, *, count: int = ALL) -> None:
    """Write the first noisy measurements of y = 2 x + 1, the noise with standard deviation 0.5, to a CSV file."""
    noise = random.Random(0)  # noqa: S311  (measurements, not secrets)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["x", "y"])
        for step in range(count):
            x = step / 20
            writer.writerow([x, round(2 * x + 1 + noise.gauss(0, 0.5), 6)])


def load(path: Path) -> list[Point]:
    """All measurements, (x, y) each, in the order of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]


def main() -> None:
    """What the stage runs: write what was known when a scheduled run was due, or else what is known now."""
    due = os.environ.get("KIT_SCHEDULED_AT")  # set by kit, as 2013-03-01T02:00:00+00:00
    at = datetime.fromisoformat(due) if due else datetime.now(UTC)
    count = taken(at)
    if not count:
        sys.exit(f"nothing was measured until {at.isoformat()}: the first measurement is of 2013-01-02")
    ingest(count=count)


if __name__ == "__main__":
    main()
