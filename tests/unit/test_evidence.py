"""What a run produced, as it can be compared."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from kit.evidence import Point, collect, same
from kit.project import open_project
from kit.run import Run
from kit.trackers.spool import Spool
from tests import factories


def test_points_parameters_and_files_are_collected(project: Path) -> None:
    opened = open_project(project)
    paths = opened.paths.run("abc123")
    paths.root.mkdir(parents=True)
    run = Run(paths, name="x", seed=1, spool=Spool(paths.spool))
    for step, loss in enumerate([1.0, math.nan, 0.5]):
        run.log({"loss": loss}, step)
    (run.dir / "note.txt").write_text("a\n")
    run.artifact(run.dir / "note.txt", "deep/note.txt")
    record = replace(factories.record(), metrics={"loss": 0.5, "late": 2.0})

    found = collect(opened, record)
    assert [point.step for point in found.series["loss"]] == [0, 1, 2]
    assert same(found.series["loss"][1].value, math.nan)
    assert found.series["late"] == (Point(0, 2.0),)
    assert found.artifacts == {"deep/note.txt": "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"}
    assert (found.params, found.folder, found.points) == ({"model.rate": "0.2"}, True, 4)


def test_of_a_run_whose_folder_is_gone_the_last_values_are_known(project: Path) -> None:
    record = replace(factories.record(), metrics={"loss": 0.5})
    found = collect(open_project(project), record)
    assert (found.series, found.artifacts, found.folder) == ({"loss": (Point(0, 0.5),)}, {}, False)


def test_values_are_the_same_bit_for_bit() -> None:
    assert same(0.1, 0.1)
    assert same(math.nan, -math.nan)
    assert not same(0.0, -0.0)
    assert not same(0.3, 0.1 + 0.2)
