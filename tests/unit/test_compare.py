"""What differs between two runs, from causes to effects."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit import _clock
from kit.compare import Change, Difference, MetricChange, compare
from kit.errors import UserError
from kit.models import RunRecord
from kit.project import Project, open_project
from kit.snapshot import CodeVersion, DataVersion, OmittedFile
from kit.states import RunStatus
from tests.conftest import git, write
from tests.factories import claimed, record, snapshot, spec
from tests.support import claim


@pytest.fixture
def opened(project: Path) -> Project:
    return open_project(project)


def add(project: Project, run_id: str, metrics: dict[str, float] | None = None, **changes: Any) -> RunRecord:
    head = changes.pop("commit", None) or git(project.root, "rev-parse", "HEAD")
    omitted = changes.pop("omitted", ())
    code = CodeVersion(head, head, "main", dirty=bool(omitted), ref=f"refs/kit/runs/{run_id}", omitted=omitted)
    taken = snapshot(code=code, **changes)
    made = spec(run_id, snapshot=taken, config=changes.pop("config", {"model": {"rate": 0.2}}))
    project.store.create(made, RunRecord.queued(made, at=_clock.now(), params={}))
    project.store.set_metrics(run_id, metrics or {})
    return project.store.get(run_id)


def test_two_equal_runs_differ_in_nothing(opened: Project) -> None:
    old, new = add(opened, "a1", {"auc": 0.5}), add(opened, "b2", {"auc": 0.5})
    assert compare(opened, old, new) == Difference("", (), (), (), (), (), (MetricChange("auc", 0.5, 0.5),))


@pytest.mark.parametrize(
    ("status", "why"), [(RunStatus.QUEUED, "it waits for its turn"), (RunStatus.FAILED, "it is failed")]
)
def test_a_run_that_was_never_planned_has_nothing_to_compare(opened: Project, status: RunStatus, why: str) -> None:
    claim(opened.store, claimed("b2", status=status))
    with pytest.raises(UserError, match=f"run b2 cannot be compared: .*{why}") as caught:
        compare(opened, add(opened, "a1"), opened.store.get("b2"))
    assert caught.value.fix == "See it with `kit show b2`."


def test_code_is_a_git_diff(opened: Project) -> None:
    old = add(opened, "a1")
    write(opened.root, {"conf/model/small.yaml": "depth: 4\nrate: 0.1\n"})
    git(opened.root, "commit", "--quiet", "--all", "--message", "deeper")
    code = compare(opened, old, add(opened, "b2")).code
    assert "-depth: 3\n+depth: 4" in code


def test_a_file_that_no_snapshot_holds_is_compared_by_what_is_known_of_it(opened: Project) -> None:
    def large(sha256: str) -> OmittedFile:
        return OmittedFile("big.bin", 20_000_000, sha256, "large")

    same = OmittedFile("same.bin", 20_000_000, "c" * 64, "large")
    old = add(opened, "a1", omitted=(large("a" * 64), same, OmittedFile(".env", 1000, None, "secret")))
    new = add(opened, "b2", omitted=(large("b" * 64), same))
    found = compare(opened, old, new)
    assert found.code == ""
    assert found.omitted == (
        Change(".env", "1,000 bytes (secret)", None),
        Change("big.bin", f"sha256 {'a' * 64}", f"sha256 {'b' * 64}"),
    )


def test_a_snapshot_that_is_gone_hides_nothing_else(opened: Project) -> None:
    old, new = add(opened, "a1", seed=7, commit="0" * 40), add(opened, "b2", seed=8)
    found = compare(opened, old, new)
    assert found.config == (Change("(seed)", "7", "8"),)
    assert found.note is not None
    assert found.note.startswith("the code cannot be compared: no commit '000")


def test_data_is_named_with_its_version_and_state(opened: Project) -> None:
    def version(path: str, md5: str | None, state: Any = "matches", found: str | None = None) -> DataVersion:
        return DataVersion(path, md5, 1, None, state, f"{path}.dvc", found=found)

    old = add(opened, "a1", data=(version("same", "1"), version("changed", "1"), version("gone", "1")))
    new = add(
        opened,
        "b2",
        data=(version("same", "1"), version("changed", "1", "modified", "2"), version("made", None, "unrecorded")),
    )
    assert compare(opened, old, new).data == (
        Change("changed", "1", "2 (modified)"),
        Change("gone", "1", None),
        Change("made", None, "nothing there (unrecorded)"),
    )


def test_the_seed_counts_as_config(opened: Project) -> None:
    old = add(opened, "a1", seed=7)
    new = add(opened, "b2", seed=8)
    assert compare(opened, old, new).config == (Change("(seed)", "7", "8"),)


def test_a_config_is_compared_by_its_leaves(opened: Project) -> None:
    made = [spec(f"run{n}", config={"model": {"rate": rate, "kind": "hgb"}}) for n, rate in enumerate((0.1, 0.2))]
    head = git(opened.root, "rev-parse", "HEAD")
    records = []
    for each in made:
        begun = RunRecord.queued(each, at=_clock.now(), params={})
        opened.store.create(each, begun)
        records.append(type(begun)(**{name: getattr(begun, name) for name in begun.__slots__} | {"commit": head}))
    assert compare(opened, *records).config == (Change("model.rate", "0.1", "0.2"),)


def test_metrics_of_either_run_are_listed(opened: Project) -> None:
    old = add(opened, "a1", {"auc": 0.5, "old": 1.0})
    new = add(opened, "b2", {"auc": 0.75, "new": 2.0})
    found = {metric.name: metric for metric in compare(opened, old, new).metrics}
    assert set(found) == {"auc", "old", "new"}
    assert found["auc"].change == 0.25
    assert (found["old"].change, found["new"].change) == (None, None)


def test_records_of_a_test_have_the_commit_of_their_spec() -> None:
    assert record().commit == spec().snapshot.code.commit


def test_the_diff_of_the_code_holds_no_secret(opened: Project) -> None:
    old = add(opened, "a1")
    write(opened.root, {"conf/model/small.yaml": "depth: 4\npassword: hunter2\n", "secrets.yaml": "a: plainword\n"})
    git(opened.root, "add", "--all")
    git(opened.root, "commit", "--quiet", "--message", "oops")
    code = compare(opened, old, add(opened, "b2")).code
    assert "+password: ***" in code
    assert "b/secrets.yaml" in code
    assert "hunter2" not in code
    assert "plainword" not in code


@pytest.mark.parametrize(
    ("old", "new", "change", "relative"),
    [
        (0.5, 0.75, 0.25, 0.5),
        (-2.0, -3.0, -1.0, -0.5),
        (0.0, 1.0, 1.0, None),
        (0.0, 0.0, 0.0, None),
        (2.0, 2.0, 0.0, 0.0),
        (math.nan, math.nan, 0.0, None),
        (math.inf, math.inf, 0.0, None),
        (1.0, math.inf, math.inf, None),
        (None, 1.0, None, None),
        (1.0, None, None, None),
    ],
)
def test_a_change_of_a_metric(
    old: float | None, new: float | None, change: float | None, relative: float | None
) -> None:
    metric = MetricChange("m", old, new)
    assert metric.change == change
    if old is None or not math.isnan(old):
        assert metric.relative == relative


def test_an_interpreter_of_another_kind_is_another_environment(opened: Project) -> None:
    plain = snapshot().environment
    old = add(opened, "a1", environment=plain)
    new = add(opened, "b2", environment=replace(plain, implementation="PyPy", packages={"numpy": "2.1", "scipy": "1"}))
    assert compare(opened, old, new).environment == (
        Change("(implementation)", "CPython", "PyPy"),
        Change("numpy", "2.0", "2.1"),
        Change("scipy", None, "1"),
    )


def test_the_projects_own_package_is_its_code(opened: Project) -> None:
    plain = snapshot().environment
    old = add(opened, "a1", environment=replace(plain, packages={"tiny": "0.1", "numpy": "2.0"}))
    new = add(opened, "b2", environment=replace(plain, packages={"tiny": "0.2", "numpy": "2.0"}))
    assert compare(opened, old, new).environment == ()


def test_a_host_is_compared_as_people_know_it(opened: Project) -> None:
    plain = snapshot().host
    old = add(opened, "a1", host=replace(plain, gpus=("H200, 141 GB, 550", "H200, 141 GB, 550")))
    new = add(opened, "b2", host=replace(plain, memory=plain.memory - 5000, cores=4))
    assert compare(opened, old, new).host == (
        Change("cores", "2", "4"),
        Change("gpus", "H200, 141 GB, 550; H200, 141 GB, 550", "none"),
    )


def test_what_the_environment_calls_a_secret_is_none_of_the_diff(
    opened: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "correct-horse")
    write(opened.root, {".gitignore": ".env\n.kit/\n", ".env": "API_TOKEN=battery-staple\n"})
    old = add(opened, "a1")
    write(opened.root, {"src/tiny/__init__.py": "connect('correct-horse', 'battery-staple')\n"})
    git(opened.root, "commit", "--quiet", "--all", "--message", "oops")
    code = compare(opened, old, add(opened, "b2")).code
    assert "+connect('***', '***')" in code
