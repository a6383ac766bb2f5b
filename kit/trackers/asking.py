"""One question to an MLflow server by who wants to know how it does: no retries, and what it says is an answer."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit

from kit.trackers._rest import login, trusted

__all__ = ["NoReply", "Reply", "get", "has_login"]


class NoReply(Exception):
    """Nothing came back; the message says why, in few words."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said.

    Attributes:
        date: Its clock, as the header has it.
    """

    status: int
    body: bytes
    date: str | None


def get(uri: str, path: str, *, patience: float = 3.0, as_user: bool = True) -> Reply:
    """Ask for a path below the server's address, as whom the environment or the address names.

    Raises:
        NoReply: If nothing comes back for so many seconds, or nothing that is HTTP.
    """
    address = urlsplit(uri)
    plain = address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="")
    headers = {"User-Agent": "kit"} | (login(address) if as_user else {})
    try:
        asked = urllib.request.Request(plain.geturl().rstrip("/") + path, headers=headers)  # noqa: S310 - http or https
        context = trusted() if address.scheme == "https" else None
        with urllib.request.urlopen(asked, timeout=patience, context=context) as answer:  # noqa: S310
            return Reply(answer.status, answer.read(), answer.headers.get("Date"))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Reply(refusal.code, refusal.read(), refusal.headers.get("Date"))
    except (OSError, HTTPException, ValueError) as error:
        raise NoReply(_reason(error, patience)) from error


def has_login(uri: str) -> bool:
    """Whether there is a name and password, or a token, to say who asks."""
    return bool(login(urlsplit(uri)))


def _reason(error: Exception, patience: float) -> str:
    cause = getattr(error, "reason", error)  # urllib hides it there, or a text
    if isinstance(cause, TimeoutError):
        return f"nothing for {patience:.0f} s"
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return " ".join(said.split()).lower() or type(cause).__name__
