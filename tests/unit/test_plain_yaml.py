"""Read quickly, and to the last digit as OmegaConf reads it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from kit._plain_yaml import read_plain, safe_loader

_TOKENS = st.sampled_from([
    "a", "b", "key", "on", "off", "yes", "No", "TRUE", "null", "~", "NULL", "y", "n", "=", "<<", "*", "0 2 * * *",
    "1", "0", "-1", "+5", "010", "0o10", "0x1F", "0b11", "1_000", "1__0", "_1", "1:30", "190:20:30", "1:30.5", "5 m",
    "1.5", "1.", ".5", ".5e3", ".5e+3", "1e3", "1E-3", "1_0e3", "1.5e3", "1.5e+3", "1_0.5e1", "-1e5", "+.inf", ".INF",
    ".nan", ".NaN", "1e", "e3", "1e3.5", "2026-12-01", "2026-12-01T02:00:00Z", "2026-12-01 02:00:00.5 +1",
    "12e03", "1.e3", "1_.5", "1.5_e3", "-.5", "-.inf", "0.", "00", "08", "0_", "0x", "-0", "1e400", "1_e3", "0x_",
    "!!str 5", "!!int '5'", "!x y", "! 5", "&x 1", "*x", "%", "@", "`", "\\", "'q'", '"q\\n"', "'it''s'", '"5"', "''",
    "'???'", "???", "${a}", "'${a}'", "a$b", "\\${a}", "#", " # why???", "|", ">", "|-\n  x\n  y", ">\n  x\n\n  y",
    "?", "? ", "- ", "-", ": ", ":", ":a", "a:", "a:b", "[", "]", "{", "}", ", ", ",", "\n", "\n  ", "\n    ", "\n- ",
    "\na: ", "\nb: ", "\n  c: ", "---\n", "\n---\n", "...\n", "\n...\n", "{a: 1}", "[1, on]", "{a, b: 2}", "[a: 1]",
    "{? a : b}", "file:///tmp/x?a=b&c=d", "mailto://u:p@h", "C:\\x", "ü", "\u2028", "\ufeff", "\x85", "\t", "\r\n",
    "\xa0", "🎉", "\x07", "\ufffe", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "\ud800",
])  # fmt: skip
_SOUP = st.lists(_TOKENS | st.text(max_size=3), max_size=12).map("".join)
_SCALARS = _TOKENS | st.text("0123456789_.eE+-:xob", max_size=8) | st.text(max_size=6)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def omegaconf(text: str) -> Any:
    """What OmegaConf makes of it, as Hydra's file source and kit ask for it."""
    found = yaml.load(text, get_yaml_loader())
    return OmegaConf.to_container(OmegaConf.create({} if found is None else found), resolve=True, throw_on_missing=True)


def agrees(text: str) -> bool:
    """Whether it was read quickly; fails if that gave something else than OmegaConf gives."""
    quick = read_plain(text)
    if quick is None:
        return False
    assert repr(quick) == repr(omegaconf(text))
    return True


@settings(max_examples=2000)
@given(text=_SOUP)
@example(text="a: 1\n---\nb: 2")
@example(text="a: [[[[1]]]]\na : 2")
def test_whatever_is_read_quickly_is_what_omegaconf_reads(text: str) -> None:
    agrees(text)


@settings(max_examples=1000)
@given(scalar=_SCALARS)
def test_every_scalar(scalar: str) -> None:
    agrees(f"a: {scalar}\n")
    agrees(f"a: [{scalar}, {scalar}]\n")
    agrees(f"{scalar}: 1\n")
    agrees(f"- {scalar}\n")


@settings(max_examples=300)
@given(value=st.dictionaries(st.text(max_size=4), _VALUES, max_size=3), flow=st.booleans())
def test_what_yaml_wrote_itself(value: dict[str, Any], flow: bool) -> None:
    agrees(yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True))


_FILE = """\
# Trains every night (why not?).
trigger:
  cron: "0 2 * * *" # every night at two
  timezone: Europe/Berlin
experiment: baseline
overrides: [data=known, 'model={depth: 3}']
repro:
  - ingest

retry: {attempts: 3, delay: 5 m, jitter: 1e-1, when: [lost, 75]}
timeout: 1.5
grace: .5
slots:
- gpu
alert:
  to: ["mailtos://me:pw@example.com/?to=a&b=c", file:///tmp/alerts]
enabled: on
priority: -1_0
"""


@settings(max_examples=1000)
@given(
    slips=st.lists(
        st.tuples(st.integers(0, len(_FILE)), st.integers(0, 3), _TOKENS | st.text(max_size=2)), min_size=1, max_size=4
    )
)
def test_a_file_with_slips(slips: list[tuple[int, int, str]]) -> None:
    text = _FILE
    for at, removed, inserted in slips:
        text = text[:at] + inserted + text[at + removed :]
    agrees(text)


def test_an_ordinary_file_is_read_quickly() -> None:
    assert agrees(_FILE)
    assert read_plain(_FILE) == {
        "trigger": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
        "experiment": "baseline",
        "overrides": ["data=known", "model={depth: 3}"],
        "repro": ["ingest"],
        "retry": {"attempts": 3, "delay": "5 m", "jitter": 0.1, "when": ["lost", 75]},
        "timeout": 1.5,
        "grace": 0.5,
        "slots": ["gpu"],
        "alert": {"to": ["mailtos://me:pw@example.com/?to=a&b=c", "file:///tmp/alerts"]},
        "enabled": True,
        "priority": -10,
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "{}", "a: 2026-12-01", "ü: é # 🎉\n", "a: 1:30"])
def test_these_are_read_quickly(text: str) -> None:
    assert agrees(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: ${b}", "a: '${b}'", "a: ???", "a: !!str 5", "a: &x 1", "a: &x 1\nb: *x", "<<: {a: 1}", "on: 1", "1: 2",
        "a: =", "[a]", "a", "a: 1\na: 2", "a: [", "a: |\n  x", "a:\t1", "a: 1\n---\nb: 2", "\ufeffa: 1", "a: b\r\n",
        "? [a]\n: 1", f"a: {'9' * 5000}", f"a: {'[' * 200_000}", f"a: {'[' * 5000}{']' * 5000}", "a: [x?y]",
    ],
)  # fmt: skip
def test_these_are_left_to_omegaconf(text: str) -> None:
    assert read_plain(text) is None


def test_what_nests_too_deeply_is_refused_before_anything_is_built() -> None:
    safe_loader("a: " + "[" * 400 + "]" * 400)
    safe_loader("a: [" + "[1], " * 5_000 + "]")
    for deep in ("[" * 100_000, "a: " + "{a: " * 600, "".join(" " * level + "a:\n" for level in range(600))):
        with pytest.raises(yaml.YAMLError, match="more than 500 lists and mappings in each other"):
            safe_loader(deep)
