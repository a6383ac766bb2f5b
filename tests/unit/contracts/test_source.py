"""The hash of a contract's code changes with all that it says, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.contracts._source import source_hash
from tests.conftest import write

FILES = {
    "src/app/__init__.py": "",
    "src/app/contracts.py": "import os\nfrom app.words import A\nfrom . import deep\nfrom .deep.er import B\n",
    "src/app/words.py": "A = 1\n",
    "src/app/deep/__init__.py": "from .. import top\n",
    "src/app/deep/er.py": "import tools.more\nB = 2\n",
    "src/app/top.py": "",
    "src/app/train.py": "",
    "tools/more.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    return tmp_path


@pytest.mark.parametrize("name", [name for name in FILES if name != "src/app/train.py"])
def test_whatever_it_imports_is_in_it(name: str, root: Path) -> None:
    before = source_hash("app.contracts", root)
    (root / name).write_text((root / name).read_text() + "X = 1\n")
    after = source_hash("app.contracts", root)
    assert before is not None
    assert after is not None
    assert before != after


def test_what_it_does_not_import_is_not(root: Path) -> None:
    before = source_hash("app.contracts", root)
    (root / "src/app/train.py").write_text("X = 1\n")
    assert source_hash("app.contracts", root) == before


def test_it_is_the_same_in_a_copy_of_the_project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy")
    write(copy, FILES)
    assert source_hash("app.contracts", copy) == source_hash("app.contracts", root)


def test_of_code_that_is_not_the_projects_or_not_python_it_is_not_known(root: Path) -> None:
    assert source_hash("os", root) is None
    (root / "src/app/words.py").write_text("def")
    assert source_hash("app.contracts", root) is None
