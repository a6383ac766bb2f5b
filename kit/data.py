"""DVC: which data a project has, and getting what is missing. Reads its files, changes things by its command line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from kit import _files, _git
from kit._dvc_cli import Result, dvc
from kit._dvc_files import Output, find_dvc_root, read_outputs
from kit._dvc_known import known_outputs
from kit._dvc_record import read_commit, read_working_tree
from kit._dvc_refusals import explain_refusal
from kit._dvc_tree import Tree
from kit._git_tree import resolve
from kit._stat_cache import StatCache
from kit.errors import ServiceError, from_os_error
from kit.paths import ProjectPaths
from kit.redact import mask
from kit.snapshot import DataVersion

__all__ = ["at_commit", "ensure", "lying", "pull", "recorded", "refresh", "reproduce", "versions"]

_State = Literal["matches", "modified", "missing", "unrecorded"]


def versions(root: Path, *, cache: Path | None = None) -> tuple[DataVersion, ...]:
    """Every DVC output of the project, sorted by path, and how the workspace compares with what is recorded.

    Outputs that git keeps (`cache: false`) belong to the code; outputs on remotes are not in the workspace.

    Args:
        root: The project.
        cache: A JSON file that remembers hashes from call to call; one beside it remembers what DVC's files say.

    Raises:
        UserError: If a file of DVC's is not YAML.
        HostError: If git is not installed.
    """
    root = root.resolve()
    top = find_dvc_root(root)
    if top is None:
        return ()
    hashes = StatCache(cache)
    tree = Tree(top, hashes)
    declared = known_outputs(root, None if cache is None else cache.with_stem(f"{cache.stem}-declared"))
    found = tuple(_compare(output, tree) for output in declared if not tree.ignores(f"{root}/{output.source}"))
    hashes.save()
    return found


def recorded(root: Path, path: str, *, rev: str | None = None) -> str | None:
    """The version of an output that DVC has on record, without a look at the data itself.

    Args:
        root: The project.
        path: Relative to `root`. One inside of an output has the output's version, since DVC's files do not say more;
            a folder with outputs in it has a hash of all of them, which changes with each.
        rev: A git revision of this repository, whose files are read instead of the working tree's.

    Returns:
        None if there is no version yet.

    Raises:
        UserError: If DVC knows no such path, git no such revision, or a file of DVC's cannot be made sense of.
        HostError: If git is not installed, or a file cannot be read.
    """
    root = root.resolve()
    if rev is None:
        return read_working_tree(root).version(path)
    git = _git.offline(root)
    return read_commit(root, resolve(git, rev), git).version(path)


def at_commit(root: Path, commit: str) -> tuple[DataVersion, ...]:
    """Every DVC output that a commit has a version of on record, sorted by path.

    Args:
        root: The project.
        commit: A revision of its repository.

    Raises:
        UserError: If git knows no such revision, or a file of DVC's cannot be made sense of.
        HostError: If git is not installed.
    """
    root = root.resolve()
    git = _git.offline(root)
    outputs = read_commit(root, resolve(git, commit), git).outputs
    return tuple(
        DataVersion(o.path, o.md5, o.size, o.files, "matches", o.source, o.stage) for o in outputs if o.md5 is not None
    )


def lying(root: Path, version: DataVersion, *, cache: Path | None = None) -> dict[str, str]:
    """The files of an output as they lie in the workspace, with the hash of each; a file is one of its own.

    Args:
        root: The project.
        version: What `versions` says of it.
        cache: As for `versions`; it is only read.

    Raises:
        OSError: If something in it cannot be read.
    """
    top = find_dvc_root(root.resolve())
    location = root.resolve() / version.path
    if top is None or version.used is None:
        return {}
    if not location.is_dir():
        return {location.name: version.used}
    return Tree(top, StatCache(cache)).listing(str(location), "md5")


def ensure(root: Path, *, cache: Path | None, progress: bool) -> tuple[DataVersion, ...]:
    """Get the data that is missing, and say which versions there are.

    What is recorded is pulled; what a stage has never produced is made, if its dependencies are there. Modified data
    is the user's and stays. Processes that ask at the same time wait for the first. Inside of a DVC stage, which this
    very repository is running, nothing is fetched: that is DVC's to order.

    Args:
        root: The project.
        cache: As for `versions`.
        progress: Whether DVC's progress goes to stderr.

    Raises:
        UserError: If a file of DVC's is not YAML.
        HostError: If git is not installed, or the disk refuses.
        ServiceError: If data can neither be pulled nor made.
    """
    root = root.resolve()
    found = versions(root, cache=cache)
    paths = ProjectPaths(root)
    unfinished = paths.unfinished_data
    if _inside_stage(root) or not (unfinished.exists() or any(map(_is_lacking, found))):
        return found
    import filelock

    try:
        paths.create_state()
        with filelock.FileLock(paths.data_lock):
            found = versions(root, cache=cache)
            _provide(root, found, unfinished, progress=progress)
    except OSError as error:
        raise from_os_error(error) from error
    return versions(root, cache=cache)


def refresh(root: Path, stages: Sequence[str], *, progress: bool) -> None:
    """Bring these stages up to date, and those they need, one process at a time.

    Inside of a DVC stage, which this very repository is running, nothing is done: that is DVC's to order.

    Args:
        root: The project.
        stages: Names, as `dvc repro` takes them.
        progress: Whether the output of DVC and of the stages goes to stderr.

    Raises:
        UserError: If a file of DVC's is not YAML.
        HostError: If git is not installed, or the disk refuses.
        ServiceError: If a stage fails.
    """
    root = root.resolve()
    if not stages or _inside_stage(root):
        return
    import filelock

    paths = ProjectPaths(root)
    try:
        paths.create_state()
        with filelock.FileLock(paths.data_lock):
            torn = _read_unfinished(paths.unfinished_data)
            made = _made_by(stages, read_outputs(root))
            _write_unfinished(paths.unfinished_data, torn | made)
            reproduce(root, stages, progress=progress)
            _write_unfinished(paths.unfinished_data, torn - made)
    except OSError as error:
        raise from_os_error(error) from error


def pull(root: Path, paths: Sequence[str], *, progress: bool, force: bool = False) -> None:
    """Bring these outputs into the workspace, from the local cache or else from the remote.

    Args:
        root: The project.
        paths: Outputs, relative to `root`.
        progress: Whether DVC's progress goes to stderr.
        force: Also over what lies there and DVC has no copy of.

    Raises:
        ServiceError: If one of them cannot be had.
    """
    over = ["--force"] if force else []
    if not paths or dvc(root, "checkout", "--quiet", *over, "--", *paths).ok:
        return
    pulled = dvc(root, "pull", *over, "--", *paths, show=progress)
    if not pulled.ok:
        raise _pull_failed(root, paths, pulled)


def reproduce(root: Path, stages: Sequence[str], *, progress: bool) -> None:
    """Run these stages of the pipeline, and those they need, with `dvc repro`.

    Args:
        root: The project.
        stages: Names as in `DataVersion.stage`.
        progress: Whether the output of DVC and of the stages goes to stderr.

    Raises:
        ServiceError: If a stage fails.
    """
    if not stages:
        return
    done = dvc(root, "repro", "--", *stages, show=progress)
    if done.ok:
        return
    failed = re.search(r"failed to reproduce '(.+?)': ", done.reason)
    stage = failed[1] if failed else ", ".join(stages)
    said = " | ".join(_said_by_stage(done.lines)[-3:])
    reason = done.reason.removeprefix(failed[0] if failed else "")
    raise ServiceError(
        mask(f"data stage {stage!r} failed: {reason}" + (f"; it said: {said}" if said else "")),
        where=str(root),
        fix=f"Mend the stage, then `dvc repro {stage}`.",
    )


def _said_by_stage(lines: Sequence[str]) -> list[str]:
    """What came after the last stage was announced, without DVC's own words."""
    starts = [index for index, line in enumerate(lines) if line.startswith("Running stage")]
    after = lines[starts[-1] + 1 :] if starts else []
    return [line for line in after if not line.startswith(("> ", "ERROR:", "WARNING:"))]


