"""What would be done to a repository to make it a project; nothing is written here."""

from __future__ import annotations

import posixpath
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from kit import _git, vcs
from kit.adopt._hydra import HydraPlan, plan_hydra
from kit.adopt._source import parse, read
from kit.adopt._wrapper import MODULE, Place, config_lines, fields_of, place_of, wrapper
from kit.adopt.entries import choose
from kit.adopt.model import Call, Change, Entry, Proposal, Returns, Survey
from kit.adopt.survey import add_kit, list_files, survey
from kit.errors import UserError
from kit.paths import find_project
from kit.settings import parse_settings

__all__ = ["propose"]

_IGNORED = (".kit/", "mlflow.db*", "mlruns/")
_CONFIG = """\
# What every experiment starts from. `kit run` uses it; `kit run --dry-run` shows where each value is from.
defaults:
  - _self_
  - experiment: baseline

"""


def propose(root: Path, entry: str | None = None) -> Proposal:
    """Look at the repository that `root` lies in, and say what would make `root` a project.

    Args:
        root: The folder that is to be a project.
        entry: `FILE` or `FILE:FUNCTION`, where the work begins; None to look for it.

    Raises:
        UserError: If it is one already, if it is in no git repository with a commit, or if no place is found where the
            work begins, or if what would be written is there already, or what would be added to is not committed.
    """
    root = root.resolve()
    vcs.check(root)
    _refuse_project(root)
    files = list_files(root)
    chosen = choose(root, files, entry)
    found = survey(root, files, chosen.path)
    if chosen.call is not Call.CONFIG:
        return _with_own_conf(root, files, found, chosen)
    return _with_hydra(root, files, found, chosen)


def _refuse_project(root: Path) -> None:
    try:
        there = find_project(root).root
    except UserError:
        return
    what = "is a project already" if there == root else "lies in a project already"
    raise UserError(f"this folder {what}", where=str(there), fix="`kit run` runs it, `kit check` looks after it.")


def _with_own_conf(root: Path, files: Sequence[str], found: Survey, entry: Entry) -> Proposal:
    own = {f"conf/{name}" for name in ("config.yaml", "experiment/baseline.yaml")}
    theirs = any(path.startswith("conf/") and path not in own for path in files)
    folder = "kit-conf" if theirs else "conf"
    lines = config_lines(entry)
    seed = [] if "seed" in fields_of(entry) else ["seed: 42 # kit seeds Python, NumPy and PyTorch with it"]
    task, made = _task(root, files, found, entry)
    new = {
        **made,
        f"{folder}/config.yaml": _CONFIG + "\n".join([*seed, *lines]) + "\n",
        f"{folder}/experiment/baseline.yaml": f"# @package _global_\ntask: {task}\n",
    }
    settings = {} if folder == "conf" else {"config-dir": folder}
    notes = [] if folder == "conf" else [f"conf/ is there and not Hydra's: the configs are in {folder}/."]
    missing = tuple(name for name, option in fields_of(entry).items() if option.required)
    return _proposal(root, found, entry, task, new, settings, notes, ("kit", "run"), missing)


def _with_hydra(root: Path, files: Sequence[str], found: Survey, entry: Entry) -> Proposal:
    if entry.conf is None:
        raise UserError(
            f"where {entry.label} has its Hydra configs only running it would tell",
            where=entry.path,
            fix="Write [tool.kit] by hand: `config-dir`, `config-name`, and `task: ...` in an experiment.",
        )
    task, made = _task(root, files, found, entry)
    planned: HydraPlan = plan_hydra(root, files, entry.conf, task)
    settings = {"config-dir": entry.conf.folder, "config-name": planned.primary}
    proposal = _proposal(root, found, entry, task, made | planned.files, settings, list(planned.notes), planned.run, ())
    trouble = _compose(root, entry.conf.folder, planned, proposal.changes)
    if trouble is None:
        return proposal
    return replace(proposal, notes=(*proposal.notes, f"The config does not compose yet: {trouble}"))


def _compose(root: Path, folder: str, planned: HydraPlan, changes: Sequence[Change]) -> UserError | None:
    """Compose it in a copy: why it would fail; None if it would not."""
    from kit import config

    with tempfile.TemporaryDirectory(prefix="kit-init-") as place:
        copy = Path(place)
        shutil.copytree(root / folder, copy / folder, symlinks=True)
        for change in changes:
            if PurePosixPath(change.path).is_relative_to(folder):
                target = copy / change.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(change.after, "utf-8")
        try:
            config.compose(copy, folder, planned.primary, planned.run[2:])
        except UserError as error:
            return error
    return None


def _task(root: Path, files: Sequence[str], found: Survey, entry: Entry) -> tuple[str, dict[str, str]]:
    """The task's name, and the wrapper if one is needed: a function that takes Hydra's config is a task as it is."""
    place = _place(root, files, entry.path)
    if entry.call is not Call.SCRIPT and place.module is None:
        raise UserError(
            f"Python cannot import a file of that name, so that `{entry.function}` cannot be called",
            where=entry.path,
            fix="Rename it: letters, digits and `_` only.",
        )
    plain = entry.returns in {Returns.NOTHING, Returns.METRICS}
    if entry.call is Call.CONFIG and plain and place.on_path:
        return f"{place.module}.{entry.function}", {}
    folder, package = _home(found, place)
    text = wrapper(entry, place, folder)
    return f"{package}{MODULE}.train", {f"{folder}/{MODULE}.py" if folder else f"{MODULE}.py": text}


