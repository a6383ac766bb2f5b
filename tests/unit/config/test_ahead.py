"""What a forkserver composes ahead gives what composing from the start gives, and is of no use once a file changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from kit.config import Source, _ahead, compose, compose_ahead, composed_ahead, is_outdated
from tests.conftest import write
from tests.support import until
from tests.unit.config.test_sharing import CONF, outcome, trials


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    _ahead._ahead = None


def settled(root: Path) -> None:
    """What was written just now may change within the same tick of the clock of files, and is not relied on."""

    def composed() -> bool:
        compose_ahead(root, "conf", "config")
        return not is_outdated()

    until(composed, "the files to be old enough")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ahead")
    write(folder / "conf", CONF)
    return folder


def merges(root: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int:
    """How many lists of configs are merged for this composition."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    counted: list[object] = []
    merge = ConfigLoaderImpl._compose_config_from_defaults_list

    def count(loader: object, defaults: object, repo: object) -> object:
        counted.append(defaults)
        return merge(loader, defaults, repo)

    with monkeypatch.context() as patch, composed_ahead(Source(root, "conf", "config")):
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", count)
        compose(root, "conf", "config", overrides)
    return len(counted)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(trials)
def test_composing_ahead_changes_nothing(root: Path, trials: list[list[str]]) -> None:
    alone = [outcome(root, overrides, number) for number, overrides in enumerate(trials)]
    if _ahead._ahead is None:
        settled(root)
    for number, overrides in enumerate(trials):
        with composed_ahead(Source(root, "conf", "config")):
            assert outcome(root, overrides, number) == alone[number]


def test_it_is_used_for_each_experiment_and_whatever_values_are_set(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(root)
    assert merges(root, monkeypatch) == 0
    assert merges(root, monkeypatch, "experiment=deep", "steps=4") == 0
    assert merges(root, monkeypatch, "model=large") == 1


@pytest.mark.parametrize("change", ["edit", "new file", "removed", "same size and time"])
def test_after_a_change_it_is_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    write(tmp_path / "conf", CONF)
    file = tmp_path / "conf" / "model" / "small.yaml"
    settled(tmp_path)
    assert not is_outdated()
    match change:
        case "edit":
            file.write_text("kind: other\n")
        case "new file":
            (tmp_path / "conf" / "by_model" / "small.yaml").write_text("# @package _global_\nsteps: 31\n")
        case "removed":
            (tmp_path / "conf" / "by_model" / "large.yaml").unlink()
        case _:
            before = file.stat()
            file.write_text(file.read_text().replace("0.1", "0.9"))
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert is_outdated()
    assert merges(tmp_path, monkeypatch) == 1
    settled(tmp_path)
    assert merges(tmp_path, monkeypatch) == 0


@pytest.mark.parametrize(
    "more",
    [
        {"config.yaml": "defaults: [{model: '${oc.env:MODEL}'}]\ntask: a.b\n"},
        {"config.yaml": "hydra: {searchpath: [pkg://tiny.conf]}\ntask: a.b\n"},
        {"model/odd.yaml": "a: [\n"},
        {"model/deep.yaml": f"a: {'[' * 50_000}{']' * 50_000}\n"},
    ],
    ids=["a variable", "another place", "not YAML", "thousands deep"],
)
def test_what_depends_on_more_than_files_is_not_composed_ahead(tmp_path: Path, more: dict[str, str]) -> None:
    write(tmp_path / "conf", CONF | more)
    settled(tmp_path)
    assert _ahead._ahead is not None
    assert _ahead._ahead.kept is None
    assert not is_outdated()  # nobody has to try again


def test_a_folder_of_thousands_of_files_is_left_to_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ahead, "_MOST_FILES", 5)
    write(tmp_path / "conf", CONF)
    settled(tmp_path)
    assert merges(tmp_path, monkeypatch) == 1
    assert not is_outdated()


def test_what_lies_behind_a_link_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "conf", CONF)
    write(tmp_path / "elsewhere", {"odd.yaml": "defaults: [{/opt: '${oc.env:OPT}'}]\n"})
    (tmp_path / "conf" / "linked").symlink_to(tmp_path / "elsewhere")
    settled(tmp_path)
    assert merges(tmp_path, monkeypatch) == 1


def test_what_changed_a_moment_ago_is_composed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "conf", CONF)
    compose_ahead(tmp_path, "conf", "config")
    assert is_outdated()
    assert merges(tmp_path, monkeypatch) == 1
