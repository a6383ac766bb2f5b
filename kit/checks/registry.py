"""Which rules there are; each is imported when it is looked up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module

from kit._near import did_you_mean, nearest
from kit.checks.rule import Rule
from kit.errors import UserError

__all__ = ["ENGINE", "RULES", "every", "rule", "select"]

ENGINE = {
    "KIT001": "exception-without-reason",
    "KIT002": "unused-exception",
}
"""What the engine itself finds, in exceptions."""

RULES: dict[str, str] = {
    # configuration
    "KIT101": "experiment-does-not-compose",
    "KIT102": "config-does-not-fit-task",
    "KIT103": "schedule-does-not-work",
    "KIT104": "config-key-never-read",
    "KIT105": "missing-config-key",
    "KIT106": "unused-experiment",
    "KIT107": "absolute-path-in-config",
    "KIT108": "secret-in-config",
    "KIT109": "schedule-never-fires",
    "KIT110": "schedule-without-timeout",
    "KIT111": "schedule-without-alert",
    "KIT112": "identical-experiments",
    "KIT113": "config-that-hydra-ignores",
    # data
    "KIT201": "data-in-git",
    "KIT202": "model-in-git",
    "KIT203": "dvc-output-in-git",
    "KIT204": "dvc-output-not-ignored",
    "KIT205": "dvc-output-changed",
    "KIT206": "dvc-output-not-recorded",
    "KIT207": "data-not-pushed",
    "KIT208": "stage-output-not-pushed",
    "KIT209": "same-rows-in-train-and-test",
    # code
    "KIT301": "unseeded-randomness",
    "KIT302": "unseeded-script",
    "KIT303": "fit-before-split",
    "KIT304": "target-among-features",
    "KIT305": "future-values-in-features",
    "KIT306": "pickled-model",
    "KIT307": "notebook-with-outputs",
    "KIT308": "notebook-out-of-order",
    "KIT309": "absolute-path-in-code",
    "KIT310": "tracking-in-task",
    "KIT311": "chdir-in-task",
    "KIT312": "writes-outside-run",
    "KIT313": "secret-printed",
    "KIT314": "clock-in-task",
    "KIT315": "unsorted-files",
    # environment
    "KIT401": "lock-missing",
    "KIT402": "lock-stale",
    "KIT403": "python-drift",
    "KIT404": "kit-drift",
    "KIT405": "unpinned-image",
    "KIT406": "ci-without-tests",
    "KIT407": "runs-not-ignored",
    "KIT408": "secret-file-in-git",
    "KIT409": "lock-not-enforced",
    "KIT410": "ci-without-check",
    # tests and documentation
    "KIT501": "untested-task",
    "KIT502": "metric-floor-missing",
    "KIT503": "readme-command-broken",
    "KIT504": "readme-link-broken",
}
"""The name of each rule by its code; its module is called the same, with underscores."""


@cache
def rule(code: str) -> Rule:
    """The rule with that code, one of `RULES`."""
    found: Rule = import_module(f"kit.checks.rules.{RULES[code].replace('-', '_')}").RULE
    return found


def every() -> list[Rule]:
    """All rules, by code."""
    return [rule(code) for code in sorted(RULES)]


def select(wanted: Iterable[str] = (), ignored: Iterable[str] = (), *, where: str | None = None) -> frozenset[str]:
    """The codes that are meant, those of the engine among them.

    Args:
        wanted: Codes, beginnings of codes (`KIT3`), or names; none means all.
        ignored: Codes to leave out, in the same words.
        where: What says so, for errors.

    Raises:
        UserError: If one of them means no rule.
    """
    named = RULES | ENGINE
    chosen = [code for word in wanted for code in _meant(word, named, where)] or list(named)
    return frozenset(chosen).difference(*(_meant(word, named, where) for word in ignored))


def _meant(word: str, named: dict[str, str], where: str | None) -> list[str]:
    beginning = word.upper()
    found = [code for code, name in named.items() if name == word or (word and code.startswith(beginning))]
    if not found:
        hint = did_you_mean(nearest(word.lower(), list(named.values()))) or "See them all: `kit check --list`."
        raise UserError(f"no rule {word!r}", where=where, fix=hint)
    return found
