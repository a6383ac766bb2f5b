"""The picture: well-formed whatever functions are called, as wide as the time that went there, bounded in size."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from kit.profiling._stacks import Call, Owner
from kit.profiling._svg import draw

SVG = "{http://www.w3.org/2000/svg}"


def boxes(tree: Call) -> dict[str, tuple[float, float, int]]:
    """By name: where a box begins and how wide it is, as parts of the whole, and its row."""
    root = ET.fromstring(draw(tree, title="run a1", rate=100, seconds=2.5))
    return {
        box.attrib["data-name"]: (
            float(box.attrib["data-x"]),
            float(box.attrib["data-w"]),
            int(box.attrib["data-y"]),
        )
        for box in root.iter(f"{SVG}g")
    }


def test_a_box_is_as_wide_as_the_time_that_went_there() -> None:
    tree = Call("all", "", Owner.GROUP)
    tree.add([("beside", "", Owner.GROUP, 0), ("send", "mlflow/x.py", Owner.LIBRARY, 1)], 60)
    tree.add([("train", "src/t.py", Owner.PROJECT, 5), ("fit", "sklearn/base.py", Owner.LIBRARY, 7)], 30)
    tree.add([("train", "src/t.py", Owner.PROJECT, 6)], 10)
    assert boxes(tree) == {
        "all": (0.0, 1.0, 0),
        "train (src/t.py)": (0.0, 0.4, 1),  # before what went on beside it
        "fit (sklearn/base.py)": (0.0, 0.3, 2),
        "beside": (0.4, 0.6, 1),
        "send (mlflow/x.py)": (0.4, 0.6, 2),
    }


def test_the_hint_names_the_lines() -> None:
    tree = Call("all", "", Owner.GROUP)
    tree.add([("train", "src/t.py", Owner.PROJECT, 5)], 75)
    tree.add([("train", "src/t.py", Owner.PROJECT, 6)], 25)
    hints = [hint.text for hint in ET.fromstring(draw(tree, title="x", rate=100, seconds=1)).iter(f"{SVG}title")]
    assert "train (src/t.py)\n1.00 s, 100.0%\nline 5: 75%\nline 6: 25%" in hints


def test_any_name_can_be_drawn() -> None:
    names = ["<lambda>", 'a"b', "a&b", "a]]>b", "\x00\x1b[31m", "größe", "<script>alert(1)</script>"]
    tree = Call("all", "", Owner.GROUP)
    for name in names:
        tree.add([(name, name, Owner.PROJECT, 1)], 1)
    text = draw(tree, title="]]></script>", rate=100, seconds=1)
    assert text.count("<script>") == 1
    assert len(boxes(tree)) == len(names) + 1


def test_nothing_seen_is_a_picture_too() -> None:
    assert boxes(Call("all", "", Owner.GROUP)) == {"all": (0.0, 1.0, 0)}


def test_a_function_that_calls_itself_for_ever_has_a_bounded_picture() -> None:
    tree = Call("all", "", Owner.GROUP)
    tree.add([("f", "src/t.py", Owner.PROJECT, 1)] * 5000, 100)
    for index in range(20_000):
        tree.add([(f"rare{index}", "src/t.py", Owner.PROJECT, 1)], 1)
    assert len(draw(tree, title="x", rate=100, seconds=1)) < 1 << 20
