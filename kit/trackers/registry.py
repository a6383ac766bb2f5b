"""MLflow's registry of models: which of them are champions, and which runs made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.trackers.mlflow import client_of, explained

__all__ = ["CHAMPION", "ChampionRun", "champion_runs", "champions"]

CHAMPION = "champion"
"""The alias that the model in use has."""


@dataclass(frozen=True, slots=True)
class ChampionRun:
    """The run that made a champion, as the tracker knows it.

    Attributes:
        run_id: kit's; None if no run of kit's did.
        metrics: The last value of each.
    """

    run_id: str | None
    mlflow_run_id: str
    metrics: Mapping[str, float]


def champions(uri: str, *, locks: Path) -> dict[str, str | None]:
    """The kit run that made the champion of each registered model that has one; None if no run of kit's did.

    Args:
        uri: Where MLflow keeps runs; the registry is there, too.
        locks: As for `MlflowTracker`.

    Raises:
        ServiceError: If the service does not answer, or refuses.
    """
    return {model: None if run is None else run.run_id for model, run in champion_runs(uri, locks=locks).items()}


def champion_runs(uri: str, *, locks: Path) -> dict[str, ChampionRun | None]:
    """The run that made the champion of each registered model that has one; None if none did. Else as `champions`."""
    client = client_of(uri, locks=locks)
    found: dict[str, ChampionRun | None] = {}
    with explained(uri):
        page = client.search_registered_models()
        while True:
            for model in page:
                if CHAMPION in model.aliases:
                    made_by = client.get_model_version_by_alias(model.name, CHAMPION).run_id
                    found[model.name] = _champion_run(client.get_run(made_by)) if made_by else None
            if not page.token:
                return found
            page = client.search_registered_models(page_token=page.token)


def _champion_run(run: Any) -> ChampionRun:  # noqa: ANN401 - MLflow's, which has no types here
    return ChampionRun(run.data.tags.get("kit.run_id"), run.info.run_id, dict(run.data.metrics))
