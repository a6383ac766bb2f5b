"""What a metric must reach: a bound, the project's floor, another run, the champion."""

from __future__ import annotations

import math
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from kit.errors import UserError
from kit.paths import find_project
from kit.project import Project, open_project

__all__ = ["FLOORS", "Better", "Measured", "assert_metric", "load_floors"]

FLOORS = "tests/floor.toml"
"""Where a project says what its metrics must reach."""

Better = Literal["higher", "lower"]


class Measured(Protocol):
    """Anything that has metrics: a `kit.Run`, an `ExperimentRun`, a record of the store."""

    @property
    def metrics(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class _Rival:
    """What a run is compared with."""

    name: str
    metrics: Mapping[str, float]


def load_floors(root: Path | None = None) -> dict[str, Any]:
    """What `tests/floor.toml` says.

    Args:
        root: The project; by default the one that the current folder lies in.

    Raises:
        UserError: If there is no such file, or it is no TOML.
    """
    path = find_project(root or Path.cwd()).root / FLOORS
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "Write what your metrics must reach there, `roc_auc = 0.6`, or give the bound."
        raise UserError(f"there is no {FLOORS}", where=str(path.parent.parent), fix=fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not TOML: {error}", where=FLOORS, fix="Write `name = number` lines.") from error


def assert_metric(  # noqa: PLR0913 - each is one thing that can be asked of a metric
    run: Measured | Mapping[str, float],
    name: str,
    *,
    min: float | None = None,  # noqa: A002 - it reads as what it is
    max: float | None = None,  # noqa: A002
    not_worse_than: str | Measured | None = None,
    tolerance: float = 0.0,
    better: Better | None = None,
    model: str | None = None,
    needs_champion: bool = True,
    root: Path | None = None,
) -> None:
    """Fail unless the run's last value of a metric is good enough; with no bound at all, `tests/floor.toml` has it.

    There `roc_auc = 0.6` is a minimum; `log_loss = {max = 0.7}` and `{min = ..., max = ...}` say which.

    Args:
        run: Whatever has metrics, or the metrics.
        not_worse_than: `"champion"`, the run that made the registered model of that alias; the name of a run, as
            `kit show` takes it; or another run.
        tolerance: By how much it may be worse than that.
        better: Which values are, for `not_worse_than`; where only `min` or only `max` is given that says it.
        model: The registered model, where several have a champion.
        needs_champion: Whether it fails as long as no model is champion.
        root: The project; by default the run's, else the one that the current folder lies in.

    Raises:
        AssertionError: If it is not good enough; with the value, the bound, and by how much.
        UserError: If it cannot be said whether it is.
        ServiceError: If the registry does not answer.
    """
    __tracebackhide__ = True
    root = root or getattr(run, "root", None) or Path.cwd()
    source = ""
    if min is None and max is None and not_worse_than is None:
        min, max = _floor(name, root)  # noqa: A001
        source = f" of {FLOORS}"
    if math.isnan(tolerance) or tolerance < 0:
        raise UserError(f"a tolerance of {tolerance} is none", fix="Give one of 0 or more.")
    value = _value(_metrics(run), name, _label(run))
    wrong = _out_of_bounds(value, min, max, source)
    if not_worse_than is not None:
        higher = _higher_is_better(name, min, max, better)
        rival = _rival(not_worse_than, root, model)
        if rival is not None:
            wrong += _worse(value, name, rival, tolerance, higher=higher)
        elif needs_champion:
            wrong.append("there is no champion to compare with; `needs_champion=False` lets the first model pass")
    if wrong:
        raise AssertionError(f"{name} = {_text(value)} of {_label(run)}:\n" + "\n".join(f"  {line}" for line in wrong))


def _out_of_bounds(value: float, least: float | None, most: float | None, source: str) -> list[str]:
    # Asked this way round, so that NaN is never good enough.
    wrong = []
    if least is not None and not value >= least:
        wrong.append(f"below the minimum {_text(least)}{source} by {_text(least - value)}")
    if most is not None and not value <= most:
        wrong.append(f"above the maximum {_text(most)}{source} by {_text(value - most)}")
    return wrong


def _worse(value: float, name: str, rival: _Rival, tolerance: float, *, higher: bool) -> list[str]:
    other = _value(rival.metrics, name, rival.name)
    by = other - value if higher else value - other
    if value == other or by <= tolerance:
        return []
    allowed = f"; {_text(tolerance)} would be tolerated" if tolerance else ""
    return [f"worse than {_text(other)} of {rival.name} by {_text(by)}{allowed}"]


def _higher_is_better(name: str, least: float | None, most: float | None, better: Better | None) -> bool:
    if better is not None:
        return better == "higher"
    if (least is None) == (most is None):
        raise UserError(
            f"nothing says whether a higher {name} is better", fix='Add `better="higher"` or `better="lower"`.'
        )
    return least is not None


def _floor(name: str, root: Path) -> tuple[float | None, float | None]:
    found = load_floors(root).get(name)
    if isinstance(found, Mapping):
        least, most = found.get("min"), found.get("max")
        if set(found) <= {"min", "max"} and found and all(map(_is_number, found.values())):
            return least, most
    elif _is_number(found):
        return found, None
    raise UserError(
        f"no bound was given for {name}, and there is none for it",
        where=FLOORS,
        fix=f"Write `{name} = 0.6` there for a minimum, `{name} = {{max = 0.6}}` for a maximum.",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _rival(wanted: str | Measured, root: Path, model: str | None) -> _Rival | None:
    """None if there is no champion yet."""
    if not isinstance(wanted, str):
        return _Rival(_label(wanted), wanted.metrics)
    project = open_project(root)
    if wanted == "champion":
        return _champion(project, model)
    from kit import runs

    record = runs.find(project, wanted)
    return _Rival(f"run {record.run_id}", record.metrics)


def _champion(project: Project, model: str | None) -> _Rival | None:
    from kit.trackers import registry

    project.paths.create_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own: a project whose tests take warnings for errors cannot mend them
        found = registry.champion_runs(project.tracking_uri, locks=project.paths.locks)
    if model is not None:
        found = {name: run for name, run in found.items() if name == model}
    if not found:
        return None
    if len(found) > 1:
        fix = "Say which with `model=`."
        raise UserError(f"several models have a champion: {', '.join(sorted(found))}", fix=fix)
    ((name, run),) = found.items()
    if run is None:
        raise UserError(f"the champion of {name} was made by no run", fix="Register the model of a run.")
    return _Rival(f"the champion of {name} (run {run.run_id or run.mlflow_run_id})", run.metrics)


def _metrics(run: Measured | Mapping[str, float]) -> Mapping[str, float]:
    return run if isinstance(run, Mapping) else run.metrics


def _value(metrics: Mapping[str, float], name: str, whose: str) -> float:
    if name not in metrics:
        from kit._near import did_you_mean, nearest

        hint = did_you_mean(nearest(name, metrics)) or f"It has {', '.join(sorted(metrics)) or 'none at all'}."
        raise UserError(f"{whose} has no metric {name!r}", fix=hint)
    return float(metrics[name])


def _label(run: Measured | Mapping[str, float]) -> str:
    names = (getattr(run, attribute, None) for attribute in ("run_id", "name"))
    found = next((name for name in names if isinstance(name, str)), None)
    return "this run" if found is None else f"run {found}"


def _text(value: float) -> str:
    return f"{value:.6g}"
