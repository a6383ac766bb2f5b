"""`kit schedule`: schedules that are at work. The real command; what happened before is written as a scheduler does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kit import _clock
from kit.project import open_project
from kit.schedules import Schedules
from kit.states import FireStatus, RunStatus
from tests.scheduling import World
from tests.support import Done, environment, kit, new_project, on_screen, until

HOURLY = 'trigger: {cron: "0 * * * *"}\n'
FILES = {
    "conf/schedule/good.yaml": HOURLY + "overrides: [+api_key=hunter22secret]\nalert: slack://hunter22secret/x/y\n",
    "conf/schedule/bad.yaml": HOURLY + "retry: {attempts: 3, delay: 5 m}\ntimeout: 1 h\nslots: gpu\n",
    "conf/schedule/held.yaml": 'trigger: {cron: "0 2 * * *", timezone: America/New_York}\n',
    "conf/schedule/follow.yaml": "trigger: {after: good}\n",
    "conf/schedule/off.yaml": HOURLY + "enabled: false\n",
    "conf/schedule/broken.yaml": "trigger: {crom: x}\n",
}


@dataclass(frozen=True)
class Made:
    root: Path
    env: dict[str, str]
    now: datetime

    def kit(self, *arguments: str, code: int = 0) -> Done:
        return kit(self.root, "schedule", *arguments, env=self.env, code=code)

    def screen(self, *arguments: str) -> list[str]:
        lines = on_screen(self.root, "schedule", *arguments, env=self.env)
        assert max(map(len, lines)) <= 80, "\n".join(lines)
        return lines

    def listed(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.kit("list", "--json").json()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Since five hours: nobody was there for two; then `good` succeeds, `bad` fails, and `held` is paused."""
    folder = tmp_path_factory.mktemp("cli")
    root = new_project(folder / "tiny", FILES)
    now = _clock.now().replace(minute=0, second=0, microsecond=0)
    world = World(*Schedules(open_project(root)).load().schedules.values(), store=open_project(root).store)
    world.turn(now - timedelta(hours=5, minutes=30))
    world.pause("held", "the data is being mended")
    for hours in (3, 2, 1):
        for minutes in (0, 1, 8, 25, 26):  # `bad` tries again after five minutes, and after ten more
            pass_on(world, now - timedelta(hours=hours, minutes=-minutes))
    pass_on(world, now)
    pass_on(world, now + timedelta(seconds=1))
    return Made(root, environment(folder / "home", KIT_FORKSERVER="on", TZ="Europe/Berlin"), now)


def pass_on(world: World, at: datetime) -> None:
    """A turn, and what it starts ends at once."""
    world.turn(at)
    for name in ("good", "follow", "bad"):
        for fire in world.running(name):
            if not world.store.get(fire.run_id or "").status.is_terminal:
                world.end(name, RunStatus.FAILED if name == "bad" else RunStatus.SUCCEEDED, reason=None)


# Looking


def test_the_list_says_how_each_does(made: Made) -> None:
    found = made.listed()
    assert {name: one["health"] for name, one in found.items()} == {
        "bad": "failing", "broken": "broken", "follow": "ok", "good": "ok", "held": "paused", "off": "disabled",
    }  # fmt: skip
    assert found["good"]["trigger"] == "0 * * * * UTC"
    assert (found["good"]["streak"], found["bad"]["streak"]) == (4, -3)
    assert found["held"]["paused_why"] == "the data is being mended"
    assert found["broken"]["why"] == "trigger: unknown key 'crom' (conf/schedule/broken.yaml)"
    coming = datetime.fromisoformat(found["good"]["next_at"])
    assert (coming.minute, coming > made.now) == (0, True)


def test_the_list_is_tabs_on_a_pipe_and_fits_a_terminal(made: Made) -> None:
    rows = [line.split("\t") for line in made.kit("list").out.splitlines()]
    assert rows[0] == ["schedule", "trigger", "next", "last", "streak", "health"]
    assert [row[0] for row in rows[1:]] == ["bad", "broken", "follow", "good", "held", "off"]
    assert {len(row) for row in rows} == {6}
    shown = "\n".join(made.screen("list"))
    for words in ("America/New_York", "paused", "after good", "the data is being mended", "disabled"):
        assert words in shown


