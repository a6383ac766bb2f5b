"""Dockerfiles: their instructions, with continued lines joined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kit.checks.tree import Tree

__all__ = ["Instruction", "bases", "dockerfiles", "instructions"]

_FROM = re.compile(r"(?i)(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, `RUN uv sync`; `line` is its first."""

    line: int
    keyword: str
    argument: str


def dockerfiles(tree: Tree) -> Iterator[str]:
    """Those that are wanted."""
    return tree.matching("**/Dockerfile", "**/Dockerfile.*", "**/*.Dockerfile", "**/*.dockerfile", "**/Containerfile")


def instructions(text: str) -> Iterator[Instruction]:
    """Without comments, and without what `<<EOF` holds, which has no keyword in front."""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        joined = line.strip()
        while joined.endswith("\\"):
            _, following = next(lines, (0, ""))
            joined = f"{joined[:-1].rstrip()} {'' if following.lstrip().startswith('#') else following.strip()}"
        found = re.fullmatch(r"([A-Za-z]+)\s+(.*)", joined)
        if found is not None:
            yield Instruction(number, found[1].upper(), found[2])


def bases(text: str) -> Iterator[tuple[Instruction, str]]:
    """The images that stages are built on, those aside that are stages of the file themselves."""
    stages: set[str] = set()
    for instruction in instructions(text):
        found = _FROM.match(instruction.argument) if instruction.keyword == "FROM" else None
        if found is not None:
            if found["image"].lower() not in {*stages, "scratch"}:
                yield instruction, found["image"]
            if found["name"]:
                stages.add(found["name"].lower())