def _place(root: Path, files: Sequence[str], path: str) -> Place:
    """Where Python has the file; in its own folder if it imports the files beside it by their bare names.

    `python package/train.py` finds those, whether the folder is a package or not.
    """
    place = place_of(path, files)
    module = parse(path, read(root, path) or "")
    if module is None or place.module is None or "." not in place.module:
        return place
    folder = posixpath.dirname(path)
    known = {"", place.module.partition(".")[0], *sys.stdlib_module_names}
    imported = {name.partition(".")[0] for name in module.names.values()} - known
    beside = any(f"{folder}/{name}.py" in files or f"{folder}/{name}/__init__.py" in files for name in imported)
    return Place(place.module.rpartition(".")[2], folder) if beside else place


def _home(found: Survey, place: Place) -> tuple[str, str]:
    """In the package, if that is where the work is; else beside pyproject.toml."""
    package = found.package
    if package is None or not place.on_path or not f"{place.module}.".startswith(f"{package}."):
        return "", ""
    return found.package_dir or "", f"{package}."


def _proposal(  # noqa: PLR0913, PLR0917 - what it is put together from
    root: Path,
    found: Survey,
    entry: Entry,
    task: str,
    new: dict[str, str],
    settings: dict[str, str],
    notes: list[str],
    run: tuple[str, ...],
    missing: tuple[str, ...],
) -> Proposal:
    changes = [change for path, text in new.items() if (change := _new(root, path, text)) is not None]
    changes += [change for change in (_gitignore(root), _pyproject(root, found, settings)) if change is not None]
    notes = [*_said_of(entry), *found.notes, *notes]
    if (adding := add_kit(root, found)) is not None:
        notes.append(f"kit is to be one of the project's dependencies: {adding}.")
    return Proposal(found, entry, task, tuple(changes), tuple(notes), run, missing)


def _said_of(entry: Entry) -> list[str]:
    """What could not be found, and what to write by hand."""
    notes = []
    if entry.unread and entry.kind not in {"script", "function"}:
        shown = "; ".join(entry.unread[:3]) + ("; ..." if len(entry.unread) > 3 else "")
        notes.append(f"Options that only running it would tell ({shown}) go into `arguments`, as on the command line.")
    elif not entry.options and entry.conf is None:
        notes.append(
            "No options were found. What is to be in the config has to become parameters of a function; "
            "what the file reads from `sys.argv` can be said in `arguments`."
            if entry.unread
            else "No options were found: what is to be in the config has to become parameters of a function first."
        )
    if entry.left_out:
        notes.append(f"Parameters that no config can hold keep their defaults: {', '.join(entry.left_out)}.")
    if entry.returns is Returns.UNKNOWN:
        notes.append(
            f"What `{entry.function}` returns is not surely a dict of metrics, and is left out. "
            f"If it is one, return it from `train` in {MODULE}.py."
        )
    elif entry.returns in {Returns.NOTHING, Returns.STATUS}:
        notes.append(
            f"{entry.label} returns no metrics. Have it return a dict of numbers, or log them: "
            "`mlflow.log_metric(...)` reaches the run as it is."
        )
    return notes


def _new(root: Path, path: str, text: str) -> Change | None:
    place = root / path
    for part in (place, *(place.parents[i] for i in range(len(PurePosixPath(path).parts) - 1))):
        if part.is_symlink() or (part != place and part.exists() and not part.is_dir()):
            what = "a link" if part.is_symlink() else "a file"
            raise UserError(f"{what} is in the way", where=str(part), fix="Move it, or make it a folder.")
    if not place.exists():
        return Change(path, None, text)
    if place.is_file() and place.read_bytes() == text.encode():
        return None  # an earlier `kit init` was stopped
    raise UserError("there is something of that name already", where=path, fix="Move it away, or adopt by hand.")


def _gitignore(root: Path) -> Change | None:
    """What runs leave behind, unless git ignores it anyway."""
    missing = [line for line in _IGNORED if not _is_ignored(root, line.replace("*", ""))]
    if not missing:
        return None
    return _added(root, ".gitignore", "# kit and MLflow: runs, not sources\n" + "\n".join(missing) + "\n")


def _is_ignored(root: Path, path: str) -> bool:
    return bool(_git.run(root, "check-ignore", "--no-index", "--", path, accept=(0, 1)))


def _pyproject(root: Path, found: Survey, settings: dict[str, str]) -> Change:
    # A package `src` would give the project that name.
    values = ({} if found.package in {None, "src"} else {"package": found.package or ""}) | settings
    text = "[tool.kit]\n" + "".join(f'{key} = "{value}"\n' for key, value in values.items())
    change = _added(root, "pyproject.toml", text)
    parse_settings(change.after, where="pyproject.toml")
    return change


def _added(root: Path, path: str, text: str) -> Change:
    """Lines at a file's end, in its own way of ending lines.

    Raises:
        UserError: If the file has work that is not committed, which is not kit's to mix with.
    """
    place = root / path
    if place.is_symlink():
        raise UserError("a link is in the way", where=path, fix="Make it a file.")
    if not place.exists():
        return Change(path, None, text)
    try:
        before = place.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: {error.reason}", where=path, fix="Save the file as UTF-8.") from error
    if _git.run(root, "status", "--porcelain", "--", path):
        raise UserError(
            "has changes that are not committed, and lines have to be added to it",
            where=path,
            fix=f"Commit them first: `git commit -m 'Before kit' -- {path}`, after `git add {path}` if it is new.",
        )
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    ending = "\r\n" if "\r\n" in before else "\n"
    return Change(path, before, before + (gap + text).replace("\n", ending))
