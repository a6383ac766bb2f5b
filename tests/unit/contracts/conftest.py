"""A project with a table and contracts of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.contracts import Contract, Place
from tests.conftest import write

MODULE = """
    import pandera.pandas as pa

    from sales.words import CITIES

    PRICES = pa.DataFrameSchema(
        {
            "city": pa.Column(str, pa.Check.isin(CITIES)),
            "price": pa.Column(float, pa.Check.ge(0), coerce=True, nullable=True),
        },
        unique=["city", "price"],
    )
    MEAN = pa.DataFrameSchema({"price": pa.Column(checks=pa.Check(lambda found: found.mean() < 5, name="cheap"))})
    RAISES = pa.DataFrameSchema({"price": pa.Column(checks=pa.Check(lambda found: found.no_such_thing), nullable=True)})
    WHOLE = pa.DataFrameSchema({"price": pa.Column("int64", coerce=True)})
    STRICT = pa.DataFrameSchema({"city": pa.Column(str), "size": pa.Column(int)}, strict=True)
    TYPED = pa.DataFrameSchema({"price": pa.Column("int64")})
    LATE = pa.DataFrameSchema(checks=pa.Check(lambda table: table["price"] < 10, error="below ten"))
    SECRET = pa.DataFrameSchema({"api_token": pa.Column(str, pa.Check.str_length(3))})
    NUMBER = 5


    class Rows(pa.DataFrameModel):
        city: str
    """


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The project; its modules are forgotten afterwards, since the next one has others of that name."""
    write(
        tmp_path,
        {
            "src/sales/__init__.py": "",
            "src/sales/words.py": 'CITIES = ["Rome", "Oslo"]\n',
            "src/sales/contracts.py": MODULE,
            "data/prices.csv": "city,price\nRome,1\nOslo,2.5\nRome,\n",
        },
    )
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "sales"]:
        del sys.modules[name]


@pytest.fixture
def place(root: Path) -> Place:
    return Place(root, root / "memory")


def contract(name: str, path: str = "data/prices.csv") -> Contract:
    return Contract("data", f"sales.contracts:{name}", path)
