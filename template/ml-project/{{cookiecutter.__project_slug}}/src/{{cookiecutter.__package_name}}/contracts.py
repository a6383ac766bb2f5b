"""What the data must be, so that a run can learn from it: kit checks it before each run whose data is new.

`conf/data/*.yaml` name these contracts; `kit data check` looks by hand.
"""

from __future__ import annotations

import pandera.pandas as pa

__all__ = ["FLIGHTS"]

_CLOCK = pa.Check.in_range(0, 2359)

FLIGHTS = pa.DataFrameSchema(
    {
        "year": pa.Column("int64", pa.Check.eq(2013)),
        "month": pa.Column("int64", pa.Check.in_range(1, 12)),
        "day": pa.Column("int64", pa.Check.in_range(1, 31)),
        "sched_dep_time": pa.Column("int64", _CLOCK),  # 1345 is a quarter to two
        "sched_arr_time": pa.Column("int64", _CLOCK),
        "carrier": pa.Column("str", pa.Check.str_length(2)),
        "origin": pa.Column("str", pa.Check.isin(["EWR", "JFK", "LGA"])),
        "dest": pa.Column("str", pa.Check.str_length(3)),
        "distance": pa.Column("int64", pa.Check.in_range(10, 6000)),  # miles
        "arr_delay": pa.Column("float64", pa.Check.in_range(-240, 2880), nullable=True),  # minutes; none: never arrived
    },
    name="flights",
)
"""Every column that a model learns from. More columns may be there."""
