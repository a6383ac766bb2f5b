"""Whether what runs need from elsewhere answers: MLflow and DVC's remote. Bounded, and without loading either."""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from kit._dvc_files import find_dvc_root
from kit.redact import mask

if TYPE_CHECKING:
    import ssl

__all__ = ["Answer", "ask", "default_remote", "dvc_remote", "remote_setting", "tracking"]

_PATIENCE = 3.0
_DVC_PATIENCE = 10.0
"""Seconds; a service's own library is loaded in this time, too."""
_DATABASES = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433}
_FIX_TRACKING = "Runs go on, and what they log is sent later. See whether the server runs, and what the network says."
_FIX_REMOTE = "See that it is there and may be written, or name another: `dvc remote list`, `dvc remote modify`."


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a place can be reached, and what there is to say, in one line and without secrets."""

    ok: bool
    what: str
    fix: str | None = None


def ask(question: Callable[[], Answer], *, patience: float = _DVC_PATIENCE + 1) -> Callable[[], Answer]:
    """Begin to ask in a thread of its own; what is given back waits for the answer.

    Args:
        patience: Seconds until not to answer is the answer; looking up a name knows no limit of its own.
    """
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(question()), daemon=True)
    thread.start()

    def answer() -> Answer:
        thread.join(patience)
        return found[0] if found else Answer(ok=False, what=f"no answer for {patience:.0f} s", fix=_FIX_TRACKING)

    return answer


def tracking(uri: str) -> Answer:
    """Whether MLflow's runs can be written to this tracking URI."""
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite":
        return _sqlite(Path(uri.partition("?")[0].partition(":///")[2]))
    if scheme in {"http", "https"}:
        return _http(uri, "/health", fix=_FIX_TRACKING)
    if scheme in _DATABASES:
        return _database(uri, _DATABASES[scheme])
    return Answer(ok=True, what=f"{mask(uri)}: cannot be checked from here")


def _sqlite(path: Path) -> Answer:
    fix = "See what is there, and who owns it and its folder: `ls -ld`."
    if not path.exists():
        if os.access(path.parent, os.W_OK):
            return Answer(ok=True, what=f"{path.name} is made by the first run")
        return Answer(ok=False, what=f"{path} cannot be made", fix=fix)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_PATIENCE)) as db:
            db.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.Error as error:
        return Answer(ok=False, what=f"{path} cannot be read: {error}", fix=fix)
    if not os.access(path, os.W_OK):
        return Answer(ok=False, what=f"{path} cannot be written", fix=fix)
    return Answer(ok=True, what=f"{path.name} can be used")


def _http(url: str, path: str, *, fix: str) -> Answer:
    """Whether there is a server. One that wants to know who asks, or has another page there, is one, too."""
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    shown = mask(url)
    try:
        split = urlsplit(url)
        plain = split._replace(netloc=split.netloc.rpartition("@")[2]).geturl().rstrip("/") + path
        with urllib.request.urlopen(plain, timeout=_PATIENCE, context=_tls(plain)):  # noqa: S310 http or https
            return Answer(ok=True, what=f"{shown} answers")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code < 500 and error.code != 407:  # a proxy that does not let us through
            return Answer(ok=True, what=f"{shown} answers")
        return Answer(ok=False, what=f"{shown} answers {error.code} {error.reason}", fix=fix)
    except (OSError, HTTPException, ValueError) as error:
        return Answer(ok=False, what=f"{shown} does not answer: {_reason(error)}", fix=fix)


def _tls(url: str) -> ssl.SSLContext | None:
    """Whom MLflow and DVC trust, as far as the environment says so."""
    if not url.startswith("https:"):
        return None
    import ssl

    names = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    bundle = next((path for name in names if (path := os.environ.get(name))), None)
    if bundle is not None and Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _database(uri: str, port: int) -> Answer:
    shown = mask(uri)
    try:
        split = urlsplit(uri)
        with socket.create_connection((split.hostname or "localhost", split.port or port), timeout=_PATIENCE):
            return Answer(ok=True, what=f"{shown} answers")
    except (OSError, ValueError) as error:
        return Answer(ok=False, what=f"{shown} does not answer: {_reason(error)}", fix=_FIX_TRACKING)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)  # urllib hides it there, or a text
    if isinstance(cause, TimeoutError):
        return f"nothing for {_PATIENCE:.0f} s"
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return mask(" ".join(said.split())) or type(cause).__name__


