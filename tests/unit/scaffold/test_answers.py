"""Every answer is checked, and every refusal says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import HostError, KitError, UserError
from kit.scaffold.answers import check_answer, check_answers, check_folder, nearest, parse_pairs, read_answers
from kit.scaffold.template import Question, Template

TEXT = Question("description", "text", "", "Describe it")
NAME = Question("project_name", "text", "", "Name it")
FLAG = Question("_docker", "flag", default=False, prompt="Docker")
CHOICE = Question("framework", "choice", "scikit-learn", "Framework", ("scikit-learn", "pytorch"), ("one", "two"))


def test_a_near_word_is_suggested_and_a_far_one_lists_all() -> None:
    assert nearest("framwork", ["framework", "license"]) == "Did you mean 'framework'?"
    assert nearest("zzz", ["framework", "license"]) == "Known: framework, license."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", 'colour = "red"\nfast = false\n'),
        ("a.json", '{"colour": "red", "fast": false}'),
        ("a.yaml", "colour: red\nfast: no\n"),
        ("a.YML", "colour: red\nfast: false\n"),
    ],
)
def test_files_of_answers_come_in_three_formats(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_answers(path) == {"colour": "red", "fast": False}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"colour = ", "cannot be read"),
        ("a.json", b"{", "cannot be read"),
        ("a.yaml", b"a: [", "cannot be read"),
        ("a.yaml", b"!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a.ini", b"", r"must end in \.toml"),
        ("a.json", b"[1]", "not a table"),
        ("a.yaml", b"", "not a table"),
        ("a.json", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_unreadable_answers_are_the_users_fault(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_answers(path)
    assert caught.value.where == str(path)
    assert caught.value.fix


def test_a_missing_file_of_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of answers"):
        read_answers(tmp_path / "a.toml")
    with pytest.raises(HostError, match="is a directory"):
        read_answers(tmp_path)


def test_pairs_need_an_equals_sign() -> None:
    assert parse_pairs(["docker=true", "a=b=c", "e="]) == {"docker": "true", "a": "b=c", "e": ""}
    with pytest.raises(UserError, match="not of the form name=value"):
        parse_pairs(["docker"])


def test_answers_come_back_under_the_templates_names(template: Template) -> None:
    given_answers = {"docker": "yes", "_source": "x", "colour": "blue", "fast": False}
    checked = check_answers(template.questions, given_answers, where="test")
    assert checked == {"_docker": True, "_source": "x", "colour": "blue", "fast": False}


@pytest.mark.parametrize("name", ["color", "dokcer", "__slug", "slug", "_copy_without_render", "__prompts__"])
def test_an_unknown_answer_is_refused(template: Template, name: str) -> None:
    with pytest.raises(UserError, match=f"no option '{name}'.*(Did you mean|Known)"):
        check_answers(template.questions, {name: "x"}, where="test")


def test_a_choice_lists_what_there_is() -> None:
    assert check_answer(CHOICE, "pytorch", where="test") == "pytorch"
    with pytest.raises(UserError, match=r"Did you mean 'pytorch'.*Choices: scikit-learn, pytorch"):
        check_answer(CHOICE, "pytroch", where="test")
    with pytest.raises(UserError, match=r"'jax' \(test\)\. Choices: scikit-learn, pytorch"):
        check_answer(CHOICE, "jax", where="test")


@pytest.mark.parametrize("value", [True, "True", "yes", "on", "1", 1])
def test_a_flag_understands_the_usual_words(value: object) -> None:
    assert check_answer(FLAG, value, where="test") is True


def test_a_flag_refuses_other_words() -> None:
    assert check_answer(FLAG, "off", where="test") is False
    with pytest.raises(UserError, match="docker is yes or no"):
        check_answer(FLAG, "maybe", where="test")


@pytest.mark.parametrize("value", [3, None, True, ["a"], {"a": 1}])
def test_a_text_must_be_a_text(value: object) -> None:
    with pytest.raises(UserError, match="must be a text, not"):
        check_answer(TEXT, value, where="test")


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "\x1b[31mred", "a\x00", "a\u2028b", "\ud800"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(UserError, match="control character"):
        check_answer(TEXT, value, where="test")


@pytest.mark.parametrize("value", ["{{ cycler.__init__ }}", "{% raw %}", "a {# b"])
def test_answers_are_not_run_as_templates(value: str) -> None:
    with pytest.raises(UserError, match="template marks"):
        check_answer(TEXT, value, where="test")


def test_long_texts_are_refused() -> None:
    with pytest.raises(UserError, match="longer than 500"):
        check_answer(TEXT, "x" * 501, where="test")


@pytest.mark.parametrize("name", ["a/b", "../up", "a\\b", "..", "/etc", "a..b"])
def test_a_name_is_not_a_path(name: str) -> None:
    with pytest.raises(UserError, match="is a path, not a name"):
        check_answer(NAME, name, where="NAME")


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "-rf", ".hidden", "a;b", "$(x)", "a" * 101, "a|b", "a*"])
def test_a_name_has_only_what_names_have(name: str) -> None:
    with pytest.raises(UserError, match="cannot be used as a name"):
        check_answer(NAME, name, where="NAME")


@pytest.mark.parametrize("name", ["demo", "Late Flights", "v2.1", "Modèle-3", "a_b"])
def test_usual_names_are_fine(name: str) -> None:
    assert check_answer(NAME, name, where="NAME") == name


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("", "no package name"),
        ("3d", "no package name"),
        ("../x", "no package name"),
        ("a--b", "no package name"),
        ("class", "a keyword of Python"),
        ("match", "a keyword of Python"),
        ("asyncio", "Python's own library"),
        ("mlflow", "would hide the package"),
        ("yaml", "would hide the package"),
        ("hydra-core", "would hide the package"),
    ],
)
def test_a_folder_that_cannot_be_a_package_is_refused(folder: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        check_folder(folder, name="Name")
    assert caught.value.fix


@pytest.mark.parametrize("folder", ["late-flights", "demo", "a1"])
def test_other_folders_are_fine(folder: str) -> None:
    assert check_folder(folder, name="Name") == folder


@given(st.text(max_size=120))
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    try:
        checked = str(check_answer(NAME, name, where="NAME"))
    except KitError:
        return
    assert Path(checked).name == checked
    assert checked not in {".", ".."}
    assert checked.isprintable()
