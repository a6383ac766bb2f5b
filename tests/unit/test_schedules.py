"""Loading schedules: what is there, what is broken, and that nothing is read twice for nothing."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import config, schedules
from kit.errors import HostError, UserError
from kit.policies import Retry
from kit.project import open_project
from kit.schedule import _KEYS, parse_schedule
from kit.schedules import Loaded, Schedules
from kit.settings import parse_settings
from kit.triggers import Cron
from tests.conftest import write

NIGHTLY = 'trigger: {cron: "0 2 * * *"}\n'
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "schedule.md"

Make = Callable[..., Schedules]


def make(root: Path, **files: str) -> Schedules:
    """The schedules of a folder that is just enough of a project; `_` in a name stands for itself, `__` for a slash."""
    (root / "pyproject.toml").write_text("[tool.kit]\n")
    write(root / "conf", {f"{name.replace('__', '/')}.yaml": text for name, text in files.items()})
    return Schedules(open_project(root))


def put(root: Path, name: str, text: str) -> Path:
    path = root / "conf" / "schedule" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


_opened: list[str] | None = None


def _note_opening(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and str(arguments[0]).endswith(".yaml"):
        _opened.append(Path(str(arguments[0])).name)


@pytest.fixture(scope="module", autouse=True)
def _watched() -> None:
    sys.addaudithook(_note_opening)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The names of the configs that Python itself says it opened."""
    global _opened  # noqa: PLW0603 (an audit hook cannot be taken away again)
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written count as written long ago."""
    monkeypatch.setattr(schedules, "_RACY", 0)


def test_no_folder_no_schedules(tmp_path: Path) -> None:
    assert make(tmp_path).load() == Loaded({}, {})
    with pytest.raises(UserError, match="no schedule 'nightly'") as caught:
        make(tmp_path).find("nightly")
    assert caught.value.fix == "There are none yet: write one as conf/schedule/NAME.yaml."


def test_each_file_is_a_schedule(tmp_path: Path) -> None:
    found = make(tmp_path, schedule__nightly=NIGHTLY, schedule__b="trigger: {after: nightly}\nretry: 3\n")
    loaded = found.load()
    assert list(loaded.schedules) == ["b", "nightly"]
    assert loaded.schedules["nightly"].trigger == Cron("0 2 * * *")
    assert found.find("b").retry == Retry(attempts=3)
    assert loaded.broken == {}
    assert found.file("b") == "conf/schedule/b.yaml"


def test_an_unknown_name_is_told_what_there_is(tmp_path: Path) -> None:
    found = make(tmp_path, schedule__nightly=NIGHTLY, schedule__broken="x: 1\n")
    with pytest.raises(UserError) as near:
        found.find("nigthly")
    assert (near.value.what, near.value.fix) == ("no schedule 'nigthly'", "Did you mean 'nightly'?")
    with pytest.raises(UserError) as far:
        found.find("../../etc")
    assert far.value.fix == "The schedules: broken, nightly."
    with pytest.raises(UserError, match="unknown key 'x'"):
        found.find("broken")


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    ("name", "put_there", "what"),
    [
        ("bad.yaml", _text("trigger: [\n"), "not valid YAML"),
        ("bad.yaml", _text(f"a: {'[' * 100_000}"), ""),
        ("bad.yaml", _text(f"{'- ' * 100_000}"), ""),
        ("bad.yaml", _text(""), "trigger: no value"),
        ("bad.yaml", _text("- 1\n"), "expected a mapping, got a list"),
        ("bad.yaml", _text("triger: 1\n"), "unknown key 'triger'"),
        ("bad.yaml", _text(NIGHTLY + "on: 1\n"), "unknown key 'True'"),
        ("bad.yaml", _text(NIGHTLY + "alert: ${oc.env:NO_SUCH}\n"), "alert: environment variable 'NO_SUCH'"),
        ("bad.yaml", _text("defaults: [_gone]\n"), "no config 'schedule/_gone'"),
        ("bad.yaml", _text("trigger: {after: niightly}\n"), "trigger.after: no schedule 'niightly'"),
        ("bad.yaml", lambda path: path.write_bytes(b"\xff"), "not UTF-8"),
        ("bad.yaml", _folder, "there is no file"),
        ("bad.yaml", _pipe, "there is no file"),
        ("bad.yaml", _dangling, "there is no file"),
        ("bad.yml", _text(NIGHTLY), "Hydra reads .yaml files only"),
        ("two words.yaml", _text(NIGHTLY), "'two words' cannot be used as a name"),
        ("-x.yaml", _text(NIGHTLY), "'-x' cannot be used as a name"),
        ("näch.yaml", _text(NIGHTLY), "cannot be used as a name"),
        (os.fsdecode(b"n\xff.yaml"), _text(NIGHTLY), "cannot be used as a name"),
    ],
)
def test_a_broken_file_is_named_and_hides_no_other(
    tmp_path: Path, name: str, put_there: Callable[[Path], object], what: str
) -> None:
    found = make(tmp_path, schedule__nightly=NIGHTLY, schedule__later="trigger: {after: nightly}\n")
    put_there(tmp_path / "conf" / "schedule" / name)
    for _ in range(2):
        loaded = found.load()
        assert list(loaded.schedules) == ["later", "nightly"]
        assert len(loaded.broken) == 1
        for key, error in loaded.broken.items():
            assert what in error.what
            assert (error.where or "").startswith("conf/schedule/")
            assert error.fix
            (key + str(error)).encode()  # can be printed and stored


def test_what_begins_with_an_underscore_or_a_dot_is_no_schedule(tmp_path: Path) -> None:
    found = make(tmp_path, schedule__nightly=NIGHTLY, schedule___base="x: 1\n", schedule__more__deep="x: 1\n")
    put(tmp_path, ".hidden.yaml", "x: 1\n")
    put(tmp_path, ".#nightly.yaml", "x: 1\n")
    put(tmp_path, "nightly.yaml~", "x: 1\n")
    put(tmp_path, "README.md", "x: 1\n")
    assert found.load().broken == {}
    assert list(found.load().schedules) == ["nightly"]


def test_one_that_follows_a_broken_one_waits(tmp_path: Path) -> None:
    loaded = make(tmp_path, schedule__a="x: 1\n", schedule__b="trigger: {after: a}\n").load()
    assert (list(loaded.schedules), list(loaded.broken)) == (["b"], ["a"])


def test_everyone_in_a_circle_is_broken(tmp_path: Path) -> None:
    after = {f"schedule__{name}": f"trigger: {{after: {other}}}\n" for name, other in ("ab", "ba", "ca")}
    loaded = make(tmp_path, **after).load()
    assert (list(loaded.schedules), list(loaded.broken)) == (["c"], ["a", "b"])
    assert loaded.broken["b"].where == "conf/schedule/b.yaml"


def test_the_configs_may_lie_elsewhere(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"pyproject.toml": '[tool.kit]\nconfig-dir = "a/configs"\n', "a/configs/schedule/x.yaml": "triger: 1\n"},
    )
    error = Schedules(open_project(tmp_path)).load().broken["x"]
    assert error.where == "a/configs/schedule/x.yaml"


def test_line_ends_do_not_matter(tmp_path: Path) -> None:
    found = make(tmp_path)
    put(tmp_path, "dos.yaml", "").write_bytes(b'trigger:\r\n  cron: "0 2 * * *"\r\nretry: 3\r\n')
    put(tmp_path, "mac.yaml", "").write_bytes(b'trigger:\r  cron: "0 2 * * *"\rretry: 3\r')
    dos, mac = found.load().schedules.values()
    assert (dos.trigger, dos.retry) == (mac.trigger, mac.retry) == (Cron("0 2 * * *"), Retry(attempts=3))


@pytest.mark.usefixtures("settled")
def test_nothing_is_read_again_that_has_not_changed(tmp_path: Path) -> None:
    found = make(
        tmp_path,
        schedule__nightly=NIGHTLY,
        schedule__based="defaults: [_base, _self_]\ntrigger: {after: nightly}\n",
        schedule___base="timeout: 1 h\n",
        schedule__broken="defaults: [_gone]\n",
    )
    with opened() as files:
        first = found.load()
    assert {"nightly.yaml", "based.yaml", "_base.yaml"} <= {*files}
    found.load()  # a look at all there is, since the broken one may depend on any of it
    with opened() as files:
        assert found.load() is first
    assert files == []


@pytest.mark.usefixtures("settled")
def test_one_that_changes_is_read_again_and_the_others_are_not(tmp_path: Path) -> None:
    found = make(tmp_path, **{f"schedule__s{number}": NIGHTLY for number in range(5)})
    first = found.load()
    put(tmp_path, "s3.yaml", NIGHTLY + "retry: 2\n")
    with opened() as files:
        second = found.load()
    assert files == ["s3.yaml"]
    assert second is not first
    assert second.schedules["s3"].retry == Retry(attempts=2)
    assert all(second.schedules[name] is first.schedules[name] for name in ("s0", "s1", "s2", "s4"))


@pytest.mark.usefixtures("settled")
def test_files_that_come_and_go(tmp_path: Path) -> None:
    found = make(tmp_path, schedule__a=NIGHTLY, schedule__b="trigger: {after: a}\n")
    assert list(found.load().schedules) == ["a", "b"]
    (tmp_path / "conf/schedule/a.yaml").unlink()
    assert list(found.load().broken) == ["b"]
    put(tmp_path, "c.yaml", NIGHTLY)
    put(tmp_path, "a.yaml", NIGHTLY)
    assert list(found.load().schedules) == ["a", "b", "c"]
    (tmp_path / "conf/schedule/c.yaml").rename(tmp_path / "conf/schedule/d.yaml")
    assert list(found.load().schedules) == ["a", "b", "d"]
    assert found.load().broken == {}


@pytest.mark.usefixtures("settled")
def test_a_file_replaced_by_one_that_looks_alike_is_read_again(tmp_path: Path) -> None:
    found = make(tmp_path, schedule__a=NIGHTLY + "retry: 2\n")
    found.load()
    path = tmp_path / "conf/schedule/a.yaml"
    before = path.stat()
    other = put(tmp_path, "other", NIGHTLY + "retry: 3\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert found.load().schedules["a"].retry.attempts == 3


def test_a_file_written_again_at_once_is_noticed(tmp_path: Path) -> None:
    found = make(tmp_path)
    for attempts in [2, 3, 4, 5] * 10:
        put(tmp_path, "a.yaml", f"{NIGHTLY}retry: {attempts}\n")
        assert found.load().schedules["a"].retry.attempts == attempts


def test_a_file_touched_but_not_changed_changes_nothing(tmp_path: Path) -> None:
    found = make(tmp_path, schedule__a=NIGHTLY, schedule__b="x: 1\n")
    first = found.load()
    for name in "ab":
        (tmp_path / f"conf/schedule/{name}.yaml").touch()
    assert found.load() is first


@pytest.mark.usefixtures("settled")
def test_what_a_schedule_is_based_on_changes_it(tmp_path: Path) -> None:
    found = make(
        tmp_path,
        schedule__a=f"defaults: [_base, /alert@alert: team, _self_]\n{NIGHTLY}",
        schedule__b=NIGHTLY,
        schedule___base="timeout: 1 h\n",
        alert__team="to: file:///tmp/a\n",
    )
    first = found.load()
    assert first.schedules["a"].timeout == 3600
    put(tmp_path, "_base.yaml", "timeout: 2 h\n")
    assert found.load().schedules["a"].timeout == 7200
    put(tmp_path, "../alert/team.yaml", "to: file:///tmp/b\n")
    assert found.load().schedules["a"].alert.to == ("file:///tmp/b",)
    assert found.load().schedules["b"] is first.schedules["b"]
    (tmp_path / "conf/schedule/_base.yaml").unlink()
    assert list(found.load().broken) == ["a"]


@pytest.mark.usefixtures("settled")
def test_a_broken_one_is_mended_by_whatever_it_was_missing(tmp_path: Path) -> None:
    found = make(
        tmp_path,
        schedule__a=f"defaults: [/alert@alert: team, _self_]\n{NIGHTLY}",
        schedule__b=f"defaults: [optional _extra, _self_]\n{NIGHTLY}",
        schedule__c=f"defaults: [{{optional /alert@alert: team}}, _self_]\n{NIGHTLY}",
    )
    assert list(found.load().broken) == ["a", "b"]
    put(tmp_path, "../alert/team.yaml", "to: file:///tmp/a\n")
    loaded = found.load()
    assert loaded.schedules["a"].alert.to == loaded.schedules["c"].alert.to == ("file:///tmp/a",)
    (tmp_path / "conf/alert/team.yaml").unlink()
    assert list(found.load().broken) == ["a", "b"]
    assert found.load().schedules["c"].alert.to == ()


def test_a_folder_that_cannot_be_read_is_the_hosts_affair(tmp_path: Path) -> None:
    found = make(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/schedule").write_text("a file")
    with pytest.raises(HostError):
        found.load()


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_URL", "slack://a/b/c")
    text = NIGHTLY + "alert: ${oc.env:SLACK_URL}\noverrides: ['until=\\${oc.env:KIT_SCHEDULED_AT}']\n"
    schedule = make(tmp_path, schedule__nightly=text).find("nightly")
    assert schedule.alert.to == ("slack://a/b/c",)
    assert schedule.overrides == ("until=${oc.env:KIT_SCHEDULED_AT}",)


_FILE = """\
trigger:
  cron: "0 2 * * *"
  timezone: Europe/Berlin
