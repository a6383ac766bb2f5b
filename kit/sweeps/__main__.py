"""python -P -m kit.sweeps SWEEP_FOLDER   tell the tracker how a sweep ended"""

from __future__ import annotations

import sys
from pathlib import Path

from kit.errors import KitError
from kit.sweeps import tell

if __name__ == "__main__":
    try:
        tell(Path(sys.argv[1]))
    except KitError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
