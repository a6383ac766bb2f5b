"""`kit add experiment|model|schedule NAME`: files that work at once, with their test, to begin from.

`base` is what the project runs already, and so where a new one begins; `texts` is what is written, `writing` how: all
of it or nothing, and never over what is there.
"""

from __future__ import annotations

from kit.starting_points.add import KINDS, StartingPoint, add

__all__ = ["KINDS", "StartingPoint", "add"]