def test_no_schedules_is_said(made: Made, tmp_path: Path) -> None:
    root = new_project(tmp_path / "tiny")
    assert "conf/schedule/NAME.yaml" in kit(root, "schedule", "list", env=made.env).out
    assert "nothing was due yet" in kit(root, "schedule", "history", env=made.env).out


def test_show_has_everything_and_no_secret(made: Made) -> None:
    shown = "\n".join(made.screen("show", "good"))
    for words in ("conf/schedule/good.yaml", "0 * * * * UTC", "slack://***", "api_key=***", "next", "succeeded"):
        assert words in shown
    found = made.kit("show", "good", "--json")
    assert "hunter22secret" not in shown + found.out
    plain = found.json()
    assert plain["file"] == "conf/schedule/good.yaml"
    assert plain["definition"]["alert"]["to"] == ["slack://***"]
    assert len(plain["next"]) == 3
    assert {event["status"] for event in plain["history"]} >= {"succeeded", "missed"}
    assert "3, 5 m apart at first" in "\n".join(made.screen("show", "bad"))
    assert "next" not in [line.strip() for line in made.screen("show", "held")]


def test_history_tells_of_every_instant(made: Made) -> None:
    found = made.kit("history", "good", "--json").json()
    instants = [datetime.fromisoformat(one["scheduled_at"]) for one in found if "scheduled_at" in one]
    assert instants == sorted(instants, reverse=True)
    (gap,) = [one for one in found if "count" in one]
    assert (gap["status"], gap["count"]) == ("missed", 2)
    fire = found[0]
    assert (fire["schedule"], fire["status"], fire["attempts"]) == ("good", "succeeded", 1)
    assert fire["late_seconds"] == 0
    assert len(made.kit("history", "-n", "2", "--json").json()) == 2
    assert {one["schedule"] for one in made.kit("history", "-n", "100", "--json").json()} >= {"bad", "follow", "good"}


