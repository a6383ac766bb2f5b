"""What `kit update` and `kit add` say about what came of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kit.cli.render import console, print_json

if TYPE_CHECKING:
    from kit.scaffold.update import Update

__all__ = ["show"]


def show(done: Update, *, as_json: bool) -> int:
    """Say what came of it; 1 if there are conflicts to solve."""
    if as_json:
        print_json(_json(done))
        return 1 if done.conflicts else 0
    from rich.text import Text

    out = console()
    for note in _notes(done):
        out.print(Text(note, "yellow"), soft_wrap=True)
    if done.branch is None:
        out.print(Text("Nothing to do: the project has all of it."))
        return 0
    if not done.conflicts:
        out.print(Text(f"On branch {done.branch}; your files are as they were. Next:"), soft_wrap=True)
        for step in (f"git diff HEAD...{done.branch}", f"git merge {done.branch}", "uv lock && uv sync"):
            out.print(Text(f"  {step}", "cyan"), soft_wrap=True)
        return 0
    files = "1 file" if len(done.conflicts) == 1 else f"{len(done.conflicts)} files"
    out.print(Text(f"On branch {done.branch}, checked out; conflicts in {files}:", "bold"), soft_wrap=True)
    for path in done.conflicts:
        out.print(Text(f"  {path}", "red"), soft_wrap=True)
    out.print(Text("Mend them, `git add` them, then `git cherry-pick --continue`."), soft_wrap=True)
    out.print(
        Text(f"Or as before: `git cherry-pick --abort && git switch - && git branch -D {done.branch}`."), soft_wrap=True
    )
    return 1


def _notes(done: Update) -> Iterator[str]:
    """What became of the answers."""
    for name in done.lost:
        yield f"The template does not take your {name.lstrip('_')} any more: its default."
    for name in done.dropped:
        yield f"The template does not ask for {name.lstrip('_')} any more: your answer is dropped."
    for old, name in done.renamed.items():
        yield f"Your {old.lstrip('_')} is called {name.lstrip('_')} now."
    for name, choice in done.chosen.items():
        yield f"Your answer for {name.lstrip('_')} is called {choice} now."
    for name, answer in done.answers.items():
        value = str(answer).lower() if isinstance(answer, bool) else answer
        yield f"The template asks for {name} now: {value}. Another answer: `kit update --set {name}=VALUE`."


def _json(done: Update) -> dict[str, Any]:
    return {
        "before": done.before,
        "after": done.after,
        "behind": done.behind,
        "branch": done.branch,
        "conflicts": list(done.conflicts),
        "lost": list(done.lost),
        "dropped": list(done.dropped),
        "renamed": dict(done.renamed),
        "chosen": dict(done.chosen),
        "answers": dict(done.answers),
    }
