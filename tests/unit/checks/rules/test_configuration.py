# ruff: noqa: E501 - a case a line
"""The rules of configuration, each on a project that does not keep it and on one that does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.checks.registry import RULES, rule
from kit.checks.rule import Finding
from kit.checks.tree import Tree
from kit.project import open_project
from tests.unit.checks.projects import found, project_of, tree_of

PRIMARY = "defaults:\n  - _self_\n  - experiment: baseline\nrate: 0.1\nsteps: 3\n"
BASELINE = "# @package _global_\ntask: tiny.train.train\n"
TRAIN = '''\
from dataclasses import dataclass
import kit


@dataclass(frozen=True)
class TrainConfig:
    """What an experiment may set."""

    rate: float
    steps: int = 3


def train(cfg: TrainConfig, run: kit.Run) -> dict[str, float]:
    return {"score": cfg.rate * cfg.steps}
'''
UNTYPED = "def train(cfg, run):\n    return {'score': cfg.rate * cfg['steps']}\n"
TINY = {
    "conf/config.yaml": PRIMARY,
    "conf/experiment/baseline.yaml": BASELINE,
    "src/tiny/__init__.py": "",
    "src/tiny/train.py": TRAIN,
}
NIGHTLY = "trigger:\n  cron: '0 2 * * *'\nexperiment: baseline\ntimeout: 1 h\n"


def shown(one: Finding) -> str:
    place = one.path if one.line is None else f"{one.path}:{one.line}"
    return f"{place}: {one.message}"


ON_THE_TINY_PROJECT = [
    # an experiment's config cannot be composed
    ("KIT101", {}, []),
    (
        "KIT101",
        {"conf/experiment/bad.yaml": "# @package _global_\ndefaults:\n  - /model: tre\ntask: tiny.train.train\n"},
        ["conf/experiment/bad.yaml:3: no option 'tre' in group 'model'"],
    ),
    (
        "KIT101",
        {"conf/experiment/bad.yaml": "# @package _global_\ntask: tiny.train.train\nrate: ${rtae}\n"},
        ["conf/experiment/bad.yaml:3: rate: nothing at ${rtae}"],
    ),
    ("KIT101", {"conf/experiment/bad.yaml": "a: [1\n"}, None),
    # whoever runs it says the rest; what another machine has is not known here
    ("KIT101", {"conf/experiment/asks.yaml": BASELINE + "rate: ???\n"}, []),
    ("KIT101", {"conf/experiment/asks.yaml": BASELINE + "rate: ${oc.env:KIT_TEST_NOT_SET}\n"}, []),
    # a config of another form than the task takes
    ("KIT102", {}, []),
    ("KIT102", {"conf/experiment/b.yaml": BASELINE + "rate: fast\n"}, ["conf/experiment/b.yaml:3: rate: expected float"]),
    ("KIT102", {"conf/experiment/b.yaml": BASELINE + "rte: 1\n"}, ["conf/experiment/b.yaml:3: rte: TrainConfig has no"]),
    ("KIT102", {"conf/config.yaml": PRIMARY.replace("rate: 0.1\n", "")}, ["conf/experiment/baseline.yaml: rate: no val"]),
    (
        "KIT102",
        {"conf/experiment/b.yaml": BASELINE + "rate: fast\nrte: 1\nstps: 2\nsteps: many\n"},
        [
            "conf/experiment/b.yaml:3: rate: expected float",
            "conf/experiment/b.yaml:4: rte: TrainConfig has no such field",
            "conf/experiment/b.yaml:5: stps: TrainConfig has no such field",
        ],
    ),
    (
        "KIT102",
        {"conf/schedule/nightly.yaml": NIGHTLY + "overrides: ['steps=many']\n"},
        ["conf/schedule/nightly.yaml:5: steps: expected int, got str 'many'"],
    ),
    (
        "KIT102",
        {"conf/experiment/b.yaml": "# @package _global_\ntask: tiny.train.trian\n"},
        ["conf/experiment/b.yaml:2: task: no function 'trian' in src/tiny/train.py"],
    ),
    (
        "KIT102",
        {"conf/experiment/b.yaml": "# @package _global_\ntask: tiny.trian.train\n"},
        ["conf/experiment/b.yaml:2: task: no module 'tiny.trian'"],
    ),
    ("KIT102", {"conf/experiment/b.yaml": "# @package _global_\ntask: elsewhere.train.train\n"}, []),
    ("KIT102", {"src/tiny/train.py": UNTYPED}, []),
    # a schedule that cannot be read, or has nothing to run
    ("KIT103", {"conf/schedule/nightly.yaml": NIGHTLY}, []),
    (
        "KIT103",
        {"conf/schedule/nightly.yaml": NIGHTLY.replace("timeout", "timeuot")},
        ["conf/schedule/nightly.yaml:4: unknown key 'timeuot'"],
    ),
    (
        "KIT103",
        {"conf/schedule/nightly.yaml": NIGHTLY.replace("baseline", "basline")},
        ["conf/schedule/nightly.yaml: its runs would have no config: no option 'basline' in group 'experiment'"],
    ),
    ("KIT103", {"conf/schedule/n.yaml": NIGHTLY.replace("0 2 * * *", "0 2 30 2 *")}, None),
    ("KIT103", {"conf/schedule/nightly.yml": NIGHTLY}, ["conf/schedule/nightly.yml: Hydra reads .yaml files only"]),
    # a key that no code reads
    ("KIT104", {}, []),
    (
        "KIT104",
        {"src/tiny/train.py": TRAIN.replace("cfg.rate * cfg.steps", "cfg.steps")},
        ["conf/config.yaml:4: rate: no code reads it"],
    ),
    ("KIT104", {"src/tiny/train.py": UNTYPED}, []),
    ("KIT104", {"conf/experiment/b.yaml": BASELINE + "rte: 1\n"}, []),
    (
        "KIT104",
        {"src/tiny/train.py": UNTYPED, "conf/experiment/b.yaml": BASELINE + "model:\n  depth: 3\n"},
        ["conf/experiment/b.yaml:4: model.depth: no code reads it"],
    ),
    (
        "KIT104",
        {
            "src/tiny/train.py": "def train(cfg):\n    return fit(cfg.model)\ndef fit(options):\n    return Tree(**options)\n",
            "conf/config.yaml": PRIMARY.replace("rate: 0.1\nsteps: 3\n", "model:\n  depth: 3\n"),
        },
        [],
    ),
    (
        "KIT104",
        {
            "src/tiny/train.py": "def train(cfg):\n    return fit(cfg.model)\ndef fit(options):\n    return options.width\n",
            "conf/config.yaml": PRIMARY.replace("rate: 0.1\nsteps: 3\n", "model:\n  depth: 3\n  width: 2\n"),
        },
        ["conf/config.yaml:5: model.depth: no code reads it"],
    ),
    ("KIT104", {"src/tiny/train.py": "def train(cfg):\n    return elsewhere(cfg)\n"}, []),
    (
        "KIT104",
        {
            "src/tiny/train.py": "def train(cfg):\n    return sum(cfg.weights[name] for name in cfg.weights)\n",
            "conf/config.yaml": PRIMARY.replace("rate: 0.1\nsteps: 3\n", "weights:\n  a: 1\n  b: 2\n"),
        },
        [],
    ),
    (
        "KIT104",
        {
            "src/tiny/train.py": "def train(cfg):\n    return cfg.rate\n",
            "conf/config.yaml": PRIMARY + "model:\n  _target_: elsewhere.Tree\n  depth: ${steps}\n",
        },
        [],
    ),
    # a key that no config has
    ("KIT105", {"src/tiny/train.py": UNTYPED}, []),
    (
        "KIT105",
        {"src/tiny/train.py": UNTYPED.replace("cfg.rate", "cfg.rtae")},
        ["src/tiny/train.py:2: rtae: no config has it"],
    ),
    (
        "KIT105",
        {"src/tiny/train.py": "def train(cfg: dict):\n    return cfg['model']['depth']\n"},
        ["src/tiny/train.py:2: model: no config has it"],
    ),
    ("KIT105", {"src/tiny/train.py": "def train(cfg):\n    return cfg.get('more', 1) if 'x' in cfg else cfg.x\n"}, []),
    ("KIT105", {"src/tiny/train.py": "def train(cfg):\n    cfg.more = 1\n    return cfg.more\n"}, []),
    ("KIT105", {"src/tiny/train.py": TRAIN.replace("cfg.rate", "cfg.rtae")}, []),  # mypy's
    # an experiment that nothing uses
    ("KIT106", {}, []),
    (
        "KIT106",
        {"conf/experiment/deep.yaml": BASELINE},
        ["conf/experiment/deep.yaml: no schedule and no test uses it"],
    ),
    ("KIT106", {"conf/experiment/deep.yaml": BASELINE, "tests/test_x.py": "X = ['experiment=deep']\n"}, []),
    ("KIT106", {"conf/experiment/deep.yaml": BASELINE, "conf/schedule/n.yaml": NIGHTLY.replace("baseline", "deep")}, []),
    (
        "KIT106",
        {"conf/experiment/deep.yaml": BASELINE, "tests/test_x.py": "from pathlib import Path\nX = Path('conf/experiment').glob('*')\n"},
        [],
    ),
    ("KIT106", {"conf/experiment/deep.yaml": BASELINE, "README.md": "kit run experiment=deep\n"}, []),
    # absolute paths
    ("KIT107", {"conf/data/a.yaml": "folder: data/flights\nroute: /predict/v1\nurl: s3://bucket/home/x\n"}, []),
    ("KIT107", {"conf/data/a.yaml": "folder: ${oc.env:HOME}/flights\nmore: '${root}/data/x'\n"}, []),
    (
        "KIT107",
        {"conf/data/a.yaml": "defaults:\n  - /data/base/x\nfiles:\n  - data/x\n  - /home/ada/flights.csv\n"},
        ["conf/data/a.yaml:5: files: an absolute path, which other machines do not have"],
    ),
    ("KIT107", {"conf/data/a.yaml": "a: ~/flights\nb: 'C:\\data\\x'\n"}, ["conf/data/a.yaml:1: a: ", "conf/data/a.yaml:2: b: "]),
    # secrets
    ("KIT108", {"conf/db.yaml": "password: ${oc.env:DB_PASSWORD}\nuser: ada\npassword_length: 12\ntoken: null\n"}, []),
    ("KIT108", {"conf/db.yaml": "max_tokens: 512\ntokenizer: bpe\nprimary_key: id\n"}, []),
    (
        "KIT108",
        {"conf/db.yaml": "user: ada\npassword: correct horse\nurl: postgresql://ada:horse@host/db\n"},
        ["conf/db.yaml:2: password: a secret in a config", "conf/db.yaml:3: url: a secret in a config"],
    ),
    ("KIT108", {"conf/schedule/n.yaml": NIGHTLY + "alert: slack://T1234/B5678/abcdef\n"}, ["conf/schedule/n.yaml:5: alert"]),
    ("KIT108", {"conf/schedule/n.yaml": NIGHTLY + "alert: file:///tmp/alerts.txt\n"}, []),
    # schedules that never fire
    ("KIT109", {"conf/schedule/n.yaml": NIGHTLY}, []),
    (
        "KIT109",
        {"conf/schedule/n.yaml": "trigger:\n  once: 2020-01-01T00:00:00\n  timezone: UTC\nexperiment: baseline\n"},
        ["conf/schedule/n.yaml:1: it never fires: its time is over"],
    ),
    (
        "KIT109",
        {
            "conf/schedule/n.yaml": NIGHTLY + "enabled: false\n",
            "conf/schedule/report.yaml": "trigger:\n  after: n\nexperiment: baseline\n",
        },
        ["conf/schedule/report.yaml:1: it never fires: 'n', which it comes after, is disabled"],
    ),
    # schedules without limits
    ("KIT110", {"conf/schedule/n.yaml": NIGHTLY}, []),
    ("KIT110", {"conf/schedule/n.yaml": NIGHTLY.replace("timeout: 1 h\n", "")}, ["conf/schedule/n.yaml: no timeout"]),
    (
        "KIT110",
        {"conf/schedule/n.yaml": NIGHTLY.replace("timeout: 1 h\n", ""), "conf/config.yaml": PRIMARY + "timeout: 60\n"},
        [],
    ),
    # schedules that tell nobody
    ("KIT111", {"conf/schedule/n.yaml": NIGHTLY, "conf/schedule/m.yaml": NIGHTLY}, []),
    (
        "KIT111",
        {"conf/schedule/n.yaml": NIGHTLY, "conf/schedule/m.yaml": NIGHTLY + "alert: file:///tmp/alerts.txt\n"},
        ["conf/schedule/n.yaml: nobody is told when it fails, as somebody is of 'm'"],
    ),
    # experiments that are the same
    ("KIT112", {"conf/experiment/b.yaml": BASELINE + "rate: 0.2\n"}, []),
    (
        "KIT112",
        {"conf/experiment/b.yaml": BASELINE + "rate: 0.1\nname: other\n"},
        ["conf/experiment/baseline.yaml: the same config as experiment 'b'"],
    ),
    # configs that Hydra does not see
    ("KIT113", {"conf/model/tree.yaml": "depth: 3\n"}, []),
    ("KIT113", {"conf/model/tree.yml": "depth: 3\n"}, ["conf/model/tree.yml: Hydra reads .yaml files only"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    ON_THE_TINY_PROJECT,
    ids=[f"{code}-{number}" for number, (code, _, _) in enumerate(ON_THE_TINY_PROJECT)],
)
def test_a_rule_finds_what_it_is_for_and_nothing_else(
    code: str, changes: dict[str, str], expected: list[str] | None
) -> None:
    said = [shown(one) for one in found(rule(code), TINY | changes)]
    assert len(said) == (1 if expected is None else len(expected)), said
    for line, beginning in zip(said, expected or [], strict=expected is not None):
        assert line.startswith(beginning)


def test_each_rule_of_configuration_is_tried_both_ways() -> None:
    finds = {code for code, _, expected in ON_THE_TINY_PROJECT if expected != []}
    is_quiet = {code for code, _, expected in ON_THE_TINY_PROJECT if expected == []}
    assert finds == is_quiet == {code for code in RULES if code.startswith("KIT1")}


def test_a_path_into_the_project_is_made_relative(tmp_path: Path) -> None:
    text = f"folder: '{tmp_path}/data/flights' # measured\nfile: {tmp_path}/x.csv\n"
    root = project_of(tmp_path, {"conf/data/a.yaml": text})
    fixes = [one.fix for one in rule("KIT107").check(Tree(open_project(root)))]
    assert [fix.text for fix in fixes if fix is not None] == [
        text.replace(f"{tmp_path}/data", "data"),
        text.replace(f"{tmp_path}/x", "x"),
    ]


def test_a_repository_that_is_no_project_of_kits_has_no_experiments() -> None:
    files = TINY | {"pyproject.toml": "[project]\nname = 'other'\n", "conf/experiment/bad.yaml": "a: ${nothing}\n"}
    with tree_of(files) as tree:
        assert not [one for code in RULES if code.startswith("KIT1") for one in rule(code).check(tree)]


SCHEMAS = """
    import enum
    import typing as t
    from dataclasses import dataclass, field, KW_ONLY
    from enum import Enum
    from pathlib import Path
    from typing import ClassVar, Literal
    import numpy as np
    from tiny.more import Base, Kernel as Shape
    from . import more


    class Loss(Enum):
        L1 = "l1"
        L2 = "l2"


    Name = Literal["a", "b"]


    @dataclass
    class Model(Base):
        shape: Shape
        loss: Loss = Loss.L1
        seen: ClassVar[int] = 3
        _: KW_ONLY
        hidden: list[int] = field(default_factory=list)
        made: int = field(init=False)


    @dataclass
    class Config:
        model: "Model"
        name: Name
        path: Path
        other: more.Kernel | None = None
        dtype: np.dtype = None
        pair: t.Tuple[int, str] = (1, "a")
        sizes: t.Mapping[str, "t.Sequence[float]"] = field(default_factory=dict)


    def train(cfg: "Config", run):
        return {}
    """
MORE = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import Literal

    Kernel = Literal["rbf", "linear"]


    @dataclass
    class Base:
        depth: int
    """
