"""The arithmetic of `benchmarks/peers.py`, and that the projects it makes are what their tools read."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import peers
from benchmarks._peers import environments
from benchmarks._peers.peer import Peer
from benchmarks._peers.report import Found, as_json, fires_of, scaffolds, shown, table, targets, trial
from benchmarks._peers.scripts import ByHand, Cookiecutter, Joblib, Kit, Mlflow
from benchmarks._peers.tools import Dvc, Guild, Kedro, Metaflow, Prefect
from benchmarks._peers.work import NAMES

PEERS: list[type[Peer]] = [Kit, ByHand, Joblib, Mlflow, Dvc, Guild, Kedro, Metaflow, Prefect, Cookiecutter]


def found() -> dict[str, Found]:
    return {
        "kit": Found(cold=[2.0, 9.0, 3.0], warm=[0.2, 0.1, 0.3], sweep=[2.1], late=[0.1, 0.12, 9.0]),
        "hydra": Found(cold=[4.0], sweep=[23.0], memory={"cold": 3 * 2**20}),
        "joblib": Found(first="hydra", sweep=[13.5]),
        "guild": Found(cold=[1.0], sweep=[8.6]),
        "kedro": Found(cold=[5.0], sweeps=False, scaffold={"kedro new: files": [1.5]}),
        "prefect": Found(cold=[9.0], warm=[3.0], sweep=[5.0], late=[-0.25]),
        "dvc": Found(error="Failed: cannot be installed\nno such package"),
    }


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("kit", 0.1),  # of the warm run
        ("hydra", 1.0),
        ("joblib", 0.5),  # of another peer's run
        ("kedro", 5.0),  # a run
        ("prefect", 2 / 19),
        ("dvc", None),
    ],
)
def test_what_a_trial_costs(name: str, seconds: float | None) -> None:
    assert trial(name, found(), 20) == (None if seconds is None else pytest.approx(seconds))


def test_targets_are_ratios_of_medians() -> None:
    measured: dict[str, Any] = {each.what: (each.measured, each.holds) for each in targets(found(), 20)}
    assert measured == {
        "warm run: by hand / kit": (pytest.approx(20), True),
        "warm run: fastest peer / kit": (pytest.approx(5), True),
        "cold run: by hand / kit --cold": (pytest.approx(4 / 3), True),
        "a trial: Hydra's basic launcher / kit": (pytest.approx(10), True),
        "a trial: Guild / kit": (pytest.approx(4), False),
        "due to user code, median ms": (pytest.approx(120), True),
    }


def test_what_is_missing_is_not_a_target_that_holds() -> None:
    assert {each.holds for each in targets({"kit": Found(error="Failed: no")}, 20)} == {None}


def test_tables_say_what_is_there_and_what_is_not() -> None:
    text = table(found(), 20)
    lines = {line.split()[0]: line.split() for line in text.splitlines()}
    assert lines["hydra"] == ["hydra", "4.000", "s", "-", "20.0", "23.0", "s", "1.000", "s", "10.0", "3", "-", "-"]
    assert lines["dvc"] == ["dvc", *["-"] * 9]
    assert "no such package" in text
    assert re.search(r"prefect +1 +-250 ms +-250 ms +-250 ms", fires_of(found()))
    assert re.search(r"kedro new: files +1\.500 s", scaffolds(found()))
    assert re.search(r"a trial: Guild / kit +at least 8 +4\.0 +MISSED", shown(targets(found(), 20)))


def test_json_holds_everything() -> None:
    said = json.loads(json.dumps(as_json(found(), 20, {"rounds": 3})))
    assert said["rounds"] == 3
    assert said["peers"]["kit"]["medians"]["cold"] == 3.0
    assert said["peers"]["kit"]["raw"]["cold"] == [2.0, 9.0, 3.0]
    assert said["peers"]["dvc"]["error"] is not None
    assert len(said["targets"]) == 6


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_project_of_a_peer(peer: type[Peer], tmp_path: Path) -> None:
    made = peer(tmp_path / "home", tmp_path / "bin", 2)
    Peer.prepare(made)
    files = {path: path.read_text() for path in made.root.rglob("*") if path.is_file()}
    assert len(files) == len(peer.files())
    for path, text in files.items():
        if path.suffix == ".py":
            ast.parse(text)
        elif path.suffix in {".yaml", ".yml"}:
            assert yaml.safe_load(text)
    if peer is not Cookiecutter:
        everything = "".join(files.values())
        assert all(name in everything for name in NAMES), "ten parameters"
        assert "range(100)" in everything
        assert "an artifact" in everything


def test_everything_a_peer_needs_is_pinned() -> None:
    wanted = {peer.environment for peer in PEERS} - {"kit"} | {"airflow", "submitit"}  # those of two other benchmarks
    texts = {path.stem: path.read_text() for path in environments.REQUIREMENTS.glob("*.txt")}
    assert set(texts) == wanted
    for text in texts.values():
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert lines
        assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^ ]+( ; .+)?", line) for line in lines)


def test_what_runs_and_where_is_not_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "KIT_FORKSERVER", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "x")
    made = environments.variables(tmp_path / "home", tmp_path / "bin")
    assert not {"PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "KIT_FORKSERVER", "VIRTUAL_ENV"} & set(made)
    assert made["PATH"].startswith(f"{tmp_path / 'bin'}:")


class _Works(Peer):
    """Does its work with programs that every machine has."""

    name = "works"
    about = ""
    environment = "none"
    sweeps = True

    @classmethod
    def files(cls) -> dict[str, str]:
        return {"works": ""}

    def cold(self) -> None:
        self.do("sh", "-c", "echo did >> works")

    def sweep(self, trials: int) -> None:
        self.do("sh", "-c", f"for i in $(seq {trials}); do echo did >> works; done")

    def recorded(self) -> int:
        return len((self.root / "works").read_text().splitlines())


class _Breaks(_Works):
    name = "breaks"

    def sweep(self, trials: int) -> None:  # noqa: ARG002
        self.do("sh", "-c", "echo that was it; exit 3")


class _Lies(_Works):
    name = "lies"

    def sweep(self, trials: int) -> None:  # noqa: ARG002
        self.do("true")


class _Leaves(_Works):
    """Goes on in a session of its own."""

    name = "leaves"

    def sweep(self, trials: int) -> None:
        super().sweep(trials)
        self.do("sh", "-c", "setsid sleep 600 > /dev/null 2>&1 & echo $! > pid")


def test_who_fails_is_reported_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str, _place: Path) -> Path:
        if name == "kit":
            raise environments.Failed("no such package")
        return tmp_path

    monkeypatch.setattr(peers, "installed", installed)
    monkeypatch.setattr(peers, "PEERS", {each.name: each for each in (Kit, _Breaks, _Lies, _Leaves, _Works)})
    measured = peers.Measurement(["kit", "breaks", "lies", "leaves", "works"], tmp_path, tmp_path, 4)
    try:
        measured.warm_up()
        for number in range(2):
            measured.round(number, 0)
        measured.afterwards()
        leaves = measured.peers["leaves"]
        left = len(list(leaves.processes()))
    finally:
        measured.close()
    found = measured.found
    assert found["kit"].error == "Failed: no such package"
    assert "exit code 3" in str(found["breaks"].error)
    assert "that was it" in str(found["breaks"].error)
    assert found["lies"].error == "Failed: did its work 4 times, not 12"
    assert left == 2, "one for each round"
    assert not list(leaves.processes())
    assert found["works"].error is None
    assert found["works"].works == {"wanted": 12, "recorded": 12}
    assert [len(found["works"].cold), len(found["works"].sweep)] == [2, 2]
