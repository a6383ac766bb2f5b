"""Scripts that draw from the process's own generators, which kit seeds for tasks and for nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit.checks._python import Call, Source, argument, is_main_guard, literal, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_DRAWS = re.compile(
    r"random\.(?:random|randint|randrange|choices?|shuffle|sample|uniform|gauss|normalvariate|betavariate|expovariate)"
    r"|numpy\.random\.(?:rand|randn|randint|random|random_sample|choice|shuffle|permutation|normal|uniform|poisson|binomial)"
    r"|torch\.(?:rand|randn|randint|randperm|normal|multinomial|bernoulli)"
)
_AT_ALL = re.compile("random|torch|train_test_split")
_SPLIT = "sklearn.model_selection.train_test_split"


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, "__main__", like=_AT_ALL.search):
        if not any(map(is_main_guard, source.module.body)) or _seeds(source):
            continue
        drawn = sorted(filter(_draws, source.calls), key=lambda call: (call.node.lineno, call.node.col_offset))
        if drawn:
            others = f", and {len(drawn) - 1} more here," if len(drawn) > 1 else ""
            message = f"{drawn[0].name}(){others} without a seed: as a script, this gives something else each time"
            hint = "Draw from a generator with a seed: `numpy.random.default_rng(seed)`, `random.Random(seed)`."
            yield source.find(drawn[0].node, message, hint)


def _seeds(source: Source) -> bool:
    return any("seed" in call.method.lower() for call in source.calls)


def _draws(call: Call) -> bool:
    if call.name == _SPLIT:
        given = argument(call.node, "random_state")
        shuffles = literal(argument(call.node, "shuffle")) is not False
        return given is None and shuffles and all(keyword.arg for keyword in call.node.keywords)
    return _DRAWS.fullmatch(call.name) is not None


RULE = Rule(
    "KIT302",
    "unseeded-script",
    "A script draws random numbers and seeds no generator",
    Severity.WARNING,
    _check,
)
