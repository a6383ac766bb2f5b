"""A database server that keeps a store: where it is, and what its refusals mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from kit.errors import ExitCode, HostError, UserError
from kit.redact import mask

if TYPE_CHECKING:
    import psycopg

__all__ = ["Interrupted", "Server", "ServerFailed", "explain", "parse_server"]

_SCHEMES = {"postgresql", "postgres"}
_FORM = "Give it as postgresql://USER@HOST:PORT/DATABASE; the password can be in ~/.pgpass or PGPASSWORD."


class ServerFailed(HostError):
    """The server that keeps the store did not do its part; whoever bears with a store in trouble bears with this."""

    exit_code = ExitCode.SERVICE


class Interrupted(ServerFailed):
    """A transaction came to nothing for a reason that passes, as when a server is restarted: it may be tried again."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a server.

    Attributes:
        url: How to reach it; may hold a password.
        shown: The same for people: host, port and database.
    """

    url: str
    shown: str

    def __repr__(self) -> str:
        return f"Server({self.shown!r})"


def parse_server(url: str, *, where: str) -> Server:
    """The server that a URL means; `where` it was given is told in errors.

    Raises:
        UserError: If it is none of PostgreSQL.
    """
    try:
        parts = urlsplit(url)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        host, port = parts.hostname or query.get("host"), parts.port or query.get("port")
    except ValueError as error:  # a port that is no number; what it says may have part of a password in it
        raise UserError("the store's URL cannot be understood", where=where, fix=_FORM) from error
    if parts.scheme not in _SCHEMES:
        scheme = f"{parts.scheme}:" if parts.scheme.isalnum() else "that"
        raise UserError(f"{scheme} is no store that kit knows", where=where, fix=_FORM)
    if not (database := unquote(parts.path.lstrip("/"))):
        raise UserError("the store's URL names no database", where=where, fix=_FORM)
    return Server(url, f"{host or 'localhost'}{f':{port}' if port else ''}/{database}")


_RUNS = "See that it runs and can be reached from here: `pg_isready -h HOST -p PORT`."
_PASSES = {
    "40001": "two transactions came between each other",
    "40P01": "two transactions waited for each other",
    "53300": "it has no connection left",
    "57P01": "it is shut down",
    "57P02": "it has crashed",
    "57P03": "it does not take connections yet",
    "25P03": "a transaction took too long",
}
_LASTS = {
    "28P01": ("the password is wrong, or there is none", "Set it in KIT_STORE, PGPASSWORD or ~/.pgpass (mode 0600)."),
    "28000": ("it does not let this user in", "Look at the user in the URL, and at the server's pg_hba.conf."),
    "3D000": ("there is no such database", "Make it: `createdb -h HOST -O USER DATABASE`."),
    "42501": (
        "this user may not do that",
        "Let it make its own schema: `GRANT CREATE ON DATABASE ... TO ...`, or make it the owner.",
    ),
    "25006": ("it takes no changes: a standby, or set read-only", "Name the server that is written to."),
    "53100": ("its disk is full", "Free some space there."),
    "55P03": (
        "it is busy: others have written for too long",
        "Find who holds it in `pg_stat_activity` there.",
    ),
}
_SAID = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "authentication failed": "28000",
    "permission denied for database": "42501",
    "is not permitted to log in": "28000",
    "too many c": "53300",
    "remaining connection slots": "53300",
    "is starting up": "57P03",
    "is shutting down": "57P03",
    "not yet accepting connections": "57P03",
    "in recovery mode": "57P03",
}
"""How a server refuses a connection: only in words, and in English unless it is set otherwise."""


def explain(error: psycopg.Error, server: Server) -> ServerFailed:
    """What an error of the driver means for its user; nothing in it is a secret."""
    said = " ".join(str(error).split())
    state = error.sqlstate or _state(said)
    if state in _LASTS:
        what, fix = _LASTS[state]
        return ServerFailed(f"the store's server refuses: {what}", where=server.shown, fix=fix)
    if state in _PASSES:
        return Interrupted(f"the store's server cannot be used: {_PASSES[state]}", where=server.shown, fix=_RUNS)
    if (state is None and not isinstance(error, _mistakes())) or (state or "").startswith("08"):
        return Interrupted(f"the store's server cannot be reached: {_reason(said)}", where=server.shown, fix=_RUNS)
    what = f"the store's server refuses: {type(error).__name__}: {mask(said[:200])}"
    return ServerFailed(what, where=server.shown, fix="See the server's log.")


def _mistakes() -> type[Exception]:
    import psycopg

    return psycopg.ProgrammingError  # as an option in the URL that there is none of


def _state(said: str) -> str | None:
    lowered = said.lower()
    if 'database "' in lowered and "does not exist" in lowered:
        return "3D000"
    if 'role "' in lowered and "does not exist" in lowered:
        return "28000"
    return next((state for words, state in _SAID.items() if words in lowered), None)


_REASONS = {
    "connection refused": "connection refused",
    "could not translate host name": "there is no such host",
    "failed to resolve host": "there is no such host",
    "name or service not known": "there is no such host",
    "no such file or directory": "nothing listens on that socket",
    "network is unreachable": "the network is unreachable",
    "no route to host": "there is no route to the host",
    "timeout": "it does not answer",
    "timed out": "it does not answer",
    "certificate": "its certificate is not trusted",
    "ssl": "TLS cannot be agreed on",
    "connection is closed": "the connection was lost",
    "closed the connection": "the connection was lost",
    "connection reset": "the connection was lost",
    "connection is lost": "the connection was lost",
    "terminating connection": "the connection was lost",
}


def _reason(said: str) -> str:
    """In few words: what libpq says names every address it tried, and maybe the user."""
    lowered = said.lower()
    found = next((reason for words, reason in _REASONS.items() if words in lowered), None)
    return found or mask(said[:200])
