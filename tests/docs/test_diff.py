"""What `docs/reference/diff.md` shows, made by the commands that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, write
from tests.docs.test_tutorials import commands, shows
from tests.support import commit_all, environment, kit, new_project, on_screen
from tests.unit.test_data import dvc

TASK = """
import kit


def train(cfg: dict, run: kit.Run) -> dict[str, float]:
    for step in range(3):
        run.log({"loss": 1 / (step + 1)}, step=step)
    return {"roc_auc": 0.71, "rows": 11.0}
"""


@pytest.mark.slow
def test_the_page_shows_what_comes(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    root = new_project(
        tmp_path / "flights",
        {
            "src/tiny/model.py": TASK,
            "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.model.train\n",
            "conf/config.yaml": "defaults:\n  - _self_\n  - model: small\n  - experiment: baseline\nseed: 7\nold: 1\n",
        },
    )
    dvc(root, "init", "--quiet")
    write(
        root,
        {
            "data/flights/2013-01.csv": "day,delay\n" + "".join(f"{day},1\n" for day in range(1, 8)),
            "data/flights/2013-02.csv": "day,delay\n" + "".join(f"{day},1\n" for day in range(1, 5)),
        },
    )
    dvc(root, "add", "--quiet", "data/flights")
    commit_all(root)
    kit(root, "run", env=env)
    write(
        root,
        {
            "data/flights/2013-02.csv": "day,delay,tz\n" + "".join(f"{day},1,EST\n" for day in range(1, 9)),
            "data/flights/2013-03.csv": "day,delay\n1,1\n",
            "src/tiny/model.py": TASK.replace("0.71", "0.75") + "\n\nAPI_KEY = 'abcdef'\n",
            "conf/config.yaml": (root / "conf/config.yaml").read_text().replace("old: 1", "dropout: 0.1"),
        },
    )
    dvc(root, "add", "--quiet", "data/flights")
    kit(root, "run", "model.rate=0.2", "seed=8", env=env)

    page = (REPOSITORY / "docs" / "reference" / "diff.md").read_text()
    steps = commands(page)
    assert [step.text for step in steps] == ["kit diff last~1 last", "kit diff last~1 last --html diff.html"]
    for step in steps:
        output = "\n".join(on_screen(root, *step.text.split()[1:], env=env))
        assert [line for line in step.shown if not shows(output, line)] == [], output
    keys = json.loads(page.split("```json\n")[1].split("```")[0])
    found = kit(root, "diff", "last~1", "last", "--json", env=env).json()
    _has_shape(found, keys, "")


def _has_shape(found: object, shown: object, where: str) -> None:
    """Whether what the page shows has the keys that come, and values of their types."""
    if isinstance(shown, dict):
        assert isinstance(found, dict), where
        assert set(found) == set(shown), where
        for key, value in shown.items():
            _has_shape(found[key], value, f"{where}.{key}")
    elif isinstance(shown, list):
        assert isinstance(found, list), where
        for value in shown[:1]:
            _has_shape(found[0] if found else value, value, f"{where}[]")
    else:
        kinds = (int, float) if isinstance(shown, float) else type(shown)
        assert found is None or shown is None or isinstance(found, kinds), where
