"""Hydra's and OmegaConf's exceptions as one line of what, where and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from kit import _near
from kit.config._origins import COMMAND_LINE, Origins, leaves
from kit.config._overrides import bad_override
from kit.config._session import Source, load, session
from kit.errors import KitError, UserError, from_os_error

__all__ = ["did_you_mean", "explained", "missing_values", "unresolved"]


_SEE_KEYS = "See all keys with `kit run --dry-run`."


def did_you_mean(word: str, known: Sequence[str], *, otherwise: str | None = None) -> str | None:
    """A sentence that offers the nearest known words; `otherwise` if there are none."""
    near = get_close_matches(word, known, n=3)
    near = [name for name in near if _likeness(word, name) > _likeness(word, near[0]) - 0.1]
    last = word.rpartition(".")[2]
    near += [name for name in known if name not in near and name.rpartition(".")[2] == last]
    return _near.did_you_mean(*near[:3]) or otherwise


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(a=other, b=one).ratio()


@contextmanager
def explained(source: Source, overrides: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra, OmegaConf and PyYAML raise inside into kit's errors.

    Raises:
        UserError: For a mistake in an override or a config.
        HostError: If a config cannot be read.
    """
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except KitError:
        raise
    except RecursionError as error:
        raise UserError(
            "the defaults lists include each other without end",
            where=source.primary,
            fix="Take the circle out of the `defaults` of the configs.",
        ) from error
    except yaml.YAMLError as error:
        raise _not_yaml(error, source) from error
    except HydraException as error:
        raise _explain(error, source, overrides) from error
    except OmegaConfBaseException as error:
        raise _explain(error, source, overrides) from error
    except UnicodeDecodeError as error:
        raise UserError(
            "a config is not UTF-8 text", where=_broken_file(source), fix="Save the file as UTF-8."
        ) from error
    except OSError as error:
        if error.errno is None:  # OmegaConf's, of a file that holds a number
            raise _explain(error, source, overrides) from error
        raise from_os_error(error) from error
    except (ValueError, TypeError, AssertionError, ImportError, RuntimeError, UserWarning) as error:
        raise _explain(error, source, overrides) from error


def _not_yaml(error: Exception, source: Source) -> UserError:
    mark = getattr(error, "problem_mark", None)
    name = Path(str(getattr(mark, "name", getattr(error, "name", source.primary))))
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    line = "" if mark is None else f":{mark.line + 1}"
    return UserError(f"not valid YAML: {problem}", where=source.relative(name) + line, fix="Mend the file.")


def _broken_file(source: Source) -> str:
    """The config that cannot be loaded by itself, for errors that do not name it; the primary one is the likeliest."""
    from omegaconf import OmegaConf

    for path in [source.root / source.primary, *sorted(source.folder.rglob("*.yaml"))]:
        try:
            OmegaConf.load(path)
        except Exception:  # noqa: BLE001 any reason will do: this only looks for a file's name
            return source.relative(path)
    return source.primary


@dataclass(frozen=True, slots=True)
class _Case:
    """One exception, and what is needed to explain it."""

    error: Exception
    text: str
    parent: str | None
    source: Source
    overrides: Sequence[str]

    @property
    def where(self) -> str:
        return COMMAND_LINE if self.parent is None else self.source.file(self.parent)


def _explain(error: Exception, source: Source, overrides: Sequence[str]) -> UserError:
    if not str(error) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # Hydra wraps what OmegaConf raises in an empty exception
    found = re.match(r"In '?(?P<parent>[^':]+)'?: (?P<text>.*)", str(error), re.DOTALL)
    parent, text = (found["parent"], found["text"]) if found else (None, str(error))
    case = _Case(error, text, parent, source, overrides)
    options = getattr(error, "options", None)
    if getattr(error, "missing_cfg_file", None) is not None:
        return _missing_config(case, str(getattr(error, "missing_cfg_file", "")), options)
    for pattern, explain in _KNOWN:
        if match := re.search(pattern, text):
            return explain(match, case)
    return _anything_else(case)


