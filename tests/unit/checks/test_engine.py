"""The engine: which rules are looked after, what is excepted, what is mended, and rules that fail themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kit.checks import registry
from kit.checks.engine import Report, Stop, check
from kit.checks.files import any_project, changed, named
from kit.checks.registry import select
from kit.checks.rule import Finding, Fix, Rule, Severity
from kit.checks.tree import Tree
from kit.errors import KitError, UserError
from kit.settings import CheckException, parse_settings
from tests.conftest import git, write
from tests.unit.checks.projects import project_of, tree_of

SECRET = "password: correct horse\n"
PATH = "folder: /home/ada/flights\n"
CODES = select(["KIT107", "KIT108"])
ALL = CODES | {"KIT001", "KIT002"}


def report(root: Path, *, codes: frozenset[str] = ALL, only: frozenset[str] | None = None, fix: bool = False) -> Report:
    return check(any_project(root), codes=codes, only=only, fix=fix)


def shown(found: Report) -> list[str]:
    return [f"{one.finding.path}:{one.finding.line} {one.rule.code}" for one in found.found]


def of(tmp_path: Path, files: dict[str, str], **options: object) -> list[str]:
    return shown(report(project_of(tmp_path, files), **options))  # type: ignore[arg-type]


# Which rules


@pytest.mark.parametrize(
    ("wanted", "ignored", "expected"),
    [
        (["KIT107"], [], {"KIT107"}),
        (["kit107"], [], {"KIT107"}),
        (["secret-in-config"], [], {"KIT108"}),
        (["KIT10"], ["KIT107", "secret-in-config"], {f"KIT10{n}" for n in (1, 2, 3, 4, 5, 6, 9)}),
        (["KIT0"], [], {"KIT001", "KIT002"}),
        ([], ["KIT"], set()),
        ([], [], {*registry.RULES, *registry.ENGINE}),
    ],
)
def test_rules_are_chosen_by_code_beginning_or_name(wanted: list[str], ignored: list[str], expected: set[str]) -> None:
    assert select(wanted, ignored) == expected


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("KIT999", "See them all: `kit check --list`."),
        ("secret-in-confg", "Did you mean 'secret-in-config'?"),
        ("", "See them all: `kit check --list`."),
    ],
)
def test_a_word_for_no_rule_is_a_mistake(word: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        select([word], where="here")
    assert (caught.value.fix, caught.value.where) == (fix, "here")


def test_every_rule_is_what_the_list_says_it_is() -> None:
    for code, name in registry.RULES.items():
        made = registry.rule(code)
        assert (made.code, made.name) == (code, name)
        assert not made.summary.endswith(".")
        assert len(made.summary) <= 100
    assert len({*registry.RULES.values(), *registry.ENGINE.values()}) == len(registry.RULES) + len(registry.ENGINE)
    assert list(registry.RULES) == sorted(registry.RULES)


# Exceptions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password: horse # kit: ignore[KIT108] made up\n", []),
        ("# kit: ignore[KIT108] made up\npassword: horse\n", []),
        ("a: 1\n# kit: ignore[KIT108] made up\n\n# more\npassword: horse\nsecret_key: horse\n", ["6 KIT108"]),
        ("# kit: ignore[KIT107, KIT108]: made up\na: 1\npassword: horse\nfolder: /home/x/y\n", []),
        ("password: horse # kit: ignore[KIT108]\n", ["1 KIT001"]),
        ("password: horse # kit: ignore why not\n", ["1 KIT001", "1 KIT108"]),
        ("password: horse # kit: ignore[KIT107] made up\n", ["1 KIT002", "1 KIT108"]),
        ("a: 1 # kit: ignore[KIT108] made up\n", ["1 KIT002"]),
        ("a: 1 # kit: ignore[KIT301] of a rule that is not looked after now\n", []),
    ],
)
def test_an_exception_is_for_its_line_its_rule_and_needs_a_reason(
    text: str, expected: list[str], tmp_path: Path
) -> None:
    assert of(tmp_path, {"conf/a.yaml": text}) == [f"conf/a.yaml:{one}" for one in expected]


def test_a_text_in_python_that_looks_like_an_exception_is_none(tmp_path: Path) -> None:
    files = {"src/a.py": 'HINT = "# kit: ignore[KIT108] why"\n', "src/b.py": "X = 1  # kit: ignore[KIT108] why\n"}
    assert of(tmp_path, files) == ["src/b.py:1 KIT002"]


def test_markdown_has_comments_of_its_own(tmp_path: Path) -> None:
    text = "# kit: ignore[KIT108] said\n\n<!-- kit: ignore[KIT108] why -->\n\n`<!-- kit: ignore[KIT108] why -->`\n"
    assert of(tmp_path, {"README.md": text}) == ["README.md:3 KIT002"]


SETTINGS = """
    [project]
    name = "tiny"

    [tool.kit.check]
    exceptions = [
      {{ rule = "KIT108", path = "{path}", reason = "{reason}" }},
    ]
    """


@pytest.mark.parametrize(
    ("path", "reason", "expected"),
    [
        ("conf/*.yaml", "made up", ["conf/db/a.yaml:1 KIT108"]),
        ("conf/**", "made up", []),
        ("conf/**", " ", ["pyproject.toml:6 KIT001"]),
        ("src/**", "made up", ["conf/a.yaml:1 KIT108", "conf/db/a.yaml:1 KIT108", "pyproject.toml:6 KIT002"]),
    ],
)
def test_an_exception_in_the_settings_is_for_a_glob(
    path: str, reason: str, expected: list[str], tmp_path: Path
) -> None:
    pyproject = SETTINGS.format(path=path, reason=reason)
    root = project_of(tmp_path, {"pyproject.toml": pyproject, "conf/a.yaml": SECRET, "conf/db/a.yaml": SECRET})
    found = report(root)
    assert shown(found) == expected
    assert found.excepted == 2 - sum("KIT108" in one for one in expected)


def test_an_exception_in_the_settings_is_not_called_unused_by_who_has_not_looked_everywhere(tmp_path: Path) -> None:
    pyproject = SETTINGS.format(path="src/**", reason="made up")
    root = project_of(tmp_path, {"pyproject.toml": pyproject, "conf/a.yaml": SECRET})
    assert shown(report(root, only=frozenset({"conf/a.yaml"}))) == ["conf/a.yaml:1 KIT108"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[tool.kit.check]\nslect = []", "Did you mean 'select'?"),
        ("[tool.kit.check]\nselect = 3", "Expected `array`"),
        ("[[tool.kit.check.exceptions]]\nrule = 'KIT108'\npaht = 'x'", "Did you mean 'path'?"),
        ("[[tool.kit.check.exceptions]]\npath = 'x'", "missing required field `rule`"),
    ],
)
def test_a_mistake_in_the_settings_is_named(table: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_settings(table, where="pyproject.toml")
    assert words.lower() in str(caught.value).lower()


def test_settings_say_which_rules() -> None:
    text = "[tool.kit.check]\nselect = ['KIT1']\nignore = ['KIT106']\nexceptions = [{rule = 'KIT108', reason = 'x'}]\n"
    settings = parse_settings(text, where="pyproject.toml").check
    assert (settings.select, settings.ignore) == (("KIT1",), ("KIT106",))
    assert settings.exceptions == (CheckException("KIT108", "**", "x"),)


# Which files


def test_files_that_git_ignores_are_nobodys_and_new_ones_count(tmp_path: Path) -> None:
    files = {"conf/a.yaml": SECRET, "conf/b.yaml": SECRET, ".gitignore": "/conf/b.yaml\n"}
    root = project_of(tmp_path, files)
    git(root, "rm", "-q", "--cached", "conf/a.yaml")
    assert shown(report(root)) == ["conf/a.yaml:1 KIT108"]


def test_only_files_that_are_asked_for_are_looked_at_but_by_rules_about_the_project(tmp_path: Path) -> None:
    experiment = "# @package _global_\ntask: tiny.train.train\nrate: ${none}\n"
    files = {"conf/config.yaml": "rate: 1\n", "conf/experiment/a.yaml": experiment, "conf/a.yaml": SECRET}
    root = project_of(tmp_path, files)
    found = report(root, codes=select(["KIT101", "KIT108"]), only=frozenset({"conf/config.yaml"}))
    assert shown(found) == ["conf/experiment/a.yaml:3 KIT101"]
    assert found.files == 1


def test_what_is_to_do_elsewhere_does_not_hold_back_a_change(tmp_path: Path) -> None:
    experiment = "# @package _global_\ntask: a.b\n"
    files = {
        "conf/config.yaml": "rate: 1\n",
        "conf/experiment/a.yaml": experiment,
        "conf/experiment/b.yaml": experiment,
    }
    root = project_of(tmp_path, files)
    codes = select(["KIT112", "KIT407"])
    assert {found.rule.code for found in report(root, codes=codes).found} == {"KIT112", "KIT407"}
    assert shown(report(root, codes=codes, only=frozenset({"conf/config.yaml"}))) == []
    assert shown(report(root, codes=codes, only=frozenset({"conf/experiment/b.yaml"}))) == [
        "conf/experiment/b.yaml:None KIT112"
    ]


def test_paths_mean_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project_of(tmp_path / "p", {"conf/a.yaml": "", "conf/b/c.yaml": "", "x.py": "", ".gitignore": "/conf/d\n"})
    write(root, {"conf/d": ""})
    monkeypatch.chdir(root / "conf")
    project = any_project(Path.cwd())
    assert named(project, [Path("b"), Path("../x.py")]) == frozenset({"conf/b/c.yaml", "x.py"})
    assert named(project, [Path()]) == frozenset({"conf/a.yaml", "conf/b/c.yaml"})
    assert named(project, [Path("..")]) is None
    for path, what in (("nope", "no such file or folder"), (str(tmp_path / "q"), "no such")):
        with pytest.raises(UserError, match=what):
            named(project, [Path(path)])
    (tmp_path / "q").touch()
    with pytest.raises(UserError, match="outside of the project"):
        named(project, [tmp_path / "q"])


def test_changed_files_are_told_by_git(tmp_path: Path) -> None:
    root = project_of(tmp_path, {"a.py": "", "b.py": "", "c.py": "", "d.py": ""})
    project = any_project(root)
    with pytest.raises(UserError, match="no commit"):
        changed(project)
    commit = ("-c", "user.name=T", "-c", "user.email=t@example.invalid", "commit", "-q", "-m")
    git(root, *commit, "start")
    git(root, "checkout", "-q", "-b", "work")
    write(root, {"a.py": "X = 1\n"})
    git(root, *commit, "more", "--all")
    write(root, {"b.py": "X = 1\n", "new.py": "X = 1\n"})
    (root / "c.py").unlink()
    assert changed(project) == {"b.py", "new.py"}
    assert changed(project, since="main") == {"a.py", "b.py", "new.py"}
    with pytest.raises(UserError, match="no commit 'nowhere'"):
        changed(project, since="nowhere")


def test_a_project_below_the_repositorys_top_has_its_own_files_only(tmp_path: Path) -> None:
    top = project_of(tmp_path, {"pyproject.toml": "", "conf/a.yaml": SECRET, "sub/conf/a.yaml": SECRET})
    write(top, {"sub/pyproject.toml": "[tool.kit]\n"})
    assert shown(report(top / "sub")) == ["conf/a.yaml:1 KIT108"]


def test_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a git repository"):
        any_project(tmp_path)


# Mending


def test_mending_goes_on_until_nothing_is_left_and_says_what_it_did(tmp_path: Path) -> None:
    text = f"a: {tmp_path}/data/x # first\r\nb: '{tmp_path}/y'\nc: /home/ada/z\n"
    root = project_of(tmp_path, {"conf/b.yaml": ""})
    (root / "conf/b.yaml").write_bytes(text.encode())
    (root / "conf/b.yaml").chmod(0o640)
    found = report(root, fix=True)
    assert (root / "conf/b.yaml").read_bytes() == b"a: data/x # first\r\nb: 'y'\nc: /home/ada/z\n"
    assert (root / "conf/b.yaml").stat().st_mode & 0o777 == 0o640
    assert shown(found) == ["conf/b.yaml:3 KIT107"]
    assert [(one.path, one.codes) for one in found.mended] == [("conf/b.yaml", ("KIT107", "KIT107"))]
    assert not report(root, fix=True).mended


def test_what_is_excepted_is_not_mended(tmp_path: Path) -> None:
    text = f"a: {tmp_path}/data/x # kit: ignore[KIT107] the tests write it\n"
    root = project_of(tmp_path, {"conf/b.yaml": text})
    assert not report(root, fix=True).mended
    assert (root / "conf/b.yaml").read_text() == text


def test_a_file_that_is_missing_is_made(tmp_path: Path) -> None:
    root = project_of(tmp_path, {"conf/config.yaml": "a: 1\n"})
    found = report(root, codes=select(["KIT407"]), fix=True)
    assert not found.found
    assert [one.path for one in found.mended] == [".gitignore"]
    assert ".kit/" in (root / ".gitignore").read_text().splitlines()


# Rules that are written for these tests


def a_rule(monkeypatch: pytest.MonkeyPatch, check: object) -> frozenset[str]:
    module = ModuleType("kit.checks.rules.of_tests")
    module.RULE = Rule("KIT999", "of-tests", "It is tried.", Severity.ERROR, check)  # type: ignore[attr-defined, arg-type]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry.RULES, "KIT999", "of-tests")
    registry.rule.cache_clear()
    return frozenset({"KIT999"})


def test_a_rule_that_fails_itself_is_no_silent_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_tree: Tree) -> Iterator[Finding]:
        yield Finding("pyproject.toml", "something")
        raise ZeroDivisionError("nothing to divide by")

    root, codes = project_of(tmp_path, {}), a_rule(monkeypatch, broken)
    with pytest.raises(Stop, match=r"rule KIT999 \(of-tests\) failed: ZeroDivisionError") as caught:
        report(root, codes=codes)
    assert "--ignore KIT999" in str(caught.value)
    assert "test_engine.py" in str(caught.value.where)


def test_mends_that_undo_each_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(tree: Tree) -> Iterator[Finding]:
        other = "x: 2\n" if tree.text("a.yaml") == "x: 1\n" else "x: 1\n"
        yield Finding("a.yaml", "the other one", fix=Fix("a.yaml", other))

    root, codes = project_of(tmp_path, {"a.yaml": "x: 1\n"}), a_rule(monkeypatch, restless)
    assert report(root, codes=codes, fix=True).mended[0].codes == ("KIT999", "KIT999")
    assert (root / "a.yaml").read_text() == "x: 1\n"


def test_a_file_that_somebody_changes_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(tree: Tree) -> Iterator[Finding]:
        text = tree.text("a.yaml") or ""
        if text == "x: 1\n":
            (tree.root / "a.yaml").write_text("x: 3\n")
            yield Finding("a.yaml", "one", fix=Fix("a.yaml", "x: 2\n"))

    root, codes = project_of(tmp_path, {"a.yaml": "x: 1\n"}), a_rule(monkeypatch, slow)
    assert not report(root, codes=codes, fix=True).mended
    assert (root / "a.yaml").read_text() == "x: 3\n"


def test_a_rule_is_not_heard_on_files_that_nobody_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(tree: Tree) -> Iterator[Finding]:
        yield from (Finding(path, "something") for path in tree.files)

    root, codes = project_of(tmp_path, {"a.py": "", "b.py": ""}), a_rule(monkeypatch, chatty)
    assert shown(report(root, codes=codes, only=frozenset({"b.py"}))) == ["b.py:None KIT999"]


# The files as rules see them


def test_a_tree_reads_what_there_is_and_is_calm_about_the_rest() -> None:
    files = {
        "a.py": "X = 1\n", "bad.py": "def (:\n", "b.ipynb": '{"cells": []}', "bad.ipynb": "{", "c.toml": "a = 1\n",
        "bad.toml": "a", "d.yaml": "a: ${b}\n", "bad.yaml": "a: [", "sub/e.py": "",
    }  # fmt: skip
    with tree_of(files) as tree:
        (tree.root / "bytes.py").write_bytes(b"\xff\xfe")
        (tree.root / "link.py").symlink_to("a.py")
        assert tree.module("a.py") is not None
        assert [tree.module(path) for path in ("bad.py", "bytes.py", "link.py", "absent.py", "a.py")[:4]] == [None] * 4
        assert (tree.notebook("b.ipynb"), tree.notebook("bad.ipynb")) == ({"cells": []}, None)
        assert (tree.toml("c.toml"), tree.toml("bad.toml")) == ({"a": 1}, {})
        assert (tree.yaml("d.yaml"), tree.yaml("bad.yaml")) == ({"a": "${b}"}, None)
        assert list(tree.matching("**/*.py")) == ["a.py", "bad.py", "sub/e.py"]
        assert list(tree.matching("*.toml", "sub/**")) == ["bad.toml", "c.toml", "pyproject.toml", "sub/e.py"]
        assert list(tree.matching("?.py")) == ["a.py"]


def test_a_tree_that_is_told_of_a_write_reads_again() -> None:
    with tree_of({"conf/config.yaml": "a: 1\n", "conf/experiment/x.yaml": "# @package _global_\ntask: a.b\n"}) as tree:
        assert not isinstance(tree.composed()["x"], KitError)
        write(tree.root, {"conf/experiment/x.yaml": "# @package _global_\ntask: ${none}\n"})
        tree.forget(["conf/experiment/x.yaml"])
        assert "none" in (tree.text("conf/experiment/x.yaml") or "")
        assert isinstance(tree.composed()["x"], KitError)
