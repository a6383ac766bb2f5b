"""Composing many configurations, such as the trials of a sweep: what they have in common is composed once.

Hydra composes in two steps. It makes a list of configs, by the choices of groups alone, and merges them; then it
applies the overrides that set values. The first is most of the work, and trials with the same choices differ only in
the second. So the result of the first is kept for each set of choices, and Hydra's own code does the rest on a copy of
it: nothing is applied here, and what comes out, errors too, is what composing by itself gives.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from kit.config._session import ONE_AT_A_TIME

__all__ = ["Marks", "kept_marks", "sharing", "spliced"]

_Key: TypeAlias = tuple[object, ...]
Marks: TypeAlias = dict[str, tuple[int, str]]


@dataclass(slots=True)
class _Kept:
    """First steps, by what they depend on.

    Attributes:
        defaults: The lists of configs.
        merged: The configs of each list, merged; lists are told by their identity, and live as long as this does.
        marks: Who set which key in them.
    """

    defaults: dict[_Key, Any] = field(default_factory=dict)
    merged: dict[int, Any] = field(default_factory=dict)
    marks: dict[int, Marks] = field(default_factory=dict)


_kept: list[_Kept] = []
"""The innermost `sharing` last."""


@contextmanager
def sharing() -> Iterator[None]:
    """Inside, compositions share first steps. The config's files are taken not to change meanwhile."""
    with ONE_AT_A_TIME:
        _kept.append(_Kept())
        try:
            yield
        finally:
            _kept.pop()


@contextmanager
def spliced(loader: Any, root: object) -> Iterator[None]:  # noqa: ANN401 Hydra has no types
    """Have this loader take first steps from what is kept, if that is asked for, and Hydra as it was afterwards.

    Args:
        loader: Hydra's config loader.
        root: What tells the loader's configs from those of others.
    """
    if not _kept:
        yield
        return
    from hydra._internal import config_loader_impl as hydra_side

    kept, make_list, merge = _kept[-1], hydra_side.create_defaults_list, loader._compose_config_from_defaults_list  # noqa: SLF001

    def keep_list(
        repo: Any,  # noqa: ANN401
        config_name: str | None,
        overrides_list: Sequence[Any],
        prepend_hydra: bool,  # noqa: FBT001 Hydra's signature
        skip_missing: bool,  # noqa: FBT001
    ) -> Any:  # noqa: ANN401
        values = _values(repo, overrides_list)
        choices = tuple(each.input_line for each in overrides_list if not any(each is value for value in values))
        searched = tuple(each.input_line for each in values if each.get_key_element() == "hydra.searchpath")
        key = root, config_name, choices, searched, prepend_hydra, skip_missing
        if key not in kept.defaults:
            kept.defaults[key] = make_list(repo, config_name, overrides_list, prepend_hydra, skip_missing)
        return replace(kept.defaults[key], config_overrides=values)

    def keep_merged(defaults: Sequence[Any], repo: Any) -> Any:  # noqa: ANN401
        if id(defaults) not in kept.merged:
            kept.merged[id(defaults)] = merge(defaults=defaults, repo=repo)
        return copy.deepcopy(kept.merged[id(defaults)])

    hydra_side.create_defaults_list = keep_list
    loader._compose_config_from_defaults_list = keep_merged  # noqa: SLF001
    try:
        yield
    finally:
        hydra_side.create_defaults_list = make_list
        del loader._compose_config_from_defaults_list  # noqa: SLF001 - the class has its own


def _values(repo: Any, overrides: Sequence[Any]) -> list[Any]:  # noqa: ANN401 Hydra has no types
    """The overrides that set values, as Hydra tells them from choices of groups."""
    from hydra._internal.defaults_list import Overrides

    return list(Overrides(repo=repo, overrides_list=list(overrides)).config_overrides)


def kept_marks(defaults: Sequence[Any], make: Callable[[], Marks]) -> Marks:
    """Who set which key in the configs of a list, made at most once for each."""
    if not _kept:
        return make()
    known = _kept[-1].marks
    if id(defaults) not in known:
        known[id(defaults)] = make()
    return dict(known[id(defaults)])