def _anything_else(case: _Case) -> UserError:
    kind = type(case.error).__name__
    if kind == "GrammarParseError":
        key = getattr(case.error, "full_key", None)
        reason = case.text.splitlines()[0]
        return UserError(
            f"{key}: cannot read the interpolation: {reason}",
            where=_broken_file(case.source),
            fix="Write it as `${key}`, or a plain text as `\\${`.",
        )
    lines = [line for line in case.text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith("raised while composing config:"):
        lines = lines[1:]
    what = lines[0].rstrip(".") if lines else kind
    where = case.source.primary if case.parent is None else case.where
    return UserError(what, where=where, fix="Mend the configuration.")


def _missing_config(case: _Case, path: str, options: Sequence[str] | None) -> UserError:
    if options is None:
        return UserError(
            f"no config {path!r}",
            where=case.where,
            fix=f"Create {case.source.file(path)}, or take it out of the defaults list.",
        )
    group, _, option = path.rpartition("/")
    chosen = [text for text in case.overrides if re.match(rf"\+?{re.escape(group)}(@[^=]*)?=", text)]
    available = f"Available: {', '.join(options)}." if options else f"The group has no config in {group!r} yet."
    near = did_you_mean(option, options)
    return UserError(
        f"no option {option!r} in group {group!r}",
        where=COMMAND_LINE if chosen else case.where,
        fix=available if near is None else f"{near} {available}",
    )


def _unknown_key(match: re.Match[str], case: _Case) -> UserError:
    key = match["key"]
    text = next((text for text in case.overrides if text.startswith(f"{key}=")), f"{key}=VALUE")
    if "/" in key:
        groups = _groups(case.source)
        return bad_override(f"no such group {key!r}", did_you_mean(key, groups, otherwise=_list_of(groups)))
    near = did_you_mean(key, _known_keys(case), otherwise=_SEE_KEYS)
    return bad_override(f"no such key {key!r}", f"{near} (use +{text} to add a new key)")


def _unused_group(match: re.Match[str], case: _Case) -> UserError:
    key = match["key"]
    if case.parent is None:
        fix = f"Add it with +{match['rest']}." if match["rest"] else None
    else:
        fix = did_you_mean(key, _groups(case.source), otherwise=_list_of(_groups(case.source)))
    return UserError(f"group {key!r} is not in the defaults list", where=case.where, fix=fix)


def _other_package(match: re.Match[str], case: _Case) -> UserError:
    names = match["names"]
    return UserError(
        f"group {match['key']!r} is not in the defaults list", where=case.where, fix=_near.did_you_mean(names)
    )


def _no_choice(match: re.Match[str], case: _Case) -> UserError:
    options = [line.strip() for line in case.text.splitlines() if line.startswith("\t")]
    example = options[0] if options else "OPTION"
    by_itself = "/" in case.source.config_name  # one file of a group; it has no command line
    how = "Choose one in its defaults list" if by_itself else f"Choose one: `kit run {match['key']}={example}`"
    return UserError(
        f"no choice for group {match['key']!r}",
        where=case.source.primary,
        fix=f"{how}. Available: {', '.join(options) or 'none'}.",
    )


def _already_there(match: re.Match[str], case: _Case) -> UserError:
    text = next((text for text in case.overrides if text.startswith(f"+{match['key']}=")), f"+{match['key']}=VALUE")
    return bad_override(f"key {match['key']!r} is already there", f"Change it with {text[1:]}.")


def _cannot_delete(match: re.Match[str], case: _Case) -> UserError:
    key = match["key"]
    return bad_override(
        f"no {key!r} to delete", did_you_mean(key.partition("=")[0], _known_keys(case), otherwise=_SEE_KEYS)
    )


def _other_value(match: re.Match[str], _case: _Case) -> UserError:
    return bad_override(
        f"{match['key']!r} is {match['now']}, so ~{match['key']}={match['given']} deletes nothing",
        f"Delete it whatever it is with ~{match['key']}.",
    )


def _no_group(match: re.Match[str], case: _Case) -> UserError:
    groups = _groups(case.source)
    return bad_override(
        f"no such group {match['key']!r}", did_you_mean(match["key"], groups, otherwise=_list_of(groups))
    )


def _forced_group(match: re.Match[str], _case: _Case) -> UserError:
    text = match["key"].lstrip("+")
    return bad_override(f"{match['key']!r} chooses from a group, which ++ cannot do", f"Write {text} or +{text}.")


def _not_a_name(match: re.Match[str], case: _Case) -> UserError:
    groups = set(_groups(case.source))
    text = next((text for text in case.overrides if text.partition("=")[0].lstrip("+").split("@")[0] in groups), "")
    group = text.partition("=")[0].lstrip("+")
    return bad_override(
        f"{text!r} must choose an option by its name, got {match['type']}",
        f"Name an option of the group, or leave the group out with ~{group}.",
    )


def _cannot_set(match: re.Match[str], case: _Case) -> UserError:
    reason = str(case.error.__cause__ or "").splitlines() or ["it does not fit"]
    return bad_override(f"cannot set {match['key']}: {reason[0]}", "Give the key a value of its type.")


def _no_search_path(match: re.Match[str], case: _Case) -> UserError:
    on_command_line = "command-line" in match["provider"]
    return UserError(
        f"hydra.searchpath names {match['path']!r}, which is not there",
        where=COMMAND_LINE if on_command_line else case.source.primary,
        fix="Give a folder as file:///absolute/path, or a package as pkg://package.",
    )


_KNOWN: tuple[tuple[str, Callable[[re.Match[str], _Case], UserError]], ...] = (
    (r"Could not override '(?P<key>[^']+)'\.\s+To append to your config", _unknown_key),
    (
        r"Could not override '(?P<key>[^']+)'\. No match in the defaults list\.(\s+To append .* use \+(?P<rest>.*))?",
        _unused_group,
    ),
    (r"Could not override '(?P<key>[^']+)'\.\s+Did you mean to override (one of )?(?P<names>.*)\?", _other_package),
    (r"You must specify '(?P<key>[^']+)'", _no_choice),
    (r"An item is already at '(?P<key>[^']+)'", _already_there),
    (r"Could not delete from config\. '(?P<key>[^']+)' does not exist", _cannot_delete),
    (r"Could not delete '(?P<key>[^']+)'\. No match", _cannot_delete),
    (
        r"Could not delete from config\. The value of '(?P<key>[^']+)' is (?P<now>.*) and not (?P<given>.*)\.",
        _other_value,
    ),
    (r"config group '(?P<key>[^']+)' does not\s+exist", _no_group),
    (r"force-add of config groups is not supported: '(?P<key>[^']+)'", _forced_group),
    (r"Config group override must be a string or a list\. Got (?P<type>\w+)", _not_a_name),
    (r"Error merging override (?P<key>.*)", _cannot_set),
    (r"provider=(?P<provider>.*), path=(?P<path>.*) is not available", _no_search_path),
)


def _groups(source: Source) -> list[str]:
    """The project's config groups."""
    with session(source) as hydra:
        return [name for name in hydra.list_all_config_groups() if not name.startswith("hydra")]


def _list_of(groups: Sequence[str]) -> str:
    return f"The groups: {', '.join(groups)}." if groups else "There are no groups yet."


def _known_keys(case: _Case) -> list[str]:
    """Every key there is without the overrides that set values: with the same choices if that composes at all."""
    from omegaconf import OmegaConf

    with session(case.source) as hydra:
        groups = {*_groups(case.source)}
        chosen = [text for text in case.overrides if text.partition("=")[0].lstrip("+~").split("@")[0] in groups]
        for overrides in (chosen, []):
            with suppress(Exception):  # nothing to offer is better than a second error
                container = OmegaConf.to_container(load(hydra, case.source, overrides), resolve=False)
                paths = {".".join(parts[:end]) for parts, end in _prefixes(container)}
                of_hydra = any(text.lstrip("+~").startswith("hydra.") for text in case.overrides)
                return sorted(path for path in paths if of_hydra or not f"{path}.".startswith("hydra."))
    return []


def _prefixes(container: object) -> Iterator[tuple[list[str], int]]:
    for key, _ in leaves(container):
        parts = key.split(".")
        yield from ((parts, end) for end in range(1, len(parts) + 1))


def missing_values(keys: Sequence[str], origins: Origins) -> UserError:
    """The error for values that are still `???`."""
    key = keys[0]
    more = "" if len(keys) == 1 else f" (nor for {', '.join(repr(name) for name in keys[1:6])})"
    arguments = " ".join(f"{name}=VALUE" for name in keys[:6])
    return UserError(f"no value for {key!r}{more}", where=origins.of(key), fix=f"Give it: `kit run {arguments}`.")


def unresolved(error: Exception, origins: Origins, known: Sequence[str]) -> UserError:
    """The error for an interpolation that leads nowhere."""
    key = str(getattr(error, "full_key", None) or getattr(error, "key", ""))
    text = str(error).splitlines()[0]
    fix: str | None = "Mend the interpolation."
    reason = re.sub(r"^\w+ (?:raised )?while resolving interpolation: ", "", text)[:300].strip("\"'")
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        reason = f"nothing at ${{{found[1]}}}"
        fix = did_you_mean(found[1], known, otherwise=fix)
    elif found := re.search(r"Unsupported interpolation type (\S+)", text):
        reason = f"no resolver named {found[1]!r}"
        fix = "Use one of OmegaConf's or Hydra's: kit composes before it imports any of the project's code."
    elif found := re.search(r"Environment variable '([^']+)' not found", text):
        reason = f"environment variable {found[1]!r} is not set"
        fix = f"Set it, or give a default: `${{oc.env:{found[1]},DEFAULT}}`."
    return UserError(f"{key}: {reason}", where=origins.of(key), fix=fix)
