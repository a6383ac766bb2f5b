"""A rule that fails ends the whole check: so none does, whatever files of others say."""

from __future__ import annotations

import ast

import pytest

from kit.checks import registry
from tests.unit.checks.projects import tree_of

_KIT = "[tool.kit]\n"
_SHAPES = ["3\n", "- 1\n- [2, {3: 4}]\n", "a: [b\n", "? [1, 2]\n: {null: null}\n", "<<<<<<< HEAD\n", "null: {}\n", ""]
_YAML = (
    "dvc.yaml", "dvc.lock", "data/raw.csv.dvc", ".gitlab-ci.yml", ".github/workflows/ci.yml", ".pre-commit-config.yaml",
    "conf/config.yaml", "conf/experiment/baseline.yaml", "conf/schedule/nightly.yaml", "conf/data/houses.yaml",
)  # fmt: skip
_CELL = '{"cell_type": "code", "execution_count": 2, "outputs": [1]}'
_DEEPER = {
    "dvc.yaml": "stages: [1, {outs: 2}]\nvars: 3\n",
    "dvc.lock": "schema: 2.0\nstages: {a: [1]}\n",
    "data/raw.csv.dvc": "outs:\n- path: [1]\n- {md5: 3, path: raw.csv}\n- 4\n",
    ".gitlab-ci.yml": "image: [1]\na: {script: {a: 1}, image: {name: [2]}}\nb: {script: [[1], [echo, [2]], null]}\n",
    ".github/workflows/ci.yml": "jobs:\n  a: {steps: [1, {run: [2]}, {run: 'echo \"'}]}\n  b: {python-version: {}}\n",
    "conf/config.yaml": "defaults: 3\ntarget: [a]\nfeatures: a\ntask: [1]\n",
    "conf/experiment/baseline.yaml": "task: ..\ntrain: x.csv\n",
    "conf/experiment/other.yaml": "task: nowhere\n",
    "conf/data/houses.yaml": "target: a\nfeatures: {a: [{b: a}]}\n1: {2: x}\n",
    "Dockerfile": "FROM\nFROM  \nRUN \\\n",
    "README.md": "```sh\nkit\ncd\nuv run\n&& ;\nmake 'x\npython -m\ndvc repro\n```\n[y]() [z](%) [a](<b>)\n```sh\n",
    "Makefile": ":\n\t\n",
    "notebooks/a.ipynb": '{"cells": [1, {"cell_type": "code", "outputs": 3, "metadata": 4}, null]}',
    "notebooks/b.ipynb": f'{{"cells": [{_CELL}, {_CELL}], "metadata": []}}',
    ".python-version": "pypy\n",
    ".env": "\ufeff",
    "src/tiny/model.py": "import random as r, numpy as np\nfrom . import *\nfrom .... import x\n"
    "np.random.default_rng(*a, **b)\nr.Random(**b)\n(lambda: 0)()\nf()()\nx[0](1)\n"
    "df[1:2], a.b = df.shift(-1), 1\nmodel.fit(*a)\nmodel.fit(df, df[a])\nprint(f'{x!r:>{w}}', *a)\nopen(*a)\n"
    "train_test_split()\nX: int\ntorch.save()\nnp.datetime64()\n",
}
_PYPROJECTS = [
    'project = "x"\ntool = {kit = {}}\n',
    f'[project]\nname = 3\ndependencies = "x"\nrequires-python = [3]\n[dependency-groups]\na = 3\n{_KIT}',
    f'[project]\nname = "tiny"\nrequires-python = "~3"\n[tool.uv]\ndev-dependencies = {{}}\n{_KIT}',
    f'[project]\nname = "tiny"\ndependencies = ["not one !", 3, "a @ file:///x"]\noptional-dependencies = 3\n{_KIT}',
    'dependency-groups = 3\n[project]\nname = "tiny"\ndependencies = ["mlekit>=1"]\n[tool.ruff]\ntarget-version = 3\n'
    + _KIT,
]
_TINY = '[[package]]\nname = "tiny"\nsource = {virtual = "."}\n'
_LOCKS = [
    "package = 3\n",
    "package = [3]\n",
    f"{_TINY}metadata = 3\n",
    f'{_TINY}metadata = {{requires-dist = [{{name = "a", specifier = "!!"}}, {{extras = 3}}], requires-dev = 3}}\n',
    f'requires-python = 3\n[[package]]\nname = "mlekit"\nversion = "x.y"\n{_TINY}metadata.requires-dev.a = 1\n',
    '[[package]]\nname = "tiny"\nsource = 3\n[[package]]\nversion = 1\n',
]


def _look(files: dict[str, str]) -> None:
    with tree_of(files) as tree:
        tree.typed = lambda _words: None
        for rule in registry.every():
            list(rule.check(tree))


@pytest.mark.parametrize("shape", _SHAPES)
def test_yaml_of_any_shape_is_read(shape: str) -> None:
    _look({".dvc/config": "", "pyproject.toml": _KIT} | dict.fromkeys(_YAML, shape))


@pytest.mark.parametrize("depth", [450, 3_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_yaml_of_any_depth_is_read(depth: int, opening: str, closing: str) -> None:
    files = [name for name in _YAML if not name.startswith(("conf/config", "conf/experiment"))]  # OmegaConf's, and slow
    nested = f"a: {opening * depth}1{closing * depth}\n"
    _look({".dvc/config": "", "pyproject.toml": _KIT} | dict.fromkeys([*files, "params.yaml"], nested))


@pytest.mark.parametrize("pyproject", _PYPROJECTS)
@pytest.mark.parametrize("lock", _LOCKS)
def test_toml_of_any_shape_is_read(pyproject: str, lock: str) -> None:
    _look({"pyproject.toml": pyproject, "uv.lock": lock})


def test_files_with_strange_insides_are_read() -> None:
    ast.parse(_DEEPER["src/tiny/model.py"])
    _look({".dvc/config": "[core\n", "pyproject.toml": _PYPROJECTS[1]} | _DEEPER)
    _look({".dvc/config": "[core]\nremote = x\n", "pyproject.toml": _PYPROJECTS[4]} | _DEEPER)
