"""Tasks that manage MLflow's runs themselves, beside the run that kit has started for them."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks._python import Call, argument, literal, within
from kit.checks._tasks import reached
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_HINTS = {
    "mlflow.start_run": "Leave it out: kit has started the run, and MLflow logs to it. A child has `nested=True`.",
    "mlflow.end_run": "Leave it out: kit ends the run when its process has ended.",
    "mlflow.set_tracking_uri": "Leave it out: `tracking-uri` in [tool.kit] says where runs are kept.",
    "mlflow.set_experiment": "Leave it out: the run has its experiment from the config.",
}
_WHAT = {
    "mlflow.start_run": "starts a second run beside kit's, which MLflow refuses",
    "mlflow.end_run": "ends the run that kit has started",
    "mlflow.set_tracking_uri": "sends what comes after it to another place than the run's",
    "mlflow.set_experiment": "moves what comes after it to another experiment",
}


def _check(tree: Tree) -> Iterator[Finding]:
    for part in reached(tree):
        for call in within(part.source, [part.node]):
            if call.name in _HINTS and not _is_child(call):
                yield part.source.find(call.node, f"{call.name}() {_WHAT[call.name]}", _HINTS[call.name])


def _is_child(call: Call) -> bool:
    return literal(argument(call.node, "nested")) is True


RULE = Rule(
    "KIT310",
    "tracking-in-task",
    "A task starts, ends or moves MLflow's run itself",
    Severity.WARNING,
    _check,
    scope="project",
)
