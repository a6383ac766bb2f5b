"""Generators that take their seed from the operating system: no run that uses one can be repeated."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kit.checks._python import Call, Source, argument, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_GENERATORS = {
    "numpy.random.default_rng": "seed",
    "numpy.random.RandomState": "seed",
    "numpy.random.SeedSequence": "entropy",
    "numpy.random.PCG64": "seed",
    "numpy.random.seed": "seed",
    "random.Random": "x",
    "random.seed": "a",
}
"""What makes or seeds a generator, with the name of its seed; without one, the operating system gives it."""
_NEVER_SEEDED = frozenset({"random.SystemRandom", "torch.seed", "torch.random.seed", "torch.cuda.seed"})
_CLOCKS = frozenset({"time.time", "time.time_ns", "time.monotonic", "datetime.datetime.now", "os.getpid", "os.urandom"})
_WORDS = (
    "default_rng", "RandomState", "SeedSequence", "PCG64", "random.seed(", "torch.seed(", "cuda.seed(", "random.Random",
    "SystemRandom", "import Random", "import seed",
)  # fmt: skip
_HINT = "Give it the run's seed, `run.seed`; a stage or a script takes one as an argument."


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, *_WORDS):
        for call in source.calls:
            if (why := _unseeded(source, call)) is not None:
                yield source.find(call.node, f"{call.name}() {why}", _HINT)


def _unseeded(source: Source, call: Call) -> str | None:
    if call.name in _NEVER_SEEDED:
        return "is seeded by the operating system"
    if call.name not in _GENERATORS or any(isinstance(arg, ast.Starred) for arg in call.node.args):
        return None
    seed = argument(call.node, _GENERATORS[call.name], 0)
    if seed is None:
        unknown = any(keyword.arg is None for keyword in call.node.keywords)
        return None if unknown else "without a seed takes one from the operating system"
    if isinstance(seed, ast.Constant) and seed.value is None:
        return "without a seed takes one from the operating system"
    if any(isinstance(part, ast.Call) and source.name(part.func) in _CLOCKS for part in ast.walk(seed)):
        return "is seeded with something else each time"
    return None


RULE = Rule("KIT301", "unseeded-randomness", "A random generator is made without a seed", Severity.WARNING, _check)
