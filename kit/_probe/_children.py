"""Interpreters that the task starts: what is held in it is held in them, too, as far as they read their environment."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["invite", "invited"]

_VARIABLE = "KIT_PROBE"
_MODULE = "sitecustomize"
_TEXT = """\
try:
    from kit import _probe
except ImportError:
    pass
else:
    _probe.join()
"""


def invite(folder: Path, told: Mapping[str, Any]) -> None:
    """Have every interpreter that inherits this environment begin with `kit._probe.join`.

    Args:
        folder: Where the module can lie that Python imports first.
        told: What `invited` is to give there.
    """
    folder.mkdir(exist_ok=True)
    (folder / f"{_MODULE}.py").write_text(_TEXT)
    os.environ[_VARIABLE] = json.dumps({**told, "folder": str(folder)})
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def invited() -> dict[str, Any] | None:
    """What this interpreter was told; it goes on with the module that ours stands before, if there is one."""
    if (told := os.environ.get(_VARIABLE)) is None:
        return None
    found: dict[str, Any] = json.loads(told)
    folder = found.pop("folder")
    if folder in sys.path:
        sys.path.remove(folder)
    own = sys.modules.pop(_MODULE, None)
    try:
        importlib.import_module(_MODULE)
    except ImportError:
        pass
    finally:
        if own is not None:  # whoever imports it looks for it afterwards
            sys.modules.setdefault(_MODULE, own)
    return found
