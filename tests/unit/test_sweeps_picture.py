"""The picture of a sweep: drawn whatever the trials were given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kit.models import Origin, RunRecord
from kit.states import RunStatus
from kit.sweeps import Goal
from kit.sweeps._picture import _apart, _numbers, _texts, choices_of, draw
from tests.factories import record

pytest.importorskip("matplotlib")


def trials(*overrides: str, values: tuple[float, ...] = ()) -> list[RunRecord]:
    return [
        replace(
            record(f"r{index}"),
            status=RunStatus.SUCCEEDED,
            origin=Origin("sweep", "s", index),
            overrides=tuple(text.split()),
            metrics={"m": values[index] if values else float(index)},
        )
        for index, text in enumerate(overrides)
    ]


def test_only_what_differs_is_an_axis() -> None:
    made = trials("a=1 b=2 +c=x", "a=1 b=3", "a=1 b=3 +c=y")
    assert choices_of(made) == {"b": ["2", "3", "3"], "+c": ["x", "", "y"]}
    assert choices_of(made[:1]) == {}


@pytest.mark.parametrize(
    "made",
    [
        trials("lr=0.001 model=small", "lr=10 model=large", "lr=0.1 model=" + "x" * 60),
        trials("a=1", "a=1"),
        trials("a=1", "a=2", values=(float("inf"), 1.0)),
        trials("a=nan", "a=$x$_^", "a=[1,2]"),
        trials(*(f"p{number}=1 seed={number}" for number in range(30))),
    ],
)
def test_it_can_be_drawn(made: list[RunRecord], tmp_path: Path) -> None:
    draw(made, Goal("m", maximize=True), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_scales() -> None:
    few = _numbers("lr", ["1", "3", "2"])
    assert few is not None
    assert few.places == (0.0, 1.0, 0.5)
    wide = _numbers("lr", ["0.001", "1", "1000"])
    assert wide is not None
    assert wide.places == pytest.approx((0.0, 0.5, 1.0))
    same = _numbers("lr", ["5", "5"])
    assert same is not None
    assert same.places == (0.0, 0.0)
    assert _numbers("model", ["small", "1"]) is None
    assert _numbers("m", ["inf", "1"]) is None
    assert _texts("model", ["b", "a", "b"]).places == (1.0, 0.0, 1.0)


def test_labels_do_not_lie_over_one_another() -> None:
    ticks = [(0.0, "a"), (0.01, "b"), (0.5, "c"), (0.99, "d"), (1.0, "e")]
    assert _apart(ticks) == [(0.0, "a"), (0.5, "c"), (1.0, "e")]
    assert _apart(ticks[:1]) == ticks[:1]
