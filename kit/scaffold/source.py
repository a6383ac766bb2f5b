"""Where this kit came from, so that a new project can find it, and its template, again (PEP 610)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from kit._git import run
from kit.errors import KitError
from kit.scaffold.template import template_root

__all__ = [
    "DISTRIBUTION",
    "REQUIREMENT",
    "Origin",
    "Source",
    "installed_version",
    "kit_source",
    "parse_source",
    "published_origin",
    "requirement_at",
    "template_origin",
    "written_requirement",
]

DISTRIBUTION = "mlekit"
REQUIREMENT = "_kit_requirement"
"""The template's variable for what a project asks for kit; where it is empty, the template finds out by itself."""
_TAG = re.compile(r"v?\d+(\.\d+)+\S*")


@dataclass(frozen=True, slots=True)
class Source:
    """What to write into a project's dependencies, and the repository behind it.

    Attributes:
        requirement: A PEP 508 requirement.
        repository: A git URL, or the path of a local checkout; None when installed from an index or an archive.
        revision: The tag or commit in the requirement; None for a local checkout.
    """

    requirement: str
    repository: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the template came from, as cruft needs it.

    Attributes:
        template: A git URL or the path of a repository; `mlekit` where all that is known is the package.
        commit: A commit, or the same tag as in the project's requirement, so that cruft's copy of it is the same.
        modified: Whether the template's files differ from that commit.
    """

    template: str
    commit: str
    modified: bool = False


def kit_source() -> Source:
    """Where the running kit was installed from; a checkout that was never installed counts as local."""
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        local = {"url": template_root().as_uri(), "dir_info": {}}
        return parse_source(json.dumps(local), "0")
    return parse_source(installed.read_text("direct_url.json"), installed.version)


def installed_version() -> str:
    """That of the running kit; that of no release if it was never installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0"


def parse_source(direct_url: str | None, version: str) -> Source:
    """Turn an installer's record into a requirement.

    Args:
        direct_url: The text of direct_url.json; None for an installation from an index.
        version: The installed version.
    """
    if direct_url is None:
        return Source(f"{DISTRIBUTION}>={version},<{_next_minor(version)}")
    record: dict[str, Any] = json.loads(direct_url)
    url = _without_password(record["url"])
    if "vcs_info" in record:
        return _from_git(url, record["vcs_info"], record.get("subdirectory"))
    if "dir_info" in record:
        return Source(f"{DISTRIBUTION} @ {url}", repository=unquote(urlsplit(url).path))
    return Source(f"{DISTRIBUTION} @ {url}")


def written_requirement(pyproject: str) -> str | None:
    """What a project's pyproject.toml asks for kit; None if it does not."""
    found = re.search(rf'"({DISTRIBUTION}(?![\w.-])[^"\n]*)"', pyproject)
    return found and found[1]


def requirement_at(requirement: str, before: str, after: str) -> str:
    """A requirement of kit's repository at one commit or tag, at another one; any other is as it was."""
    return re.sub(rf"(?<=@){re.escape(before)}(?=#|$)", after, requirement)


def template_origin(source: Source) -> Origin | None:
    """The repository and commit of the template, or None when nothing says where it is.

    A local checkout counts with the commit it is at, whether or not its files were changed since. A kit from an index
    counts with the repository that its metadata names, at the tag of its version; if that names none, with itself.
    """
    if source.repository is not None and source.revision is not None:
        return Origin(source.repository, source.revision)
    if source.repository is not None:
        return _checked_out(Path(source.repository))
    try:
        about = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None
    version = about["Version"]
    return published_origin(about.get_all("Project-URL") or [], version) or Origin(DISTRIBUTION, f"v{version}")


def published_origin(project_urls: list[str], version: str) -> Origin | None:
    """The repository that the package's metadata names, at its version's tag."""
    for entry in project_urls:
        label, _, url = entry.partition(",")
        if label.strip().lower() in {"repository", "source"}:
            return Origin(url.strip(), f"v{version}")
    return None


def _from_git(url: str, info: dict[str, str], subdirectory: str | None) -> Source:
    """A tag stays a tag; a branch, which moves, becomes the commit that it was at."""
    asked = info.get("requested_revision")
    pinned = asked if asked is not None and _TAG.fullmatch(asked) else info["commit_id"]
    place = "" if subdirectory is None else f"#subdirectory={subdirectory}"
    requirement = f"{DISTRIBUTION} @ git+{url}@{pinned}{place}"
    return Source(requirement, repository=url, revision=pinned)


def _next_minor(version: str) -> str:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    major, minor = (*numbers, 0, 0)[:2]
    return f"{major}.{minor + 1}"


def _without_password(url: str) -> str:
    """A token in a URL belongs in a credential helper, not in a committed file. `ssh://git@...` keeps its user."""
    parts = urlsplit(url)
    if parts.scheme == "ssh" and parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _checked_out(checkout: Path) -> Origin | None:
    """The commit that a checkout is at; None when it is not the root of a git repository with a commit."""
    if not (checkout / ".git").exists():
        return None
    commit = _git(checkout, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    changes = _git(checkout, "status", "--porcelain", "--", "cookiecutter.json", "template")
    return Origin(str(checkout), commit, modified=bool(changes))


def _git(checkout: Path, *arguments: str) -> str | None:
    """What git printed; None when it failed or is not there."""
    try:
        return run(checkout, *arguments).decode("utf-8", "replace").strip()
    except KitError:
        return None
