"""What is called otherwise now, over any number of versions, and what leads nowhere."""

from __future__ import annotations

import pytest

from kit.errors import HostError
from kit.scaffold.migrations import Migrations, Moved, read_migrations
from kit.scaffold.template import Template, load_template, template_root


def test_the_tables_are_read(template: Template) -> None:
    assert read_migrations(template) == Migrations()
    table = template.path / "migrations.toml"
    table.write_text('[renamed]\ncolor = "colour"\n[choices.colour]\nviolet = "blue"\n[choices.fast]\n"very" = true\n')
    assert read_migrations(template) == Migrations(
        {"color": "colour"}, {"colour": {"violet": "blue"}, "fast": {"very": "true"}}
    )
    for broken in ("[renamed\n", "renamed = 3\n", "[choices]\ncolour = 3\n"):
        table.write_text(broken)
        with pytest.raises(HostError, match="the template cannot be read"):
            read_migrations(template)


def test_answers_move_under_the_names_of_now(template: Template) -> None:
    """Over several versions; never over an answer that is there already, nor to what nobody asks."""
    told = Migrations({"color": "hue", "hue": "colour", "speed": "fast", "old": "older", "a": "b", "b": "a"})
    assert told.move(template, {"color": "red", "old": "x", "a": "y", "fast": True, "speed": False}) == Moved(
        {"colour": "red", "old": "x", "a": "y", "fast": True, "speed": False}, {"color": "colour"}
    )


def test_a_choice_that_is_called_otherwise_now_is_kept(template: Template) -> None:
    told = Migrations(
        {"color": "colour", "quick": "fast"},
        {"colour": {"crimson": "scarlet", "scarlet": "red", "green": "blue", "pink": "rose"}, "fast": {"very": "true"}},
    )
    moved = told.move(template, {"color": "crimson", "quick": "very"})
    assert moved == Moved(
        {"colour": "red", "fast": "true"}, {"color": "colour", "quick": "fast"}, {"colour": "red", "fast": "true"}
    )
    for kept in ("green", "pink", "yellow"):  # there still is such a choice; it leads to none; nothing is known of it
        assert told.move(template, {"colour": kept}) == Moved({"colour": kept})


def test_a_flag_can_become_a_choice(template: Template) -> None:
    told = Migrations({"_docker": "colour"}, {"colour": {"true": "green", "false": "blue"}})
    assert told.move(load_template(template.root), {"_docker": True}).context == {"_docker": True}  # it asks for both
    told = Migrations({"container": "colour"}, {"colour": {"true": "green", "false": "blue"}})
    assert told.move(template, {"container": True}).chosen == {"colour": "green"}


def test_kits_own_tables_lead_to_what_there_is() -> None:
    ours = load_template(template_root())
    told = read_migrations(ours)
    asked = {question.name: question for question in ours.questions}
    assert set(told.renamed.values()) <= set(asked) | set(told.renamed)
    assert set(told.choices) <= set(asked)
    for name, table in told.choices.items():
        assert set(table.values()) <= {*asked[name].choices, *table, "true", "false"}
