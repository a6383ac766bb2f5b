"""What a repository has: its package, its dependencies, data, tests, and the tools that it uses already."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kit import _git
from kit.adopt._source import read
from kit.adopt.model import Survey

__all__ = ["add_kit", "list_files", "pyproject_of", "survey"]

_NO_PACKAGE = {
    "tests", "test", "docs", "doc", "examples", "scripts", "notebooks", "tools", "benchmarks", "bin", "data",
    "configs", "conf",
}  # fmt: skip
_DATA = ("data", "datasets", "dataset", "input", "inputs", "raw")
_TESTS = ("tests", "test")
_LOCKS = (
    ("uv.lock", "uv"),
    ("poetry.lock", "poetry"),
    ("pdm.lock", "pdm"),
    ("pixi.lock", "pixi"),
    ("Pipfile", "pipenv"),
)
_CONDA = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml")
_REQUIREMENTS = re.compile(r"requirements[\w.-]*\.(txt|in)|requirements/\w+\.(txt|in)")
_IMPORTS_MLFLOW = re.compile(r"^\s*(?:import|from)\s+mlflow\b", re.MULTILINE)
_SETS_SERVER = re.compile(r"^[ \t]*[^#\n]*\bmlflow\.set_tracking_uri\(", re.MULTILINE)
_MOST = 3_000


def list_files(root: Path) -> list[str]:
    """What git knows below `root`, or would if it were added; relative to it."""
    listed = _git.run(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})


def pyproject_of(root: Path) -> dict[str, Any]:
    """pyproject.toml as data; empty if there is none, or none that can be read."""
    try:
        return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def survey(root: Path, files: Sequence[str], entry: str) -> Survey:
    """Look, and change nothing.

    Args:
        root: The project.
        files: What git has of it.
        entry: The file in which the work begins; the package that it lies in is the project's.
    """
    pyproject = pyproject_of(root)
    layout, folder = _package(files, _project_name(pyproject) or root.name, entry)
    manager, file = _manager(files, pyproject)
    mlflow = list(_mlflow(root, files))
    notes = [
        f"{path}:{line} sets MLflow's server itself, and kit's is then not used there. Take it out, and say "
        "`tracking-uri` in [tool.kit] if runs are to go to that server."
        for path, line in mlflow
        if line
    ]
    return Survey(
        layout=layout,
        package=None if folder is None else folder.rpartition("/")[2],
        package_dir=folder,
        manager=manager,
        manager_file=file,
        data=tuple(f"{name}/" for name in _DATA if (root / name).is_dir()),
        tests=next((f"{name}/" for name in _TESTS if any(path.startswith(f"{name}/") for path in files)), None),
        dvc=any(path == ".dvc/config" or path.endswith((".dvc", "dvc.yaml")) for path in files),
        mlflow=tuple(path for path, _ in mlflow),
        notes=tuple(notes),
    )


def add_kit(root: Path, found: Survey) -> str | None:
    """How kit becomes one of its dependencies; None if it is one."""
    file = found.manager_file
    text = "".join(read(root, name) or "" for name in {"pyproject.toml", file or ""} if name)
    if re.search(r"\bmlekit\b", text):
        return None
    commands = {
        "uv": "`uv add mlekit`",
        "poetry": "`poetry add mlekit`",
        "pdm": "`pdm add mlekit`",
        "pixi": "`pixi add --pypi mlekit`",
        "pipenv": "`pipenv install mlekit`",
        "conda": f"add `mlekit` below `pip:` in {file}, then `conda env update --file {file}`",
        "pip": f"add `mlekit` to {file}, then `pip install -r {file}`",
        "setuptools": f"add `mlekit` to `install_requires` in {file}, then `pip install -e .`",
        "pyproject": "add `mlekit` to `dependencies` in pyproject.toml, then `pip install -e .`",
    }
    return commands.get(found.manager or "", "`pip install mlekit`, and write it down where the others are")


def _project_name(pyproject: dict[str, Any]) -> str | None:
    for table in (pyproject.get("project"), pyproject.get("tool", {}).get("poetry")):
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            return str(table["name"])
    return None


def _package(files: Sequence[str], project: str, entry: str) -> tuple[str, str | None]:
    """The layout and the package's folder: the one with the entry point, that is called as the project, or is alone."""
    wanted = project.replace("-", "_").lower()
    for layout, pattern in (("src layout", r"(src/[^/.]+)/__init__\.py"), ("flat layout", r"([^/.]+)/__init__\.py")):
        if layout == "src layout" and "src/__init__.py" in files:
            continue  # `src` itself is the package: `from src.data import ...`
        found = [match[1] for path in files if (match := re.fullmatch(pattern, path))]
        found = [folder for folder in found if _is_package(folder.rpartition("/")[2])]
        for folder in found:
            if entry.startswith(f"{folder}/") or folder.rpartition("/")[2].lower() == wanted:
                return layout, folder
        if layout == "src layout" and len(found) == 1:
            return layout, found[0]
    return "scripts only", None


def _is_package(name: str) -> bool:
    return name.isidentifier() and name not in _NO_PACKAGE


def _manager(files: Sequence[str], pyproject: dict[str, Any]) -> tuple[str | None, str | None]:
    tools = pyproject.get("tool", {})
    for file, name in _LOCKS:
        if file in files:
            return name, file
    for name in ("uv", "poetry", "pdm", "pixi"):
        if name in tools:
            return name, "pyproject.toml"
    if (conda := next((name for name in _CONDA if name in files), None)) is not None:
        return "conda", conda
    if "project" in pyproject:
        return "pyproject", "pyproject.toml"
    if (required := next((name for name in files if _REQUIREMENTS.fullmatch(name)), None)) is not None:
        return "pip", "requirements.txt" if "requirements.txt" in files else required
    setup = next((name for name in ("setup.cfg", "setup.py") if name in files), None)
    return (None, None) if setup is None else ("setuptools", setup)


def _mlflow(root: Path, files: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The files that import MLflow, and the line where each sets its server; 0 if it does not."""
    for path in [path for path in files if path.endswith(".py")][:_MOST]:
        text = read(root, path)
        if text is not None and _IMPORTS_MLFLOW.search(text):
            found = _SETS_SERVER.search(text)
            yield path, 0 if found is None else text.count("\n", 0, found.end()) + 1
