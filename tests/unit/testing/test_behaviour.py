"""Behavioural tests: what is well passes, and what is not is told by rows and amounts."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.testing.behaviour import (
    assert_deterministic,
    assert_directional,
    assert_initial_loss,
    assert_invariant,
    assert_monotone,
    assert_overfits,
    assert_predicts,
    assert_rows_are_independent,
    assert_same_features,
    assert_sound,
)

HOUSES = pd.DataFrame(
    {"rooms": [1, 2, 3, 4], "area": [30.0, 55.0, 80.0, 120.0], "street": ["Elm", "Oak", "Elm", "Ash"]},
    index=["a", "b", "c", "d"],
)
ARRAY = HOUSES[["rooms", "area"]].to_numpy()


def price(rows: pd.DataFrame) -> Any:
    return (rows["area"] * 2 + rows["rooms"]).to_numpy()


def price_of_array(rows: np.ndarray[Any, Any]) -> Any:
    return rows[:, 1] * 2 + rows[:, 0]


def fails(check: Callable[..., None], *arguments: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        check(*arguments, **options)
    return str(raised.value)


# --- determinism


def seeded(seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {"weights": generator.normal(size=(3, 2)), "metrics": {"loss": float(generator.uniform())}}


def test_what_a_seed_decides_is_deterministic() -> None:
    assert_deterministic(seeded)
    assert_deterministic(lambda _: {"loss": math.nan}, other_seed=None)  # NaN is what it was


def test_another_result_is_told_with_its_place_and_by_how_much() -> None:
    calls = itertools.count()
    said = fails(assert_deterministic, lambda _: {"weights": np.array([1.0, 2.0 + next(calls) / 4])})
    assert said == "seed 0 gives another result the second time\n  weights differs by 0.25 at 1: 2.0 and then 2.25"
    assert_deterministic(lambda _: np.array([next(calls) / 4]), tolerance=0.25, other_seed=None)


def test_a_result_of_another_shape_or_name_is_not_the_same() -> None:
    sizes = itertools.count(1)
    assert "shape (1,) and then (2,)" in fails(assert_deterministic, lambda _: np.zeros(next(sizes)))
    names = itertools.count()
    assert "0 is there once only" in fails(assert_deterministic, lambda _: {next(names): 1.0})


def test_memory_that_is_written_again_hides_nothing() -> None:
    buffer = np.zeros(2)

    def again(_: int) -> np.ndarray[Any, Any]:
        buffer[0] += 1
        return buffer

    assert "differs by 1 at 0" in fails(assert_deterministic, again)


def test_a_seed_that_reaches_nothing_and_a_result_that_is_empty_are_told() -> None:
    assert "the seed reaches nothing" in fails(assert_deterministic, lambda _: 1.0)
    assert "nothing can be compared" in fails(assert_deterministic, lambda _: {})
    with pytest.raises(TypeError, match="Random cannot be compared"):
        assert_deterministic(random.Random)


# --- learning


def descent(rate: float) -> Callable[[], float]:
    weight = 4.0

    def step() -> float:
        nonlocal weight
        loss = weight**2
        weight -= rate * 2 * weight
        return loss

    return step


def test_what_learns_overfits_one_batch_and_what_does_not_is_told_its_course() -> None:
    assert_overfits(descent(0.1), below=1e-3)
    said = fails(assert_overfits, descent(0.0), below=1e-3, steps=5)
    assert said == (
        "one batch is not learned in 5 steps, to below 0.001 (it began with 16 and ended with 16); "
        "the least was 16 at step 0"
    )


def test_a_loss_that_is_no_number_or_needs_no_learning_is_told() -> None:
    losses = iter([1.0, math.nan])
    assert fails(assert_overfits, partial(next, losses), below=0.1).startswith("the loss is nan at step 1 (it began")
    assert "before anything is learned" in fails(assert_overfits, descent(0.1), below=20)


def test_the_loss_at_the_beginning_is_that_of_knowing_nothing() -> None:
    assert_initial_loss(2.31, classes=10)
    assert_initial_loss(np.float32(0.69), math.log(2))
    assert "is 7.1, not 2.30259 as of who knows nothing; off by 4.8" in fails(assert_initial_loss, 7.1, classes=10)
    assert "is nan" in fails(assert_initial_loss, math.nan, classes=2)
    with pytest.raises(TypeError, match="either"):
        assert_initial_loss(1.0)


# --- invariance and direction


def test_what_a_model_does_not_look_at_changes_nothing_and_what_it_does_is_told_by_rows() -> None:
    assert_invariant(price, HOUSES, lambda rows: rows.assign(street="Main"))
    said = fails(assert_invariant, price, HOUSES, lambda rows: rows.assign(area=[30.0, 56.0, 80.0, 125.0]))
    assert said == (
        "prediction changed that should not: 2 of 4 rows, by 10 at most\n"
        "  row d: 244 became 254\n"
        "  row b: 112 became 114"
    )
    assert "1 of 4 rows" in fails(
        assert_invariant, price, HOUSES, lambda rows: rows.assign(area=rows["area"] + [1, 2, 1, 1]), tolerance=2
    )


def test_a_perturbation_that_changes_nothing_is_no_test() -> None:
    assert "cannot fail" in fails(assert_invariant, price, HOUSES, lambda rows: rows)
    assert "cannot fail" in fails(assert_directional, price, HOUSES, lambda rows: rows, direction="up")
    assert "made 3 rows of 4" in fails(assert_invariant, price, HOUSES, lambda rows: rows.head(3))


def test_a_perturbation_may_change_what_it_gets_in_place() -> None:
    def double(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        rows *= 2
        return rows

    assert_directional(price_of_array, ARRAY, double, direction="up")
    assert ARRAY[0].tolist() == [1.0, 30.0]


def test_words_are_predictions_too() -> None:
    def size(rows: pd.DataFrame) -> list[str]:
        return ["large" if area > 70 else "small" for area in rows["area"]]

    assert_invariant(size, HOUSES, lambda rows: rows.assign(area=rows["area"] + 1))
    said = fails(assert_invariant, size, HOUSES, lambda rows: rows.assign(area=rows["area"] + 30))
    assert said == "prediction changed that should not: 1 of 4 rows\n  row b: small became large"
    with pytest.raises(TypeError, match="no direction"):
        assert_directional(size, HOUSES, lambda rows: rows.assign(area=0.0), direction="down")


def test_a_larger_house_costs_more_or_the_rows_are_told() -> None:
    larger = lambda rows: rows.assign(area=rows["area"] + 10)  # noqa: E731
    assert_directional(price, HOUSES, larger, direction="up", by=20)
    said = fails(assert_directional, price, HOUSES, larger, direction="down", tolerance=5)
    assert said.splitlines()[:2] == [
        "prediction went up that should go down: 4 of 4 rows, by 20 at most (5 is tolerated)",
        "  row a: 61 became 81",
    ]
    assert "at least 21 is expected" in fails(assert_directional, price, HOUSES, larger, direction="up", by=21)
    with pytest.raises(TypeError, match="'up' or 'down'"):
        assert_directional(price, HOUSES, larger, direction="left")  # type: ignore[arg-type]


def test_a_prediction_that_becomes_nan_is_no_direction() -> None:
    shrink = lambda rows: rows.assign(area=-1.0)  # noqa: E731
    said = fails(assert_directional, lambda rows: np.sqrt(np.abs(rows["area"])) * np.where(rows["area"] < 0, np.nan, 1),
                 HOUSES, shrink, direction="down")  # fmt: skip
    assert "4 of 4 rows" in said


def test_many_rows_are_told_as_the_worst_five_and_a_number() -> None:
    rows = np.arange(40.0).reshape(20, 2)
    said = fails(assert_invariant, price_of_array, rows, lambda given: given * 2)
    assert len(said.splitlines()) == 7
    assert said.splitlines()[1].startswith("  row 19: ")
    assert said.endswith("  and 15 more")


@pytest.mark.parametrize(("predict", "rows", "column"), [(price, HOUSES, "area"), (price_of_array, ARRAY, 1)])
def test_a_column_is_monotone_or_the_step_is_told(predict: Any, rows: Any, column: Any) -> None:
    assert_monotone(predict, rows, column, [10.0, 20.0, 20.0, 90.0], direction="up")
    said = fails(assert_monotone, predict, rows, column, [10.0, 20.0, 15.0], direction="up")
    assert said.splitlines()[0] == (
        f"prediction went down as {column} went from 20.0 to 15.0: 4 of 4 rows, by 10 at most"
    )


def test_one_value_and_an_unknown_column_are_no_order() -> None:
    with pytest.raises(TypeError, match="two at least"):
        assert_monotone(price, HOUSES, "area", [1.0], direction="up")
    with pytest.raises(KeyError, match="no column 'aera'"):
        assert_monotone(price, HOUSES, "aera", [1.0, 2.0], direction="up")


def test_a_value_that_whole_numbers_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match=r"int64 cannot hold 0\.5"):
        assert_monotone(price_of_array, ARRAY.astype(int), 1, [0, 0.5, 1], direction="up")


def test_easy_cases_have_their_answer() -> None:
    assert_predicts(price, HOUSES, [61, 112, 163, 244])
    said = fails(assert_predicts, price, HOUSES, [61, 112, 163, 240], tolerance=1)
    assert said.splitlines()[1:] == ["  row d: 240 became 244"]
    assert "not one entry for each of 4 rows" in fails(assert_predicts, price, HOUSES, [61])
    assert "predictions are ['']" in fails(assert_predicts, price, HOUSES, {"price": [61, 112, 163, 244]})


# --- features, rows, soundness


def features(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"rooms": rows["rooms"], "per_room": rows["area"] / rows["rooms"]})


def test_features_of_both_paths_are_the_same() -> None:
    assert_same_features(features, lambda rows: features(rows).to_dict("list"), HOUSES)


def test_skew_is_told_by_column_and_row() -> None:
    said = fails(assert_same_features, features, lambda rows: features(rows).round(0), HOUSES)
    assert said.splitlines() == [
        "training and serving compute other features (training became serving)",
        "  per_room: 2 of 4 rows, by 0.5 at most",
        "    row b: 27.5 became 28",
        "    row c: 26.6667 became 27",
    ]


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        (lambda rows: features(rows)[["per_room", "rooms"]], "the order is rooms, per_room in training"),
        (lambda rows: features(rows)[["rooms"]], "serving lacks per_room"),
        (lambda rows: features(rows).assign(extra=1), "serving adds extra"),
        (lambda rows: features(rows).astype({"rooms": float}), "rooms: int64 in training, float64 in serving"),
        (lambda rows: features(rows).head(2), "not one entry for each of 4 rows"),
        (lambda rows: features(rows).assign(per_room=np.nan), "per_room: 4 of 4 rows"),
    ],
)
def test_other_columns_order_kinds_and_rows_are_skew(serving: Any, said: str) -> None:
    assert said in fails(assert_same_features, features, serving, HOUSES)


def test_a_prediction_that_looks_at_its_neighbours_is_told() -> None:
    assert_rows_are_independent(price, HOUSES)
    assert_rows_are_independent(lambda rows: [row["area"] for row in rows], HOUSES.to_dict("records"))
    said = fails(assert_rows_are_independent, lambda rows: rows[:, 1] - rows[:, 1].mean(), ARRAY, sample=2)
    assert said.startswith("prediction depends on the rows beside it: 2 of 2 rows")
    with pytest.raises(TypeError, match="two rows"):
        assert_rows_are_independent(price, HOUSES.head(1))


def test_sound_predictions_are_finite_bounded_and_leave_the_rows_alone() -> None:
    assert_sound(price, HOUSES, low=0, high=244)
    said = fails(assert_sound, lambda rows: np.where(rows["rooms"] == 3, np.nan, 1.5), HOUSES, low=0, high=1)
    assert said.splitlines()[0] == "prediction of 4 of 4 rows is no finite number within 0 and 1"
    assert "  row c: nan" in said
    assert "1 of 4 rows is no finite number\n  row a: inf" in fails(
        assert_sound, lambda rows: np.where(rows["rooms"] == 1, np.inf, 0), HOUSES
    )

    def careless(rows: pd.DataFrame) -> Any:
        rows["area"] = rows["area"] / 10
        return rows["area"]

    assert "changes the rows that it is given\n  area differs by" in fails(assert_sound, careless, HOUSES)


def test_every_row_has_a_prediction() -> None:
    assert fails(assert_sound, lambda _: 1.0, HOUSES) == "prediction has shape (), not one entry for each of 4 rows"
    assert "shape (3,)" in fails(assert_sound, lambda rows: rows["area"].head(3), HOUSES)


# --- frameworks


def test_tensors_are_compared_wherever_their_gradients_are() -> None:
    torch = pytest.importorskip("torch")
    rows = torch.tensor(ARRAY, dtype=torch.float32)
    layer = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(layer.weight, 1.0)

    assert_sound(layer, rows)
    assert_rows_are_independent(layer, rows, tolerance=1e-4)
    assert_directional(layer, rows, lambda given: given + 1, direction="up", by=1.9)
    assert_deterministic(
        lambda seed: torch.nn.init.normal_(torch.empty(3), generator=torch.Generator().manual_seed(seed))
    )
    assert "2 of 4 rows" not in fails(
        assert_invariant, lambda given: layer(given).bfloat16(), rows, lambda given: given * 2
    )
