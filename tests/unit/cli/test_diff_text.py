"""The difference of two runs as a terminal, or a pipe, gets it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from kit._shapes import Shape
from kit.cli import _diff_text, render
from kit.cli._diff_text import print_report
from kit.cli._diff_words import Report, amount, counted, file_details, output_details, pair, short_package, signed
from kit.compare import Change, Difference, MetricChange
from kit.compare_data import Content, DataChange, FileChange
from kit.snapshot import DataVersion
from tests.factories import record

NOTHING = Difference("", (), (), (), (), (), ())
LOCK = Change("(lock)", "a" * 64, "b" * 64)


@pytest.fixture(autouse=True)
def _fresh_console() -> Iterator[None]:
    render.console.cache_clear()
    yield
    render.console.cache_clear()


@pytest.fixture
def _terminal() -> Iterator[None]:
    """A terminal of 80 columns without colours."""

    def console(*, stderr: bool = False) -> Console:
        return Console(force_terminal=True, no_color=True, width=80, highlight=False, markup=False, emoji=False)

    with pytest.MonkeyPatch.context() as patched:  # gone before the console is looked at again
        patched.setattr(_diff_text, "console", console)
        patched.setattr(render, "console", console)
        yield


def shown(
    capsys: pytest.CaptureFixture[str],
    found: Difference = NOTHING,
    *data: DataChange,
    full: bool = False,
    seeds: tuple[int, int] = (7, 7),
) -> str:
    old, new = replace(record("aaaa1111"), seed=seeds[0]), replace(record("bbbb2222"), seed=seeds[1])
    print_report(Report(old, new, found, data), full=full)
    return capsys.readouterr().out


def version(path: str, md5: str, *, size: int | None = 1000, files: int | None = None) -> DataVersion:
    return DataVersion(path, md5, size, files, "matches", f"{path}.dvc")


def patch(path: str, lines: int) -> str:
    head = f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n"
    return head + "".join(f"+line {number}\n" for number in range(lines))


def test_equal_runs_are_the_same_in_everything(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in shown(capsys).splitlines() if line]
    assert lines[0].startswith("old  aaaa1111  baseline  queued  ")
    assert lines[1].startswith("new  bbbb2222  baseline  queued  ")
    assert lines[2:] == [
        "code  the same",
        "data  the same",
        "config  the same",
        "environment  the same",
        "seed  the same (7)",
        "host  the same",
    ]


def test_each_change_has_a_sign_and_each_part_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    seed = (Change("(seed)", "7", "8"), Change("seed", "7", "8"))
    config = (*seed, Change("a", "1", ""), Change("b", None, "x"), Change("c", "y", None))
    out = shown(capsys, replace(NOTHING, config=config, environment=(LOCK,)), seeds=(7, 8))
    assert "\nconfig  1 added, 1 removed, 1 changed\n  ~ a: 1 → ''\n  + b: x\n  - c: y\n" in out
    assert "\nenvironment  1 changed\n  ~ (lock): aaaaaaaaaaaa → bbbbbbbbbbbb\n" in out
    assert "\nseed  7 → 8\n" in out


def test_what_could_not_be_compared_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\ncode  no commit\n" in shown(capsys, replace(NOTHING, note="no commit"))
    omitted = (Change(".env", "5 bytes (secret)", None),)
    out = shown(capsys, replace(NOTHING, omitted=omitted))
    assert "\ncode  the same but for untracked files\n" in out
    assert "\n  - .env: 5 bytes (secret)\n" in out


def test_data_is_told_file_by_file(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (
        Content("1", 400, Shape(10, {"x": "int64", "y": ""})),
        Content("2", 2000, Shape(12, {"x": "double"})),
    )
    files = (
        FileChange("a.parquet", "changed", before, after),
        FileChange("b.csv", "added", None, Content("3", 5), note="too large"),
        FileChange("d.txt", "moved", Content("4", 5), Content("4", 5), was="c.txt"),
    )
    folder = DataChange("data/x", version("data/x", "a" * 32, files=1), version("data/x", "b" * 32, files=3), files)
    gone = DataChange("data/y", version("data/y", "c" * 32), None, note="not here")
    assert (
        "\ndata  1 removed, 1 changed\n"
        "  ~ data/x: aaaaaaaa → bbbbbbbb, 1 → 3 files, 1 kB\n"
        "      ~ a.parquet: 400 B → 2 kB, 10 → 12 rows, - column y, retyped column x int64 → double\n"
        "      + b.csv: 5 B, too large\n"
        "      > d.txt (was c.txt)\n"
        "  - data/y: cccccccc, 1 kB\n"
        "      note: not here\n"
    ) in shown(capsys, NOTHING, folder, gone)


def test_an_output_that_is_a_file_takes_one_line() -> None:
    file = FileChange("x.csv", "changed", Content("1", 10, Shape(1, {})), Content("2", 20, Shape(3, {})))
    change = DataChange("data/x.csv", version("data/x.csv", "a" * 32), version("data/x.csv", "b" * 32), (file,))
    assert output_details(change) == "aaaaaaaa → bbbbbbbb, 10 B → 20 B, 1 → 3 rows"


def test_metrics_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = (MetricChange("a", 0.5, 0.25), MetricChange("b", 1.0, 1.0), MetricChange("c", None, 2.0))
    assert shown(capsys, replace(NOTHING, metrics=metrics)).endswith(
        "\nmetrics\nmetric\told\tnew\tchange\t%\na\t0.5\t0.25\t-0.25\t-50.00\nb\t1\t1\t=\t\nc\t\t2\t\t\n"
    )


def test_a_pipe_gets_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    config = tuple(Change(f"key{n:03}", "1", "x" * 1000) for n in range(100))
    found = replace(NOTHING, code=patch("a.py", 500) + patch("uv.lock", 5), config=config)
    out = shown(capsys, found)
    assert found.code in out
    assert out.count("x" * 1000) == 100
    assert "more" not in out


@pytest.mark.usefixtures("_terminal")
def test_a_terminal_gets_what_can_be_taken_in(capsys: pytest.CaptureFixture[str]) -> None:
    config = tuple(Change(f"key{n:03}", "1", "x" * 1000) for n in range(100))
    metrics = tuple(MetricChange(f"m{n}", 1.0, 1.0 + (n == 5)) for n in range(50))
    code = patch("a.py", 3) + patch("long.py", 500) + patch("uv.lock", 5)
    out = shown(capsys, replace(NOTHING, code=code, config=config, metrics=metrics))
    assert "line 2\n" in out
    assert "line 3\n" not in out
    assert "and, shown by `--full`:\n  ~ long.py: +500 -0\n  ~ uv.lock: +5 -0\n" in out
    assert "  and 80 more; `--full` shows all\n" in out
    assert "(1,004 characters; `--full` shows them)" in out
    assert "\nm5 " in out
    assert "\nand 49 that are the same\n" in out
    whole = shown(capsys, replace(NOTHING, code=code, config=config, metrics=metrics), full=True)
    assert "line 499" in whole
    assert "more; `--full`" not in whole
    assert all(f"key{n:03}" in whole for n in range(100))
    assert "\nm49 " in whole


@pytest.mark.usefixtures("_terminal")
def test_nothing_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b]0;x\x07\rb\u202ec\x9b2J"
    code = patch("a.py", 1).replace("line 0", evil)
    config = (Change(evil, evil, "line\none"),)
    metrics = (MetricChange(evil, 1.0, 2.0),)
    file = FileChange(evil + "x", "added", None, Content("1", 5))
    data = DataChange(evil, version("x", "a" * 32), version("x", "b" * 32), (file,), note=evil)
    out = shown(capsys, replace(NOTHING, code=code, config=config, metrics=metrics, note=evil), data)
    assert not {"\x07", "\r", "\u202e", "\x9b"} & set(out)
    assert "\x1b]" not in out
    assert out.count("^[]0;x^G^Mb\\u202ec") == 7
    assert "line\\none" in out


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, None),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_999, "1 MB"),
        (5_120_000, "5.12 MB"),
        (10**16, "1e+04 TB"),
    ],
)
def test_amounts(size: int | None, text: str | None) -> None:
    assert amount(size) == text


def test_words() -> None:
    assert counted("aab", lambda letter: {"a": "added", "b": "changed"}[letter]) == "2 added, 1 changed"
    assert (signed(None), signed(0.0), signed(-0.5), signed(1e-9)) == ("", "=", "-0.5", "+1e-09")
    assert (pair(None, None), pair("1", None), pair("1", "1"), pair("1", "2", unit="row")) == (
        None,
        "1",
        "1",
        "1 → 2 rows",
    )
    assert short_package(LOCK) == Change("(lock)", "a" * 12, "b" * 12)
    assert short_package(Change("numpy", "1", "2")) == Change("numpy", "1", "2")
    assert file_details(FileChange("x", "added", None, Content("1"))) == ""
    wide = Content("1", 1, Shape(1, {f"c{n}": "" for n in range(13)}))
    assert file_details(FileChange("x", "changed", wide, replace(wide, shape=Shape(1, {"a": "", "b": ""})))) == (
        "1 B, 1 row, + columns a, b, - columns c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 3 more"
    )
