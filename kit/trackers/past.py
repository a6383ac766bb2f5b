"""What a run logged before it was interrupted, so that nothing of it is logged a second time.

A task that is resumed does some of its work again: what comes before it asks for its checkpoint, and what it had done
after that was made. Both log again what is in the spool, and in the tracker, which cannot take a point back. So a point
is passed over if the run has a value of that metric at that step. Where a step had several values, as many are passed
over as there are, but for those that were there when the checkpoint was made.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

from kit.models import MetricPoint

__all__ = ["Past"]


class Past:
    """The points of a run's earlier tries: eight bytes each, since there may be millions."""

    def __init__(self, points: Iterable[MetricPoint] = ()) -> None:
        self._steps: dict[str, array[int]] = {}
        for point in points:
            self._steps.setdefault(point.key, array("q")).append(point.step)
        for key, steps in self._steps.items():
            if any(steps[index] < steps[index - 1] for index in range(1, len(steps))):
                self._steps[key] = array("q", sorted(steps))
        self._met: Counter[tuple[str, int]] = Counter()
        self._behind: set[tuple[str, int]] = set()

    def has(self, key: str, step: int) -> bool:
        """Whether a point that is about to be logged is there already; asked once for each, in order."""
        steps = self._steps.get(key)
        if steps is None:
            return False
        there = bisect_right(steps, step) - bisect_left(steps, step)
        if self._met[key, step] >= there:
            return False
        self._met[key, step] += 1
        return True

    def go_on(self, steps: Mapping[str, tuple[int, int]]) -> None:
        """From here on the task does what comes after its checkpoint.

        Args:
            steps: The last step of each metric then, and how many values it had there.
        """
        # A single value there is more likely to be logged again, as by what prepares the training, than to be the
        # first of several.
        self._met = Counter({(key, step): values for key, (step, values) in steps.items() if values > 1})
        self._behind = {(key, step) for key, (step, values) in steps.items() if values == 1}

    def is_behind(self, key: str, step: int) -> bool:
        """Whether the task was there, and done with it, when its checkpoint was made."""
        return (key, step) in self._behind
