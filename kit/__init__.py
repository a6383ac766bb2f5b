"""Machine-learning projects whose runs can be trusted, found, explained and repeated.

def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]: ...
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kit.run import Run as Run

__all__ = ["Run"]


def __getattr__(name: str) -> object:
    # `import kit` stays free: a command that lists runs needs nothing of a run's inside.
    if name == "Run":
        from kit.run import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
