"""What the template asks is read from the template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.errors import HostError
from kit.scaffold.template import Template, default_answer, load_template, project_folder, template_root


def test_the_root_has_the_menu_and_the_templates() -> None:
    root = template_root()
    assert (root / "cookiecutter.json").is_file()
    assert (root / "template").is_dir()


def test_kits_own_template_asks_at_most_six_questions() -> None:
    asked = [question.name for question in load_template(template_root()).questions if not question.private]
    assert asked == ["project_name", "description", "author", "framework", "license", "ci"]


def test_questions_come_in_order_without_what_is_derived_or_cookiecutters_own(template: Template) -> None:
    kinds = {question.name: question.kind for question in template.questions}
    assert list(kinds.items()) == [
        ("project_name", "text"),
        ("author", "text"),
        ("colour", "choice"),
        ("fast", "flag"),
        ("_docker", "flag"),
        ("_source", "text"),
    ]
    assert [question.name for question in template.questions if question.private] == ["_docker", "_source"]


def test_a_choice_has_its_words(template: Template) -> None:
    colour = template.questions[2]
    assert colour.prompt == "Which colour"
    assert colour.choices == ("red", "green", "blue")
    assert colour.labels == ("Red as a rose", "green", "blue")
    assert colour.default == "red"


def test_a_question_without_words_is_asked_by_its_name(template: Template) -> None:
    assert [question.prompt for question in template.questions[:2]] == ["What is it called", "Author"]


def test_a_default_may_depend_on_earlier_answers(template: Template) -> None:
    author, fast = template.questions[1], template.questions[3]
    assert default_answer(author, {"project_name": "Tides"}) == "The Tides authors"
    assert default_answer(fast, {}) is True


def test_the_folder_is_named_by_the_template(template: Template) -> None:
    assert template.path == template.root / "template/small"
    assert project_folder(template, {"project_name": "Late  Flights!"}) == "late-flights"


@pytest.mark.parametrize("menu", ["", "[]", "{}", '{"templates": {}}', '{"templates": {"x": {}}}', '{"templates": 3}'])
def test_a_broken_menu_is_this_installations_fault(template: Template, menu: str) -> None:
    (template.root / "cookiecutter.json").write_text(menu)
    with pytest.raises(HostError, match=r"cookiecutter\.json.*Install mlekit again"):
        load_template(template.root)


def test_unknown_kinds_of_variables_are_not_asked(template: Template) -> None:
    (template.path / "cookiecutter.json").write_text(json.dumps({"table": {"a": 1}, "none": None, "empty": []}))
    assert load_template(template.root).questions == ()


def test_a_missing_template_is_this_installations_fault(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="the template cannot be read"):
        load_template(tmp_path)
