"""`kit new`: from a name to a project with its first commit.

Order: every answer is checked; the project is rendered where nobody sees it; one rename (or, with `into`, one
merge without a conflict) puts it in place; then come the side effects. DVC is checked after git because it asks
git where the project is, and the commit comes after the lock, not with `git init`, so that uv.lock is in it.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.errors import Cancelled, UserError
from kit.scaffold import answers as check
from kit.scaffold.answers import NAME, Answer, Ask
from kit.scaffold.effects import ALL, Effect, Observer, run_effects
from kit.scaffold.place import conflicts, merge_into, move_into_place, refuse_existing, workspace
from kit.scaffold.render import Rendered, render_project, write_cruft
from kit.scaffold.source import DISTRIBUTION, REQUIREMENT, kit_source, template_origin
from kit.scaffold.template import Question, Template, default_answer, load_template, project_folder, template_root

__all__ = ["NewProject", "Request", "new_project", "unfinished"]

_AUTHOR = "author"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; nothing of it is checked yet.

    Attributes:
        name: The project's name, as people write it.
        answers: Answers from options, by the template's names; they win over the file's.
        answers_file: A TOML, JSON or YAML file of answers.
        output_dir: Where the project's folder goes.
        into: Add the project's files to this folder instead.
        skip: Effects that are not wanted.
    """

    name: str | None = None
    answers: Mapping[str, object] = field(default_factory=dict)
    answers_file: Path | None = None
    output_dir: Path = Path()
    into: Path | None = None
    skip: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewProject:
    """What came of it.

    Attributes:
        root: The project's folder.
        name: The folder's name by the template, which is also the distribution's.
        answers: What was answered, by the template's names.
        added: The files, relative to `root`.
        effects: How each side effect went.
    """

    root: Path
    name: str
    answers: dict[str, Answer]
    added: tuple[str, ...]
    effects: tuple[Effect, ...]


def new_project(request: Request, *, ask: Ask | None = None, observer: Observer | None = None) -> NewProject:
    """Start a project.

    Args:
        request: What was asked for.
        ask: Asks a person for what is missing; None takes the defaults.
        observer: Told about the side effects as they happen.

    Raises:
        UserError: If an answer cannot be used, or something is in the way. Nothing was written.
        HostError: If this machine does not let it be written. Nothing was written.
        Cancelled: On Ctrl-C during the side effects; the project is there.
    """
    template = load_template(template_root())
    answers = _answers(template, request, ask)
    folder = check.check_folder(project_folder(template, answers), name=str(answers[NAME]))
    answers.setdefault(REQUIREMENT, kit_source().requirement)
    if request.into is None:
        root = (request.output_dir.resolve()) / folder
        refuse_existing(root)
        added, note = _create(template, answers, root)
        without_git = {"git", "hooks", "commit"} if "git" in request.skip else set()
        skip = dict.fromkeys(request.skip | without_git, "not wanted")
    else:
        root = request.into.resolve()
        added, note = _merge(template, answers, root)
        skip = dict.fromkeys(request.skip, "not wanted") | dict.fromkeys(("git", "hooks", "commit"), "left to you")
    observer = observer or Observer()
    observer.end(note)
    return NewProject(root, folder, answers, tuple(added), (note, *run_effects(root, skip, observer)))


def _answers(template: Template, request: Request, ask: Ask | None) -> dict[str, Answer]:
    """Options win over the file, the file over what a person answers, and that over the defaults."""
    if request.into is not None and request.output_dir != Path():
        raise UserError("`--into` and `--output-dir` cannot both say where", fix="Leave one of them out.")
    unknown = request.skip - set(ALL)
    if unknown:
        raise UserError(f"there is no step {min(unknown)!r}", fix=check.nearest(min(unknown), ALL))
    answers: dict[str, Answer] = {}
    if request.answers_file is not None:
        from_file = check.read_answers(request.answers_file)
        answers |= check.check_answers(template.questions, from_file, where=str(request.answers_file))
    answers |= check.check_answers(template.questions, request.answers, where="command line")
    name = request.name
    if name is None and NAME not in answers and request.into is not None:
        name = request.into.resolve().name
    if name is not None:
        answers |= check.check_answers(template.questions, {NAME: name}, where="NAME")
    if NAME not in answers and ask is None:
        raise UserError("the project needs a name", fix="Write `kit new NAME`.")
    for question in template.questions:
        if question.name not in answers and not question.private:
            known = _author(request.output_dir, question) if question.name == _AUTHOR else None
            default = known or default_answer(question, answers)
            answer = default if ask is None else ask(question, default)
            answers[question.name] = check.check_answer(question, answer, where="answer")
    return answers


def _author(folder: Path, question: Question) -> str | None:
    """The name that git knows, if it can be an answer."""
    try:
        argv = ["git", "config", "--get", "user.name"]
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
        )
        name = done.stdout.strip()
        return str(check.check_answer(question, name, where="git config user.name")) or None
    except (OSError, subprocess.TimeoutExpired, UserError):
        return None


def _create(template: Template, answers: Mapping[str, Answer], root: Path) -> tuple[list[str], Effect]:
    """Render the project and move it to `root`. Nothing is at `root` unless all of it is."""
    with unfinished(root), workspace(root.parent) as hidden:
        rendered = render_project(template, answers, hidden)
        note = _note_origin(rendered, template)
        added = sorted(str(path.relative_to(rendered.folder)) for path in rendered.folder.rglob("*") if path.is_file())
        move_into_place(rendered.folder, root)
    return added, note


def _merge(template: Template, answers: Mapping[str, Answer], root: Path) -> tuple[list[str], Effect]:
    """Render the project and add to `root` what it lacks, unless anything differs."""
    with unfinished(root), workspace(root) as hidden:
        rendered = render_project(template, answers, hidden)
        note = _note_origin(rendered, template)
        found = conflicts(rendered.folder, root)
        if found:
            raise UserError(
                f"{len(found)} of the project's files are there already, with other content: {', '.join(found)}",
                where=str(root),
                fix="Nothing was written. Move them away and run it again, then bring your changes back.",
            )
        return merge_into(rendered.folder, root), note


@contextlib.contextmanager
def unfinished(root: Path) -> Iterator[None]:
    """Say, on Ctrl-C in here, that there is no project.

    Args:
        root: Where it would have been.

    Raises:
        Cancelled: On Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Cancelled("stopped before the project was there", where=str(root), fix="Nothing was written.") from None


def _note_origin(rendered: Rendered, template: Template) -> Effect:
    """Write `.cruft.json`, so that the project can be updated when the template is."""
    origin = template_origin(kit_source())
    if origin is None:
        return Effect("cruft", "skipped", "kit's checkout is no git repository; `kit update` cannot work")
    write_cruft(rendered, template, origin)
    changed = " and uncommitted changes, which `cruft diff` will show" if origin.modified else ""
    if origin.template == DISTRIBUTION:
        return Effect("cruft", "ok", f"template of {DISTRIBUTION} {origin.commit}; `kit update` brings newer ones")
    return Effect("cruft", "ok", f"template {origin.template} at {origin.commit[:12]}{changed}")
