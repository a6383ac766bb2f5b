"""Each system's own objects: valid by its own schema or checker, with the policies in its own words."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit.exports import SYSTEMS, export, exporter
from kit.exports.systemd import calendar
from kit.exports.ticks import of_trigger
from kit.policies import Overlap
from kit.schedule import Schedule
from kit.triggers import After, Cron, Interval, iter_due
from tests.exporting import (
    ALL,
    HOURLY,
    MAIL,
    NEW_DATA,
    NIGHTLY,
    NOW,
    ONCE,
    REPORT,
    WHOLE,
    exported,
    place,
    refused,
    text_of,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate  # type: ignore[import-untyped]

ANALYZE = shutil.which("systemd-analyze")
# All of them


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_that_can_be_is_exported_and_the_rest_is_named_with_the_reason(system: str) -> None:
    found = exported(system, *ALL.values())
    written = "".join(found.files.values())
    expected = {
        "airflow": {"new_data"},
        "systemd": {"new_data", "report", "mail"},
        "github": {"new_data", "report", "mail", "release", "nightly"},
    }
    assert set(found.refused) == expected.get(system, {"new_data", "report", "mail", "release"})
    for error in found.refused.values():
        assert error.fix
        assert error.exit_code == 2
        assert str(error).startswith(exporter(system).title)
    for name in set(ALL) - set(found.refused):
        assert f"run --schedule {name} --at" in written
    for note, names in found.notes.items():
        assert f"# {', '.join(names)}: {note}\n" in written or exporter(system).is_folder


@pytest.mark.parametrize("system", [system for system in SYSTEMS if system not in {"cron", "github"}])
def test_a_time_that_a_night_does_not_have_is_refused_unless_that_is_wanted(system: str) -> None:
    at_two = replace(NIGHTLY, name="at_two", trigger=Cron("0 2 * * *", "Europe/Berlin"))
    error = refused(system, at_two)
    assert "02:00 to 03:00 does not exist on 2027-03-28 and 02:00 to 03:00 comes twice on 2027-10-31" in error.what
    found = exported(system, at_two, anyway=True)
    assert not found.refused
    assert any("2027-03-28" in note for note in found.notes)
    assert all("2027-03-28" in text for text in found.files.values())


def test_cron_has_kits_own_rule_for_such_nights_but_one_clock() -> None:
    at_two = replace(NIGHTLY, name="at_two", trigger=Cron("0 2 * * *", "Europe/Berlin"))
    assert "\n0 2 * * * cd " in text_of("cron", at_two, zone="Europe/Paris")
    assert "that of America/New_York, and not by that of Europe/Berlin" in str(refused("cron", at_two))
    assert "time zone is not known" in str(refused("cron", at_two, zone=None))


@pytest.mark.parametrize("system", ["airflow", "systemd", "cron", "gitlab"])
def test_what_cannot_replace_a_run_says_so(system: str) -> None:
    assert "overlap: replace" in str(refused(system, replace(NIGHTLY, overlap=Overlap.REPLACE)))


# Kubernetes


def cron_job(schedule: Schedule, **changes: Any) -> dict[str, Any]:
    document = yaml.safe_load(text_of("kubernetes", schedule, **changes))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("version", ["1.37", "1.31"])
@pytest.mark.parametrize("schedule", [NIGHTLY, HOURLY])
def test_kubernetes_own_schema_takes_it(schedule: Schedule, version: str) -> None:
    kubernetes_validate.validate(cron_job(schedule), version, strict=True)


def test_kubernetes_schema_would_say_so_if_a_key_were_wrong() -> None:
    document = cron_job(NIGHTLY)
    document["spec"]["jobTemplate"]["spec"]["backofLimit"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.37", strict=True)


@pytest.mark.parametrize("schedule", [NIGHTLY, HOURLY, replace(HOURLY, name="A_very.long" + "-name" * 17)])
def test_what_the_schema_misses_and_an_apiserver_refuses(schedule: Schedule) -> None:
    document = cron_job(schedule)
    name, spec = document["metadata"]["name"], document["spec"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", name), "a CronJob's name has 52 characters at most"
    assert spec["concurrencyPolicy"] in {"Allow", "Forbid", "Replace"}
    assert re.fullmatch(r"([\d*,/-]+ ){4}[\d*,/-]+", spec["schedule"])
    assert not re.search(r"\b7\b", spec["schedule"].split()[4])
    assert "TZ" not in spec["schedule"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never", "a podFailurePolicy needs that"
    (container,) = pod["containers"]
    assert container["image"]
    (rule,) = job["podFailurePolicy"]["rules"]
    codes = rule["onExitCodes"]["values"]
    assert codes == sorted(set(codes))
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    for label in document["metadata"]["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", label)


def test_policies_in_kubernetes_words() -> None:
    spec = cron_job(NIGHTLY)["spec"]
    job = spec["jobTemplate"]["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 4 * * 1-5", "America/New_York")
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 7 * 86400)
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (3, WHOLE)
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] > NIGHTLY.grace
    spec = cron_job(HOURLY)["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("15 * * * *", "Etc/UTC")
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Allow", 120)
    assert "activeDeadlineSeconds" not in spec["jobTemplate"]["spec"], "it may wait for long"
    assert cron_job(replace(NIGHTLY, overlap=Overlap.REPLACE))["spec"]["concurrencyPolicy"] == "Replace"


@pytest.mark.parametrize(
    ("job", "at"),
    [
        ("flights-nightly-29689770", "2026-06-13T21:30:00Z"),
        ("flights-nightly-1", "now"),
        ("flights-nightly-tried-by-hand", "now"),
        ("flights-nightly-29689770-2", "now"),
        ("", "now"),
    ],
)
def test_a_pod_takes_the_instant_from_the_name_of_its_job(job: str, at: str, tmp_path: Path) -> None:
    """The controller names a Job after its CronJob and the minute that it is for."""
    (container,) = cron_job(NIGHTLY)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    fake = tmp_path / "kit"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        container["command"], env={"JOB": job, "PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=True,
        text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["run", "--schedule", "nightly", "--at", at]


def test_names_that_differ_are_two_cron_jobs() -> None:
    every = {name: replace(HOURLY, name=name) for name in ("a.b", "a-b", "A-b", "a_b")}
    text = "".join(export("kubernetes", every, every, place("kubernetes")).files.values())
    names = [document["metadata"]["name"] for document in yaml.safe_load_all(text)]
    assert len(set(names)) == 4


# systemd


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
@pytest.mark.parametrize("root", ["/", "my 100% $HOME \\x41 %h"])
def test_systemd_takes_the_units(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / root.lstrip("/")
    folder.mkdir(exist_ok=True)
    found = exported("systemd", NIGHTLY, HOURLY, ONCE, root=str(folder))
    assert len(found.files) == 6
    paths = []
    for name, text in found.files.items():
        (tmp_path / name).write_text(text)
        paths.append(str(tmp_path / name))
    verified = verify(paths, tmp_path, monkeypatch)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
def test_systemd_would_say_so_if_a_setting_were_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for name, text in exported("systemd", NIGHTLY, root=str(tmp_path)).files.items():
        (tmp_path / name).write_text(text.replace("AccuracySec", "AcuracySec"))
        paths.append(str(tmp_path / name))
    assert "AcuracySec" in verify(paths, tmp_path, monkeypatch).stderr


def verify(paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    command = [str(ANALYZE), "verify", "--user", "--man=no", *paths]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def systemd_says(line: str, number: int) -> list[datetime]:
    """The next instants, from systemd itself."""
    command = [str(ANALYZE), "calendar", f"--base-time={NOW:%Y-%m-%d %H:%M:%S} UTC", f"--iterations={number}", line]
    env = {"TZ": "UTC", "LANG": "C"}
    told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"(?:Next elapse|Iter\. #\d+): \w{3} (\S+ \S+) UTC", told)
    return [datetime.fromisoformat(one).replace(tzinfo=UTC) for one in found]


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")
@pytest.mark.parametrize(
    "trigger",
    [
        NIGHTLY.trigger,
        Cron("0 3 * * *", "Europe/Berlin"),
        Cron("0 3 13 * 5", "Europe/Berlin"),
        Cron("*/20 9-17 * * mon-fri", "America/New_York"),
        Cron("0 12 28-31 2,3 *", "Africa/Casablanca"),
        Cron("45 5 * * 7", "Pacific/Chatham"),
        Cron("10 * * * *", "Asia/Kathmandu"),
        Interval(6 * 3600.0),
        Interval(7 * 86400.0, datetime(2026, 1, 1, 7, 45, tzinfo=UTC)),
    ],
    ids=str,
)
def test_a_timer_elapses_when_kit_says_for_a_year(trigger: Cron | Interval) -> None:
    end = NOW + timedelta(days=370)
    expected = list(takewhile(lambda instant: instant <= end, iter_due(trigger, NOW)))
    ticks = of_trigger(trigger, NOW)
    assert ticks is not None
    said = {one for line in calendar(ticks) for one in systemd_says(line, len(expected) + 1) if one <= end}
    assert sorted(said) == expected


def entries(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_policies_in_systemds_words() -> None:
    found = exported("systemd", NIGHTLY, HOURLY, ONCE).files
    service, timer = entries(found["kit-flights-nightly.service"]), entries(found["kit-flights-nightly.timer"])
    assert (service["Restart"], service["RestartSec"], service["TimeoutStartSec"]) == ("on-abnormal", "300", str(WHOLE))
    assert timer["Persistent"] == "yes"
    assert int(service["TimeoutStopSec"]) > NIGHTLY.grace
    (hourly,) = [entries(text) for name, text in found.items() if "every" in name and name.endswith("timer")]
    assert (hourly["Persistent"], hourly["OnCalendar"]) == ("no", "*-*-* *:15:00 UTC")
    assert entries(found["kit-flights-release.timer"])["OnCalendar"] == "2027-01-01 00:30:00 UTC"


# Airflow: `tests/integration/test_export.py` has the real one


def test_a_dag_is_python_whatever_the_names_are() -> None:
    text = text_of("airflow", NIGHTLY, HOURLY, ONCE, REPORT, MAIL, root='/srv/it\'s "mine" \\n')
    tree = ast.parse(text)
    dags = [node for node in tree.body if isinstance(node, ast.With)]
    assert len(dags) == 3
    assert "task_0 >> task_1" in text
    assert "task_1 >> task_2" in text
    calls = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and "--at " in str(node.value)]
    assert len(calls) == 5
    assert json.dumps(calls[0]).count("mine") == 1
    assert "templates" in str(refused("airflow", NIGHTLY, root="/srv/{{ x }}"))


def test_what_comes_after_another_is_a_part_of_it() -> None:
    found = exported("airflow", REPORT)
    assert "comes after nightly and is a part of that" in str(found.refused["report"])
    found = exported("airflow", NIGHTLY)
    assert "run --schedule mail --at" in "".join(found.files.values())
    late = replace(REPORT, name="late", trigger=After("new_data"))
    found = exported("airflow", NEW_DATA, late)
    assert set(found.refused) == {"new_data", "late"}
