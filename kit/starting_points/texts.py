"""What is written: configs that explain themselves, and their tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kit.config import RESERVED

__all__ = ["experiment", "experiment_test", "model", "model_test", "schedule", "schedule_test"]

_SHOWN = 30
"""Lines of what there is to change; `--dry-run` has them all."""

_HEAD = '''\
"""{what}"""

from __future__ import annotations

from pathlib import Path

from kit.testing import {names}

ROOT = Path(__file__).resolve().parents[{depth}]


'''


def experiment(task: str, seed: int, config: dict[str, Any], *, base: str | None, extends: bool) -> str:
    """An experiment that differs in its seed, with what else could be changed.

    Args:
        task: What it runs.
        seed: Its own.
        config: What it comes to, without secrets.
        base: What it is compared with; None for a project without experiments.
        extends: Whether all of that is taken over: the project does not come to it by itself.
    """
    than = f"`{base}`" if base else "what the project runs by itself"
    lines = [
        "# @package _global_",
        "# What does it try? Say it here.",
        *(_extending(base) if base and extends else []),
        f"task: {task}",
        "",
        f"# Another seed than {than} has, so that the two differ: take it out once something else does.",
        f"seed: {seed}",
    ]
    return "\n".join([*lines, *_changeable(config)]) + "\n"


def _extending(base: str) -> list[str]:
    return ["defaults:", f"  - {_value(base)} # all that it says ...", "  - _self_ # ... but for what is below", ""]


def _changeable(config: dict[str, Any]) -> list[str]:
    import yaml

    own = {key: value for key, value in config.items() if key not in RESERVED}
    if not own:
        return []

    class Compact(yaml.SafeDumper):
        """Lists on one line."""

    Compact.add_representer(
        list, lambda to, some: to.represent_sequence("tag:yaml.org,2002:seq", some, flow_style=True)
    )
    shown = yaml.dump(own, Dumper=Compact, allow_unicode=True, sort_keys=False, width=1000).splitlines()
    more = ["..."] if len(shown) > _SHOWN else []
    return ["", "# What there is to change, as it is now:", *(f"# {line}" for line in [*shown[:_SHOWN], *more])]


def model(name: str, origin: str, text: str) -> str:
    """A copy of another option, to be changed."""
    return f"# {name}: as {origin} to begin with. Say here what is different.\n{text.rstrip()}\n"


def schedule(experiment: str | None, overrides: Sequence[str], alert: str | None) -> str:
    """A schedule, with a word about each of its policies."""
    runs = f"experiment: {_value(experiment)}" if experiment else "# experiment: NAME"
    given = f"overrides: {_value([*overrides])}" if overrides else "# overrides: [seed=1]"
    return f"""\
# What is it for? Say it here. `kit scheduler` runs what is due, `kit schedule list` says how it goes.

trigger: # one of cron, interval, once, data and after
  cron: "0 2 * * *" # minute, hour, day, month, weekday: every night at two ...
  timezone: UTC # ... by the clock of this place
{runs} # what to run
{given} # what to change, as after `kit run`
# repro: [prepare] # stages of dvc.yaml to bring up to date before each attempt

retry: # an attempt that failed is followed by another
  attempts: 3 # in all
  delay: 5 m # before the second; twice as long before the third
timeout: 1 h # an attempt that takes longer is stopped: politely ...
grace: 10 s # ... and by force if it has not ended after this
overlap: skip # one that is due while the last one still runs is left out; or queue, replace
catch_up: latest # of those that this machine slept through, run the last one; or none, all
# slots: training # a pool with one place: schedules that name it take turns
priority: 0 # when slots are short, higher goes first
{_alert(alert)}
enabled: true # false stops the trigger; `kit schedule run` still runs it
"""


def _value(value: str | list[str]) -> str:
    """On one line; a name that YAML would take for a number or a date is quoted."""
    import yaml

    text: str = yaml.safe_dump([value], default_flow_style=True, width=1000)
    return text.strip()[1:-1]


def _alert(known: str | None) -> str:
    """Whom the project tells already, or how somebody could be told."""
    if known is None:
        return "# alert: file:///tmp/alerts.txt # whom to tell when it fails, recovers, or is missed: apprise's URLs"
    return f"# Whom to tell when it fails, recovers, or is missed: as the project's other schedules.\n{known.rstrip()}"


def experiment_test(name: str, arguments: Sequence[str], task: str, *, depth: int) -> str:
    what = f'The experiment "{name}".'
    return _HEAD.format(what=what, names="compose_config, task_config", depth=depth) + (
        "def test_it_composes_and_fits_its_task() -> None:\n"
        f"    overrides = {_list(arguments)}\n\n"
        f'    assert compose_config(overrides, root=ROOT)["task"] == "{task}"\n'
        "    assert task_config(overrides, root=ROOT)\n"
    )


def model_test(name: str, arguments: Sequence[str], *, depth: int) -> str:
    what = f'The model "{name}".'
    return _HEAD.format(what=what, names="task_config", depth=depth) + (
        f"def test_it_composes_and_fits_the_task() -> None:\n    assert task_config({_list(arguments)}, root=ROOT)\n"
    )


def schedule_test(name: str, *, depth: int) -> str:
    what = f'The schedule "{name}".'
    return _HEAD.format(what=what, names="load_schedule, task_config", depth=depth) + (
        "def test_it_is_valid_and_what_it_runs_fits_the_task() -> None:\n"
        f'    schedule = load_schedule("{name}", root=ROOT)\n\n'
        "    assert schedule.timeout is not None\n"
        "    assert task_config(schedule.arguments, root=ROOT)\n"
    )


def _list(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
