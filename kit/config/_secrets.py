"""Which values of a configuration are made from secrets, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kit.redact import MASK, is_secret_name, mask_config

__all__ = ["secret_keys"]

_REFERENCE = re.compile(r"\$\{\s*\.*([^${}:]+?)\s*\}")
"""`${db.password}`, but not `${resolver:...}`."""


def secret_keys(cfg: Any) -> frozenset[str]:  # noqa: ANN401 OmegaConf has no types
    """The dotted keys of what interpolates a secret variable of the environment, or a key with a secret name.

    OmegaConf itself is asked, by resolving each interpolation once more and noting which variables it reads: so one
    inside a longer text, inside another resolver or behind another key counts as well.

    Args:
        cfg: What OmegaConf can resolve; one call at a time.
    """
    with _noted_variables() as asked:
        return frozenset(_walk(cfg, "", asked))


@contextmanager
def _noted_variables() -> Iterator[list[str]]:
    """The names that `oc.env` is asked for meanwhile."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    asked: list[str] = []

    def env(*arguments: Any) -> str | None:  # noqa: ANN401
        asked.append(str(arguments[0]))
        value: str | None = oc.env(*arguments)
        return value

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    try:
        yield asked
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _walk(container: Any, prefix: str, asked: list[str]) -> Iterator[str]:  # noqa: ANN401
    from omegaconf import DictConfig, ListConfig, OmegaConf

    raw: Any = OmegaConf.to_container(container, resolve=False)
    keys: Any = container if isinstance(container, DictConfig) else range(len(container))
    for key in keys:
        asked.clear()
        value = container[key]
        secret = any(map(is_secret_name, asked))
        if OmegaConf.is_interpolation(container, key) and (secret or _names_secret(str(raw[key]), value)):
            yield f"{prefix}{key}"
        if isinstance(value, DictConfig | ListConfig):
            yield from _walk(value, f"{prefix}{key}.", asked)


def _names_secret(raw: str, value: object) -> bool:
    """Whether it interpolates a key whose name has the value masked; `${token}` may count something as `token` does."""
    names = (name for name in _REFERENCE.findall(raw) if is_secret_name(name))
    return any(mask_config({name: value})[name] == MASK for name in names)
