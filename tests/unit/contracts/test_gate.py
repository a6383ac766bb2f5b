"""What a run does about the contracts that its config names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit.contracts import enforce
from kit.errors import DataError
from kit.paths import RunPaths
from kit.trackers.memory import MemoryTracker
from kit.trackers.spool import Spool, deliver, params_of
from tests.factories import spec


class Gate:
    """A run's folder, and what comes of its contracts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = RunPaths(root / ".kit/runs/abc123")
        self.paths.root.mkdir(parents=True)
        self.spool = Spool(self.paths.spool)

    def pass_with(self, data: dict[str, Any]) -> bool:
        made = spec(config={"data": data}, project_root=str(self.root))
        return enforce(made, self.paths, self.spool, hide=lambda text: text.replace("Paris", "***"))

    def report(self) -> Any:
        return json.loads(self.paths.contracts.read_bytes())

    def spooled(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.paths.spool.read_text().splitlines()]


@pytest.fixture
def gate(root: Path) -> Gate:
    return Gate(root)


GOOD = {"file": "data/prices.csv", "contract": "sales.contracts:PRICES"}


def test_a_run_without_contracts_notes_nothing(gate: Gate) -> None:
    assert not gate.pass_with({"file": "data/prices.csv"})
    assert gate.spooled() == []
    assert not gate.paths.contracts.exists()


def test_one_that_holds_is_a_parameter_a_tag_and_a_report(gate: Gate) -> None:
    assert gate.pass_with(GOOD)
    (report,) = gate.report()
    assert (report["holds"], report["rows"], report["contract"]) == (True, 3, "sales.contracts:PRICES")
    text = params_of(gate.paths.spool)["contract.data"]
    assert text == f"sales.contracts:PRICES {report['code'][:8]} holds: data/prices.csv, 3 rows"
    assert {"tags": {"kit.contract.data": "holds"}} in gate.spooled()
    assert {"artifact": [str(gate.paths.contracts), "contracts.json"]} in gate.spooled()


def test_the_next_run_knows_and_notes_the_same(gate: Gate) -> None:
    gate.pass_with(GOOD)
    first = params_of(gate.paths.spool)
    gate.paths.spool.unlink()
    gate.spool = Spool(gate.paths.spool)
    assert not gate.pass_with(GOOD)
    assert params_of(gate.paths.spool) == first


def test_a_run_that_is_resumed_says_it_once(gate: Gate) -> None:
    gate.pass_with(GOOD)
    with (gate.root / "data/prices.csv").open("a") as file:
        file.write("Oslo,3\n")
    gate.pass_with(GOOD)
    assert [entry for entry in gate.spooled() if "params" in entry] == [
        {"params": params_of(gate.paths.spool)},
    ]


def test_one_that_is_broken_ends_the_run_with_a_report_without_secrets(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    (gate.root / "data/prices.csv").write_text("city,price\nParis,1\nOslo,-1\n")
    with pytest.raises(DataError) as raised:
        gate.pass_with(GOOD)
    assert raised.value.exit_code == 4
    assert raised.value.what == (
        "data/prices.csv is not what its contract says: city: isin(['Rome', 'Oslo']) does not hold (1 row), and 1 more"
    )
    assert capsys.readouterr().err.splitlines() == [
        "data/prices.csv is not what sales.contracts:PRICES says:",
        "  city: isin(['Rome', 'Oslo']) does not hold (1 row)",
        "      prices.csv row 0: ***",
        "  price: greater_than_or_equal_to(0) does not hold (1 row)",
        "      prices.csv row 1: -1.0",
    ]
    assert "Paris" not in gate.paths.contracts.read_text()
    assert gate.report()[0]["findings"][0]["rows"] == [{"file": "prices.csv", "number": 0, "value": "***"}]
    assert {"tags": {"kit.contract.data": "broken"}} in gate.spooled()
    assert params_of(gate.paths.spool) == {}


def test_of_several_each_is_held_though_one_is_broken(gate: Gate) -> None:
    several = {"train": GOOD, "test": GOOD | {"contract": "sales.contracts:STRICT"}}
    with pytest.raises(DataError, match="price: is not in the contract, and 1 more"):
        gate.pass_with(several)
    assert [report["holds"] for report in gate.report()] == [True, False]
    assert list(params_of(gate.paths.spool)) == ["contract.data.train"]


def test_the_tracker_takes_all_of_it(gate: Gate) -> None:
    gate.pass_with(GOOD)
    tracker = MemoryTracker()
    tracker.start(spec(), {})
    deliver(gate.paths, tracker)
    told = repr(vars(tracker))
    assert "kit.contract.data" in told
    assert "contracts.json" in told
