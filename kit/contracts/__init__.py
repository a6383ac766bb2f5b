"""Contracts: what the project says that its data is, held against the data before anything is learned from it.

The only part of kit that imports pandera and pandas, and only inside functions.

named     which contracts a config names
source    what a contract's code says, as one hash
tables    the data as a table
findings  what of the data breaks a contract
verdict   one contract held against its data, once for each version of the two
gate      all contracts of a run, before its task begins
infer     a first contract, written from the data
"""

from __future__ import annotations

from kit.contracts._findings import Finding, Row, told
from kit.contracts._gate import enforce, verdict_json
from kit.contracts._infer import infer
from kit.contracts._named import Contract, named
from kit.contracts._verdict import Place, Verdict, hold

__all__ = [
    "Contract",
    "Finding",
    "Place",
    "Row",
    "Verdict",
    "enforce",
    "hold",
    "infer",
    "named",
    "told",
    "verdict_json",
]
