"""What the libraries below DVC say when a remote does not do its part, in words that say which part is wrong."""

from __future__ import annotations

import re

__all__ = ["explain_refusal"]

_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use `dvc remote modify --local {name} ...`"
_UNREACHABLE = "|".join(  # noqa: FLY002 - one line would be too long
    (
        r"could not connect|cannot connect|connect call failed|connect timeout|read timeout|timed out|disconnect",
        r"connect(?:ion)? ?(?:refused|reset|timed?.?out|lost|closed|error)",
        r"name resolution|getaddrinfo|name or service not known|no route|unreachable",
    )
)
# What is said, what that means, and what to do; the first that fits counts.
_MEANINGS = (
    (
        r"signature.{0,60}does not match|signaturedoesnotmatch",
        "it refuses the secret key",
        f"Set the right {_KEYS}.",
    ),
    (
        r"invalidaccesskeyid|access key id.{0,60}does not exist",
        "it knows no such access key",
        f"Set the right {_KEYS}.",
    ),
    (
        r"expiredtoken|token.{0,30}expired|requestexpired",
        "the credentials have expired",
        f"Get new ones, and set {_KEYS}.",
    ),
    (
        r"invalidtoken|token.{0,30}is invalid",
        "it refuses the session token",
        "Give another, or none: `unset AWS_SESSION_TOKEN`.",
    ),
    (
        r"requesttimetooskewed|difference between.{0,40}too large",
        "this machine's clock is wrong",
        "Have it set: `timedatectl set-ntp true`.",
    ),
    (
        r"unable to (?:locate|find) (?:aws )?credentials|nocredentials",
        "no credentials are given",
        f"Set {_KEYS}.",
    ),
    (
        r"nosuchbucket|bucket.{0,30}does not exist",
        "there is no such bucket",
        "Make it, or name another: `dvc remote modify {name} url URL`.",
    ),
    (
        r"host key|hostkey",
        "the host's key is not the one known here",
        "See that it is the right host, then add it: `ssh-keyscan HOST >> ~/.ssh/known_hosts`.",
    ),
    (
        r"unable to authenticate|authentication failed|permission denied for user",
        "it does not let this user in",
        "Give a key that it knows: `dvc remote modify --local {name} keyfile PATH`, or `ssh-add`.",
    ),
    (
        r"accessdenied|access denied|forbidden|\b403\b",
        "it refuses this key and secret, or what they may do",
        f"Set the right {_KEYS}, or ask for the permission.",
    ),
    (
        r"is supported, but requires|no module named 'dvc_",
        "what DVC needs for this kind of remote is not installed",
        "Install it: `uv add 'dvc[s3]'` or `uv add 'dvc[ssh]'`.",
    ),
    (
        _UNREACHABLE,
        "it cannot be reached",
        "See that it runs and what the network says; `dvc remote list` says where it is.",
    ),
)


def explain_refusal(said: str, name: str) -> tuple[str, str] | None:
    """What is wrong with the remote of this name, and the fix; None if what DVC says means nothing of the kind."""
    for words, meaning, fix in _MEANINGS:
        if re.search(words, said, re.IGNORECASE):
            return meaning, fix.replace("{name}", name)
    return None
