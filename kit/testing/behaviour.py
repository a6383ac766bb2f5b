"""Tests of what a model does, over callables of your own: any framework that gives arrays, tables or tensors.

What they are after:

- Ribeiro, Wu, Guestrin, Singh: Beyond Accuracy: Behavioral Testing of NLP Models with CheckList. ACL 2020. Invariance,
  directional expectation and minimum functionality, there for texts.
- Breck, Cai, Nielsen, Salib, Sculley: The ML Test Score. IEEE Big Data 2017. Training is reproducible (Infra 1),
  training and serving compute the same features (Monitor 3), models are numerically stable (Monitor 5).
- Karpathy: A Recipe for Training Neural Networks. 2019. The loss at the beginning, and a single batch overfitted.

Each says by how much, and of which rows, it fails. A test that could not fail as it is set up, since the perturbation
changes nothing, fails as well.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from kit.testing._arrays import Array, apart, by_row, different, leaves, row_names, take, worst

__all__ = [
    "assert_deterministic",
    "assert_directional",
    "assert_initial_loss",
    "assert_invariant",
    "assert_monotone",
    "assert_overfits",
    "assert_predicts",
    "assert_rows_are_independent",
    "assert_same_features",
    "assert_sound",
]

Direction = Literal["up", "down"]
Predict = Callable[[Any], Any]
"""Rows in; one prediction, or one row of an array, for each out."""


def assert_deterministic(
    result: Callable[[int], Any], *, seed: int = 0, other_seed: int | None = 1, tolerance: float = 0.0
) -> None:
    """The same seed gives the same, and another seed something else (Breck et al., Infra 1).

    Args:
        result: From a seed to metrics, weights or predictions: arrays, tables, tensors, or mappings of them.
        other_seed: None for what takes no seed: there another one cannot matter.
        tolerance: How far numbers may be apart. Only 0 says that it can be repeated.
    """
    __tracebackhide__ = True
    first = _kept(result(seed))
    if not first:
        raise AssertionError("the result is empty: nothing can be compared")
    if lines := different(first, _kept(result(seed)), tolerance):
        raise AssertionError(_listed(f"seed {seed} gives another result the second time", lines))
    if other_seed is not None and not different(first, _kept(result(other_seed)), tolerance):
        raise AssertionError(
            f"seeds {seed} and {other_seed} give the same result: the seed reaches nothing (other_seed=None if so)"
        )


def assert_overfits(step: Callable[[], Any], *, below: float, steps: int = 200) -> None:
    """Trained on one batch again and again, the loss falls below a value: what can learn at all can learn that.

    Args:
        step: Trains once, always on the same few rows, and returns the loss before it (Karpathy 2019).
        below: What the loss must come to; take one that guessing does not reach.
        steps: How often to train at most.
    """
    __tracebackhide__ = True
    losses: list[float] = []
    for _ in range(steps):
        losses.append(_number(step()))
        if not math.isfinite(losses[-1]):
            raise AssertionError(f"the loss is {losses[-1]} at step {len(losses) - 1}{_course(losses[:-1])}")
        if losses[-1] < below:
            break
    else:
        least = f"; the least was {min(losses):.6g} at step {losses.index(min(losses))}" if losses else ""
        raise AssertionError(f"one batch is not learned in {steps} steps, to below {below:.6g}{_course(losses)}{least}")
    if len(losses) == 1:
        raise AssertionError(f"the loss is {losses[0]:.6g} before anything is learned, below {below:.6g} already")


def assert_initial_loss(
    loss: Any, expected: float | None = None, *, classes: int | None = None, rtol: float = 0.2
) -> None:
    """Before training, the loss is that of knowing nothing: `log(classes)` for a softmax (Karpathy 2019).

    Args:
        loss: Of the model as it is made.
        expected: What it should be; or else `classes`.
        rtol: How far it may be off, as a share of that.
    """
    __tracebackhide__ = True
    if (expected is None) == (classes is None):
        raise TypeError("give either `expected` or `classes`")
    wanted = math.log(classes) if classes is not None else float(expected or 0.0)
    value = _number(loss)
    if not abs(value - wanted) <= rtol * abs(wanted):
        raise AssertionError(
            f"the loss before training is {value:.6g}, not {wanted:.6g} as of who knows nothing; off by "
            f"{abs(value - wanted):.3g}, {rtol * abs(wanted):.3g} is allowed"
        )


def assert_invariant(predict: Predict, rows: Any, perturb: Callable[[Any], Any], *, tolerance: float = 0.0) -> None:
    """What must not matter does not: the predictions stay (CheckList's INV).

    Args:
        perturb: From rows to as many rows that mean the same; it gets a copy.
        tolerance: How far a number may move.
    """
    __tracebackhide__ = True
    for name, was, became in _before_and_after(predict, rows, perturb):
        far = apart(was, became)
        _refuse(far - tolerance, far, row_names(rows), was, became, f"{name} changed that should not", tolerance)


def assert_directional(
    predict: Predict,
    rows: Any,
    perturb: Callable[[Any], Any],
    *,
    direction: Direction,
    by: float = 0.0,
    tolerance: float = 0.0,
) -> None:
    """What makes it more likely moves the prediction that way, or not at all (CheckList's DIR).

    Args:
        perturb: From rows to as many rows; it gets a copy.
        direction: Where predictions should go.
        by: How far they must go at least, on average: 0 lets them all stay.
        tolerance: How far one may go the other way.
    """
    __tracebackhide__ = True
    for name, was, became in _before_and_after(predict, rows, perturb):
        sign = _sign(direction)
        back = -sign * (_numbers(became, name) - _numbers(was, name))
        what = f"{name} went {_opposite(direction)} that should go {direction}"
        _refuse(_excess(back, tolerance), back, row_names(rows), was, became, what, tolerance)
        if (mean := float(-back.mean())) < by:
            raise AssertionError(f"{name} went {direction} by {mean:.3g} on average, at least {by:.3g} is expected")


def assert_monotone(
    predict: Predict,
    rows: Any,
    column: Any,
    values: Sequence[Any],
    *,
    direction: Direction,
    tolerance: float = 0.0,
) -> None:
    """As one column goes through `values`, the rest as it is, no row's prediction turns back.

    Args:
        rows: A table or an array of shape (n, columns).
        column: Its name in a table, its number in an array.
        values: In order; two at least.
        tolerance: How far a prediction may turn back in one step.
    """
    __tracebackhide__ = True
    if len(values) < 2:
        raise TypeError(f"{len(values)} values have no order: give two at least")
    sign, names = _sign(direction), row_names(rows)
    before: dict[str, Array] | None = None
    for last, value in zip([None, *values], values, strict=False):
        now = _predictions(predict, _with_column(rows, column, value))
        for name in now if before is not None else ():
            was, became = before[name], now[name]  # type: ignore[index]
            back = -sign * (_numbers(became, name) - _numbers(was, name))
            what = f"{name or 'prediction'} went {_opposite(direction)} as {column} went from {last} to {value}"
            _refuse(_excess(back, tolerance), back, names, was, became, what, tolerance)
        before = now


def assert_predicts(predict: Predict, rows: Any, expected: Any, *, tolerance: float = 0.0) -> None:
    """Easy cases have the answer that anybody would give (CheckList's MFT: minimum functionality).

    Args:
        expected: One answer for each row.
        tolerance: How far a number may be from it.
    """
    __tracebackhide__ = True
    wanted, got = by_row(expected, len(rows), "expected"), _predictions(predict, rows)
    if set(wanted) != set(got):
        raise AssertionError(f"predictions are {sorted(got)}, expected were {sorted(wanted)}")
    for name, was in wanted.items():
        _same_shape(was, got[name], name)
        far = apart(was, got[name])
        what = f"{name or 'prediction'} is not what was expected"
        _refuse(far - tolerance, far, row_names(rows), was, got[name], what, tolerance)


def assert_same_features(
    training: Callable[[Any], Any], serving: Callable[[Any], Any], rows: Any, *, tolerance: float = 0.0
) -> None:
    """The path that training takes and the one that serving takes compute the same features (Breck et al., Monitor 3).

    Columns, their order, and their kinds of numbers count as well: a model sees all of that.

    Args:
        training: From rows to features, as they are trained on.
        serving: From the same rows to features, as a request's are made.
        rows: What both get, a copy each.
        tolerance: How far numbers may be apart.
    """
    __tracebackhide__ = True
    count, names = len(rows), row_names(rows)
    one = by_row(training(copy.deepcopy(rows)), count, "training feature")
    other = by_row(serving(copy.deepcopy(rows)), count, "serving feature")
    if list(one) != list(other):
        lacks, more = [name for name in one if name not in other], [name for name in other if name not in one]
        said = [f"serving lacks {', '.join(lacks)}"] * bool(lacks) + [f"serving adds {', '.join(more)}"] * bool(more)
        order = f"the order is {', '.join(one)} in training, {', '.join(other)} in serving"
        raise AssertionError(_listed("training and serving have other features", said or [order]))
    wrong = []
    for name, was in one.items():
        became = other[name]
        _same_shape(was, became, name)
        if was.dtype.kind != became.dtype.kind:
            wrong.append(f"{name or 'features'}: {was.dtype} in training, {became.dtype} in serving")
        far = apart(was, became)
        if (bad := _rows(far > tolerance)).any():
            most = f", by {far.max():.3g} at most" if np.isfinite(far.max()) else ""
            wrong.append(f"{name or 'features'}: {bad.sum()} of {count} rows{most}")
            wrong += [f"  {line}" for line in worst(far - tolerance, names, was, became)]
    if wrong:
        raise AssertionError(_listed("training and serving compute other features (training became serving)", wrong))


def assert_rows_are_independent(predict: Predict, rows: Any, *, sample: int = 20, tolerance: float = 0.0) -> None:
    """A row has the same prediction alone and among others: nothing leaks from one to the next.

    Args:
        sample: How many rows are predicted alone, the first.
        tolerance: How far a number may move; sums of another length may need 1e-6.
    """
    __tracebackhide__ = True
    if len(rows) < 2:
        raise TypeError("two rows at least, or there are no others")
    together, names = _predictions(predict, rows), row_names(rows)
    places = range(min(sample, len(rows)))
    alone = [_predictions(predict, take(rows, [place])) for place in places]
    for name, all_of_them in together.items():
        was, became = all_of_them[: len(places)], np.concatenate([each[name] for each in alone])
        far = apart(was, became)
        what = f"{name or 'prediction'} depends on the rows beside it"
        _refuse(far - tolerance, far, names, was, became, what, tolerance)


def assert_sound(predict: Predict, rows: Any, *, low: float = -math.inf, high: float = math.inf) -> None:
    """One prediction for each row, all of them finite and within bounds, and the rows as they were before.

    Breck et al., Monitor 5: values that are no numbers come unnoticed.
    """
    __tracebackhide__ = True
    given, names = copy.deepcopy(rows), row_names(rows)
    for name, got in by_row(predict(given), len(rows), "prediction").items():
        if got.dtype.kind not in "fiub":
            continue
        numbers = got.astype(np.float64)
        bad = _rows(~(np.isfinite(numbers) & (numbers >= low) & (numbers <= high)))
        if bad.any():
            shown = [f"row {names[row]}: {got[row]}" for row in np.flatnonzero(bad)[:5]]
            bounds = f" within {low:g} and {high:g}" if math.isfinite(low) or math.isfinite(high) else ""
            what = f"{name or 'prediction'} of {bad.sum()} of {len(rows)} rows is no finite number{bounds}"
            raise AssertionError(_listed(what, shown))
    if lines := different(leaves(rows), leaves(given), 0.0):
        raise AssertionError(_listed("to predict changes the rows that it is given", lines))


def _before_and_after(predict: Predict, rows: Any, perturb: Callable[[Any], Any]) -> list[tuple[str, Array, Array]]:
    __tracebackhide__ = True
    changed = perturb(copy.deepcopy(rows))
    if len(changed) != len(rows):
        raise AssertionError(f"the perturbation made {len(changed)} rows of {len(rows)}")
    if not len(rows) or not different(leaves(rows), leaves(changed), 0.0):
        raise AssertionError("the perturbation changes none of the rows: the test cannot fail")
    one, other = _predictions(predict, rows), _predictions(predict, changed)
    for name, was in one.items():
        _same_shape(was, other.get(name, np.empty(0)), name)
    return [(name or "prediction", was, other[name]) for name, was in one.items()]


def _predictions(predict: Predict, rows: Any) -> dict[str, Array]:
    __tracebackhide__ = True
    return by_row(_kept(predict(copy.deepcopy(rows))), len(rows), "prediction")


def _kept(value: Any) -> dict[str, Array]:
    """Copies: some models give the same memory each time they are asked."""
    return {name: np.array(array) for name, array in leaves(value).items()}


def _refuse(
    excess: Array, far: Array, names: Sequence[str], was: Array, became: Array, what: str, tolerance: float
) -> None:
    __tracebackhide__ = True
    excess = np.where(np.isnan(excess), np.inf, excess)
    bad = _rows(excess > 0)
    if bad.any():
        reach = np.where(np.isfinite(far) & (excess > 0), far, -np.inf).max()
        most = f", by {reach:.3g} at most" if math.isfinite(reach) else ""
        allowed = f" ({tolerance:.3g} is tolerated)" if tolerance else ""
        raise AssertionError(
            _listed(f"{what}: {bad.sum()} of {len(bad)} rows{most}{allowed}", worst(excess, names, was, became))
        )


def _rows(bad: Array) -> Array:
    """Of each row, whether anything of it is bad."""
    return np.asarray(bad.reshape(len(bad), -1).any(axis=1))


def _excess(back: Array, tolerance: float) -> Array:
    return np.where(np.isnan(back), np.inf, back - tolerance)


def _same_shape(was: Array, became: Array, name: str) -> None:
    __tracebackhide__ = True
    if was.shape != became.shape:
        raise AssertionError(f"{name or 'prediction'} has shape {was.shape} and then {became.shape}")


def _numbers(values: Array, name: str) -> Array:
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name or 'prediction'} is {values.dtype}, which has no direction: predict a number")
    return values.astype(np.float64)


def _number(value: Any) -> float:
    item = getattr(value, "item", None)
    return float(value if item is None else item())


def _with_column(rows: Any, column: Any, value: Any) -> Any:
    changed = copy.deepcopy(rows)
    if not hasattr(rows, "columns"):
        changed[:, column] = value
        if not np.isclose(float(changed[0, column]), value, rtol=1e-2):
            raise TypeError(f"{changed.dtype} cannot hold {value}: give rows that can")
        return changed
    if column not in rows.columns:
        raise KeyError(f"the rows have no column {column!r}")
    changed[column] = value
    return changed


def _sign(direction: Direction) -> int:
    if direction not in {"up", "down"}:
        raise TypeError(f"direction is 'up' or 'down', not {direction!r}")
    return 1 if direction == "up" else -1


def _opposite(direction: Direction) -> str:
    return "down" if direction == "up" else "up"


def _course(losses: Sequence[float]) -> str:
    return f" (it began with {losses[0]:.6g} and ended with {losses[-1]:.6g})" if losses else ""


def _listed(what: str, lines: Sequence[str]) -> str:
    return "\n".join([what, *(f"  {line}" for line in lines)])
