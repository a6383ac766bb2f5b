"""The work, the same for all: ten parameters, a hundred points of a metric, one artifact; the task does nothing."""

from __future__ import annotations

__all__ = ["ARTIFACT", "LOSS", "NAMES", "PARAMETERS", "POINTS", "parameters_yaml"]

PARAMETERS = 10
POINTS = 100
NAMES = [f"p{number}" for number in range(PARAMETERS)]
LOSS = f"[1 / (step + 1) for step in range({POINTS})]"
"""Python for the points."""
ARTIFACT = "an artifact"


def parameters_yaml(indent: str = "") -> str:
    return "".join(f"{indent}{name}: {number}\n" for number, name in enumerate(NAMES))
