"""What a task does with its run: everything lands in the spool, in order, as numbers and texts."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kit.errors import UserError
from kit.models import MetricPoint
from kit.run import Run
from kit.testing import fake_run
from kit.trackers import MemoryTracker
from kit.trackers.spool import _read, deliver


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return fake_run(tmp_path, seed=5)


def delivered(run: Run) -> MemoryTracker:
    """What a tracker would get."""
    tracker = MemoryTracker()
    run._paths.sent.unlink(missing_ok=True)
    deliver(run._paths, tracker)
    return tracker


def points(run: Run) -> list[tuple[str, float, int]]:
    return [(point.key, point.value, point.step) for point in delivered(run).points]


def shown(run: Run) -> list[tuple[int, int | None]]:
    lines = [line for batch, _ in _read(run._paths.spool) for line in batch]
    return [line.progress[1:] for line in lines if line.progress is not None]


@pytest.mark.parametrize("value", [1, 1.0, True, Decimal("1.0"), Fraction(1)], ids=lambda value: type(value).__name__)
def test_anything_that_is_a_number_can_be_logged(run: Run, value: Any) -> None:
    run.log({"one": value})
    assert points(run) == [("one", 1.0, 0)]
    assert [type(kept) for kept in run.metrics.values()] == [float]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int64", "uint8", "bool_", "asarray"])
def test_what_numpy_calls_a_number_can_be_logged(run: Run, kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    run.log({"one": getattr(numpy, kind)(1)})
    assert points(run) == [("one", 1.0, 0)]
    assert [type(kept) for kept in run.metrics.values()] == [float]


def test_a_tensor_of_one_element_can_be_logged(run: Run) -> None:
    torch = pytest.importorskip("torch")
    run.log({"zero_d": torch.tensor(1.5), "one": torch.tensor([1.5]), "grad": torch.tensor(1.5, requires_grad=True)})
    assert points(run) == [("zero_d", 1.5, 0), ("one", 1.5, 0), ("grad", 1.5, 0)]


@pytest.mark.parametrize("value", [None, "high", [1], {"a": 1}, object()], ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused_and_nothing_of_it_is_logged(run: Run, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        run.log({"good": 1, "bad": value})
    run.log({"good": 2})
    assert points(run) == [("good", 2.0, 0)]
    assert run.metrics == {"good": 2.0}


def test_values_that_are_no_finite_number_stay_what_they_are(run: Run) -> None:
    run.log({"nan": math.nan, "up": math.inf, "down": -math.inf})
    values = {point.key: point.value for point in delivered(run).points}
    assert math.isnan(values["nan"])
    assert (values["up"], values["down"]) == (math.inf, -math.inf)


def test_each_metric_counts_its_own_steps(run: Run) -> None:
    run.log({"a": 1})
    run.log({"a": 2, "b": 3})
    run.log({"b": 4}, step=10)
    run.log({"a": 5, "b": 6})
    assert points(run) == [("a", 1, 0), ("a", 2, 1), ("b", 3, 0), ("b", 4, 10), ("a", 5, 2), ("b", 6, 11)]
    assert run.metrics == {"a": 5.0, "b": 6.0}


def test_a_point_knows_when_it_was_logged(run: Run) -> None:
    run.log({"a": 1})
    run.log({"a": 1})
    first, second = (point.timestamp for point in delivered(run).points)
    assert 1.7e9 < first <= second


def test_threads_lose_and_double_nothing(run: Run) -> None:
    started = threading.Barrier(8)

    def work() -> None:
        started.wait()
        for _ in range(200):
            run.log({"shared": 1.0})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(step for _, _, step in points(run)) == list(range(1600))


def test_names_are_mended_as_parameters_are(run: Run) -> None:
    run.log({"acc@5": 1, "val/loss": 2})
    assert {key for key, _, _ in points(run)} == {"acc_5", "val/loss"}


def test_parameters_are_flat_and_keep_their_value(run: Run) -> None:
    run.params({"data": {"rows": 5, "columns": ["a", "b"]}})
    run.params({"data": {"rows": 5}})
    with pytest.raises(ValueError, match=r"'data.rows' is '5' already and cannot become '6'"):
        run.params({"data": {"rows": 6}})
    assert delivered(run).params == {"data.rows": "5", "data.columns": '["a", "b"]'}


def test_a_conflict_keeps_back_all_that_came_with_it(run: Run) -> None:
    run.params({"a": 1})
    with pytest.raises(ValueError, match="'a'"):
        run.params({"b": 2, "a": 3})
    run.params({"b": 4})
    assert delivered(run).params == {"a": "1", "b": "4"}


@pytest.mark.parametrize(
    "values",
    [
        {"db": {"password": "hunter2hunter2"}},
        {"api_token": "hunter2hunter2"},
        {"url": "postgresql://me:hunter2hunter2@host/db"},
        {"sources": [{"url": "s3://x", "secret_key": "hunter2hunter2"}]},
    ],
    ids=["named in a section", "named", "in a URL", "in a list"],
)
def test_secrets_among_parameters_are_masked(run: Run, values: dict[str, Any]) -> None:
    run.params(values)
    assert "hunter2hunter2" not in run._paths.spool.read_text()
    assert "***" in str(delivered(run).params)


def test_an_artifact_is_copied_at_once(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"first")
    kept = run.artifact(source)
    source.write_bytes(b"second")
    assert kept.read_bytes() == b"first"
    assert kept.is_relative_to(run.dir / "artifacts")
    assert delivered(run).artifacts == {"model.bin": kept}


def test_an_artifact_can_be_called_otherwise_and_be_replaced(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "x"
    for text in ("one", "two"):
        source.write_text(text)
        kept = run.artifact(source, "reports/final/x.txt")
    assert kept.read_text() == "two"
    assert list(delivered(run).artifacts) == ["reports/final/x.txt"]


def test_a_folder_is_an_artifact_too(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("a")
    kept = run.artifact(folder, "all plots")
    (folder / "b.txt").write_text("b")
    run.artifact(folder, "all plots")
    assert sorted(path.name for path in kept.rglob("*.txt")) == ["a.txt", "b.txt"]


def test_what_is_in_the_artifacts_folder_already_stays(run: Run) -> None:
    here = run.dir / "artifacts" / "own.txt"
    here.parent.mkdir(exist_ok=True)
    here.write_text("mine")
    assert run.artifact(here).read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "", ".."])
def test_an_artifact_cannot_leave_the_run(run: Run, tmp_path: Path, name: str) -> None:
    source = tmp_path / "x"
    source.write_text("x")
    with pytest.raises(UserError, match="cannot be called") as caught:
        run.artifact(source, name)
    assert caught.value.fix is not None
    assert delivered(run).artifacts == {}


def test_an_artifact_that_is_not_there_is_the_tasks_mistake(run: Run) -> None:
    with pytest.raises(FileNotFoundError):
        run.artifact("nothing.txt")
    assert delivered(run).artifacts == {}


@pytest.mark.parametrize(("name", "magic"), [("loss", b"\x89PNG"), ("plots/loss.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_figure_becomes_an_image(run: Run, name: str, magic: bytes) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure()
    figure.subplots().plot([1, 2])
    kept = run.figure(figure, name)
    assert kept.read_bytes().startswith(magic)
    assert list(delivered(run).artifacts) == [str(kept.relative_to(run.dir / "artifacts"))]


def test_a_figure_cannot_leave_the_run(run: Run) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    with pytest.raises(UserError):
        run.figure(figures.Figure(), "../../loss.png")


def test_progress_gives_every_item_in_order_and_counts_to_the_end(run: Run) -> None:
    assert list(run.progress("abc", "letters")) == ["a", "b", "c"]
    assert shown(run)[0] == (0, 3)
    assert shown(run)[-1] == (3, 3)


def test_progress_knows_the_end_of_a_generator_only_when_told(run: Run) -> None:
    assert list(run.progress(iter(range(4)))) == [0, 1, 2, 3]
    assert shown(run)[-1] == (4, None)
    assert list(run.progress(iter(range(2)), total=2)) == [0, 1]
    assert shown(run)[-1] == (2, 2)


def test_progress_of_nothing_is_complete(run: Run) -> None:
    assert list(run.progress([])) == []
    assert shown(run) == [(0, 0)]


def test_progress_takes_an_item_only_when_it_is_asked_for(run: Run) -> None:
    taken = []

    def source() -> Iterator[int]:
        for number in range(3):
            taken.append(number)
            yield number

    going = run.progress(source())
    assert taken == []
    assert next(going) == 0
    assert taken == [0]


def test_an_error_in_the_loop_is_not_shown_as_an_end(run: Run) -> None:
    def loop() -> None:
        for number in run.progress(range(5)):
            if number == 2:
                raise ValueError("two")

    with pytest.raises(ValueError, match="two"):
        loop()
    assert (5, 5) not in shown(run)


def test_an_error_of_the_iterable_reaches_the_task(run: Run) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(run.progress(source()))


def save(run: Run, step: int, text: str, *, keep: int = 3) -> None:
    with run.checkpoint(step, keep=keep) as folder:
        (folder / "model.txt").write_text(text)


def test_the_latest_checkpoint_is_found(run: Run) -> None:
    assert run.latest_checkpoint() is None
    save(run, 9, "nine")
    save(run, 10, "ten")
    found = run.latest_checkpoint()
    assert found is not None
    assert found[0] == 10
    assert (found[1] / "model.txt").read_text() == "ten"


def test_a_checkpoint_that_fails_leaves_the_one_before(run: Run) -> None:
    def fail(step: int) -> None:
        with run.checkpoint(step) as folder:
            (folder / "model.txt").write_text("half")
            raise RuntimeError("out of memory")

    save(run, 1, "whole")
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="out of memory"):
            fail(step)
    found = run.latest_checkpoint()
    assert found is not None
    assert (found[0], (found[1] / "model.txt").read_text()) == (1, "whole")
    save(run, 2, "again")  # what was left of the failed one is not in it
    found = run.latest_checkpoint()
    assert found is not None
    assert [path.name for path in found[1].iterdir()] == ["model.txt"]


def test_a_checkpoint_of_the_same_step_is_replaced_whole(run: Run) -> None:
    with run.checkpoint(1) as folder:
        (folder / "old.txt").write_text("old")
    save(run, 1, "new")
    found = run.latest_checkpoint()
    assert found is not None
    assert {path.name for path in found[1].iterdir()} == {"model.txt"}
    assert len(list((run.dir / "checkpoints").iterdir())) == 1


def test_what_an_interrupted_replacement_left_is_in_nobodys_way(run: Run) -> None:
    save(run, 1, "first")
    left = run.dir / "checkpoints" / "step-000000000001.replaced"
    left.mkdir()
    (left / "model.txt").write_text("older")
    save(run, 1, "second")
    found = run.latest_checkpoint()
    assert found is not None
    assert (found[1] / "model.txt").read_text() == "second"


def test_only_the_last_few_checkpoints_are_kept(run: Run) -> None:
    for step in range(6):
        save(run, step, str(step), keep=2)
    assert sorted(path.name[-1] for path in (run.dir / "checkpoints").iterdir()) == ["4", "5"]


def test_a_run_tells_who_it_is(run: Run) -> None:
    assert (run.id, run.name, run.seed) == ("run", "test", 5)
    assert repr(run) == "Run(id='run', name='test')"
    assert run.dir.is_dir()


def test_kit_gives_the_type_that_tasks_name() -> None:
    import kit

    assert kit.Run is Run
    assert kit.__all__ == ["Run"]
    with pytest.raises(AttributeError, match="Rnu"):
        _ = kit.Rnu


def test_the_last_point_counts_in_metrics(run: Run) -> None:
    run.log({"a": 1}, step=5)
    run.log({"a": 2}, step=1)
    assert run.metrics == {"a": 2.0}
    assert delivered(run).points[-1] == MetricPoint("a", 2.0, 1, delivered(run).points[-1].timestamp)
