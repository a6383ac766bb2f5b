"""Python and YAML as texts: values that read back as what they are."""

from __future__ import annotations

import json
import keyword
import math
import re
from typing import Any

__all__ = ["identifier", "python", "quoted", "yaml_value"]

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "none", "nan", "inf"}


def quoted(text: str) -> str:
    """A Python string with double quotes, as a formatter would leave it."""
    shown = json.dumps(text, ensure_ascii=False)
    return shown if text.isprintable() else repr(text)


def python(value: Any) -> str:  # noqa: ANN401 - a plain value
    if isinstance(value, list):
        return f"[{', '.join(map(python, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)


def identifier(name: str, taken: frozenset[str] = frozenset()) -> str:
    """A name for a field; with a `_` behind where Python or kit has the plain one."""
    clean = re.sub(r"\W", "_", name)
    if not clean or clean[0].isdigit():
        clean = f"option_{clean}"
    clean = clean.lstrip("_") or "option"
    return f"{clean}_" if keyword.iskeyword(clean) or clean in taken else clean


def yaml_value(value: Any) -> str:  # noqa: ANN401 - a plain value
    """As OmegaConf reads it back; `${` in a text is no interpolation."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(yaml_value, value))}]"
    text = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", value)
    return text if _BARE.fullmatch(text) and text.lower() not in _WORDS else _yaml_quoted(text)


def _yaml_quoted(text: str) -> str:
    """In double quotes, where YAML has an escape for everything."""
    escaped = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escaped.get(c, c if c.isprintable() else f"\\U{ord(c):08X}") for c in text) + '"'


def _number(value: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    shown = repr(value)
    return shown.replace("e", ".0e", 1) if "e" in shown and "." not in shown else shown
