"""From the repository to a folder of HTML."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from docs._site import links, pages, reference

__all__ = ["BuildFailed", "build"]

_SHIM = '<script src="https://unpkg.com/iframe-worker/shim" type="text/javascript"></script>'
"""What the builder would load from elsewhere for a search without a server; `_assets/worker.js` is ours."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""The builder writes them on a pipe, too."""


class BuildFailed(Exception):
    """The builder found something, and said what."""


def build(repository: Path, folder: Path) -> tuple[Path, list[links.Fault]]:
    """Build the site anew; gives its folder, and what is wrong with it."""
    shutil.rmtree(folder, ignore_errors=True)
    source, site = folder / "source", folder / "site"
    found = pages.collect(repository)
    found.update(reference.generate(found))
    found.update(pages.indexes(found))
    for page in found.values():
        path = source / page.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages.settled(page, found), encoding="utf-8")
    shutil.copytree(repository / "docs/_site/_assets", source / "_assets")
    settings = yaml.safe_load((repository / "mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"docs_dir": "source", "site_dir": "site", "nav": pages.navigation(found)}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    _run_builder(repository, folder)
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        above = "../" * len(file.relative_to(site).parent.parts)
        file.write_text(text.replace(_SHIM, f'<script src="{above}_assets/worker.js"></script>'), encoding="utf-8")
    return site, links.faults(site, start="index.html")


def _run_builder(repository: Path, folder: Path) -> None:
    """The builder reads the package's source, of this repository and no other."""
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = _COLOURS.sub("", done.stdout + done.stderr)
        raise BuildFailed(said.partition("Traceback (most recent")[0].strip() or said)
