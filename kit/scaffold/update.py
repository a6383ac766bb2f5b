"""`kit update` and `kit add`: what the template changed, or other answers change, merged into the project.

The template is rendered twice, as it was with the answers of then and as it is with those of now; git merges the
difference (`merge`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kit._git import run
from kit.errors import UserError
from kit.scaffold import answers as check
from kit.scaffold.answers import Answer, Ask
from kit.scaffold.merge import Merge, apply, merge, part_of, refuse_unready
from kit.scaffold.migrations import read_migrations
from kit.scaffold.published import Published, open_published
from kit.scaffold.render import render_project, write_cruft
from kit.scaffold.source import REQUIREMENT, Origin, written_requirement
from kit.scaffold.state import NAME, State, read_state
from kit.scaffold.template import Template, default_answer

__all__ = ["Update", "update"]


@dataclass(frozen=True, slots=True)
class Update:
    """What came of it.

    Attributes:
        before: The template's commit or tag that the project had.
        after: The commit that it gets.
        behind: Whether there is anything to bring.
        branch: Where it is; None if nothing was to be done, or only shown.
        conflicts: The files that are left to be solved.
        lost: Answers that the template does not take any more, and so are its defaults now.
        dropped: Variables that it does not have any more.
        renamed: What it calls variables now that it gave another name, by the old one; their answers are kept.
        chosen: What it calls answers now that it gave another name, by their variables.
        answers: To questions that the template did not ask before: a person's, or else the defaults.
        patch: What would change; only if it was asked for.
    """

    before: str
    after: str
    behind: bool
    branch: str | None = None
    conflicts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    patch: str = ""


def update(
    root: Path,
    *,
    given: Mapping[str, object] | None = None,
    to: str | None = None,
    layer: str | None = None,
    only: str | None = None,
    ask: Ask | None = None,
) -> Update:
    """Bring the newer template into a project.

    Args:
        root: The project.
        given: Answers that are to be others now.
        to: A branch, tag or commit of the template; None for the one that the project follows.
        layer: The name of what the answers add: the template's commit stays the same.
        only: `check` asks whether there is anything, `diff` shows it; neither changes the project.
        ask: Asks a person what the template did not ask before; None takes the defaults.

    Raises:
        UserError: If the project cannot be updated as it is, or an answer cannot be used.
        ServiceError: If the template cannot be had.
    """
    state = read_state(root)
    if only is None:
        refuse_unready(root)
    with tempfile.TemporaryDirectory(prefix="kit-update-") as name:
        scratch = Path(name)
        published = open_published(state.template, scratch)
        state = replace(state, checkout=published.followed(state.checkout))
        before = published.find(state.commit)
        wanted = state.commit if layer else to or state.checkout
        after = published.find(wanted) if wanted else published.newest(before)
        if before == after and not given:
            return Update(state.commit, after, behind=False)
        if only == "check":
            return Update(state.commit, after, behind=True)
        versions = published.template(before, state.directory), published.template(after, state.directory)
        if layer and not {question.name for question in versions[1].questions} >= set(given or ()):
            fix = "Bring the newer template first: `kit update`."
            raise UserError(f"the project's template has no {layer} yet", where=str(root), fix=fix)
        moved = read_migrations(versions[1]).move(versions[1], state.context)
        answers = _new_answers(versions[1], moved.context, given or {}, ask)
        named = state.commit if before == after else after  # the same tag as in what the project asks for kit
        merged, lost = _merge(root, state, published, versions, moved.context | answers, given or {}, named, scratch)
        dropped = _dropped(*versions, moved.context)
        folder = part_of(root)[1]
        conflicts = tuple(path.removeprefix(folder) for path in merged.conflicts)
        done = Update(
            state.commit, after, behind=True, conflicts=conflicts, lost=lost, dropped=dropped,
            renamed=moved.renamed, chosen=moved.chosen, answers=answers,
        )  # fmt: skip
        if only == "diff":
            patch = run(root, "diff", "--no-ext-diff", "HEAD", merged.tree)
            return replace(done, patch=patch.decode("utf-8", "replace"))
        branch = _branch(folder, f"add-{layer}" if layer else f"update-{after[:12]}")
        apply(root, merged, branch=branch)
        return replace(done, branch=branch)


def _branch(folder: str, name: str) -> str:
    """The branch; it names the project's folder, where there is one: its neighbours are updated as well."""
    return "/".join(filter(None, ("kit", "-".join(re.findall(r"[\w-]+", folder)), name)))


def _merge(
    root: Path,
    state: State,
    published: Published,
    versions: tuple[Template, Template],
    context: Mapping[str, object],
    given: Mapping[str, object],
    after: str,
    scratch: Path,
) -> tuple[Merge, tuple[str, ...]]:
    old, new = versions
    were = _answers(old, state.context)[0]
    kept, lost = _answers(new, context)
    requirement = were.get(REQUIREMENT) or written_requirement((root / "pyproject.toml").read_text("utf-8"))
    if requirement:  # kit and its template are one repository: what names a state of it goes along
        were[REQUIREMENT] = str(requirement)
        kept[REQUIREMENT] = published.requirement(str(requirement), state.commit, after)
    kept |= check.check_answers(new.questions, given, where="--set")
    folders = [scratch / "old", scratch / "new"]
    for folder in folders:
        folder.mkdir()
    was = render_project(old, were, folders[0])
    now = render_project(new, kept, folders[1])
    # As the project has it, so that its writer does not matter: the new one then always applies.
    shutil.copyfile(root / NAME, was.folder / NAME)
    write_cruft(now, new, Origin(state.template, after), checkout=state.checkout, skip=state.skip)
    added = ", ".join(f"{name.lstrip('_')}={value}" for name, value in given.items())
    part = part_of(root)[1].rstrip("/")
    message = f"Update the template{part and f' of {part}'} to {after[:12]}" + (f", with {added}" if added else "")
    return merge(root, was.folder, now.folder, scratch, message=message, leave=state.skips), lost


def _answers(template: Template, context: Mapping[str, object]) -> tuple[dict[str, Answer], tuple[str, ...]]:
    """The recorded answers that the template still takes, and the names of those that it does not."""
    kept, lost = {}, []
    for question in template.questions:
        if question.name in context:
            try:
                kept[question.name] = check.check_answer(question, context[question.name], where=NAME)
            except UserError:
                lost.append(question.name)
    return kept, tuple(lost)


def _new_answers(
    template: Template, context: Mapping[str, object], given: Mapping[str, object], ask: Ask | None
) -> dict[str, Answer]:
    """The answers to what was never asked, each known to the questions after it."""
    known = _answers(template, context)[0]
    found: dict[str, Answer] = {}
    for question in template.questions:
        if not question.private and question.name not in {*context, *given}:
            default = default_answer(question, known | found)
            found[question.name] = default if ask is None else ask(question, default)
    return found


def _dropped(old: Template, new: Template, context: Mapping[str, object]) -> tuple[str, ...]:
    """The answers to what the template does not ask any more, under any name."""
    asked = {question.name for question in new.questions}
    return tuple(one.name for one in old.questions if one.name in context and one.name not in asked)