# DVC


def dvc_remote(root: Path) -> Answer:
    """Whether data can be pulled from, and pushed to, the project's default DVC remote."""
    top = find_dvc_root(root.resolve())
    if top is None:
        return Answer(ok=True, what="DVC is not used here")
    try:
        name, url = default_remote(top / ".dvc")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        said = " ".join(str(error).split())
        return Answer(ok=False, what=f"DVC's config cannot be read: {said}", fix="Mend .dvc/config.")
    if name is None:
        return Answer(ok=True, what="no default DVC remote: the data is on this machine only")
    return _remote(name, url, top)


def _remote(name: str, url: str | None, top: Path) -> Answer:
    if url is None:
        return Answer(ok=False, what=f"the default DVC remote {name!r} has no URL", fix=_FIX_REMOTE)
    if url.startswith("file://") or "://" not in url:
        return _local_remote(name, top / ".dvc" / Path(url.removeprefix("file://")).expanduser(), top)
    if url.startswith(("http://", "https://")):
        return _http(url, "", fix=_FIX_REMOTE)
    return _cloud_remote(name, top)


def default_remote(folder: Path) -> tuple[str | None, str | None]:
    """Name and URL of the default remote; `config.local` has the last word.

    Raises:
        configparser.Error: If a file is none of DVC's.
        OSError: If one cannot be read.
    """
    name = _config(folder).get("core", "remote", fallback=None)
    return (None, None) if name is None else (name, remote_setting(folder, name, "url"))


def remote_setting(folder: Path, name: str, option: str) -> str | None:
    """What the config of the repository says of a remote.

    Raises:
        configparser.Error: If a file is none of DVC's.
        OSError: If one cannot be read.
    """
    config = _config(folder)
    section = next((found for found in config.sections() if _remote_of(found) == name), None)
    return None if section is None else config.get(section, option, fallback=None)


def _config(folder: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None, strict=False, default_section="")
    for file in ("config", "config.local"):
        with contextlib.suppress(FileNotFoundError):
            config.read_string((folder / file).read_text("utf-8"), source=file)
    return config


def _remote_of(section: str) -> str | None:
    """`'remote "name"'`, as DVC writes it."""
    found = re.fullmatch(r"""'?\s*remote\s*"(.*)"\s*'?""", section)
    return None if found is None else found[1]


def _local_remote(name: str, path: Path, top: Path) -> Answer:
    path = Path(os.path.normpath(path))
    shown = f"{name} ({path.relative_to(top) if path.is_relative_to(top) else path})"
    if path.is_dir():
        if os.access(path, os.R_OK | os.W_OK | os.X_OK):
            return Answer(ok=True, what=f"{shown} can be used")
        return Answer(ok=False, what=f"{shown} cannot be read or not be written", fix=_FIX_REMOTE)
    if not path.exists() and os.access(path.parent, os.W_OK | os.X_OK):
        return Answer(ok=True, what=f"{shown} is made by the first `dvc push`")
    return Answer(ok=False, what=f"{shown} is not there", fix=_FIX_REMOTE)


def _cloud_remote(name: str, top: Path) -> Answer:
    """Only DVC knows how to talk to it; a place where nothing was pushed yet cannot be told from a good one."""
    command = [sys.executable, "-P", "-m", "dvc", "list-url", "-L", "0", f"remote://{name}"]
    try:
        done = subprocess.run(
            command,
            cwd=top,
            env=os.environ | {"DVC_NO_ANALYTICS": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_DVC_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(ok=False, what=f"{name} does not answer: nothing for {_DVC_PATIENCE:.0f} s", fix=_FIX_REMOTE)
    if done.returncode == 0 or "does not exist" in done.stderr:
        return Answer(ok=True, what=f"{name} answers")
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return Answer(ok=False, what=f"{name}: {mask((errors or ['DVC failed'])[-1])}", fix=_FIX_REMOTE)
