"""One contract held against its data: once for each version of the two, since what held then holds still."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kit._files import write_atomic
from kit._near import did_you_mean, nearest
from kit._stat_cache import StatCache
from kit.contracts._findings import Finding, findings
from kit.contracts._named import Contract
from kit.contracts._source import folders, source_hash
from kit.contracts._tables import Table, files_of, read
from kit.errors import DataError, HostError, UserError
from kit.redact import mask
from kit.snapshot import DataVersion

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Place", "Verdict", "hold"]

_FORM = 1
_KEPT = 200
_INSTALL = "Install it: `uv add 'mlekit[contracts]'`, or `pip install 'mlekit[contracts]'`."
_LIBRARIES = ("pandera", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contract is held against its data.

    Attributes:
        root: The project, or a copy of it: its code and its data.
        memory: A folder that remembers what held; None remembers nothing.
        versions: The data that DVC knows, as it lies there.
    """

    root: Path
    memory: Path | None
    versions: Sequence[DataVersion] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the data compares with its contract.

    Attributes:
        code: The hash of the contract's code; None where it is not known.
        data: The version of the data.
        rows: How many there are.
        findings: What breaks it; empty if it holds.
        remembered: Whether it was held against this very data before, and nothing was done now.
    """

    contract: Contract
    code: str | None
    data: str
    rows: int
    findings: tuple[Finding, ...] = ()
    remembered: bool = False

    @property
    def holds(self) -> bool:
        return not self.findings


class _Held(msgspec.Struct):
    """What held once: by the hash of contract, data and libraries, how many rows there were."""

    rows: dict[str, int] = {}


def hold(contract: Contract, place: Place, *, again: bool = False) -> Verdict:
    """Hold a contract against its data.

    Args:
        again: Also if it is known to hold.

    Raises:
        UserError: If there is no such schema.
        HostError: If pandera is not installed.
        DataError: If the data is not there, or cannot be read.
    """
    data = _data_version(contract, place)
    code = source_hash(contract.schema.partition(":")[0], place.root)
    key = None if code is None else _key(contract, code, data)
    if key is not None and not again and (rows := _held(place.memory).rows.get(key)) is not None:
        return Verdict(contract, code, data, rows, remembered=True)
    schema = _schema(contract, place.root)
    table = read(place.root / contract.path)
    found = _validate(schema, table, contract)
    if key is not None and not found:
        _remember(place.memory, key, len(table.frame))
    return Verdict(contract, code, data, len(table.frame), found)


def _data_version(contract: Contract, place: Place) -> str:
    """DVC's, where it has the whole of it; else the hash of the tables there."""
    path = Path(contract.path).as_posix()
    for known in place.versions:
        if known.used is not None and (path == known.path or path.startswith(f"{known.path}/")):
            return known.used
    there = place.root / contract.path
    hashes = StatCache(None if place.memory is None else place.memory / "hashes.json")
    total = hashlib.sha256()
    try:
        for file in files_of(there):
            total.update(
                f"{file.relative_to(there)}\0{hashes.digest(file, 'sha256')}\0".encode(errors="surrogateescape")
            )
    except OSError as error:
        raise DataError(f"the data cannot be read: {error.strerror}", where=str(error.filename)) from error
    if place.memory is not None and place.memory.is_dir():
        hashes.save()
    return total.hexdigest()


def _key(contract: Contract, code: str, data: str) -> str:
    libraries = [f"{name} {_version(name)}" for name in _LIBRARIES]
    known = msgspec.json.encode([_FORM, contract.schema, contract.path, code, data, libraries])
    return hashlib.sha256(known).hexdigest()[:32]


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _held(memory: Path | None) -> _Held:
    if memory is not None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((memory / "held.json").read_bytes(), type=_Held)
    return _Held()


def _remember(memory: Path | None, key: str, rows: int) -> None:
    """The last few hundred are kept. What another process writes at this moment may be lost: it is checked again."""
    if memory is None:
        return
    kept = _held(memory).rows | {key: rows}
    with contextlib.suppress(OSError):
        memory.mkdir(mode=0o700, exist_ok=True)
        write_atomic(memory / "held.json", msgspec.json.encode(_Held(dict(list(kept.items())[-_KEPT:]))))


def _schema(contract: Contract, root: Path) -> Any:  # noqa: ANN401 - pandera's
    try:
        import pandera.pandas as pa
    except ImportError as error:
        what = f"the contract {contract.schema} needs pandera, and {error.name} is not installed"
        raise HostError(what, fix=_INSTALL) from error
    module_name, _, attribute = contract.schema.partition(":")
    module = _imported(module_name, contract, root)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, pa.DataFrameModel):
        found = found.to_schema()
    if isinstance(found, pa.DataFrameSchema):
        return found
    known = [
        name
        for name, value in vars(module).items()
        if isinstance(value, pa.DataFrameSchema)
        or (isinstance(value, type) and issubclass(value, pa.DataFrameModel) and value is not pa.DataFrameModel)
    ]
    what = f"no schema {attribute!r}" if found is None else f"{attribute!r} is a {type(found).__name__}, no schema"
    listed = f"Its schemas: {', '.join(known)}." if known else "Define a `pandera.pandas.DataFrameSchema` there."
    raise UserError(
        f"contract {contract.schema}: {what}",
        where=getattr(module, "__file__", None),
        fix=did_you_mean(nearest(attribute, known)) or listed,
    )


def _imported(name: str, contract: Contract, root: Path) -> ModuleType:
    for folder in reversed(folders(root)):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise _broken(error, contract) from error
        what = f"contract {contract.schema}: no module {error.name!r}"
        raise UserError(what, where=f"{contract.name}.contract", fix="Create it, or mend the name.") from error
    except Exception as error:
        raise _broken(error, contract) from error


def _broken(error: Exception, contract: Contract) -> UserError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = mask(f"{type(error).__name__}: {' '.join(str(error).split())}")[:300]
    return UserError(
        f"contract {contract.schema} cannot be imported: {said}",
        where=f"{last.filename}:{last.lineno}",
        fix="Mend its module.",
    )


def _validate(schema: Any, table: Table, contract: Contract) -> tuple[Finding, ...]:  # noqa: ANN401 - pandera's
    """Raises:
    UserError: If the contract contradicts itself.
    """
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaDefinitionError, SchemaErrors

    try:
        # Whatever the environment says: a contract that is not looked at would hold.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(table.frame, lazy=True)
    except SchemaErrors as errors:
        return findings(errors.failure_cases, table)
    except SchemaDefinitionError as error:
        what = f"contract {contract.schema}: {' '.join(str(error).split())[:300]}"
        raise UserError(what, where=f"{contract.name}.contract", fix="Mend the schema.") from error
    return ()
