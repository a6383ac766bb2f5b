"""Passwords, keys and tokens in configs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kit import redact
from kit.checks._yaml import Value, values
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_SECRET_URLS = re.compile(
    r"(?:discord|gchat|mmosts?|msteams|notifico|opsgenie|pagerduty|pjets?|pover|pbul|rockets?|ryver|sendgrid|ses|slack|"
    r"sns|tgram|twilio|webexteams|wxteams|workflows?|zulip)://[^\s$]+"
)
"""What apprise tells somebody by: whoever has such a URL can write there as well."""


def check(tree: Tree) -> Iterator[Finding]:
    for path in tree.matching(f"{tree.config_dir}/**/*.yaml", f"{tree.config_dir}/**/*.yml", "params.yaml"):
        for value in values(tree, path):
            if value.key.split(".")[0] != "defaults" and _is_secret(value):
                name = re.sub(r"[^A-Z0-9]+", "_", value.name.upper()).strip("_") or "SECRET"
                hint = f"Make it invalid where it came from, and write `${{oc.env:{name}}}` here."
                yield Finding(path, f"{value.name}: a secret in a config", value.line, value.column, hint)


def _is_secret(value: Value) -> bool:
    text = value.text
    if "${" in text or redact.is_harmless(text):
        return False
    if value.is_text and (redact.mask(text) != text or _SECRET_URLS.fullmatch(text)):
        return True
    return redact.is_secret(value.name, text if value.is_text else _plain(text))


def _plain(text: str) -> object:
    """As `redact` wants to know it: numbers are rarely secrets, true and null never are."""
    try:
        return float(text)
    except ValueError:
        return None


RULE = Rule(
    "KIT108",
    "secret-in-config",
    "A config has a secret in it: everybody who has the repository has it, for ever",
    Severity.ERROR,
    check,
)