def _pull_failed(root: Path, paths: Sequence[str], pulled: Result) -> ServiceError:
    lost = [path for path in paths if not (root / path).exists()] or list(paths)
    names = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    remotes = [mask(" ".join(line.split())) for line in dvc(root, "remote", "list").lines]
    asked = dvc(root, "config", "core.remote")
    name = asked.lines[0] if asked.ok and asked.lines else "NAME"
    if remotes and (told := explain_refusal(pulled.output, name)) is not None:
        what, fix = f"remote {name!r}: {told[0]}", told[1]
    elif not remotes:
        what, fix = (
            "no DVC remote is configured",
            "Name the one that has the data: `dvc remote add --default NAME URL`.",
        )
    else:
        what = mask(pulled.reason)
        fix = "`dvc push` from where the data was made, or check the remote with `dvc remote list`."
    return ServiceError(f"data is missing: {names}: {what}", where="; ".join(remotes) or str(root), fix=fix)


def _compare(output: Output, tree: Tree) -> DataVersion:
    try:
        state = os.stat(output.location)  # noqa: PTH116 - a tenth of the time of Path.stat
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            raise
        return _version(output, "unrecorded" if output.md5 is None else "missing")
    found = None
    with contextlib.suppress(OSError):  # a file went away, or cannot be read: not what was recorded in any case
        found = tree.md5(output.location, output.kind, state)
    if output.md5 is None:
        return _version(output, "unrecorded", found)
    return _version(output, "matches") if found == output.md5 else _version(output, "modified", found)


