"""All rules that are wanted, on all files that are asked for; and what can be mended by itself, mended."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit._files import write_atomic
from kit.checks import exceptions, registry
from kit.checks.exceptions import Exceptions
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError
from kit.project import Project

__all__ = ["Found", "Mended", "Report", "Stop", "check"]

_ROUNDS = 50
"""One mend may show the next; so many times in a row is more than there can be."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, with the rule that found it."""

    rule: Rule
    finding: Finding

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        one = self.finding
        return one.path, one.line or 0, one.column or 0, self.rule.code, one.message


@dataclass(frozen=True, slots=True)
class Mended:
    """A file that was written anew.

    Attributes:
        path: Relative to the project.
        codes: The rules that it now keeps, each as often as it had to be mended.
    """

    path: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a check.

    Attributes:
        found: In order of place.
        mended: In order of path.
        rules: Those that were looked after, the engine's own among them.
        files: How many files were looked at.
        excepted: How many findings were excepted.
    """

    found: tuple[Found, ...]
    mended: tuple[Mended, ...]
    rules: tuple[Rule, ...]
    files: int
    excepted: int

    @property
    def fails(self) -> bool:
        """Whether anything was found that has to be mended."""
        return any(one.rule.severity is not Severity.INFO for one in self.found)

    def count(self, severity: Severity) -> int:
        """How many findings there are of that severity."""
        return sum(one.rule.severity is severity for one in self.found)


class Stop(KitError):
    """A rule failed itself: what it would have found is not known, so nothing is said to be well."""


def _of_engine(_tree: Tree) -> Iterable[Finding]:
    return ()


WITHOUT_REASON = Rule(
    exceptions.WITHOUT_REASON,
    registry.ENGINE[exceptions.WITHOUT_REASON],
    "An exception from a rule does not say why",
    Severity.WARNING,
    _of_engine,
)
UNUSED = Rule(
    exceptions.UNUSED,
    registry.ENGINE[exceptions.UNUSED],
    "An exception from a rule excepts nothing",
    Severity.INFO,
    _of_engine,
)
"""What the engine finds in exceptions, after all rules have found what they find."""


@dataclass(slots=True)
class _Look:
    """One look at the files."""

    found: list[Found] = field(default_factory=list)
    excepted: int = 0


def check(
    project: Project,
    *,
    codes: Collection[str],
    only: Collection[str] | None = None,
    fix: bool = False,
    typed: Callable[[list[str]], str | None] | None = None,
) -> Report:
    """Check a project.

    Args:
        codes: The rules to look after, from `registry.select`.
        only: The files to look at, relative to the project; None looks at all. A rule whose scope is the project looks
            at all of them anyway, but elsewhere only what is broken counts: who commits a config need not first push
            the data.
        fix: Whether to mend what can be mended by itself.
        typed: What knows kit's commands, as `Tree.typed`: they lie above the rules.

    Raises:
        UserError: If the project is in no repository.
        HostError: If git is not installed, or a file cannot be written.
        Stop: If a rule fails itself.
    """
    rules = [registry.rule(code) for code in sorted(registry.RULES) if code in codes]
    own = [rule for rule in (WITHOUT_REASON, UNUSED) if rule.code in codes]
    with _undisturbed():
        tree = Tree(project, only=only)
        tree.typed = typed
        mended = _mend(tree, lambda: _look(tree, rules, own)) if fix else ()
        look = _look(tree, rules, own)
    found = tuple(sorted(look.found, key=lambda one: one.order))
    return Report(found, tuple(mended), (*own, *rules), len(tree.wanted), look.excepted)


def _look(tree: Tree, rules: Sequence[Rule], own: Sequence[Rule]) -> _Look:
    look = _Look()
    paths = dict.fromkeys(tree.wanted)
    raw = [(rule, finding) for rule in rules for finding in dict.fromkeys(_findings(rule, tree))]
    excepting = Exceptions(tree, dict.fromkeys([*paths, *(finding.path for _, finding in raw if finding.path)]))
    for rule, finding in raw:
        if excepting.cover(rule.code, finding):
            look.excepted += 1
        else:
            look.found.append(Found(rule, finding))
    if WITHOUT_REASON in own:
        look.found += [Found(WITHOUT_REASON, one) for one in excepting.without_reason()]
    if UNUSED in own:
        judged = frozenset(rule.code for rule in rules)
        unused = excepting.unused(judged, settings=len(tree.wanted) == len(tree.files))
        look.found += [Found(UNUSED, one) for one in unused]
    return look


def _findings(rule: Rule, tree: Tree) -> Iterator[Finding]:
    whole = rule.scope == "project"
    wanted = frozenset(tree.wanted)
    try:
        for finding in rule.check(tree.whole if whole else tree):
            if finding.path in wanted or (whole and (rule.severity is Severity.ERROR or tree.wanted == tree.files)):
                yield finding
    except KitError:
        raise
    except Exception as error:
        what = f"rule {rule.code} ({rule.name}) failed: {type(error).__name__}: {error}"
        fix = f"Please report it; `--ignore {rule.code}` does without it."
        raise Stop(what, where=_place(error), fix=fix) from error


def _place(error: BaseException) -> str | None:
    """The innermost line of code that an error comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _mend(tree: Tree, look: Callable[[], _Look]) -> list[Mended]:
    """Write mends, one for each file at a time, until no rule has any more."""
    codes: dict[str, list[str]] = {}
    written: set[Fix] = set()
    for _ in range(_ROUNDS):
        fixes = {fix.path: (one.rule.code, fix) for one, fix in _fixes(look()) if fix not in written}
        for path, (code, fix) in fixes.items():
            written.add(fix)
            if _write(tree, fix):
                codes.setdefault(path, []).append(code)
        if not fixes:
            break
        tree.forget(fixes)
    return [Mended(path, tuple(made)) for path, made in sorted(codes.items())]


def _fixes(look: _Look) -> Iterator[tuple[Found, Fix]]:
    """The last of each file counts; who comes first by order of place is put last."""
    for one in sorted(look.found, key=lambda one: one.order, reverse=True):
        if one.finding.fix is not None:
            yield one, one.finding.fix


def _write(tree: Tree, fix: Fix) -> bool:
    """Put the text in its file, unless somebody has changed that since it was read, or there is nothing to change."""
    path, before = tree.root / fix.path, tree.text(fix.path)
    if before == fix.text or (_content(path) != (None if before is None else before.encode())):
        return False
    write_atomic(path, fix.text)
    return True


def _content(path: Path) -> bytes | None:
    """What is in a file; None if there is none."""
    return path.read_bytes() if os.path.lexists(path) else None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without Python's collector of garbage: parsing makes a million objects, of which it would find none to free."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            # What is left of them is old now, without having been looked through for that.
            others = gc.get_freeze_count()
            gc.freeze()
            if not others:  # what a forkserver has frozen stays so
                gc.unfreeze()
            gc.enable()
