"""MLflow's registry of models: which of them are champions, and which runs made them."""

from __future__ import annotations

from pathlib import Path

from kit.trackers.mlflow import client_of, explained

__all__ = ["CHAMPION", "champions"]

CHAMPION = "champion"
"""The alias that the model in use has."""


def champions(uri: str, *, locks: Path) -> dict[str, str | None]:
    """The kit run that made the champion of each registered model that has one; None if no run of kit's did.

    Args:
        uri: Where MLflow keeps runs; the registry is there, too.
        locks: As for `MlflowTracker`.

    Raises:
        ServiceError: If the service does not answer, or refuses.
    """
    client = client_of(uri, locks=locks)
    found: dict[str, str | None] = {}
    with explained(uri):
        page = client.search_registered_models()
        while True:
            for model in page:
                if CHAMPION in model.aliases:
                    made_by = client.get_model_version_by_alias(model.name, CHAMPION).run_id
                    found[model.name] = client.get_run(made_by).data.tags.get("kit.run_id") if made_by else None
            if not page.token:
                return found
            page = client.search_registered_models(page_token=page.token)
