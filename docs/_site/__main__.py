"""`python -m docs._site`: build the site, strictly. Leaves with 1, and says where, if a link leads nowhere."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from docs._site import build, changelog

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs._site", description=__doc__)
    parser.add_argument("--to", type=Path, default=REPOSITORY / "build" / "docs", help="where; default: build/docs")
    parser.add_argument("--release", metavar="VERSION", help="instead: move what changed into CHANGELOG.md")
    arguments = parser.parse_args()
    if arguments.release:
        print(changelog.release(REPOSITORY, arguments.release, f"{datetime.now(UTC):%Y-%m-%d}"))
        return 0
    try:
        site, faults = build.build(REPOSITORY, arguments.to)
    except build.BuildFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print(f"{len(faults)} faults in {site}", file=sys.stderr)
        return 1
    print(f"{sum(1 for _ in site.rglob('*.html'))} pages, all links lead somewhere: {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
