"""Where the versions of a template come from: its git repository, or kit's own packages, each of which has one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

from packaging.version import InvalidVersion, Version

from kit._git import GitFailed, environment, run
from kit._uv import run_uv
from kit.errors import ServiceError, UserError, from_os_error
from kit.scaffold.source import DISTRIBUTION, installed_version, parse_source, requirement_at
from kit.scaffold.state import NAME
from kit.scaffold.template import Template, load_template, template_root

__all__ = ["Published", "open_published"]


class Published(Protocol):
    """The versions of a template. Each has a name: a commit, or the tag of a release."""

    def followed(self, checkout: str | None) -> str | None:
        """The branch that a project follows; None for the template's own choice."""

    def find(self, revision: str) -> str:
        """The name of the version that a commit, a tag or a branch stands for.

        Raises:
            UserError: If there is none.
        """

    def newest(self, since: str) -> str:
        """The version that a project at another one is brought to.

        Raises:
            UserError: If it would go back.
        """

    def template(self, version: str, directory: str | None) -> Template:
        """The template as it was then, wherever its folder was.

        Raises:
            ServiceError: If it cannot be had.
        """

    def requirement(self, requirement: str, before: str, after: str) -> str:
        """What a project asks for kit, at another version of the template."""


def open_published(template: str, scratch: Path) -> Published:
    """The versions of the template that a project's state names.

    Args:
        template: As the state has it.
        scratch: A folder for what has to be fetched.

    Raises:
        ServiceError: If its repository cannot be reached.
    """
    return _Packages(scratch) if template == DISTRIBUTION else _Repository(template, scratch)


class _Repository:
    """At the commits that cruft would take as well."""

    def __init__(self, template: str, scratch: Path) -> None:
        self._scratch = scratch
        self._clone = scratch / "clone"
        try:
            run(scratch, "clone", "--quiet", "--no-checkout", "--", template, str(self._clone),
                env=environment(remotes=True))  # fmt: skip
        except GitFailed as error:
            lines = [line for line in error.stderr.splitlines() if line.strip()]
            reason = lines[0].removeprefix("fatal: ") if lines else "git gave no reason"
            fix = f"Check that it is there and can be reached: `git ls-remote {template}`."
            raise ServiceError(f"the template cannot be had: {reason}", where=template, fix=fix) from error

    def followed(self, checkout: str | None) -> str | None:
        """What `cruft create --checkout` began with, a tag, would never be newer."""
        if checkout is None:
            return None
        if self._parsed(f"refs/remotes/origin/{checkout}"):
            return checkout
        self.find(checkout)
        return None

    def find(self, revision: str) -> str:
        for name in (revision, f"origin/{revision}"):  # a branch is the remote's
            if found := self._parsed(f"{name}^{{commit}}"):
                return found
        fix = "Name another with `--to`, or mend `commit` in .cruft.json."
        raise UserError(f"the template has no version {revision!r}", where=NAME, fix=fix)

    def _parsed(self, revision: str) -> str | None:
        argv = ("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
        found = run(self._clone, *argv, accept=(0, 1, 128)).decode().split()
        return found[-1] if found else None

    def newest(self, since: str) -> str:  # noqa: ARG002 - a branch may go back
        return self.find("HEAD")

    def template(self, version: str, directory: str | None) -> Template:
        folder = self._scratch / version
        if not folder.exists():
            run(self._clone, "worktree", "add", "--quiet", "--detach", str(folder), version)
        return load_template(folder, directory)

    def requirement(self, requirement: str, before: str, after: str) -> str:
        return requirement_at(requirement, before, after)


class _Packages:
    """At the tags of releases; the newest is the one that runs."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def followed(self, checkout: str | None) -> str | None:  # noqa: ARG002 - there are no branches
        return None

    def find(self, revision: str) -> str:
        try:
            return f"v{Version(revision)}"
        except InvalidVersion as error:
            fix = "Name another with `--to`, or mend `commit` in .cruft.json."
            raise UserError(f"the template has no version {revision!r}", where=NAME, fix=fix) from error

    def newest(self, since: str) -> str:
        here = self.find(installed_version())
        if Version(here) < Version(since):
            fix = f"Upgrade kit: `uv lock --upgrade-package {DISTRIBUTION} && uv sync`."
            raise UserError(f"the project has the template of {since}, and this kit is {here}", where=NAME, fix=fix)
        return here

    def template(self, version: str, directory: str | None) -> Template:
        if Version(version) == Version(installed_version()):
            return load_template(template_root(), directory)
        folder = self._scratch / version
        if not folder.exists():
            self._fetch(version, folder)
        return load_template(folder / "kit" / "_template", directory)

    def _fetch(self, version: str, folder: Path) -> None:
        wanted = f"{DISTRIBUTION}=={version.removeprefix('v')}"
        argv = ("pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", str(folder), wanted)
        try:
            done, said = run_uv(self._scratch, *argv)
        except OSError as error:
            raise from_os_error(error) from error
        if not done:
            fix = f"Check that your package index is reached, and has it: `uv pip install --dry-run {wanted}`."
            raise ServiceError(f"the template of {wanted} cannot be had: {said}", where=NAME, fix=fix)

    def requirement(self, requirement: str, before: str, after: str) -> str:
        """A range that was written with the template goes along; any other is the project's own."""
        versions = (parse_source(None, version.removeprefix("v")).requirement for version in (before, after))
        old, new = (version.removeprefix(DISTRIBUTION) for version in versions)
        return requirement.removesuffix(old) + new if requirement.endswith(old) else requirement
