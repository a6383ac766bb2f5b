"""What CI runs: the scripts of GitHub's workflows and of GitLab's pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kit.checks._places import first_line_with
from kit.checks._shell import commands
from kit.checks.tree import Tree

__all__ = ["Script", "images", "is_whole", "pipelines", "runs", "scripts"]

_GITHUB = (".github/workflows/*.yml", ".github/workflows/*.yaml")
_GITLAB = (".gitlab-ci.yml", ".gitlab-ci.yaml")
_ELSEWHERE = re.compile(r"(?m)^\s*-?\s*(?:include:|extends:|uses:\s*(?:\./|\S*\.ya?ml))")
"""Other files that a pipeline consists of: those that it includes, workflows that it calls, actions of the project."""
_SCRIPTS = ("before_script", "script", "after_script")


@dataclass(frozen=True, slots=True)
class Script:
    """One line that CI runs."""

    path: str
    text: str
    line: int | None


def pipelines(tree: Tree) -> list[str]:
    """The files that say what CI does, without those that they bring in."""
    return list(tree.matching(*_GITHUB, *_GITLAB))


def is_whole(tree: Tree) -> bool:
    """Whether there is CI, and all that it runs can be seen."""
    return any(scripts(tree)) and not any(_ELSEWHERE.search(tree.text(path) or "") for path in pipelines(tree))


def scripts(tree: Tree) -> Iterator[Script]:
    """Every line of shell that CI runs."""
    for path in pipelines(tree):
        content = tree.yaml(path)
        read = _github if path.startswith(".github/") else _gitlab
        for text in read(content) if isinstance(content, Mapping) else ():
            for line in text.replace("\\\n", " ").splitlines():
                if line.strip():
                    yield Script(path, line.strip(), first_line_with(tree.text(path), line.strip().split("  ")[0]))


def runs(tree: Tree) -> Iterator[list[str]]:
    """The words of every command that CI runs."""
    for script in scripts(tree):
        yield from commands(script.text)


def images(tree: Tree) -> Iterator[tuple[str, str]]:
    """The images that GitLab's jobs run in: file and image."""
    for path in tree.matching(*_GITLAB):
        content = tree.yaml(path)
        for job in _jobs(content) if isinstance(content, Mapping) else ():
            image = job.get("image")
            name = image.get("name") if isinstance(image, Mapping) else image
            if isinstance(name, str):
                yield path, name


def _github(content: Mapping[object, object]) -> Iterator[str]:
    jobs = content.get("jobs")
    for job in jobs.values() if isinstance(jobs, Mapping) else ():
        steps = job.get("steps") if isinstance(job, Mapping) else None
        for step in steps if isinstance(steps, list) else ():
            run = step.get("run") if isinstance(step, Mapping) else None
            if isinstance(run, str):
                yield run


def _gitlab(content: Mapping[object, object]) -> Iterator[str]:
    for job in _jobs(content):
        for key in _SCRIPTS:
            yield from _texts(job.get(key))


def _jobs(content: Mapping[object, object]) -> Iterator[Mapping[object, object]]:
    """The jobs, and the top with what all of them have."""
    yield content
    yield from (job for job in content.values() if isinstance(job, Mapping))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