def test_history_is_tabs_on_a_pipe_and_fits_a_terminal(made: Made) -> None:
    rows = [line.split("\t") for line in made.kit("history").out.splitlines()]
    assert rows[0] == ["scheduled_at", "schedule", "status", "attempts", "run", "late", "took", "reason"]
    assert {len(row) for row in rows} == {8}
    shown = "\n".join(made.screen("history", "-n", "100"))
    assert " UTC)" in shown
    assert "2 times" in shown
    assert "it broke" in shown
    assert "after another" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"], ["pause"], ["resume"], ["run"], ["history"],
        ["backfill", "--from", "2026-01-01", "--to", "2026-01-02"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_name_that_is_not_there_has_the_nearest_offered(made: Made, arguments: list[str]) -> None:
    done = made.kit(arguments[0], "goood", *arguments[1:], code=2)
    assert done.err == "error: no schedule 'goood'. Did you mean 'good'?\n"


def test_a_broken_one_is_told_of_where_it_is_needed(made: Made) -> None:
    assert "unknown key 'crom'" in made.kit("show", "broken", code=2).err
    assert "unknown key 'crom'" in made.kit("run", "broken", code=2).err


# Doing


@pytest.fixture
def mine(tmp_path: Path) -> Made:
    """A project of the test's own, in which nothing has happened."""
    root = new_project(tmp_path / "tiny", {"conf/schedule/daily.yaml": DAILY, "conf/schedule/fresh.yaml": FRESH})
    return Made(root, environment(tmp_path / "home") | {"TZ": "Europe/Berlin"}, _clock.now())


DAILY = 'trigger: {cron: "0 2 * * *", timezone: America/New_York}\n'
FRESH = "trigger: {data: data/flights}\n"


def fires(mine: Made, name: str) -> dict[str, FireStatus]:
    found = (
        mine.kit("history", name, "-n", "1000", "--json").json() if open_project(mine.root).store.fires.states() else []
    )
    return {one["scheduled_at"]: FireStatus(one["status"]) for one in found}


def test_pause_and_resume(mine: Made) -> None:
    done = mine.kit("pause", "daily", "--why", "holidays")
    assert "daily is paused" in done.out
    assert "kit schedule resume daily" in done.out
    one = mine.listed()["daily"]
    assert (one["health"], one["paused_why"], one["next_at"]) == ("paused", "holidays", None)
    assert "daily goes on; next: " in mine.kit("resume", "daily").out
    assert mine.listed()["daily"]["health"] == "new"
    done = mine.kit("resume", "daily", code=2)
    assert done.err == "error: schedule daily is not paused. See it with `kit schedule list`.\n"


def test_a_backfill_says_what_it_would_do_and_does_it_once(mine: Made) -> None:
    span = ["--from", "2026-01-01", "--to", "2026-01-04T02:00"]
    dry = mine.kit("backfill", "daily", *span, "--dry-run").out.splitlines()
    assert dry[0] == "would ask for 3 fires of daily:"
    # Two o'clock in New York is eight in Berlin; the end is not included.
    assert dry[1:] == [f"  2026-01-0{day} 08:00 (07:00 UTC)" for day in (1, 2, 3)]
    assert fires(mine, "daily") == {}
    done = mine.kit("backfill", "daily", *span).out
    assert "asked for 3 fires of daily:" in done
    assert "no scheduler is running, so they wait" in done
    assert [*fires(mine, "daily")] == [f"2026-01-0{day}T07:00:00+00:00" for day in (3, 2, 1)]
    again = mine.kit("backfill", "daily", "--from", "2026-01-02", "--to", "2026-01-05T00:00Z").out
    assert "asked for 1 fire of daily:" in again
    assert "2 fires ran, or are under way:" in again
    assert set(fires(mine, "daily").values()) == {FireStatus.PENDING}


@pytest.mark.parametrize(
    ("name", "start", "end", "words"),
    [
        ("daily", "2026-01-02", "2026-01-01", "--from is not before --to"),
        ("daily", "yesterday", "2026-01-01", "'yesterday' is not an instant"),
        ("daily", "2026-01-01T03:00", "2026-01-01T04:00", "nothing was due from 2026-01-01 08:00 UTC"),
        ("daily", "1950-01-01", "2026-01-01", "more than 10000 fires"),
        ("daily", "2900-01-01", "2900-02-01", "nothing was due"),
        ("fresh", "2026-01-01", "2026-02-01", "does not go by the clock"),
    ],
)
def test_a_backfill_that_makes_no_sense(mine: Made, name: str, start: str, end: str, words: str) -> None:
    done = mine.kit("backfill", name, "--from", start, "--to", end, code=2)
    assert words in done.err
    assert done.err.count("\n") == 1


def test_what_is_still_to_come_is_not_backfilled(mine: Made) -> None:
    start = (mine.now - timedelta(days=2)).isoformat()
    end = (mine.now + timedelta(days=30)).isoformat()
    mine.kit("backfill", "daily", "--from", start, "--to", end)
    asked = [datetime.fromisoformat(instant) for instant in fires(mine, "daily")]
    assert asked
    assert max(asked) < _clock.now()


def test_what_was_asked_for_is_run_by_the_next_scheduler(mine: Made) -> None:
    """Whatever its trigger, paused or not."""
    mine.kit("pause", "fresh")
    out = mine.kit("run", "fresh").out
    assert "no scheduler is running, so it waits" in out
    assert "kit run --schedule fresh --at 20" in out
    (instant,) = fires(mine, "fresh")
    assert datetime.fromisoformat(instant).tzinfo == UTC

    def is_over() -> bool:
        kit(mine.root, "scheduler", "--once", env=mine.env)
        return fires(mine, "fresh")[instant].is_terminal

    until(is_over, "the run")
    (event,) = mine.kit("history", "fresh", "--json").json()
    assert (event["status"], event["origin"], event["attempts"]) == ("succeeded", "request", 1)
    shown = json.loads(kit(mine.root, "show", event["run_id"], "--json", env=mine.env).out)
    assert shown["origin"]["scheduled_at"].startswith(instant[:19])
    assert "succeeded" in "\n".join(mine.screen("history", "fresh"))
