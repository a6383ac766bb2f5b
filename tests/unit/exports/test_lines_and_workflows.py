"""crontabs, and workflows of GitHub and GitLab."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kit.triggers import Cron
from tests.exporting import (
    HOURLY,
    NIGHTLY,
    WHOLE,
    refused,
    text_of,
)

# cron


def test_a_line_of_a_crontab_is_run_by_a_shell_as_it_is_meant(tmp_path: Path) -> None:
    root = tmp_path / "it's 100% mine"
    root.mkdir()
    fake = tmp_path / "kit $HOME"
    fake.write_text('#!/bin/sh\npwd; printf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    text = text_of("cron", NIGHTLY, root=str(root), command=(str(fake),))
    (line,) = [line for line in text.splitlines() if line.startswith("30 4 * * 1-5 ")]
    command = line.removeprefix("30 4 * * 1-5 ")
    assert not re.search(r"(?<!\\)%", command), "cron would end the command there"
    subprocess.run(["sh", "-c", command.replace("\\%", "%")], check=True)
    told = (root / ".kit" / "cron-nightly.log").read_text().splitlines()
    assert told == [str(root), "run", "--schedule", "nightly", "--at", "due"]


def test_a_call_that_finds_another_one_busy_leaves_if_that_is_the_policy(tmp_path: Path) -> None:
    fake = tmp_path / "kit"
    fake.write_text("#!/bin/sh\necho called\n")
    fake.chmod(0o755)
    text = text_of("cron", NIGHTLY, root=str(tmp_path), command=(str(fake),))
    command = ["sh", "-c", text.splitlines()[-1].removeprefix("30 4 * * 1-5 ")]
    log = tmp_path / ".kit" / "cron-nightly.log"
    log.parent.mkdir()
    with (tmp_path / ".kit" / "cron-nightly.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert subprocess.run(command, check=False).returncode == 0
        assert log.read_text() == ""
    assert subprocess.run(command, check=False).returncode == 0
    assert log.read_text() == "called\n"
    assert "flock" not in text_of("cron", HOURLY), "these wait for each other"


def test_minutes_of_every_hour_need_no_zone() -> None:
    assert "\n15 * * * * cd " in text_of("cron", HOURLY, zone="Europe/Berlin")
    assert "\n45 * * * * cd " in text_of("cron", HOURLY, zone="Asia/Kolkata")


# GitHub and GitLab


@pytest.mark.parametrize(("system", "schema"), [("github", "vendor.github-workflows"), ("gitlab", "vendor.gitlab-ci")])
def test_their_own_schemas_take_it(system: str, schema: str, tmp_path: Path) -> None:
    path = tmp_path / f"{system}.yml"
    text = text_of(system, replace(NIGHTLY, trigger=Cron("30 4 * * mon-fri")), HOURLY)
    path.write_text(text)
    done = check_schema(path, schema)
    assert done.returncode == 0, done.stdout
    path.write_text(text.replace("concurrency:", "concurency:").replace("retry:", "retries:"))
    assert check_schema(path, schema).returncode == 1, "else it takes anything"


def check_schema(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    extra = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    return subprocess.run([*command, *extra, str(path)], check=False, capture_output=True, text=True)


def test_a_workflow_runs_the_schedule_that_is_due() -> None:
    text = text_of("github", replace(NIGHTLY, trigger=Cron("30 4 * * mon-fri")), HOURLY)
    workflow = yaml.safe_load(text)
    assert workflow["on"]["schedule"] == [{"cron": "15 * * * *"}, {"cron": "30 4 * * 1-5"}]
    job = workflow["jobs"]["nightly"]
    assert job["if"] == "github.event.schedule == '30 4 * * 1-5' || inputs.schedule == 'nightly'"
    assert (job["timeout-minutes"], job["concurrency"]["cancel-in-progress"]) == (WHOLE // 60, False)
    assert job["steps"][-1]["run"].startswith("uv run kit run --schedule nightly --at ${{ ")
    assert workflow["permissions"] == {"contents": "read"}
    assert all(re.fullmatch(r"[A-Za-z_][\w-]*", name) for name in workflow["jobs"])


def test_github_knows_no_zone_and_no_less_than_five_minutes() -> None:
    assert "move when clocks are changed in America/New_York" in str(refused("github", NIGHTLY))
    assert "every five minutes" in str(refused("github", replace(HOURLY, trigger=Cron("*/4 * * * *"))))
    indian = replace(HOURLY, trigger=Cron("0 2 * * *", "Asia/Kolkata"))
    assert "cron: 30 20 * * *" in text_of("github", indian)


def test_gitlab_is_told_what_its_pipeline_schedules_have_to_be() -> None:
    text = text_of("gitlab", NIGHTLY)
    assert "#   30 4 * * 1-5   zone America/New_York   RUN_SCHEDULE=nightly\n" in text
    job = yaml.safe_load(text)["kit:nightly"]
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule" && $RUN_SCHEDULE == "nightly"'}]
    assert (job["retry"]["max"], job["timeout"]) == (2, f"{WHOLE // 60} minutes")
    assert job["resource_group"] == "kit-nightly"
