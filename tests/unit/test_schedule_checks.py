"""What is wrong with schedules beyond their files, found without running anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit.board import Moves
from kit.errors import KitError
from kit.fires import Fire, FireOrigin
from kit.project import open_project
from kit.schedule_checks import problems
from kit.schedules import Schedules
from kit.states import FireStatus
from tests.conftest import git

MakeProject = Callable[..., Path]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = "conf/schedule/nightly.yaml"
NIGHTLY = 'trigger: {cron: "0 2 * * *"}\n'
DVC = {
    ".dvc/config": "",
    "data/raw.dvc": "outs:\n- md5: 0cc175b9c0f1b6a831c399e269772661\n  path: raw\n",
    "params.yaml": "regions: [north, south]\n",
    "dvc.yaml": """
        stages:
          ingest: {cmd: x, outs: [data/flights]}
          check: {cmd: x, deps: [data/flights]}
          region:
            foreach: ${regions}
            do: {cmd: x, outs: ['data/${item}']}
          beyond:
            foreach: ${nowhere}
            do: {cmd: x}
        """,
    "more/dvc.yaml": "stages: {late: {cmd: x, outs: [late.csv]}}\n",
}


def found(root: Path, **options: object) -> dict[str, list[KitError]]:
    project = open_project(root)
    schedules = Schedules(project)
    return problems(project, schedules.load(), NOW, where=schedules.file, **options)  # type: ignore[arg-type]


def of(root: Path, text: str) -> list[KitError]:
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text(text)
    return found(root).get("nightly", [])


@pytest.fixture
def piped(make_project: MakeProject) -> Path:
    """The tiny project with a pipeline of DVC's."""
    return make_project(DVC | {"pyproject.toml": '[tool.kit]\npackage = "tiny"\nslots = {gpu = 2}\n'})


@pytest.mark.parametrize(
    "text",
    [
        NIGHTLY,
        f"{NIGHTLY}experiment: deep\noverrides: [model.rate=0.2, +extra=1]\nslots: {{gpu: 2, other: 1}}\n",
        f"{NIGHTLY}repro: [ingest, check, region, region@north, more/dvc.yaml:late, dvc.yaml:ingest, data/raw.dvc]\n",
        f"{NIGHTLY}repro: ['beyond@whatever', more/dvc.yaml]\n",
        f"{NIGHTLY}alert: [file:///tmp/x, 'mailto://me:pw@example.com']\n",
        "trigger: {data: data/flights}\n",
        "trigger: {data: data/flights/2013.csv}\n",
        "trigger: {data: data/raw, rev: main}\n",
        "trigger: {data: data/nowhere, rev: main, remote: origin}\n",
        "trigger: {once: 2026-12-01}\n",
        "trigger: {once: 2026-03-01}\n",
        "trigger: {once: 2020-01-01}\nenabled: false\n",
    ],
)
def test_these_would_work(piped: Path, text: str) -> None:
    assert of(piped, text) == []


