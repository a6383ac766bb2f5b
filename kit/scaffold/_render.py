"""Runs cookiecutter in a process of its own: `python -m kit.scaffold._render`, with a job as JSON on standard input.

Apart, because a template's hooks write to the process's standard output, cookiecutter changes the current folder,
logs tracebacks, and leaves its rendered hooks in the temporary folder, which is here one that kit removes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["render"]


def render(job: dict[str, Any]) -> None:
    """Generate the project.

    Args:
        job: `template` (a folder), `context` (answers), `config` (a cookiecutter configuration that stands in for
            the user's own), `output` (a folder).

    Raises:
        SystemExit: With cookiecutter's message, if it refuses.
    """
    from cookiecutter.exceptions import CookiecutterException
    from cookiecutter.main import cookiecutter

    try:
        cookiecutter(
            job["template"],
            no_input=True,
            extra_context=job["context"],
            config_file=job["config"],
            output_dir=job["output"],
        )
    except CookiecutterException as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    render(json.load(sys.stdin))
