"""py-spy, which looks into running Python processes from outside: where it is, if it is there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__ = ["INSTALL", "program"]

INSTALL = "Install it: `pip install 'mlekit[debug]'`, or `uv add 'mlekit[debug]'`."


def program() -> Path | None:
    """The program: that of this environment, else the one on the PATH; None if there is none."""
    beside = Path(sys.executable).with_name("py-spy")
    if beside.is_file():
        return beside
    found = shutil.which("py-spy")
    return None if found is None else Path(found)
