"""Generate a project into a folder that nobody sees yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import HostError, KitError, UserError
from kit.scaffold.answers import Answer
from kit.scaffold.source import Origin
from kit.scaffold.template import Template

__all__ = ["Rendered", "render_project", "write_cruft"]

_REFUSAL = "ERROR: "
# Installers compile every .py of a wheel, those inside the template as well; cookiecutter would copy the result.
_NOT_TEMPLATE = shutil.ignore_patterns("__pycache__", "*.pyc")
# What cookiecutter adds to the context about this one call, on this one machine.
_CALL_DETAILS = frozenset({"_checkout", "_output_dir", "_repo_dir", "_template"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A project that is complete but not in its place.

    Attributes:
        folder: Where it is.
        context: Every variable of the template with its final value, derived ones included.
    """

    folder: Path
    context: dict[str, Any]


def render_project(template: Template, answers: Mapping[str, Answer], workspace: Path) -> Rendered:
    """Run cookiecutter below `workspace`, out of reach of the user's configuration and replays.

    Args:
        template: The template.
        answers: Checked answers.
        workspace: An empty folder; the caller removes it.

    Raises:
        UserError: If the template's own hook refuses an answer.
        HostError: If cookiecutter or a hook fails otherwise.
    """
    source, output, replays, scratch = (workspace / name for name in ("template", "output", "replays", "scratch"))
    for folder in (output, replays, scratch):
        folder.mkdir()
    shutil.copytree(template.path, source / template.path.name, ignore=_NOT_TEMPLATE)
    config = workspace / "cookiecutter.yaml"
    # JSON is YAML.
    config.write_text(json.dumps({"replay_dir": str(replays), "cookiecutters_dir": str(scratch)}))
    job = {
        "template": str(source / template.path.name),
        "context": dict(answers),
        "config": str(config),
        "output": str(output),
    }
    _run(job, scratch)
    (folder,) = output.iterdir()
    context = json.loads((replays / f"{template.path.name}.json").read_text("utf-8"))["cookiecutter"]
    return Rendered(folder, context)


def write_cruft(
    rendered: Rendered, template: Template, origin: Origin, *, checkout: str | None = None, skip: Sequence[str] = ()
) -> None:
    """Write `.cruft.json`, by which `cruft check`, `diff` and `update` know the template and the answers.

    Args:
        rendered: The project.
        template: What it was rendered from.
        origin: Where cruft finds the template.
        checkout: The branch or tag that updates follow; None for the template's default branch.
        skip: Paths that updates leave alone.
    """
    context = {name: value for name, value in rendered.context.items() if name not in _CALL_DETAILS}
    state: dict[str, Any] = {
        "template": origin.template,
        "commit": origin.commit,
        "checkout": checkout,
        "context": {"cookiecutter": context | {"_template": origin.template, "_commit": origin.commit}},
        "directory": template.directory,
        "skip": list(skip),
    }
    text = json.dumps(state, ensure_ascii=False, indent=2) + "\n"
    (rendered.folder / ".cruft.json").write_text(text, "utf-8")


def _run(job: dict[str, Any], scratch: Path) -> None:
    argv = [sys.executable, "-m", "kit.scaffold._render"]
    environment = os.environ | {"TMPDIR": str(scratch)}
    done = subprocess.run(
        argv, input=json.dumps(job), cwd=scratch, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise _explain(done, job["template"])


def _explain(done: subprocess.CompletedProcess[str], template: str) -> KitError:
    """A template's hook that refuses an answer says so on a line of its own that starts with ERROR."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    refusal = next((line for line in lines if line.startswith(_REFUSAL)), None)
    if refusal is not None:
        return UserError(refusal.removeprefix(_REFUSAL), fix="Nothing was written. Change the answer.")
    reason = lines[-1] if lines else f"exit status {done.returncode}"
    return HostError(
        f"the template could not be rendered: {reason}",
        where=template,
        fix="Nothing was written. Check that the disk is not full, or report it as a fault of the template.",
    )
