"""Composing many configurations, such as the trials of a sweep: what they have in common is composed once.

Hydra composes in two steps. It makes a list of configs, by the choices of groups alone, and merges them; then it
applies the overrides that set values. The first is most of the work, and trials with the same choices differ only in
the second. So the result of the first is kept for each set of choices, and Hydra's own code does the rest on a copy of
it: nothing is applied here, and what comes out, errors too, is what composing by itself gives.

Experiments differ in their choices. They share what was read of each file, and the configs of Hydra's own node, which
come first in every list, merged.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from typing import Any, TypeAlias

from kit.config._session import ONE_AT_A_TIME

__all__ = ["Kept", "Marks", "is_on", "kept_marks", "kept_read", "sharing", "spliced"]

_Key: TypeAlias = tuple[object, ...]
Marks: TypeAlias = dict[str, tuple[int, str]]


@dataclass(slots=True)
class Kept:
    """First steps, by what they depend on.

    Attributes:
        defaults: The lists of configs.
        merged: The configs of each list, merged; lists are told by their identity, and live as long as this does.
        marks: Who set which key in them.
        read: What each config says, by the places that are searched; nobody may change it.
        begun: What lists begin with, the configs of Hydra's own node, merged; None if that fails.
    """

    defaults: dict[_Key, Any] = field(default_factory=dict)
    merged: dict[int, Any] = field(default_factory=dict)
    marks: dict[int, Marks] = field(default_factory=dict)
    read: dict[_Key, Any] = field(default_factory=dict)
    begun: dict[_Key, Any] = field(default_factory=dict)


_kept: list[Kept] = []
"""The innermost `sharing` last."""


def is_on() -> bool:
    """Whether compositions share first steps now."""
    return bool(_kept)


@contextmanager
def sharing(kept: Kept | None = None) -> Iterator[None]:
    """Inside, compositions share first steps. The config's files are taken not to change meanwhile.

    Args:
        kept: Those of earlier compositions, which are added to.
    """
    with ONE_AT_A_TIME:
        _kept.append(kept or Kept())
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
            kept.merged[id(defaults)] = _merged(kept, loader, merge, list(defaults), _Copies(repo), root)
        return copy.deepcopy(kept.merged[id(defaults)])

    hydra_side.create_defaults_list = keep_list
    loader._compose_config_from_defaults_list = keep_merged  # noqa: SLF001
    try:
        yield
    finally:
        hydra_side.create_defaults_list = make_list
        del loader._compose_config_from_defaults_list  # noqa: SLF001 - the class has its own


class _Copies:
    """A repository of configs for who merges them, which changes them."""

    def __init__(self, repo: Any) -> None:  # noqa: ANN401 Hydra has no types
        self._repo = repo
        self.get_schema_source = repo.get_schema_source
        self.get_sources = repo.get_sources

    def load_config(self, config_path: str) -> Any:  # noqa: ANN401
        return copy.deepcopy(self._repo.load_config(config_path=config_path))


def _merged(kept: Kept, loader: Any, merge: Any, defaults: list[Any], repo: _Copies, root: object) -> Any:  # noqa: ANN401
    """What Hydra makes of a list, from where it is past its own node's configs."""
    from hydra._internal import config_loader_impl as hydra_side

    first = list(itertools.takewhile(lambda default: str(default.config_path).startswith("hydra/"), defaults))
    key = root, _searched(repo), tuple(map(astuple, first))
    if key not in kept.begun:
        kept.begun[key] = _begin(loader, first, repo)
    begun = kept.begun[key]
    if begun is None:
        return merge(defaults=defaults, repo=repo)
    plain = hydra_side.OmegaConf
    nodes = iter([copy.deepcopy(begun)])

    class Begun(plain):  # type: ignore[misc, valid-type]
        """Its first new node is the one that Hydra merges into."""

        @staticmethod
        def create(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            return next(nodes, None) or plain.create(*arguments, **options)

    hydra_side.OmegaConf = Begun
    try:
        return merge(defaults=defaults[len(first) :], repo=repo)
    finally:
        hydra_side.OmegaConf = plain


def _begin(loader: Any, defaults: Sequence[Any], repo: _Copies) -> Any:  # noqa: ANN401 Hydra has no types
    """The node that Hydra has after so many configs; None if there are none, or they do not merge, as it will say."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, flag_override
    from omegaconf.errors import OmegaConfBaseException

    found = OmegaConf.create()
    try:
        with flag_override(found, "no_deepcopy_set_nodes", True):  # noqa: FBT003
            for default in defaults:
                found.merge_with(loader._load_single_config(default=default, repo=repo).config)  # noqa: SLF001
    except (OmegaConfBaseException, HydraException):
        return None
    return found if defaults else None


def _searched(repo: Any) -> _Key:  # noqa: ANN401 Hydra has no types
    """The places that it searches, in order."""
    return tuple((source.provider, source.path) for source in repo.get_sources())


def kept_read(repo: Any, config_path: str) -> Any:  # noqa: ANN401 Hydra has no types
    """What a config says, read at most once for all compositions that share; who changes it takes a copy."""
    if not _kept:
        return repo.load_config(config_path=config_path)
    known, key = _kept[-1].read, (*_searched(repo), config_path)
    if key not in known:
        known[key] = repo.load_config(config_path=config_path)
    return known[key]


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
