"""What `kit check` found, for programs: JSON, SARIF 2.1.0, GitHub's annotations, JUnit's XML."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kit.checks.rule import Severity
from kit.cli._check_text import place
from kit.cli.render import print_json

if TYPE_CHECKING:
    from kit.checks.engine import Found, Report
    from kit.checks.rule import Rule

__all__ = ["write"]

_SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_PROJECT = "pyproject.toml"
"""Where a finding is that is about the project as a whole: SARIF's readers and GitHub show none without a file."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: Report, output: str, root: Path) -> None:
    """Print a report in one of the formats."""
    _WRITERS[output](report, root)


def _json(report: Report, _root: Path) -> None:
    print_json(
        {
            "well": not report.fails,
            "files": report.files,
            "rules": [rule.code for rule in report.rules],
            "excepted": report.excepted,
            "mended": [{"path": one.path, "codes": list(one.codes)} for one in report.mended],
            "findings": [_finding_json(one) for one in report.found],
        }
    )


def _finding_json(one: Found) -> dict[str, Any]:
    finding, rule = one.finding, one.rule
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "path": finding.path or None,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "hint": finding.hint or None,
        "fixable": finding.fix is not None,
    }


def _sarif(report: Report, root: Path) -> None:
    from importlib.metadata import version

    indices = {rule.code: index for index, rule in enumerate(report.rules)}
    run = {
        "tool": {
            "driver": {
                "name": "kit check",
                "semanticVersion": version("mlekit"),
                "rules": [_sarif_rule(rule) for rule in report.rules],
            }
        },
        "originalUriBaseIds": {"PROJECT": {"uri": f"{root.resolve().as_uri()}/"}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(one, indices[one.rule.code]) for one in report.found],
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    print_json({"$schema": schema, "version": "2.1.0", "runs": [run]})


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": f"{rule.summary}."},
        "help": {"text": f"See `kit check --explain {rule.code}`."},
        "defaultConfiguration": {"level": _SARIF_LEVELS[rule.severity]},
    }


def _sarif_result(one: Found, index: int) -> dict[str, Any]:
    finding = one.finding
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.path or _PROJECT), "uriBaseId": "PROJECT"}}
    if finding.line is not None:
        column = {} if finding.column is None else {"startColumn": finding.column}
        place["region"] = {"startLine": finding.line} | column
    return {
        "ruleId": one.rule.code,
        "ruleIndex": index,
        "level": _SARIF_LEVELS[one.rule.severity],
        "message": {"text": _whole(one)},
        "locations": [{"physicalLocation": place}],
    }


def _whole(one: Found) -> str:
    """What is wrong and what to do, as sentences."""
    return f"{one.finding.message}. {one.finding.hint}".strip()


def _github(report: Report, _root: Path) -> None:
    for one in report.found:
        finding = one.finding
        where = {"file": finding.path or _PROJECT, "line": finding.line, "col": finding.column, "title": one.rule.code}
        properties = ",".join(f"{key}={_property(str(value))}" for key, value in where.items() if value is not None)
        sys.stdout.write(f"::{_GITHUB_LEVELS[one.rule.severity]} {properties}::{_data(_whole(one))}\n")


def _data(text: str) -> str:
    """As GitHub's workflow commands want it, so that no text can be a command itself."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _junit(report: Report, _root: Path) -> None:
    """A test case for each rule: it fails with all that it found; notes are its output, and fail nothing."""
    from xml.etree import ElementTree as ET

    failing = {one.rule.code for one in report.found if one.rule.severity is not Severity.INFO}
    counts = {"tests": str(len(report.rules)), "failures": str(len(failing)), "errors": "0", "skipped": "0"}
    suites = ET.Element("testsuites", {"name": "kit check", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "kit check", **counts})
    for rule in report.rules:
        case = ET.SubElement(suite, "testcase", {"classname": "kit.check", "name": f"{rule.code} {rule.name}"})
        found = [one for one in report.found if one.rule is rule]
        text = _NOT_XML.sub("?", "\n".join(f"{place(one)}: {_whole(one)}" for one in found))
        if rule.code in failing:
            message = f"{len(found)} found: {rule.summary}"
            ET.SubElement(case, "failure", {"message": message, "type": rule.severity}).text = text
        elif found:
            ET.SubElement(case, "system-out").text = text
    ET.indent(suites)
    sys.stdout.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n')


_WRITERS: dict[str, Callable[[Report, Path], None]] = {
    "json": _json,
    "sarif": _sarif,
    "github": _github,
    "junit": _junit,
}
