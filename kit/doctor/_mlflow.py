"""MLflow: whether it is there, which version, whether it lets this user in, and whether artifacts have a place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any
from urllib.parse import quote, urlsplit

from kit import _reach
from kit.doctor._finding import Finding, Place, failed, one_line
from kit.errors import ExitCode, KitError
from kit.redact import mask
from kit.trackers._rest import is_plain
from kit.trackers.asking import NoReply, Reply, get, has_login

__all__ = ["look_at_mlflow", "server_of"]

_API = "/api/2.0"
_STORE_REFUSES = "Failed to list artifacts in"
"""How the server hands on what its store says, under the status that has: 401 is not to this user here."""
_ARTIFACT_PATIENCE = 6.0
"""Seconds: the server asks a store of its own meanwhile."""
_LOGIN = "Set the right ones: `export MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD`."
_START = "See whether it runs there (`kit stack status`, its log); runs go on, `kit sync` sends what they log later."
_LOG = "See the server's log; runs go on, `kit sync` sends what they log later."


def server_of(place: Place) -> str | None:
    """The address of the MLflow server, if it is one that speaks HTTP."""
    try:
        uri = _uri(place)
    except KitError:
        return None
    return uri if uri is not None and uri.startswith(("http://", "https://")) else None


def _uri(place: Place) -> str | None:
    if place.project is not None:
        return place.project.tracking_uri
    return os.environ.get("MLFLOW_TRACKING_URI")


def look_at_mlflow(place: Place) -> Iterator[Finding]:
    """One finding for each part; what cannot be told since an earlier part is wrong is left out."""
    try:
        uri = _uri(place)
    except KitError as error:
        yield failed("mlflow", error)
        return
    if uri is None:
        return
    if server_of(place) is not None and is_plain(uri):
        yield from _Server(uri).look()
        return
    told = _reach.tracking(uri)
    what = told.what + ("; who asks is MLflow's own to say, not tried" if server_of(place) is not None else "")
    code = ExitCode.HOST if uri.startswith("sqlite") else ExitCode.SERVICE
    yield Finding("mlflow", told.ok, what, told.fix, code)


def _bad(subject: str, what: str, fix: str) -> Finding:
    return Finding(subject, ok=False, what=what, fix=fix, code=ExitCode.SERVICE)


@dataclass(frozen=True, slots=True)
class _Server:
    """A server that needs nothing but what `kit.trackers` does itself."""

    uri: str

    @property
    def shown(self) -> str:
        return mask(self.uri)

    def look(self) -> Iterator[Finding]:
        try:
            if (wrong := self._health(get(self.uri, "/health", as_user=False))) is not None:
                yield wrong
                return
            yield self._version()
            reply = get(self.uri, f"{_API}/mlflow/experiments/search?max_results=1")
            wrong = self._login(reply)
            yield wrong or Finding("mlflow login", ok=True, what=self._who())
            if wrong is None:
                yield self._artifacts(_place_of_artifacts(reply))
        except NoReply as error:
            yield _bad("mlflow", f"{self.shown} does not answer: {error}", _START)

    def _health(self, reply: Reply) -> Finding | None:
        if reply.status < 500:  # a proxy of the company's may hide that page
            return None
        return _bad("mlflow", f"{self.shown} answers {reply.status}: it, or what is before it, is in trouble", _START)

    def _version(self) -> Finding:
        own = metadata.version("mlflow")
        reply = get(self.uri, "/version")
        theirs = reply.body.decode(errors="replace").strip() if reply.status == 200 else ""
        if not theirs or not theirs[0].isdigit() or len(theirs) > 20:
            return Finding("mlflow", ok=True, what=f"{self.shown} answers; its version it does not tell")
        if theirs.split(".")[0] != own.split(".")[0]:
            what = f"{self.shown} is version {theirs}, this environment has {own}: they may not understand each other"
            return _bad("mlflow", what, f"Take the server's: `uv add 'mlflow=={theirs}'`, or have it upgraded.")
        return Finding("mlflow", ok=True, what=f"{self.shown} answers, version {theirs} (here {own})")

    def _who(self) -> str:
        return "accepted" if has_login(self.uri) else "it asks for none"

    def _login(self, reply: Reply) -> Finding | None:
        subject = "mlflow login"
        if reply.status == 401 and not has_login(self.uri):
            return _bad(subject, "the server asks for a name and password, and none are given", _LOGIN)
        if reply.status == 401:
            return _bad(subject, "the server refuses this name and password", _LOGIN)
        if reply.status == 403:
            return _bad(subject, "this user may not read here", "Ask who runs the server for the permission.")
        if reply.status >= 500:
            return _bad("mlflow database", f"the server answers {reply.status}: its own database is in trouble", _LOG)
        if reply.status != 200:
            fix = "See that MLFLOW_TRACKING_URI is the server's address, with its whole path."
            return _bad("mlflow", f"{self.shown} answers {reply.status}: not as MLflow does", fix)
        return None

    def _artifacts(self, place: str | None) -> Finding:
        scheme = urlsplit(place or "").scheme
        if place is None:
            return Finding("artifacts", ok=True, what="no experiment yet to see where they go")
        if scheme == "mlflow-artifacts":
            return self._through_the_server(place)
        if scheme in {"", "file"}:
            fix = "Start it with `--artifacts-destination s3://BUCKET/PATH`, or a folder, instead."
            return _bad("artifacts", "the server has clients write to a folder of its own machine", fix)
        return _past_the_server(place)

    def _through_the_server(self, place: str) -> Finding:
        path = quote(urlsplit(place).path.strip("/"))
        try:
            reply = get(self.uri, f"{_API}/mlflow-artifacts/artifacts?path={path}", patience=_ARTIFACT_PATIENCE)
        except NoReply as error:
            what = f"the server answers, its artifact store does not: {error}"
            return _bad("artifacts", what, "See that the store (S3) runs and that the server reaches it: its log.")
        if reply.status == 200:
            return Finding("artifacts", ok=True, what="kept by the server, which can list them")
        if reply.status == 403 and not _said(reply).startswith(_STORE_REFUSES):
            return _bad("artifacts", "this user may not read them", "Ask who runs the server for the permission.")
        if reply.status < 500 and not _said(reply).startswith(_STORE_REFUSES):
            what = f"the server keeps none (it answers {reply.status})"
            return _bad("artifacts", what, "Start it with `--serve-artifacts --artifacts-destination ...`.")
        what = f"the server cannot use its artifact store: {_said(reply)}"
        fix = "Mend AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket where the server runs; its log says which."
        return _bad("artifacts", what, fix)


def _place_of_artifacts(reply: Reply) -> str | None:
    """Where those of one experiment go."""
    try:
        told: Any = json.loads(reply.body)
        return str(told["experiments"][0]["artifact_location"])
    except (ValueError, LookupError, TypeError):
        return None


def _past_the_server(place: str) -> Finding:
    """In a store that this machine itself must be let into."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(place).list_artifacts()
    except Exception as error:  # noqa: BLE001 - of any library
        said = mask(one_line(str(error)))[:200] or type(error).__name__
        fix = "Give AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and MLFLOW_S3_ENDPOINT_URL, or what the store needs."
        return _bad("artifacts", f"{mask(place)} cannot be read from here: {said}", fix)
    return Finding("artifacts", ok=True, what=f"{mask(place)} can be listed from here")


def _said(reply: Reply) -> str:
    try:
        told = json.loads(reply.body)
        said = str(told.get("message", "")) if isinstance(told, dict) else ""
    except ValueError:
        said = ""
    return mask(one_line(said))[:200] or f"it answers {reply.status}"
