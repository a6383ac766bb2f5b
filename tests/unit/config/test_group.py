"""One file of a config group, composed by the real Hydra."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kit._plain_yaml import read_plain
from kit.config import GroupConfig, compose, compose_group
from kit.errors import HostError, UserError

MakeProject = Callable[..., Path]
FILE = "conf/schedule/nightly.yaml"


def group(make_project: MakeProject, text: str, **others: str) -> GroupConfig:
    files = {f"conf/{name.replace('__', '/')}.yaml": content for name, content in others.items()}
    return compose_group(make_project({FILE: text, **files}), "conf", "schedule/nightly")


def test_a_file_by_itself(make_project: MakeProject) -> None:
    found = group(make_project, "trigger: {cron: '0 2 * * *'}\nlist: [1, on, 1e3]\ntrue: x\n")
    assert found == GroupConfig({"trigger": {"cron": "0 2 * * *"}, "list": [1, True, 1000.0], True: "x"}, (FILE,))
    assert type(found.config["trigger"]) is dict
    assert type(found.config["list"]) is list


@pytest.mark.parametrize("header", ["", "# @package _global_\n", "# @package some.where\n"])
def test_its_keys_lie_at_the_top_whatever_its_package(make_project: MakeProject, header: str) -> None:
    assert group(make_project, f"{header}a: 1\n").config == {"a": 1}


def test_its_defaults_come_from_its_own_group_and_from_others(make_project: MakeProject) -> None:
    found = group(
        make_project,
        """
        defaults:
          - _base
          - /alert: team
          - /policies@_here_: strict
          - _self_

        timeout: 2 h
        """,
        schedule___base="timeout: 1 h\ngrace: 5 s\n",
        alert__team="to: file:///tmp/alerts\n",
        policies__strict="retry: 9\n",
    )
    assert found.config == {"timeout": "2 h", "grace": "5 s", "alert": {"to": "file:///tmp/alerts"}, "retry": 9}
    assert found.files == ("conf/schedule/_base.yaml", "conf/alert/team.yaml", "conf/policies/strict.yaml", FILE)


def test_interpolations_are_filled_in_but_for_those_that_are_for_the_run(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_URL", "slack://token")
    text = r"""
        alert: ${oc.env:SLACK_URL}
        name: ${alert}
        overrides: ['until=\${oc.env:KIT_SCHEDULED_AT}']
        """
    assert group(make_project, text).config == {
        "alert": "slack://token",
        "name": "slack://token",
        "overrides": ["until=${oc.env:KIT_SCHEDULED_AT}"],
    }


@pytest.mark.parametrize("name", ["2026", "null", "v1.2-x_y", "true"])
def test_any_safe_name_will_do(make_project: MakeProject, name: str) -> None:
    root = make_project({f"conf/schedule/{name}.yaml": "a: 1\n"})
    assert compose_group(root, "conf", f"schedule/{name}").config == {"a": 1}


@pytest.mark.parametrize(
    ("text", "what", "where", "fix"),
    [
        ("- 1\n", "expected a mapping, got a list", FILE, "Write it as `key: value`."),
        ("5\n", "Invalid loaded object type: int", FILE, "Mend the configuration."),
        ("a: 1\na: 2\n", "not valid YAML: found duplicate key a", f"{FILE}:2", "Mend the file."),
        ("a: [\n", "not valid YAML", f"{FILE}:2", "Mend the file."),
        ("a: ${b\n", "a: cannot read the interpolation", FILE, "Write it as `${key}`"),
        ("x: {a: '???'}\n", "no value for 'x.a'", FILE, "Give it one, or leave the key out."),
        ("a: ${oc.env:NO_SUCH}\n", "a: environment variable 'NO_SUCH' is not set", FILE, "Set it"),
        ("abc: 1\na: ${abd}\n", "a: nothing at ${abd}", FILE, "Did you mean 'abc'?"),
        ("a: ${hydra:job.name}\n", "a: HydraConfig was not set", FILE, "Mend the interpolation."),
        ("defaults: [_bse]\n", "no config 'schedule/_bse'", FILE, "Create conf/schedule/_bse.yaml"),
        ("defaults: [nightly]\n", "the defaults lists include each other", FILE, "Take the circle out"),
        ("defaults: [{/model: smal}]\n", "no option 'smal' in group 'model'", FILE, "Did you mean 'small'?"),
        ("defaults:\n- /model: ???\n", "no choice for group 'model'", FILE, "Choose one in its defaults list."),
        ("defaults: [_broken]\n", "x: environment variable", "conf/schedule/_broken.yaml", "Set it"),
    ],
)
def test_a_mistake_is_named_with_its_file(
    make_project: MakeProject, text: str, what: str, where: str, fix: str
) -> None:
    from hydra.core.global_hydra import GlobalHydra

    root = make_project({FILE: text, "conf/schedule/_broken.yaml": "x: ${oc.env:NO_SUCH}\n"})
    with pytest.raises(UserError) as caught:
        compose_group(root, "conf", "schedule/nightly")
    assert caught.value.what.startswith(what)
    assert caught.value.where == where
    assert (caught.value.fix or "").startswith(fix)
    assert not GlobalHydra.instance().is_initialized()


def test_a_file_that_is_not_there(project: Path) -> None:
    with pytest.raises(UserError, match="no config 'schedule/nightly'"):
        compose_group(project, "conf", "schedule/nightly")


def test_one_that_is_not_text_is_named_among_thousands(make_project: MakeProject) -> None:
    root = make_project({FILE: "", "conf/schedule/a.yaml": "- [ broken, too\n"})
    (root / FILE).write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match="not UTF-8") as caught:
        compose_group(root, "conf", "schedule/nightly")
    assert caught.value.where == FILE


def test_one_that_cannot_be_read_is_the_hosts_affair(make_project: MakeProject) -> None:
    root = make_project({FILE: "defaults: [_gone]\n"})
    (root / "conf/schedule/_gone.yaml").symlink_to("/proc/self/mem")
    with pytest.raises(HostError):
        compose_group(root, "conf", "schedule/nightly")


def test_it_leaves_hydra_as_it_was_in_any_thread(make_project: MakeProject) -> None:
    root = make_project({FILE: "defaults: [_base]\n", "conf/schedule/_base.yaml": "a: ${oc.select:b,1}\n"})

    def both(_: int) -> tuple[object, object]:
        return compose_group(root, "conf", "schedule/nightly").config, compose(root, "conf", "config", []).experiment

    with ThreadPoolExecutor(4) as pool:
        assert set(map(str, pool.map(both, range(8)))) == {str(({"a": 1}, "baseline"))}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "a: [1, on, 1e3, 010, 1:30, .5, ~, '5', 2026-12-01]\n",
        "a: {b: {c: yes}}\nd: x y\n",
        "a: ü 🎉\n",
    ],
)
def test_what_is_read_quickly_is_what_hydra_composes(make_project: MakeProject, text: str) -> None:
    quick = read_plain(text)
    assert quick is not None
    assert group(make_project, text).config == quick
