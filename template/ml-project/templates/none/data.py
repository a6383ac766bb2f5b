"""The measurements: written once by the `ingest` stage of dvc.yaml. Replace this with where your data comes from."""

from __future__ import annotations

import csv
import random
from pathlib import Path

__all__ = ["Point", "ingest", "load"]

MEASUREMENTS = Path("data/measurements.csv")

Point = tuple[float, float]


def ingest(path: Path = MEASUREMENTS) -> None:
    """Write 200 noisy measurements of y = 2 x + 1, the noise with standard deviation 0.5, to a CSV file."""
    noise = random.Random(0)  # noqa: S311  (measurements, not secrets)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["x", "y"])
        for step in range(200):
            x = step / 20
            writer.writerow([x, round(2 * x + 1 + noise.gauss(0, 0.5), 6)])


def load(path: Path) -> list[Point]:
    """All measurements, (x, y) each, in the order of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]


if __name__ == "__main__":
    ingest()