def _version(output: Output, state: _State, found: str | None = None) -> DataVersion:
    return DataVersion(
        path=output.path,
        md5=output.md5,
        size=output.size,
        files=output.files,
        state=state,
        source=output.source,
        stage=output.stage,
        found=found,
    )


def _is_lacking(version: DataVersion) -> bool:
    return version.state in {"missing", "unrecorded"}


def _inside_stage(root: Path) -> bool:
    running = os.environ.get("DVC_ROOT") if "DVC_STAGE" in os.environ else None
    return running is not None and Path(running).resolve() == find_dvc_root(root)


def _provide(root: Path, found: Iterable[DataVersion], unfinished: Path, *, progress: bool) -> None:
    """Pull and make what is lacking, under the lock.

    What is under way is on file: a pull that was killed, or a stage that failed half-way, leaves data that looks
    finished or changed by the user, and is done again.
    """
    torn = _read_unfinished(unfinished)
    outputs = {output.path: output for output in read_outputs(root)}
    to_pull = [version.path for version in found if _is_to_pull(version, torn=version.path in torn)]
    to_make = {
        version.path
        for version in found
        if version.state == "unrecorded"
        and version.stage
        and (version.path in torn or not outputs[version.path].file.exists())
    }
    _write_unfinished(unfinished, {*to_pull, *to_make & torn})
    half = {version.path for version in found if version.state == "modified"} & set(to_pull)
    try:
        pull(root, [path for path in to_pull if path not in half], progress=progress)
        pull(root, sorted(half), progress=progress, force=True)
    except ServiceError:
        _write_unfinished(unfinished, half | (to_make & torn))
        lost = {path for path in to_pull if path in half or not outputs[path].file.exists()}
        if not lost or lost - _makeable(outputs, lost | to_make):
            raise
        to_make |= lost
    made = _makeable(outputs, to_make)
    _write_unfinished(unfinished, made)
    reproduce(root, sorted({outputs[path].stage or "" for path in made}), progress=progress)
    _write_unfinished(unfinished, set())


def _is_to_pull(version: DataVersion, *, torn: bool) -> bool:
    imported = version.state == "unrecorded" and version.stage is None
    return version.state == "missing" or imported or (version.state == "modified" and torn)


def _makeable(outputs: dict[str, Output], paths: set[str]) -> set[str]:
    """Those whose stage has all it needs, or gets it from another one that does."""
    made: set[str] = set()
    while True:
        files = {outputs[path].file for path in made}
        ready = {path for path in paths - made if outputs[path].stage and _has_needs(outputs[path], files)}
        if not ready:
            return made
        made |= ready


def _has_needs(output: Output, made: set[Path]) -> bool:
    return all(need.exists() or not made.isdisjoint((need, *need.parents)) for need in output.dependencies)


def _made_by(stages: Sequence[str], outputs: Iterable[Output]) -> set[str]:
    """The outputs that `dvc repro` of these stages may make anew: theirs, and those that they are made from."""
    outputs = [output for output in outputs if output.stage is not None]
    made = {output for output in outputs if output.stage in stages}
    while True:
        needs = {need for output in made for need in output.dependencies}
        before = {output for output in outputs if any(_overlap(output.file, need) for need in needs)}
        if before <= made:
            return {output.path for output in made}
        made |= before


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _read_unfinished(path: Path) -> set[str]:
    try:
        return {str(item) for item in json.loads(path.read_bytes())}
    except (OSError, ValueError, TypeError):
        return set()


def _write_unfinished(path: Path, names: set[str]) -> None:
    if names:
        _files.write_atomic(path, json.dumps(sorted(names)))
    else:
        path.unlink(missing_ok=True)
