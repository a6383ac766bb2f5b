"""The config of an earlier run as it was recorded, with the secrets that nobody recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.config import Composed
from kit.errors import UserError
from kit.models import to_json
from kit.redact import MASK, mask_config

__all__ = ["as_recorded", "holds_secret"]


def holds_secret(recorded: object) -> bool:
    """Whether something was masked in it, so that composing has to say what it was."""
    return MASK in to_json(recorded).decode()


def as_recorded(
    recorded: Mapping[str, Any], composed: Composed, *, moved: Callable[[str], str] = str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The config that was recorded, with the secrets that composing it today gives.

    Args:
        recorded: With `***` for secrets.
        composed: The config of the same run, composed today.
        moved: Gives a text that was recorded as it reads today, where folders have other names.

    Returns:
        The config, and the keys where composing gives another value today than what was recorded, which counts.

    Raises:
        UserError: If composing gives no secret where there was one, or one with something else around it.
    """
    filling = _Filling(moved)
    shown = mask_config(composed.config, composed.secrets)
    filled: dict[str, Any] = filling.of(dict(recorded), composed.config, shown, "")
    return filled, tuple(filling.others)


@dataclass(slots=True)
class _Filling:
    moved: Callable[[str], str]
    others: list[str] = field(default_factory=list)

    def of(self, recorded: Any, composed: Any, shown: Any, key: str) -> Any:  # noqa: ANN401 - a config may hold anything
        """`shown` is `composed` as it would be recorded."""
        if isinstance(recorded, dict) and isinstance(shown, dict):
            return {
                name: self.of(value, composed.get(name), shown.get(name), f"{key}.{name}".lstrip("."))
                for name, value in recorded.items()
            }
        if isinstance(recorded, list) and isinstance(shown, list) and len(recorded) == len(shown):
            items = enumerate(zip(recorded, composed, shown, strict=True))
            return [self.of(*values, f"{key}.{index}") for index, values in items]
        there = self._here(recorded)
        if not holds_secret(there):
            if repr(there) != repr(composed):
                self.others.append(key)
            return there
        if there != shown:
            raise UserError(
                f"{key} held a secret, and composing the config now gives something else there",
                fix="Have the environment, and what else the config takes it from, as it was.",
            )
        return composed

    def _here(self, recorded: Any) -> Any:  # noqa: ANN401
        if isinstance(recorded, dict):
            return {name: self._here(value) for name, value in recorded.items()}
        if isinstance(recorded, list):
            return [self._here(value) for value in recorded]
        return self.moved(recorded) if isinstance(recorded, str) else recorded
