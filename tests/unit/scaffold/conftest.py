"""A small template, so that these tests say themselves what it asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.scaffold.template import Template, load_template
from tests.conftest import write

VARIABLES = {
    "project_name": "My Project",
    "author": "The {{ cookiecutter.project_name }} authors",
    "colour": ["red", "green", "blue"],
    "fast": True,
    "__slug": "{{ cookiecutter.project_name | slugify }}",
    "_docker": False,
    "_source": "",
    "_copy_without_render": ["*.bin"],
    "__prompts__": {
        "project_name": "What is it called",
        "colour": {"__prompt__": "Which colour", "red": "Red as a rose"},
    },
}


@pytest.fixture
def template(tmp_path: Path) -> Template:
    """A menu of one template, with a file in it that an installer would have compiled."""
    root = tmp_path / "kit"
    inner = root / "template" / "small"
    project = "{{cookiecutter.__slug}}"
    write(
        inner,
        {
            f"{project}/README.md": "# {{ cookiecutter.project_name }}, {{ cookiecutter.colour }}\n",
            f"{project}/src/main.py": "print('{{ cookiecutter.author }}')\n",
            f"{project}/src/__pycache__/main.cpython-311.pyc": "compiled",
            f"{project}/run.sh": "#!/bin/sh\n",
        },
    )
    (inner / project / "run.sh").chmod(0o755)
    (inner / "cookiecutter.json").write_text(json.dumps(VARIABLES))
    (root / "cookiecutter.json").write_text(json.dumps({"templates": {"small": {"path": "./template/small"}}}))
    return load_template(root)
