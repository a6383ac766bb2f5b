"""apprise, and the one target that it lacks: a file.

Only `kit.alerts` imports this, and only where something is sent or checked: apprise takes long to load.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from apprise import Apprise, AppriseAsset, NotificationManager, NotifyBase, NotifyFormat, NotifyType

from kit import _clock
from kit._near import did_you_mean, nearest

__all__ = ["check", "send"]

_ASSET = AppriseAsset(app_id="kit", app_desc="kit", async_mode=False, service_timeout=0)
"""No threads of apprise's own: a process cannot end before those do, and a server can keep one busy for ever."""
_PLUGINS = NotificationManager()


class FileTarget(NotifyBase):  # type: ignore[misc]  # apprise declares no types
    """`file:///absolute/path`: each message is appended in one piece, its body indented, so that none mix."""

    service_name = "File"
    secure_protocol = "file"
    templates = ("{schema}://{path}",)
    request_rate_per_sec = 0
    body_maxlen = 1 << 20

    def __init__(self, target: str, **kwargs: Any) -> None:  # noqa: ANN401 - apprise's own, whatever they are
        super().__init__(**kwargs)
        if not target.startswith("/") or target.endswith("/"):
            raise TypeError("not the absolute path of a file")
        self._path = Path(target)

    @staticmethod
    def parse_url(url: str, *_: object, **__: object) -> dict[str, Any] | None:
        options: dict[str, Any] | None = NotifyBase.parse_url(url, verify_host=False)
        # Not apprise's path: that takes the first folder for a host, and ends at a `#`.
        path = url.partition("://")[2].partition("?")[0]
        return None if options is None else options | {"target": unquote(path)}

    def url(self, privacy: bool = False, *_: object, **__: object) -> str:  # noqa: ARG002, FBT001, FBT002 - apprise's
        return f"file://{quote(str(self._path))}"

    def send(
        self,
        body: str,
        title: str = "",
        notify_type: NotifyType = NotifyType.INFO,  # noqa: ARG002
        **_: object,
    ) -> bool:
        head = f"{_clock.now().isoformat(timespec='seconds')} {' '.join(title.split())}"
        lines = [head, *(f"  {line}".rstrip() for line in body.splitlines())]
        try:
            self._append("\n".join(lines).encode() + b"\n")
        except OSError as error:
            self.logger.warning("%s: %s", self._path, error.strerror or error)
            return False
        return True

    def _append(self, block: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if (written := os.write(descriptor, block)) != len(block):
                raise OSError(f"only {written} of {len(block)} bytes could be written")
        finally:
            os.close(descriptor)


_PLUGINS.add(FileTarget)
# What goes wrong is returned, and nobody else is to hear of it: it may hold secrets.
logging.getLogger("apprise").propagate = False


def check(url: str) -> str | None:
    """What is wrong with a target's URL, and what to do; None if apprise takes it. Nothing is sent."""
    return None if Apprise(asset=_ASSET).add([url]) else _why_not(url)


def send(url: str, title: str, body: str, kind: str, *, timeout: float) -> str | None:
    """Send a plain text to one target.

    Args:
        kind: One of apprise's: info, success, warning, failure.
        timeout: Seconds; after that the attempt is left to itself, whatever comes of it.

    Returns:
        Why the target did not take it, with whatever apprise logged, secrets and all; None if it did.
    """
    sender = Apprise(asset=_ASSET)
    if not sender.add([url]):
        return _why_not(url)
    answers: list[str | None] = []

    def attempt() -> None:
        answers.append(_notify(sender, title, body, NotifyType(kind)))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(timeout)
    return answers[0] if answers else f"no answer within {timeout:g} s"


def _notify(sender: Apprise, title: str, body: str, kind: NotifyType) -> str | None:
    try:
        result = sender.notify(body, title, kind, body_format=NotifyFormat.TEXT)
    except Exception as error:  # noqa: BLE001 - a hundred plugins: whatever one raises, it did not send
        return f"{type(error).__name__}: {error}"
    if result:
        return None
    return "; ".join(dict.fromkeys(entry.message for entry in result.logs())) or "refused"


def _why_not(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator:
        return "not a URL. Write it as `SERVICE://...`, or `file:///absolute/path`."
    if scheme == FileTarget.secure_protocol:
        return "not the absolute path of a file. Write it as `file:///absolute/path`, with three slashes."
    if scheme not in _PLUGINS:
        if scheme in {"http", "https"}:
            return f"no service has such an address. To post JSON there, write `json{scheme[4:]}://` instead of `{scheme}://`."
        hint = did_you_mean(nearest(scheme, _PLUGINS.schemas())) or "`apprise --details` lists them all."
        return f"no service is called {scheme!r}. {hint}"
    service = _PLUGINS[scheme]
    if not service.enabled:
        needed = service.requirements.get("packages_required") or []
        packages = [needed] if isinstance(needed, str) else needed
        needs = f"needs the package {', '.join(packages)}. Install it." if packages else "is not for this machine."
        return f"{service.service_name} {needs}"
    return f"not a complete URL for {service.service_name}. `apprise --details` shows what belongs in one."