overrides: [data=known]
retry: {attempts: 3, delay: 5 m, when: [lost, 75]}
timeout: 1.5
slots:
- gpu
alert: {to: file:///tmp/alerts, late: 1 h}
"""
_PIECES = st.sampled_from([
    "0", "9" * 30, "1e400", ".nan", "-", ": ", "{", "}", "[", "]", '"', "'", "\n", "\n  ", "~", "on", "&a ", "*a",
    "!!binary ", "${x}", "???", "defaults: [x]\n", "hydra: 1\n", "once: 9999-12-31\n", "interval: 5\n", "after: x\n",
    "data: ../x\n", "2026-13-01", "0000-01-01", "9999-12-31T23:59:59-23:59", "\x00", "\ufeff", "\t", "<<: ", "? ", "# ",
    "catch_up: ",
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    slips=st.lists(
        st.tuples(st.integers(0, len(_FILE)), st.integers(0, 12), _PIECES | st.text(max_size=3)), min_size=1, max_size=3
    )
)
def test_whatever_a_file_holds_the_others_are_loaded(slips: list[tuple[int, int, str]]) -> None:
    text = _FILE
    for at, removed, inserted in slips:
        text = text[:at] + inserted + text[at + removed :]
    with tempfile.TemporaryDirectory() as folder:
        found = make(Path(folder), schedule__nightly=NIGHTLY)
        put(Path(folder), "odd.yaml", "").write_bytes(text.encode(errors="replace"))
        loaded = found.load()
    assert "nightly" in loaded.schedules
    assert {*loaded.schedules, *loaded.broken} == {"nightly", "odd"}


def test_the_page_has_every_key_in_order() -> None:
    assert re.findall(r"^\| \[`(\w+)`\]", PAGE.read_text(), re.MULTILINE) == list(_KEYS)


def test_the_settings_of_the_page_are_settings() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    parsed = parse_settings(toml, where="the page")
    assert (parsed.slots, parsed.max_runs) == ({"gpu": 2, "licence": 1}, 4)


def examples() -> list[str]:
    """The schedules of the reference page."""
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("text", examples())
def test_the_examples_of_the_page_are_schedules(
    make_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SLACK_URL", "slack://a/b/c")
    if "trigger" not in text:
        text = f"{NIGHTLY}{text}"
    others = {"conf/schedule/_base.yaml": "timeout: 1 h\n", "conf/alert/team.yaml": "to: file:///tmp/alerts\n"}
    root = make_project({"conf/schedule/example.yaml": text, **others})
    mapping = config.compose_group(root, "conf", "schedule/example").config
    parse_schedule("example", mapping, where="conf/schedule/example.yaml")
