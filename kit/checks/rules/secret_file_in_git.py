"""Files that are there to hold secrets, in git."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from kit.checks._places import is_template
from kit.checks._python import is_test
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree
from kit.redact import looks_secret, mask

__all__ = ["RULE"]

_NOTHING_ELSE = re.compile(
    r"(?:.*/)?(?:[._]netrc|\.pgpass|\.pypirc|\.git-credentials|\.vault-token|kaggle\.json|id_(?:rsa|dsa|ecdsa|ed25519)"
    r"|\.dvc/config\.local)"
)
"""Files that are there for secrets only. What else looks like one may hold settings, or a certificate, that is none."""


def _check(tree: Tree) -> Iterator[Finding]:
    for path in tree.wanted:
        if path in tree.tracked and _is_for_secrets(path) and _has_some(path, tree.text(path)):
            hint = (
                f"Take it out: `git rm --cached {shlex.quote(path)}`, have git ignore it, and change what it holds: "
                "git's history keeps it."
            )
            yield Finding(path, "a file for secrets is in git: whoever can clone has them", hint=hint)


def _is_for_secrets(path: str) -> bool:
    return looks_secret(path) and not is_test(path) and not is_template(path)


def _has_some(path: str, text: str | None) -> bool:
    """Not if git-crypt (which leaves no text), sops or ansible-vault has encrypted it, or it has only comments."""
    if text is None or "sops" in text or text.startswith("$ANSIBLE_VAULT"):
        return False
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) if _NOTHING_ELSE.fullmatch(path) else mask("\n".join(lines)) != "\n".join(lines)


RULE = Rule("KIT408", "secret-file-in-git", "A file that is there to hold secrets is in git", Severity.ERROR, _check)
