"""Whether two results are the same, and what is suspected first."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.compare import Change, Difference
from kit.errors import UserError
from kit.evidence import Evidence, Point
from kit.states import RunStatus
from kit.verdicts import SuspectKind, Tolerance, Verdict, conclude, judge, parse_tolerance, suspects

QUOTED = """\
diff --git "a/say \\"b/hello\\".py" "b/say \\"b/hello\\".py"
--- "a/say \\"b/hello\\".py"
+++ "b/say \\"b/hello\\".py"
@@ -1 +1 @@
-1
+2
"""


def produced(*values: float, **changes: object) -> Evidence:
    facts: dict[str, object] = {
        "run_id": "a",
        "status": RunStatus.SUCCEEDED,
        "series": {"loss": tuple(Point(step, value) for step, value in enumerate(values))},
        "params": {"rate": "0.1"},
        "artifacts": {"model.pt": "f" * 64},
    }
    return Evidence(**{**facts, **changes})  # type: ignore[arg-type]


def test_the_same_is_identical_and_nan_is_the_same_as_nan() -> None:
    assert judge(produced(1.0, math.nan), produced(1.0, math.nan)) == ()
    assert conclude(()) is Verdict.IDENTICAL


def test_a_bit_counts() -> None:
    one = 0.1 + 0.2
    (finding,) = judge(produced(1.0, one), produced(1.0, 0.3))
    assert (finding.name, finding.step, finding.old, finding.new) == ("loss", 1, one, 0.3)
    assert conclude([finding]) is Verdict.DIFFERENT
    assert judge(produced(0.0), produced(-0.0)) != ()


def test_a_tolerance_is_for_values_not_for_points_that_are_missing() -> None:
    near = {"loss": Tolerance(absolute=0.01)}
    assert conclude(judge(produced(1.0, 2.0), produced(1.005, 2.0), near)) is Verdict.EQUAL
    assert conclude(judge(produced(1.0, 2.0), produced(1.02, 2.0), near)) is Verdict.DIFFERENT
    assert conclude(judge(produced(1.0, 2.0), produced(1.0), near)) is Verdict.DIFFERENT
    assert conclude(judge(produced(1.0), produced(1.005), {"accuracy": Tolerance(1.0)})) is Verdict.DIFFERENT
    assert conclude(judge(produced(1.0), produced(1.005), {"*": Tolerance(relative=0.01)})) is Verdict.EQUAL
    assert conclude(judge(produced(1.0), produced(math.nan), {"*": Tolerance(1.0)})) is Verdict.DIFFERENT


@pytest.mark.parametrize("new", [1.0, -math.inf, math.nan])
def test_what_was_infinite_is_near_to_itself_alone(new: float) -> None:
    anything = {"*": Tolerance(absolute=1e308, relative=10.0)}
    assert conclude(judge(produced(math.inf), produced(new), anything)) is Verdict.DIFFERENT
    assert conclude(judge(produced(math.inf), produced(math.inf), anything)) is Verdict.IDENTICAL


def test_parameters_artifacts_and_the_end_are_compared() -> None:
    old = produced(1.0)
    new = produced(1.0, params={"rate": "0.2"}, artifacts={"other": "0" * 64}, status=RunStatus.FAILED)
    assert [(f.kind, f.name) for f in judge(old, new)] == [
        ("status", "status"),
        ("parameter", "rate"),
        ("artifact", "model.pt"),
        ("artifact", "other"),
    ]
    another = produced(1.0, artifacts={"model.pt": "0" * 64})
    assert conclude(judge(old, another)) is Verdict.DIFFERENT
    assert conclude(judge(old, another, {"loss": Tolerance(0.1)})) is Verdict.EQUAL
    assert conclude(judge(old, produced(1.0, artifacts={}), {"loss": Tolerance(0.1)})) is Verdict.DIFFERENT


def test_without_its_folder_the_last_values_of_a_run_are_compared() -> None:
    bare = produced(folder=False, artifacts={}, series={"loss": (Point(0, 2.0),)})
    assert judge(bare, produced(1.0, 2.0)) == ()
    assert [finding.name for finding in judge(bare, produced(1.0, 3.0))] == ["loss"]


numbers = st.floats() | st.sampled_from([0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf])
neighbours = numbers.map(lambda value: (value, math.nextafter(value, math.inf)))


@given(st.tuples(numbers, numbers) | neighbours | numbers.map(lambda value: (value, value)))
def test_bit_for_bit_is_as_python_writes_a_number_and_no_tolerance_as_it_compares_them(
    pair: tuple[float, float],
) -> None:
    old, new = pair
    # What Python writes is read back as the same number; it writes every NaN as "nan", and -0.0 with its sign.
    assert (conclude(judge(produced(old), produced(new))) is Verdict.IDENTICAL) == (repr(old) == repr(new))
    tolerant = conclude(judge(produced(old), produced(new), {"*": Tolerance()}))
    assert (tolerant is not Verdict.DIFFERENT) == (old == new or (math.isnan(old) and math.isnan(new)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auc=0.01", ("auc", Tolerance(absolute=0.01))),
        ("0.5", ("*", Tolerance(absolute=0.5))),
        ("valid/auc=1%", ("valid/auc", Tolerance(relative=0.01))),
    ],
)
def test_tolerances_are_read(text: str, expected: tuple[str, Tolerance]) -> None:
    assert parse_tolerance(text) == expected


@pytest.mark.parametrize("text", ["", "auc=", "auc=-1", "auc=nan", "inf", "auc=1%%", "auc"])
def test_what_is_no_tolerance_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no tolerance"):
        parse_tolerance(text)


def test_suspicion_has_an_order() -> None:
    def change(name: str) -> tuple[Change, ...]:
        return (Change(name, "1", "2"),)

    found = Difference(
        code="diff --git a/src/a b.py b/src/a b.py\n-1\n+2\n" + QUOTED,
        omitted=change("big.bin"),
        data=change("data/x"),
        config=(*change("(seed)"), *change("rate")),
        environment=(*change("(lock)"), *change("numpy")),
        host=change("cores"),
        metrics=(),
    )
    kinds = [(suspect.kind, suspect.name) for suspect in suspects(found)]
    assert kinds == [
        (SuspectKind.DATA, "data/x"),
        (SuspectKind.CODE, "src/a b.py"),
        (SuspectKind.CODE, 'say "b/hello".py'),
        (SuspectKind.CODE, "big.bin"),
        (SuspectKind.ENVIRONMENT, "numpy"),
        (SuspectKind.CONFIG, "rate"),
        (SuspectKind.SEED, "seed"),
        (SuspectKind.HARDWARE, "cores"),
    ]
