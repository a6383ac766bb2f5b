"""The page of a comparison: whole by itself, and nothing in it is what somebody put into a name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kit._shapes import Shape
from kit.cli import _diff_page
from kit.cli._diff_page import page
from kit.cli._diff_words import Report
from kit.compare import Change, Difference, MetricChange
from kit.compare_data import Content, DataChange, FileChange
from kit.models import MetricPoint
from kit.project import Project, open_project
from kit.snapshot import DataVersion
from kit.trackers.base import Metrics
from kit.trackers.spool import Spool
from tests.factories import record

EVIL = """</style></td></svg><script>alert("1")</script><img src=x onerror='a'>{{ 7 * 7 }}&amp;"""
NOTHING = Difference("", (), (), (), (), (), ())
_VOID = {"meta", "col", "img", "br", "link"}


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, their text, and whether each ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture
def opened(project: Path) -> Project:
    return open_project(project)


def patch(path: str, lines: int, text: str = "line") -> str:
    head = f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n"
    return head + "".join(f"+{text} {number}\n" for number in range(lines))


def made(project: Project, found: Difference = NOTHING, *data: DataChange, **changes: str) -> Reader:
    old, new = (replace(record(name), **changes) for name in ("aaaa1111", "bbbb2222"))  # type: ignore[arg-type]
    return Reader(page(project, Report(old, new, found, data)))


def log(project: Project, run_id: str, series: dict[str, list[float]]) -> None:
    run = project.paths.run(run_id)
    project.paths.create_state()
    run.root.mkdir()
    spool = Spool(run.spool)
    for name, values in series.items():
        spool.append(Metrics(tuple(MetricPoint(name, value, step, 0.0) for step, value in enumerate(values))))
    spool.close()


def everything(text: str) -> tuple[Difference, DataChange]:
    """A difference with this text in each place where a user's words can be."""
    change = (Change(text, text, None), Change(f"{text}2", text, text + "3"))
    found = Difference(
        code=patch("a.py", 1, text),
        omitted=change,
        data=(),
        config=change,
        environment=change,
        host=change,
        metrics=(MetricChange(text, 1.0, 2.0),),
        note=text,
    )
    shape = Shape(1, {text: text})
    files = (
        FileChange(text, "changed", Content("1", 2, Shape(1, {})), Content("2", 3, shape)),
        FileChange("moved", "moved", Content("1"), Content("1"), was=text, note=text),
    )
    version = DataVersion(text, "a" * 32, 1, 1, "matches", text)
    return found, DataChange(text, version, replace(version, md5="b" * 32), files, note=text)


def test_equal_runs_make_a_page_too(opened: Project) -> None:
    read = made(opened)
    assert read.text.count("the same") >= 10
    assert (read.tags["details"], read.tags["figure"]) == (0, 0)


def test_whatever_a_name_holds_is_text(opened: Project) -> None:
    log(opened, "aaaa1111", {EVIL: [1.0, 2.0]})
    found, data = everything(EVIL)
    plain, evil = made(opened, *everything("x")), made(opened, found, data, name=EVIL, note=EVIL, reason=EVIL)
    assert evil.tags["script"] == evil.tags["img"] == 0
    assert evil.tags == plain.tags + Counter({"dt": 4, "dd": 4})  # a note and a reason of each run
    assert evil.text.count(EVIL) > 25
    assert {name for _, name, _ in evil.attributes} == {name for _, name, _ in plain.attributes}


def test_the_page_needs_nothing_and_runs_nothing(opened: Project) -> None:
    log(opened, "aaaa1111", {"loss": [1.0, 2.0]})
    found, data = everything("x")
    text = page(opened, Report(record("aaaa1111"), record("bbbb2222"), found, (data,)))
    assert not re.search(r"(?i)<script|<link|<iframe|<img|@import|url\(|\bsrc=|\bon\w+=|javascript:|https?://", text)
    assert "default-src 'none'" in text
    assert all(value.startswith("#") for value in Reader(text).values("href"))


def test_every_link_leads_somewhere(opened: Project) -> None:
    found = replace(NOTHING, code=patch("a.py", 1) + patch("b.py", 2))
    read = made(opened, found)
    targets = read.values("id")
    assert len(targets) == len(set(targets))
    assert {link.removeprefix("#") for link in read.values("href")} <= set(targets)
    assert {"#file-1", "#file-2", "#code", "#metrics"} <= set(read.values("href"))


def test_code_is_shown_line_by_line_with_its_numbers(opened: Project) -> None:
    read = made(opened, replace(NOTHING, code=patch("a.py", 3)))
    assert [value for value in read.values("data-n") if value] == ["1", "2", "3"]
    assert [read.text.count(f"line {number}") for number in range(3)] == [1, 1, 1]


def test_long_files_are_closed_and_what_is_too_long_is_cut(opened: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    code = patch("a.py", 10) + patch("b.py", 400) + patch("uv.lock", 2) + patch("c.py", 3000)
    read = made(opened, replace(NOTHING, code=code))
    assert read.tags["details"] == 4
    assert read.values("open") == [""]
    assert "1,001 more lines" in read.text
    monkeypatch.setattr(_diff_page, "_LINES", 300)
    short = made(opened, replace(NOTHING, code=code))
    assert short.text.count("more lines") == 3
    assert short.tags["details"] == 4


def test_long_lists_are_cut(opened: Project) -> None:
    config = tuple(Change(f"key{n:04}", "1", "2") for n in range(1200))
    files = tuple(FileChange(f"f{n:04}", "added", None, Content("1", 1)) for n in range(1200))
    version = DataVersion("d", "a" * 32, 1, 1, "matches", "d.dvc")
    read = made(opened, replace(NOTHING, config=config), DataChange("d", None, version, files))
    assert read.text.count("and 200 more") == 2


def test_metrics_have_bars_to_the_side_they_went_to(opened: Project) -> None:
    names = {"up": 1.2, "down": 0.9, "same": 1.0, "nan": float("nan"), "far": 50.0}
    metrics = tuple(MetricChange(name, 1.0, value) for name, value in names.items())
    read = made(opened, replace(NOTHING, metrics=metrics))
    bars = [
        (tag, name, float(value)) for tag, name, value in read.attributes if tag == "rect" and name in {"x", "width"}
    ]
    assert [value for _, name, value in bars if name == "x"] == [50, 45, 50]
    assert [value for _, name, value in bars if name == "width"] == [10, 5, 50]


def test_series_are_drawn_and_described(opened: Project) -> None:
    log(opened, "aaaa1111", {"loss": [3.0, 2.0, 1.0], "score": [0.5], "gone": [1.0, 2.0]})
    log(opened, "bbbb2222", {"loss": [3.0, 1.0, 0.5], "score": [0.6]})
    read = made(opened)
    assert read.tags["figure"] == 2
    assert {"loss by step, both runs", "gone by step, old run only"} <= set(read.values("aria-label"))


def test_text_that_is_not_unicode_is_written_all_the_same(opened: Project) -> None:
    text = page(opened, Report(record("aaaa1111"), record("bbbb2222"), replace(NOTHING, note="\udcff\x00"), ()))
    assert text.encode()
    assert "\x00" not in text