FITS = "name: a\npath: x/y\nmodel: {depth: 3, shape: rbf}\n"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (FITS, None),
        (FITS + "dtype: float32\nother: linear\npair: [2, b]\nsizes: {a: [1, 2.5]}\n", None),
        (FITS.replace("depth: 3", "depth: 3, loss: L2, hidden: [1]"), None),
        (FITS.replace("depth: 3", "depth: deep"), "model.depth: expected int, got str 'deep'"),
        (FITS.replace("depth: 3, ", ""), "model.depth: no value, Model needs int"),
        (FITS.replace("depth: 3", "depth: 3, loss: L3"), "model.loss: expected one of L1, L2"),
        (FITS.replace("depth: 3", "depth: 3, seen: 3"), "model.seen: Model has no such field"),
        (FITS.replace("depth: 3", "depth: 3, made: 3"), "model.made: Model has no such field"),
        (FITS.replace("name: a", "name: c"), "name: expected one of"),
        (FITS + "other: round\n", "other: expected"),
        (FITS.replace("rbf", "round"), "model.shape: expected one of"),
        (FITS + "pair: [a, b]\n", "pair[0]: expected int"),
        (FITS + "sizes: {a: 1}\n", "sizes.a: expected a list of float"),
    ],
)
def test_a_dataclass_is_judged_by_its_source(config: str, expected: str | None) -> None:
    primary = f"defaults:\n  - _self_\n  - experiment: baseline\n{config}"
    files = TINY | {"src/tiny/train.py": SCHEMAS, "src/tiny/more.py": MORE, "conf/config.yaml": primary}
    said = [one.message for one in found(rule("KIT102"), files)]
    assert len(said) == (expected is not None), said
    assert expected is None or said[0].startswith(expected)


@pytest.mark.parametrize(
    "train",
    [
        "from elsewhere import B\nfrom dataclasses import dataclass\n@dataclass\nclass C(B): ...\ndef train(cfg: C): ...\n",
        "from pydantic import BaseModel\nclass C(BaseModel):\n    x: int\ndef train(cfg: C): ...\n",
        "from tiny.more import train\n",
        "train = lambda cfg: {}\n",
        "from elsewhere import *\n",
        "def train(): ...\n",
        "def train(cfg: 'C['): ...\n",
        "if True:\n    def train(cfg): ...\n",
    ],
)
def test_what_cannot_be_read_fits_anything(train: str) -> None:
    files = TINY | {"src/tiny/train.py": train, "src/tiny/more.py": "def train(cfg): ...\n"}
    assert found(rule("KIT102"), files) == []
