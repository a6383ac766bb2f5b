"""Real runs whose data has a contract: what holds is noted, what is broken stops a run before its task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.project import open_project
from kit.states import RunStatus
from kit.stores.base import RunQuery
from tests.conftest import write
from tests.support import environment, kit, mlflow_runs, new_project, on_screen

FILES = {
    "src/tiny/contracts.py": """
        import pandera.pandas as pa

        SALES = pa.DataFrameSchema({"city": pa.Column(str), "price": pa.Column(int, pa.Check.gt(0))})
        """,
    "src/tiny/learn.py": """
        from dataclasses import dataclass
        from pathlib import Path


        @dataclass(frozen=True)
        class Data:
            file: str


        @dataclass(frozen=True)
        class Config:
            data: Data


        def learn(cfg: Config) -> dict[str, float]:
            Path("began").touch()
            return {"rows": float(len(Path(cfg.data.file).read_text().splitlines()) - 1)}
        """,
    "conf/config.yaml": "defaults: [data: sales, experiment: baseline, _self_]\nseed: 7\n",
    "conf/data/sales.yaml": "file: sales.csv\ncontract: tiny.contracts:SALES\n",
    "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.learn.learn\n",
    "conf/experiment/deep.yaml": "# @package _global_\ntask: tiny.learn.learn\n",
    "sales.csv": "city,price\nRome,1\nOslo,2\n",
}


def test_a_run_whose_data_breaks_its_contract_ends_before_its_task(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    root = new_project(tmp_path / "tiny", FILES | {"sales.csv": "city,price\nRome,1\nOslo,0\nBern,-5\n"})
    done = kit(root, "run", env=env, code=4)
    assert not (root / "began").exists()
    assert "    sales.csv row 2: -5" in done.err + done.out
    (record,) = open_project(root).store.runs(RunQuery())
    assert (record.status, record.exit_code) == (RunStatus.FAILED, 4)
    assert record.reason == "sales.csv is not what its contract says: price: greater_than(0) does not hold (2 rows)"
    assert "contract.data" not in record.params
    (report,) = json.loads((root / ".kit/runs" / record.run_id / "contracts.json").read_bytes())
    assert [row["number"] for row in report["findings"][0]["rows"]] == [1, 2]
    (tracked,) = mlflow_runs(root).values()
    assert (tracked.status, tracked.tags["kit.contract.data"]) == ("FAILED", "broken")
    assert (tracked.artifacts / "contracts.json").exists()


@pytest.mark.slow
def test_the_second_run_knows_and_a_run_may_do_without(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    root = new_project(tmp_path / "tiny", FILES)
    known = []
    for _ in range(2):
        kit(root, "run", env=env)
        last = kit(root, "show", "last", "--json", env=env).json()
        assert last["metrics"] == {"rows": 2.0}
        known.append((last["params"]["contract.data"], (root / ".kit/runs" / last["run_id"] / "contracts.json")))
    assert known[0][0] == known[1][0]
    assert known[0][0].endswith("holds: sales.csv, 2 rows")
    assert {run.tags["kit.contract.data"] for run in mlflow_runs(root).values()} == {"holds"}
    assert (root / "began").exists()
    assert [json.loads(file.read_bytes())[0]["remembered"] for _, file in known] == [False, True]
    write(root, {"sales.csv": "city,price\nRome,-1\n"})
    kit(root, "run", "data.contract=null", env=env)
    shown = on_screen(root, "data", "check", env=env, code=4)
    assert shown == [
        "broken  sales  sales.csv  tiny.contracts:SALES  1 row",
        "  price: greater_than(0) does not hold (1 row)",
        "      sales.csv row 0: -1",
    ]
