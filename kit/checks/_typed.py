"""Whether a command line can be typed in the project: what it names is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from kit._dvc_files import read_stages
from kit.checks._tasks import module_path
from kit.checks.tree import Tree
from kit.errors import KitError

__all__ = ["fault"]

_BLANK = re.compile(r"[<>$*{}\[\]]|\.\.\.|…|(?:^|=)[A-Z][A-Z_-]+$|/[A-Z][A-Z_]+(?:/|$)")
"""A place for something that the reader fills in: `NAME`, `<run>`, `.kit/runs/RUN/`."""
_TARGET = re.compile(r"(?m)^([\w./ -]+?)\s*::?(?!=)")


def fault(tree: Tree, words: Sequence[str]) -> str | None:
    """Why it cannot be typed; None if it can, or nobody can know."""
    program = words[0].rpartition("/")[2]
    judge = _JUDGES.get("python" if re.fullmatch(r"python[\d.]*", program) else program)
    if words[0].startswith("./"):
        return _missing(tree, words[0])
    return None if judge is None else judge(tree, [word for word in words[1:] if not _BLANK.search(word)])


def _kit(tree: Tree, words: list[str]) -> str | None:
    why = None if tree.typed is None else tree.typed(words)
    if why is not None or not tree.is_kit:
        return why
    for before, word in zip(["", *words], words, strict=False):
        name, equals, choices = word.partition("=")
        groups = {"experiment": "experiment", "--schedule": "schedule"}
        if equals and name.lstrip("+") in groups:
            group, names = groups[name.lstrip("+")], choices.split(",")
        elif before == "--schedule":
            group, names = "schedule", [word]
        else:
            continue
        for choice in names:
            if re.fullmatch(r"[\w/-]+", choice) and f"{tree.config_dir}/{group}/{choice}.yaml" not in tree:
                return f"there is no {group} {choice!r}"
    return None


def _make(tree: Tree, words: list[str]) -> str | None:
    if {"-f", "-C", "--file", "--directory"}.intersection(words):
        return None
    texts = [tree.text(path) for path in ("GNUmakefile", "makefile", "Makefile") if path in tree]
    if not texts:
        return "there is no Makefile"
    text = texts[0] or ""
    if re.search(r"(?m)^-?include|^%|^\$", text):
        return None  # targets that cannot be read here
    known = {name for names in _TARGET.findall(text) for name in names.split()}
    targets = (word for word in words if not word.startswith("-") and "=" not in word)
    missing = next((target for target in targets if target not in known), None)
    return None if missing is None else f"the Makefile has no target {missing!r}"


def _python(tree: Tree, words: list[str]) -> str | None:
    if words[:1] == ["-m"] and len(words) > 1:
        if words[1] == "pytest":
            return _pytest(tree, words[2:])
        top = words[1].partition(".")[0]
        of_project = any(path.startswith((f"src/{top}/", f"{top}/")) for path in tree.files)
        found = not of_project or any(module_path(tree, name) for name in (words[1], f"{words[1]}.__main__"))
        return None if found else f"there is no module {words[1]}"
    return _missing(tree, words[0]) if words and words[0].endswith(".py") else None


def _script(tree: Tree, words: list[str]) -> str | None:
    return _missing(tree, words[0]) if words and words[0].endswith(".sh") else None


def _pytest(tree: Tree, words: list[str]) -> str | None:
    paths = (word.partition("::")[0] for word in words if not word.startswith("-") and re.search(r"/|\.py\b", word))
    return next((why for path in paths if (why := _missing(tree, path)) is not None), None)


def _copy(tree: Tree, words: list[str]) -> str | None:
    return _missing(tree, words[0]) if len(words) == 2 and not words[0].startswith(("-", "~")) else None


def _pip(tree: Tree, words: list[str]) -> str | None:
    pairs = pairwise(words)
    return next((_missing(tree, path) for option, path in pairs if option in {"-r", "--requirement"}), None)


def _uv(tree: Tree, words: list[str]) -> str | None:
    return _pip(tree, words[1:]) if words[:1] == ["pip"] else None


def _dvc(tree: Tree, words: list[str]) -> str | None:
    stages = [word for word in words[1:] if not word.startswith("-")] if words[:1] == ["repro"] else []
    if not stages:
        return None
    try:
        known = read_stages(tree.root)
    except KitError:
        return None
    missing = next(
        (stage for stage in stages if stage.partition("@")[0] not in {one.partition("@")[0] for one in known}), None
    )
    return None if missing is None else f"DVC has no stage {missing!r}"


def _missing(tree: Tree, path: str) -> str | None:
    """Whether a file is not there; one that is outside of the project is nobody's to judge."""
    name = PurePosixPath(path)
    if name.is_absolute() or path.startswith(("~", "../")) or "://" in path:
        return None
    return None if (tree.root / name).exists() else f"there is no {name}"


_JUDGES: dict[str, Callable[[Tree, list[str]], str | None]] = {
    "bash": _script, "cp": _copy, "dvc": _dvc, "kit": _kit, "make": _make, "pip": _pip, "pip3": _pip, "pytest": _pytest,
    "python": _python, "sh": _script, "uv": _uv,
}  # fmt: skip