@pytest.mark.parametrize(
    ("text", "what", "where", "fix"),
    [
        ("triger: 1\n", "unknown key 'triger'", FILE, "Did you mean 'trigger'?"),
        (
            f"{NIGHTLY}experiment: basline\n",
            "`kit run experiment=basline` says: no option 'basline' in group 'experiment'",
            FILE,
            "Did you mean 'baseline'? Available: baseline, deep.",
        ),
        (
            f"{NIGHTLY}overrides: [model.depht=3, db.password=hunter2]\n",
            "`kit run model.depht=3 'db.password=***'` says: no such key 'model.depht'",
            FILE,
            "Did you mean 'model.depth'? (use +model.depht=3 to add a new key)",
        ),
        (f"{NIGHTLY}overrides: ['seed=no']\n", "`kit run seed=no` says: seed: expected a whole number", FILE, ""),
        (f"{NIGHTLY}overrides: ['+timeout=no']\n", "says: timeout: expected a positive number of seconds", FILE, ""),
        (f"{NIGHTLY}repro: [ingst]\n", "repro: no stage 'ingst' in dvc.yaml", FILE, "Did you mean 'ingest'?"),
        (f"{NIGHTLY}repro: ['region@nroth']\n", "repro: no stage 'region@nroth'", FILE, "Did you mean 'region@north'?"),
        (f"{NIGHTLY}repro: [zzz]\n", "repro: no stage 'zzz'", FILE, "The stages: beyond, check, ingest, more/dvc.yaml"),
        ("trigger: {data: data/flihts}\n", "trigger.data: DVC has no output 'data/flihts'", FILE, "Did you mean"),
        ("trigger: {data: data/flights, rev: nope}\n", "trigger.data: ", FILE, ""),
        (
            f"{NIGHTLY}slots: {{gpu: 3, other: 2}}\n",
            "slots: 3 of 'gpu', which has 2",
            FILE,
            "Take fewer, or make the pool larger: `slots = {gpu = 3}` under [tool.kit].",
        ),
        (
            "trigger: {once: 2026-02-01}\n",
            "trigger.once: 2026-02-01 00:00:00 UTC is past, and more than the 7 d ago that catch_up goes back",
            FILE,
            "Give an instant to come, or set `enabled: false`.",
        ),
        (
            f"{NIGHTLY}alert: [file:///tmp/x, slak://a/b/c]\n",
            "alert.to: slak://***: no service is called 'slak'",
            FILE,
            "Did you mean 'slack'?",
        ),
        ("trigger: {once: 2026-03-01}\ncatch_up: none\n", "more than the 5 m ago that catch_up goes back", FILE, ""),
    ],
)
def test_these_would_not(piped: Path, text: str, what: str, where: str, fix: str) -> None:
    error = of(piped, text)[0]
    assert what in error.what
    assert error.where == where
    assert error.fix
    assert fix in error.fix


def test_every_problem_is_told_and_of_every_schedule(piped: Path) -> None:
    schedules = {
        "a": f"{NIGHTLY}repro: [x, y]\nslots: {{gpu: 5}}\n",
        "b": NIGHTLY,
        "c": "triger: 1\n",
        "d": "trigger: {after: c}\n",
    }
    for name, text in schedules.items():
        path = piped / f"conf/schedule/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert {name: len(errors) for name, errors in found(piped).items()} == {"a": 3, "c": 1}
    assert list(found(piped, names=["b", "c"])) == ["c"]


def test_a_mistake_in_another_file_is_told_with_both(piped: Path) -> None:
    (piped / "conf/experiment/odd.yaml").write_text("# @package _global_\ntask: 5\n")
    error = of(piped, f"{NIGHTLY}experiment: odd\n")[0]
    assert error.where == f"conf/experiment/odd.yaml, by way of {FILE}"


def test_a_broken_pipeline_is_told_of_those_that_need_it(piped: Path) -> None:
    (piped / "dvc.yaml").write_text("stages: [\n")
    assert of(piped, NIGHTLY) == []
    for text in (f"{NIGHTLY}repro: [ingest]\n", "trigger: {data: data/flights}\n"):
        assert "not valid YAML" in of(piped, text)[0].what


def test_no_pipeline_has_no_stages(project: Path) -> None:
    error = of(project, f"{NIGHTLY}repro: [ingest]\n")[0]
    assert error.fix == "There is no stage in any dvc.yaml."


def test_the_config_finds_the_fire_as_in_a_run(piped: Path) -> None:
    (piped / "conf/experiment/month.yaml").write_text(
        "# @package _global_\ntask: tiny.train.train\nuntil: ${oc.env:KIT_SCHEDULED_AT}\n"
        "name: ${oc.env:KIT_SCHEDULE}-${oc.env:KIT_ATTEMPT}\n"
    )
    before = dict(os.environ)
    assert of(piped, f"{NIGHTLY}experiment: month\n") == []
    assert dict(os.environ) == before


def test_one_that_had_its_fire_is_over_and_fine(piped: Path) -> None:
    text = "trigger: {once: 2026-02-01}\n"
    assert of(piped, text)
    assert not (piped / ".kit").exists()
    project = open_project(piped)
    at = datetime(2026, 2, 1, tzinfo=UTC)
    fire = Fire("nightly", at, FireStatus.SKIPPED, FireOrigin.CLOCK, created_at=at, due_at=at)
    project.store.fires.act(lambda _board: Moves(at, fires={fire.key: fire}))
    assert of(piped, text) == []


def test_nothing_is_written(piped: Path) -> None:
    of(piped, f"{NIGHTLY}repro: [ingest]\nexperiment: deep\n")
    assert git(piped, "status", "--porcelain") == "?? conf/schedule/"
    assert not (piped / ".kit").exists()
