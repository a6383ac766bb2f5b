"""The data of a project: what there is, how it came about, who uses it, and whether it keeps its contracts.

Over DVC, whose files and commands are all that is read and called; `kit.data` and `kit.compare_data` do the reading.

contents   what one version of an output holds
usage      which runs, schedules and stages use an output
status     how each output stands: changed, cached, pushed, stale
sides      two versions of all outputs, of commits, runs or the working tree
history    every version of one output
adding     `dvc add`, and what came of it
contracts  the contracts that the configs name
"""

from __future__ import annotations

from kit.datasets._adding import Added, add
from kit.datasets._contents import Contents
from kit.datasets._contracts import check, write_first
from kit.datasets._history import Version, history
from kit.datasets._sides import Compared, compare
from kit.datasets._status import Standing, Status, status
from kit.datasets._usage import LOOKED_AT, Usage

__all__ = [
    "LOOKED_AT",
    "Added",
    "Compared",
    "Contents",
    "Standing",
    "Status",
    "Usage",
    "Version",
    "add",
    "check",
    "compare",
    "history",
    "status",
    "write_first",
]
