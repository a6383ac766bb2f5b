"""The flights as they are stored, as far as they are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from {{ cookiecutter.__package_name }}.data import (
    ingest,
    instant,
    load,
    main,
    months_known,
)


def test_all_flights_of_the_year_are_there_each_in_the_file_of_its_month(folder: Path) -> None:
    months = [load(folder, [month]) for month in range(1, 13)]

    assert sum(map(len, months)) == 336_776
    assert [set(flights["month"]) for flights in months] == [{month} for month in range(1, 13)]
    assert len(load(folder)) == 336_776


@pytest.mark.parametrize("months", [1, 2, 12])
def test_the_same_files_come_out_again_however_many_months_are_known(months: int, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "month=12.parquet").write_bytes(b"of another time")

    ingest(tmp_path, months=months)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"month={month:02}.parquet" for month in range(1, months + 1)]
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_month_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no month=13\.parquet; `data=known` takes"):
        load(folder, [13])


@pytest.mark.parametrize(
    ("at", "months"),
    [
        ("2013-02-01T00:00:00+00:00", 1),
        ("2013-02-28T23:59:59+00:00", 1),
        ("2013-03-01", 2),
        ("2013-12-31T20:00:00-05:00", 12),
        ("2014-01-01T02:00:00+02:00", 12),
        ("2014-01-01T01:59:59+02:00", 11),
        ("2031-05-05", 12),
    ],
)
def test_a_month_is_known_from_the_instant_it_is_over(at: str, months: int) -> None:
    assert months_known(instant(at)) == months


@pytest.mark.parametrize("at", ["2013-01-31T23:59:59+00:00", "2013-02-01T00:59:59+01:00", "2012-12-31"])
def test_before_february_nothing_is_known(at: str) -> None:
    with pytest.raises(ValueError, match="from 2013-02-01 on"):
        months_known(instant(at))


@pytest.mark.parametrize(
    ("due", "arguments", "months"),
    [
        ("2013-03-01T07:00:00+00:00", [], 2),
        ("2013-03-01T07:00:00+00:00", ["--until", "2013-02-01"], 1),
        ("", [], 12),
    ],
)
def test_the_stage_writes_what_was_known_when_the_run_was_due_or_at_the_given_instant_or_now(
    due: str, arguments: list[str], months: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIT_SCHEDULED_AT", due)

    main(arguments)

    assert set(load(Path("data/flights"))["month"]) == set(range(1, months + 1))


@pytest.mark.parametrize(
    ("due", "said"),
    [
        ("2013-01-15T07:00:00+00:00", "no flights are known at 2013-01-15T07:00"),
        ("soon", "invalid instant value: 'soon'"),
    ],
)
def test_a_stage_that_has_nothing_to_write_leaves_what_is_there(
    due: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "data" / "flights" / "month=01.parquet"
    there.parent.mkdir(parents=True)
    there.touch()
    monkeypatch.setenv("KIT_SCHEDULED_AT", due)

    with pytest.raises(SystemExit) as ended:
        main([])

    assert said in f"{ended.value} {capsys.readouterr().err}"
    assert there.exists()
