"""All contracts of a run, held before its task begins; what came of it is in the run's folder and at the tracker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from kit._files import write_atomic
from kit.contracts._findings import Finding, Row, told
from kit.contracts._named import named
from kit.contracts._verdict import Place, Verdict, hold
from kit.errors import DataError
from kit.models import RunSpec
from kit.paths import ProjectPaths, RunPaths
from kit.trackers.base import Artifact, Params, Tags
from kit.trackers.spool import Spool, params_of

__all__ = ["enforce"]


def enforce(spec: RunSpec, paths: RunPaths, spool: Spool, *, hide: Callable[[str], str]) -> bool:
    """Hold every contract that the config names; each that holds becomes a parameter of the run.

    Args:
        spec: The run; its snapshot says which data there is.
        paths: Its folder, which gets a report.
        spool: Where its tracker hears of it.
        hide: Masks what is secret in a text.

    Returns:
        Whether something had to be checked: whoever does so runs code of the project.

    Raises:
        DataError: If data is not what its contract says, or not there.
        UserError: If a contract cannot be used.
        HostError: If pandera is not installed.
    """
    contracts = named(spec.config)
    if not contracts:
        return False
    root = Path(spec.worktree or spec.project_root)
    place = Place(root, ProjectPaths(Path(spec.project_root)).contracts, spec.snapshot.data)
    verdicts = [_hidden(hold(contract, place), hide) for contract in contracts]
    write_atomic(paths.contracts, msgspec.json.encode([verdict_json(verdict) for verdict in verdicts]))
    spool.append(Artifact(paths.contracts, paths.contracts.name))
    spool.append(Tags({f"kit.contract.{each.contract.name}": _word(each) for each in verdicts}))
    known = params_of(paths.spool)  # a run that is resumed has said so, and a parameter is said once
    held = {f"contract.{each.contract.name}": _summary(each) for each in verdicts if each.holds}
    if new := {name: text for name, text in held.items() if name not in known}:
        spool.append(Params(new))
    broken = [verdict for verdict in verdicts if not verdict.holds]
    if broken:
        _tell(broken)
        raise _error(broken)
    return any(not verdict.remembered for verdict in verdicts)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON data."""
    return {
        "name": verdict.contract.name,
        "contract": verdict.contract.schema,
        "path": verdict.contract.path,
        "holds": verdict.holds,
        "rows": verdict.rows,
        "data": verdict.data,
        "code": verdict.code,
        "remembered": verdict.remembered,
        "findings": [asdict(finding) for finding in verdict.findings],
    }


def _word(verdict: Verdict) -> str:
    return "holds" if verdict.holds else "broken"


def _summary(verdict: Verdict) -> str:
    """The same for the same data and contract, however it was found out."""
    code = f" {verdict.code[:8]}" if verdict.code else ""
    return f"{verdict.contract.schema}{code} holds: {verdict.contract.path}, {verdict.rows:,} rows"


def _hidden(verdict: Verdict, hide: Callable[[str], str]) -> Verdict:
    def row(found: Row) -> Row:
        return replace(found, value=hide(found.value))

    def finding(found: Finding) -> Finding:
        return replace(found, check=hide(found.check), rows=tuple(map(row, found.rows)))

    return replace(verdict, findings=tuple(map(finding, verdict.findings)))


def _tell(broken: list[Verdict]) -> None:
    for verdict in broken:
        print(f"{verdict.contract.path} is not what {verdict.contract.schema} says:", file=sys.stderr)  # noqa: T201
        for line in told(verdict.findings):
            print(f"  {line}", file=sys.stderr)  # noqa: T201


def _error(broken: list[Verdict]) -> DataError:
    first = broken[0]
    checks = len(first.findings)
    more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
    return DataError(
        f"{first.contract.path} is not what its contract says: {first.findings[0]}"
        + (f", and {checks - 1} more" if checks > 1 else "")
        + more,
        where=first.contract.schema,
        fix="Mend the data or the contract; `kit data check` looks again.",
    )
