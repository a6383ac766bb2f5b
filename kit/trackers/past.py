"""What a run logged before it was interrupted, so that nothing of it is logged a second time.

A task that is resumed does some of its work again: what comes before it asks for its checkpoint, and what it had done
after that was made. Both log again what is in the spool, and in the tracker, which cannot take a point back. So a point
is passed over if the run has a value of that metric at that step. Where a step had several values, as many are passed
over as there are, but for those that were there when the checkpoint was made.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from kit.models import MetricPoint

__all__ = ["Past"]

_LARGEST = 2**63 - 1


class _Steps:
    """How many values there are at each step. Steps that go up evenly, as nearly all do, take no room one by one."""

    def __init__(self) -> None:
        # Stretches that go up one after the other, each evenly: from where, by how much, how often.
        self._from = array("q")
        self._by = array("q")
        self._times = array("q")
        self._others: Counter[int] = Counter()

    def add(self, step: int) -> None:
        if not self._from:
            self._begin(step)
            return
        last = self._last(-1)
        if step < last:
            self._others[step] += 1
        elif self._times[-1] == 1 and step - last <= _LARGEST:
            self._by[-1] = step - last
            self._times[-1] = 2
        elif step - last == self._by[-1]:
            self._times[-1] += 1
        else:
            self._begin(step)

    def _begin(self, step: int) -> None:
        self._from.append(step)
        self._by.append(0)
        self._times.append(1)

    def _last(self, index: int) -> int:
        return self._from[index] + self._by[index] * (self._times[index] - 1)

    def count(self, step: int) -> int:
        found = self._others[step] if self._others else 0  # a Counter adds nothing when it is asked
        index = bisect_right(self._from, step) - 1
        while index >= 0 and self._last(index) >= step:
            by = self._by[index]
            if by == 0:
                found += self._times[index]
            elif (step - self._from[index]) % by == 0:
                found += 1
            index -= 1
        return found


class Past:
    """The points of a run's earlier tries: there may be millions."""

    def __init__(self, points: Iterable[MetricPoint] = ()) -> None:
        self._there: defaultdict[str, _Steps] = defaultdict(_Steps)
        for point in points:
            self._there[point.key].add(point.step)
        self._met: defaultdict[str, _Steps] = defaultdict(_Steps)
        self._behind: set[tuple[str, int]] = set()

    def __bool__(self) -> bool:
        return bool(self._there)

    def has(self, key: str, step: int) -> bool:
        """Whether a point that is about to be logged is there already; asked once for each, in order."""
        if key not in self._there or self._met[key].count(step) >= self._there[key].count(step):
            return False
        self._met[key].add(step)
        return True

    def go_on(self, steps: Mapping[str, tuple[int, int]]) -> None:
        """From here on the task does what comes after its checkpoint.

        Args:
            steps: The last step of each metric then, and how many values it had there.
        """
        # A single value there is more likely to be logged again, as by what prepares the training, than to be the
        # first of several.
        self._met = defaultdict(_Steps)
        for key, (step, values) in steps.items():
            if values > 1:
                for _ in range(values):
                    self._met[key].add(step)
        self._behind = {(key, step) for key, (step, values) in steps.items() if values == 1}

    def is_behind(self, key: str, step: int) -> bool:
        """Whether the task was there, and done with it, when its checkpoint was made."""
        return (key, step) in self._behind
