"""The pages of the site: which there are, what they are called, and how they lead to each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from docs._site import changelog

__all__ = ["Page", "collect", "indexes", "navigation", "settled", "summary", "title"]

SECTIONS = {
    "tutorial": ("Tutorial", "From nothing to a model that learns every night, in half an hour."),
    "how-to": ("How-to", "One task each, with what it was tried on."),
    "reference": ("Reference", "Every command, key, code and function."),
    "explanation": ("Explanation", "Why things are as they are."),
    "project": ("Project", "Working on kit itself."),
}
"""Folders, in the order of the navigation, with their names and what their index begins with."""

_FIRST = {
    "how-to": ("run-the-scheduler", "sweeps", "gpu", "secrets", "s3-remote", "shared-mlflow"),
    "reference": ("commands", "configuration", "exit-codes", "python-api", "run", "schedule"),
    "explanation": ("conventions", "why-these-conventions", "alternatives", "architecture", "performance"),
    "project": ("contributing", "security", "changelog"),
}
"""Pages that come first; the others follow by their titles, and so does whatever is added."""

_FROM_THE_ROOT = {"CONTRIBUTING.md": "project/contributing.md", "SECURITY.md": "project/security.md"}
_LEFT_OUT = ("_site/", "changelog/")
"""Changelog fragments become one page."""

_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s]+)(?P<after>\))")
_NO_PROSE = ("#", "|", "```", "-", ":::", "<", "    ")
_FENCE = re.compile(r"^ *(`{3,}|~{3,})")


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes:
        path: Where it is in the site's source.
        text: Markdown.
        source: The file that it is from, relative to the repository; None for one that comes from the code.
    """

    path: str
    text: str
    source: str | None = None

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.path).parent)

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).stem


def collect(repository: Path) -> dict[str, Page]:
    """All pages that people wrote, by their paths in the site."""
    found = {}
    for file in sorted((repository / "docs").rglob("*.md")):
        path = file.relative_to(repository / "docs").as_posix()
        if not path.startswith(_LEFT_OUT):
            found[path] = Page(path, file.read_text(encoding="utf-8"), f"docs/{path}")
    for source, path in _FROM_THE_ROOT.items():
        found[path] = Page(path, (repository / source).read_text(encoding="utf-8"), source)
    found["project/changelog.md"] = Page("project/changelog.md", changelog.page(repository))
    return found


def title(page: Page) -> str:
    """The first heading, without its marks."""
    found = re.search(r"^# (.+)$", page.text, re.MULTILINE)
    return page.name if found is None else found[1]


def summary(page: Page) -> str:
    """The first sentence of the first paragraph, without links."""
    for part in re.split(r"\n[ \t]*\n", page.text.partition("\n")[2]):
        block = part.strip("\n")
        if block and not block.startswith(_NO_PROSE):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
            return re.split(r"(?<=[.?!])\s", text)[0].rstrip(":")
    return ""


def ordered(found: Mapping[str, Page], folder: str) -> list[Page]:
    """The pages of a folder, but for its index, in the order of the navigation."""
    inside = [
        page for path, page in found.items() if str(PurePosixPath(path).parent) == folder and page.name != "index"
    ]
    first = _FIRST.get(folder, ())
    by_number = folder in {"tutorial", "explanation/decisions"}

    def place(page: Page) -> tuple[int, str]:
        at = first.index(page.name) if page.name in first else len(first)
        return at, page.name if by_number else title(page).strip("`").casefold()

    return sorted(inside, key=place)


def _below(found: Mapping[str, Page], folder: str) -> list[str]:
    """The folders directly in a folder."""
    inside = {page.folder for page in found.values()}
    return sorted(name for name in inside if str(PurePosixPath(name).parent) == folder)


def _names(folder: str) -> tuple[str, str]:
    """What a folder is called, and its introduction."""
    known = SECTIONS | {"explanation/decisions": ("Decisions", "What was decided, why, and what was left out.")}
    return known.get(folder) or (folder.rpartition("/")[2].capitalize(), "")


def indexes(found: Mapping[str, Page]) -> dict[str, Page]:
    """For each folder without an index a page that leads to all in it."""
    made: dict[str, Page] = {}
    for folder in {page.folder for page in found.values()} - {"."}:
        path = f"{folder}/index.md"
        if path in found:
            continue
        name, introduction = _names(folder)
        entries = [(title(page), f"{page.name}.md", summary(page)) for page in ordered(found, folder)]
        for below in _below(found, folder):
            called, said = _names(below)
            entries.append((called, f"{PurePosixPath(below).name}/index.md", said))
        lines = [f"- [{called}]({target})" + (f"<br>{said}" if said else "") for called, target, said in entries]
        made[path] = Page(path, "\n".join([f"# {name}\n", f"{introduction}\n", *lines, ""]))
    return made


def navigation(found: Mapping[str, Page]) -> list[object]:
    """As the builder wants it: lists of one-entry mappings."""
    return [{"Home": "index.md"}, *(_navigate(found, section) for section in SECTIONS)]


def _navigate(found: Mapping[str, Page], folder: str) -> dict[str, list[object]]:
    name, _ = _names(folder)
    entries: list[object] = [f"{folder}/index.md"]
    entries += [{_short(page): page.path} for page in ordered(found, folder)]
    entries += [_navigate(found, below) for below in _below(found, folder)]
    return {name: entries}


def _short(page: Page) -> str:
    """A title for the narrow column: what stands before the colon, without marks."""
    return re.sub(r"[<>`]", "", title(page).partition(": ")[0])


def settled(page: Page, found: Mapping[str, Page]) -> str:
    """The text with its links as the site has them: files from elsewhere have moved, and a folder is its index."""
    return "".join(_lines(page, found))


def _lines(page: Page, found: Mapping[str, Page]) -> Iterator[str]:
    fence = ""
    for line in page.text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        yield line if fence else _LINK.sub(lambda link: _relinked(link, page, found), line)


def _relinked(link: re.Match[str], page: Page, found: Mapping[str, Page]) -> str:
    path, mark, anchor = link["target"].partition("#")
    if not path or "://" in path or path.startswith("mailto:") or page.source is None:
        return link[0]
    by_source = {known.source: known.path for known in found.values() if known.source is not None}
    by_source |= {"README.md": "index.md", "docs/changelog": "project/changelog.md"}
    meant = os.path.normpath(f"{PurePosixPath(page.source).parent}/{path}")
    where = by_source.get(meant)
    if where is None and (folder := meant.removeprefix("docs/")) != meant:
        where = {"changelog": "project/changelog.md"}.get(
            folder, folder if folder.endswith(".md") else f"{folder}/index.md"
        )
    if where is None:
        return link[0]
    there = os.path.relpath(where, PurePosixPath(page.path).parent)
    return f"{link['before']}{there}{mark}{anchor}{link['after']}"
