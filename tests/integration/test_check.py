"""`kit check` as it is typed: what it prints, in every format, and how it leaves."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from junitparser import Failure, JUnitXml

from kit.cli import main
from tests.conftest import git, write
from tests.support import KIT, commit_all, kit, on_screen
from tests.unit.checks.projects import project_of

SARIF = Path(__file__).resolve().parents[1] / "unit/checks/sarif-2.1.0-rtm.5.json"
CONFIG = (
    "# three findings\nfolder: /home/ada/flights\npassword: correct horse\ntoken: 'a%b,c:d' # kit: ignore[KIT108]\n"
)
FILES = {
    "conf/db/a <b>.yaml": CONFIG,
    "conf/model/tree.yml": "depth: 3\n",
    ".gitignore": ".kit/\nmlflow.db*\nmlruns/\n",
    "pyproject.toml": '[project]\nname = "tiny"\nversion = "0.1.0"\n\n[tool.kit.check]\nignore = ["KIT5", "KIT40"]\n',
}
PLAIN = """\
conf/db/a <b>.yaml:2:9: KIT107 folder: an absolute path, which other machines do not have
    Write it relative to the project, or take it from the environment: `${oc.env:DATA_DIR}/...`.
conf/db/a <b>.yaml:3:11: KIT108 password: a secret in a config
    Make it invalid where it came from, and write `${oc.env:PASSWORD}` here.
conf/db/a <b>.yaml:4: KIT001 an exception from KIT108 without a reason
    Say why the rule need not be kept there.

"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = project_of(tmp_path / "project", FILES | {"pyproject.toml": FILES["pyproject.toml"] + "[tool.kit]\n"})
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run(project: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str]:
        code = main(["check", *arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_on_a_pipe_each_finding_has_its_line(run: Run) -> None:
    code, out = run("--select", "KIT0,KIT1")
    assert code == 1
    assert out.startswith(PLAIN)
    assert out.endswith("\n1 error, 2 warnings (15 rules, 4 files, 1 excepted)\n")


def test_on_a_screen_lines_are_folded_and_what_to_type_next_is_said(project: Path) -> None:
    lines = on_screen(project, "check", "--select", "KIT107,KIT108", code=1)
    assert max(map(len, lines)) <= 80
    assert lines[0] == "conf/db/a <b>.yaml:2:9: KIT107 folder: an absolute path, which other machines do"
    assert lines[1] == "    not have"
    assert lines[-1] == "next: kit check --explain KIT108"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--select", "KIT113"], 0, "all is well: 1 rule, 4 files"),
        (["--select", "KIT107", "--ignore", "KIT107"], 0, "all is well: 0 rules"),
        (["--ignore", "KIT0,KIT1", "--ignore", "KIT4"], 0, "all is well: 24 rules"),
        (["conf/model"], 0, "rules, 1 file"),
        (["conf/db", "--select", "KIT108"], 1, "1 error (1 rule, 1 file, 1 excepted)"),
        (["--select", "KIT501"], 0, "all is well: 1 rule"),
        (["--changed"], 2, "error: the repository has no commit yet"),
        (["--changed", "conf"], 2, "error: paths are given, and asked for by --changed or --since"),
        (["nowhere"], 2, "error: no such file or folder: nowhere"),
        (["--select", "KIT9"], 2, "error: no rule 'KIT9'"),
        (["--format", "xml"], 2, "'--format'"),
        (["--list", "--format", "sarif"], 2, "error: no list of rules as sarif"),
        (["--explain", "KIT1"], 2, "means 13 rules"),
        (["--explain", "nothing"], 2, "error: no rule 'nothing'"),
    ],
)
def test_what_is_typed_decides_what_is_looked_at(run: Run, arguments: list[str], code: int, said: str) -> None:
    found, out = run(*arguments)
    assert said in out
    assert found == code


