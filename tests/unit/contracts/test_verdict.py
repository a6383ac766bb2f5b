"""A contract held against real tables, by pandera itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from kit.contracts import Place, hold, told
from kit.errors import DataError, HostError, UserError
from kit.snapshot import DataVersion
from tests.unit.contracts.conftest import contract


def broken(place: Place, name: str, path: str = "data/prices.csv") -> list[str]:
    return told(hold(contract(name, path), place).findings)


def test_data_that_is_what_it_says_holds(place: Place) -> None:
    verdict = hold(contract("PRICES"), place)
    assert verdict.holds
    assert (verdict.rows, verdict.remembered) == (3, False)


def test_what_breaks_is_told_by_column_check_count_and_rows(place: Place) -> None:
    (place.root / "data/prices.csv").write_text("city,price\nRome,1\nParis,-2\nBern,-1\nOslo,-1\n")
    assert broken(place, "PRICES") == [
        "city: isin(['Rome', 'Oslo']) does not hold (2 rows)",
        "    prices.csv row 1: Paris",
        "    prices.csv row 2: Bern",
        "price: greater_than_or_equal_to(0) does not hold (3 rows)",
        "    prices.csv row 1: -2.0",
        "    prices.csv row 2: -1.0",
        "    prices.csv row 3: -1.0",
    ]


def test_of_many_rows_only_the_first_are_told(place: Place) -> None:
    (place.root / "data/prices.csv").write_text("city,price\n" + "".join(f"Rome,-{n}\n" for n in range(1, 2001)))
    lines = broken(place, "PRICES")
    assert lines[0] == "price: greater_than_or_equal_to(0) does not hold (2,000 rows)"
    assert (len(lines), lines[-1]) == (7, "    and 1,995 more")


def test_rows_are_numbered_in_their_own_files(place: Place) -> None:
    folder = place.root / "data/parts"
    (folder / ".hidden").mkdir(parents=True)
    pd.DataFrame({"city": ["Rome", "Oslo"], "price": [1.0, 2.0]}).to_parquet(folder / "a.parquet")
    pd.DataFrame({"city": ["Rome", "Bonn"], "price": [3.0, 4.0]}).to_parquet(folder / "b.parquet")
    (folder / ".hidden/c.csv").write_text("nothing to be read")
    (folder / "notes.txt").write_text("nothing to be read")
    assert broken(place, "PRICES", "data/parts")[1] == "    b.parquet row 1: Bonn"


def test_rows_that_are_there_twice_are_found_across_files(place: Place) -> None:
    for name in ("a", "b"):
        path = place.root / f"data/parts/{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("city,price\nRome,1\n")
    assert broken(place, "PRICES", "data/parts") == [
        "city, price occur together more than once (2 rows)",
        "    a.csv row 0: city=Rome, price=1",
        "    b.csv row 0: city=Rome, price=1",
    ]


def test_columns_that_are_missing_or_too_many_or_of_another_type_are_told_without_rows(place: Place) -> None:
    assert broken(place, "STRICT") == ["price: is not in the contract", "size: is missing"]
    assert broken(place, "TYPED") == [
        "price: has no value (1 row)",
        "    prices.csv row 2: nan",
        "price: should be int64, is float64",
    ]
    assert broken(place, "WHOLE")[0] == "price: cannot become int64 (1 row)"


def test_a_check_of_a_whole_column_or_table_is_told_by_its_name(place: Place) -> None:
    (place.root / "data/prices.csv").write_text("city,price\nRome,7\nOslo,70\n")
    assert broken(place, "MEAN") == ["price: cheap does not hold"]
    assert broken(place, "LATE") == ["below ten does not hold (1 row)", "    prices.csv row 1: city=Oslo, price=70"]


def test_a_check_that_raises_is_broken_and_says_what_it_said(place: Place) -> None:
    (line,) = broken(place, "RAISES")
    assert "no_such_thing" in line


def test_what_a_secret_column_holds_is_not_told(place: Place) -> None:
    (place.root / "data/prices.csv").write_text("api_token\nhunter2-hunter2\n")
    lines = broken(place, "SECRET")
    assert lines[1] == "    prices.csv row 0: ***"
    assert "hunter2" not in "".join(lines)


def test_of_very_many_checks_and_long_ones_only_the_beginning_is_told(place: Place) -> None:
    (place.root / "src/sales/wide.py").write_text(
        "import pandera.pandas as pa\n"
        "S = pa.DataFrameSchema({'price': pa.Column(float, pa.Check.isin(range(500)), nullable=True)}, strict=True)\n"
    )
    columns = [f"c{number}" for number in range(30)]
    (place.root / "data/wide.csv").write_text(f"price,{','.join(columns)}\n0.5{',1' * 30}\n")
    verdict = hold(replace(contract("S", "data/wide.csv"), schema="sales.wide:S"), place)
    lines = told(verdict.findings)
    assert len(verdict.findings) == 31
    assert lines[-1] == "and 11 more checks that do not hold"
    assert max(len(str(finding)) for finding in verdict.findings) < 200


def test_a_model_is_a_schema_too(place: Place) -> None:
    assert hold(contract("Rows"), place).holds


def test_what_held_once_is_known_to_hold_until_data_or_contract_change(place: Place) -> None:
    assert not hold(contract("PRICES"), place).remembered
    known = hold(contract("PRICES"), place)
    assert (known.remembered, known.holds, known.rows) == (True, True, 3)
    assert not hold(contract("PRICES"), place, again=True).remembered
    with (place.root / "data/prices.csv").open("a") as file:
        file.write("Oslo,3\n")
    assert not hold(contract("PRICES"), place).remembered
    assert hold(contract("PRICES"), place).remembered
    (place.root / "src/sales/words.py").write_text('CITIES = ["Rome", "Oslo", "Bern"]\n')
    assert not hold(contract("PRICES"), place).remembered


def test_what_is_broken_is_looked_at_each_time(place: Place) -> None:
    for _ in range(2):
        verdict = hold(contract("STRICT"), place)
        assert (verdict.holds, verdict.remembered) == (False, False)


def test_without_a_memory_nothing_is_remembered(place: Place) -> None:
    for _ in range(2):
        assert not hold(contract("PRICES"), replace(place, memory=None)).remembered


def test_a_version_that_dvc_knows_needs_no_look_at_the_data(place: Place) -> None:
    version = DataVersion("data", "1" * 32 + ".dir", 10, 1, "matches", "data.dvc")
    known = replace(place, versions=[version])
    assert hold(contract("PRICES"), known).data == version.md5
    (place.root / "data/prices.csv").unlink()
    assert hold(contract("PRICES"), known).remembered
    moved = replace(version, state="modified", found="2" * 32 + ".dir")
    with pytest.raises(DataError, match="not there"):
        hold(contract("PRICES"), replace(place, versions=[moved]))


def test_an_environment_that_turns_pandera_off_turns_no_contract_off(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pandera.config import CONFIG

    monkeypatch.setattr(CONFIG, "validation_enabled", False)
    assert not hold(contract("STRICT"), place).holds


@pytest.mark.parametrize("path", ["data/nothing", "src"])
def test_data_that_is_not_there_or_no_table_is_an_error_of_the_data(path: str, place: Place) -> None:
    with pytest.raises(DataError) as raised:
        hold(contract("PRICES", path), place)
    assert raised.value.exit_code == 4
    assert raised.value.fix


@pytest.mark.parametrize(("name", "content"), [("x.parquet", b"no"), ("x.csv", b""), ("x.csv", b"a\n1\n2,3\n")])
def test_a_file_that_is_not_what_its_name_says_is_named(name: str, content: bytes, place: Place) -> None:
    (place.root / "data" / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as raised:
        hold(contract("PRICES", f"data/{name}"), place)
    assert str(raised.value.where).endswith(name)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("PRICE", "no schema 'PRICE'.*Did you mean 'PRICES'"),
        ("NUMBER", "'NUMBER' is a int, no schema"),
    ],
)
def test_a_name_that_is_no_schema_is_refused(name: str, what: str, place: Place) -> None:
    with pytest.raises(UserError, match=what):
        hold(contract(name), place)


def test_a_module_that_is_not_there_or_cannot_be_imported_is_refused_with_the_place(place: Place) -> None:
    with pytest.raises(UserError, match=r"no module 'sales\.nothing'"):
        hold(replace(contract("X"), schema="sales.nothing:X"), place)
    (place.root / "src/sales/bad.py").write_text("\nraise ValueError('no')\n")
    with pytest.raises(UserError, match="cannot be imported: ValueError: no") as raised:
        hold(replace(contract("X"), schema="sales.bad:X"), place)
    assert str(raised.value.where).endswith("bad.py:2")


def test_memory_that_cannot_be_read_or_written_only_costs_time(place: Place) -> None:
    assert place.memory is not None
    hold(contract("PRICES"), place)
    (place.memory / "held.json").write_text("{")
    assert not hold(contract("PRICES"), place).remembered
    assert hold(contract("PRICES"), replace(place, memory=Path("/proc/nothing"))).holds


def test_without_pandera_it_says_how_to_get_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandera.pandas", None)  # as Python has what it cannot find
    with pytest.raises(HostError, match="needs pandera") as raised:
        hold(contract("PRICES"), place)
    assert "mlekit[contracts]" in str(raised.value.fix)