def test_json_says_all_of_it(run: Run) -> None:
    code, out = run("--select", "KIT0,KIT107,KIT113", "--format", "json")
    found = json.loads(out)
    assert code == 1
    assert found.pop("findings") == [
        {
            "code": "KIT107",
            "name": "absolute-path-in-config",
            "severity": "warning",
            "path": "conf/db/a <b>.yaml",
            "line": 2,
            "column": 9,
            "message": "folder: an absolute path, which other machines do not have",
            "hint": "Write it relative to the project, or take it from the environment: `${oc.env:DATA_DIR}/...`.",
            "fixable": False,
        },
        {
            "code": "KIT001",
            "name": "exception-without-reason",
            "severity": "warning",
            "path": "conf/db/a <b>.yaml",
            "line": 4,
            "column": None,
            "message": "an exception from KIT108 without a reason",
            "hint": "Say why the rule need not be kept there.",
            "fixable": False,
        },
    ]
    rules = ["KIT001", "KIT002", "KIT107", "KIT113"]
    assert found == {"well": False, "files": 4, "rules": rules, "excepted": 0, "mended": []}


def test_sarif_is_what_its_schema_says(run: Run, project: Path) -> None:
    write(project, {"pyproject.toml": "[tool.kit]\n", ".gitignore": ""})  # also findings without a line, or a file
    _, out = run("--format", "sarif")
    found: dict[str, Any] = json.loads(out)
    validator = jsonschema.Draft4Validator(json.loads(SARIF.read_text("utf-8")))
    assert not [error.message for error in validator.iter_errors(found)]
    assert list(validator.iter_errors({**found, "version": "2.0.0"})), "the schema is looked at"
    (made,) = found["runs"]
    rules = made["tool"]["driver"]["rules"]
    results = made["results"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
    places = [result["locations"][0]["physicalLocation"] for result in results]
    assert {place["artifactLocation"]["uri"] for place in places} >= {"conf/db/a%20%3Cb%3E.yaml", "pyproject.toml"}
    assert {"startLine": 2, "startColumn": 9} in [place.get("region") for place in places]
    assert {result["level"] for result in results} >= {"error", "warning"}
    assert "correct horse" not in out


def test_github_gets_an_annotation_for_each(run: Run) -> None:
    code, out = run("--select", "KIT001,KIT108", "--format", "github")
    assert code == 1
    assert out == (
        "::error file=conf/db/a <b>.yaml,line=3,col=11,title=KIT108::password: a secret in a config. Make it invalid "
        "where it came from, and write `${oc.env:PASSWORD}` here.\n"
        "::warning file=conf/db/a <b>.yaml,line=4,title=KIT001::an exception from KIT108 without a reason. Say why the "
        "rule need not be kept there.\n"
    )


def test_no_file_can_give_github_a_command(run: Run, project: Path) -> None:
    write(project, {"conf/x\n::error::,y:z%.yaml": "password: correct horse\n"})
    _, out = run("--select", "KIT108", "--format", "github")
    assert out.count("\n") == 2
    assert "\nconf/x?::error::,y:z%.yaml:1:11: KIT108" in run("--select", "KIT108")[1]
    assert out.count("file=conf/x%0A%3A%3Aerror%3A%3A%2Cy%3Az%25.yaml,line=1,") == 1


def test_junit_is_read_by_who_reads_junit(run: Run) -> None:
    code, out = run("--select", "KIT0,KIT107,KIT108,KIT113", "--format", "junit")
    assert code == 1
    (suite,) = JUnitXml.fromroot(JUnitXml.fromstring(out.encode())._elem)
    assert (suite.tests, suite.failures, suite.errors) == (5, 3, 0)
    failing = {case.name: case.result for case in suite if case.result}
    assert list(failing) == [
        "KIT001 exception-without-reason",
        "KIT107 absolute-path-in-config",
        "KIT108 secret-in-config",
    ]
    (failure,) = failing["KIT108 secret-in-config"]
    assert isinstance(failure, Failure)
    assert failure.text.startswith("conf/db/a <b>.yaml:3:11: password: a secret in a config. Make it")
    assert failure.type == "error"


def test_what_was_mended_is_told(run: Run, project: Path) -> None:
    write(project, {"conf/b.yaml": f"a: {project}/data/x\n"})
    code, out = run("conf/b.yaml", "--select", "KIT107", "--fix")
    assert (code, out) == (0, "mended conf/b.yaml: KIT107\n\nall is well: 1 rule, 1 file\n")
    assert (project / "conf/b.yaml").read_text() == "a: data/x\n"


def test_only_what_changed_since_a_branch_began_is_looked_at(run: Run, project: Path) -> None:
    commit_all(project, "start")
    git(project, "checkout", "-q", "-b", "work")
    write(project, {"conf/new.yaml": "secret_key: correct horse\n"})
    assert run("--changed", "--select", "KIT108")[1].startswith("conf/new.yaml:1:13: KIT108")
    commit_all(project, "more")
    assert "0 files" in run("--changed", "--select", "KIT108")[1]
    assert run("--since", "main", "--select", "KIT108")[1].startswith("conf/new.yaml:1:13: KIT108")


def test_settings_choose_and_the_command_has_the_last_word(run: Run, project: Path) -> None:
    write(project, {"pyproject.toml": "[tool.kit.check]\nselect = ['KIT108']\nignore = ['KIT001']\n"})
    assert "1 error (1 rule, 4 files, 1 excepted)" in run()[1]
    assert "1 warning (1 rule" in run("--select", "KIT107")[1]
    assert "all is well: 0 rules" in run("--ignore", "KIT108")[1]
    write(project, {"pyproject.toml": "[tool.kit.check]\nselect = ['KIT9']\n"})
    assert run() == (2, "error: no rule 'KIT9' (pyproject.toml, [tool.kit.check]). See them all: `kit check --list`.\n")
    write(project, {"pyproject.toml": "[tool.kit.check]\nexceptions = [{rule = 'KIT9'}]\n"})
    assert run()[0] == 2


def test_rules_are_listed_and_explained(run: Run) -> None:
    _, out = run("--list")
    lines = out.splitlines()
    assert lines[0] == "code\tname\tseverity\tstate\tsummary"
    assert lines[1].startswith("KIT001\texception-without-reason\twarning\ton\t")
    assert [line.split("\t")[3] for line in lines if line.startswith("KIT501")] == ["off"]
    listed = json.loads(run("--list", "--format", "json")[1])
    assert [one["code"] for one in listed] == [line.split("\t")[0] for line in lines[1:]]
    assert len(listed) >= 30
    for word in ("KIT108", "kit108", "secret-in-config"):
        code, page = run("--explain", word)
        assert code == 0
        assert page.startswith("# KIT108 secret-in-config\n")


def test_a_page_is_shown_on_a_screen(project: Path) -> None:
    lines = on_screen(project, "check", "--explain", "KIT107")
    assert any("KIT107 absolute-path-in-config" in line for line in lines)
    assert max(map(len, lines)) <= 80
    listed = on_screen(project, "check", "--list")
    assert "KIT107  absolute-path-in-config  warning" in listed
    assert max(map(len, listed)) <= 80


def test_determinism_is_a_command_below_it(run: Run) -> None:
    code, out = run("determinism", "--help")
    assert code == 0
    assert out.startswith("Usage: kit check determinism [OPTIONS]")
    assert run("--help")[1].startswith("Usage: kit check [OPTIONS] [PATH]...")


def test_any_repository_can_be_checked_and_none_is_said_to_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    assert capsys.readouterr().err.startswith("error: not a git repository")
    write(tmp_path, {"src/a.py": "print('hello')\n", "setup.cfg": ""})
    git(tmp_path, "init", "-q")
    assert main(["check", "--select", "KIT1,KIT3"]) == 0


def test_the_command_itself_reads_no_more_than_it_is_let(project: Path) -> None:
    """In a process of its own, as pre-commit runs it, with a reader that leaves early."""
    done = kit(project, "check", "conf/db/a <b>.yaml", "--select", "KIT108", code=1)
    assert done.out.startswith("conf/db/a <b>.yaml:3:11: KIT108")
    assert done.err == ""
    with subprocess.Popen([str(KIT), "check"], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert isinstance(process.stderr, io.BufferedReader)
        assert process.stderr.read() == b""
    assert process.returncode == 141
    assert not (project / ".kit").exists(), "a check leaves nothing behind"
