"""DVC's default remote: whether it can be listed, and whether something that this project recorded can be read."""

from __future__ import annotations

import configparser
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from kit._dvc_files import Output, find_dvc_root, read_outputs
from kit._dvc_refusals import explain_refusal
from kit._reach import default_remote, remote_setting
from kit.doctor._finding import Finding, Place, failed, one_line
from kit.errors import ExitCode, KitError
from kit.redact import mask

__all__ = ["look_at_dvc", "object_path"]

_SECONDS = 20.0
_LARGEST = 20 * 10**6
"""Bytes: more is not fetched only to see that it can be."""
_KNOCK = 3.0
"""Seconds, also: libraries try again and again before they say that nobody is there."""
_PORTS = {"http": 80, "https": 443}
_ABSENT = ("does not exist", "No such file", "NoSuchKey", "Not Found", "unable to find")


def look_at_dvc(place: Place) -> Iterator[Finding]:
    """Without a project, or DVC in it, there is nothing to look at."""
    if place.project is None or (top := find_dvc_root(place.project.root.resolve())) is None:
        return
    try:
        name, url = default_remote(top / ".dvc")
        outputs = read_outputs(place.project.root.resolve())
    except configparser.Error as error:
        fix = "Mend .dvc/config."
        yield Finding("dvc remote", ok=False, what=f"DVC's config cannot be read: {one_line(str(error))}", fix=fix)
        return
    except (KitError, OSError) as error:
        yield failed("dvc remote", error)
        return
    if name is None:
        yield Finding("dvc remote", ok=True, what="none: the data is on this machine only")
    elif url is None:
        fix = f"Give it one: `dvc remote modify {name} url URL`."
        yield Finding("dvc remote", ok=False, what=f"{name} has no URL", fix=fix, code=ExitCode.SERVICE)
    elif (silent := _knock(name, url, top)) is not None:
        yield _refused(f"{name} ({mask(url)})", name, silent)
    else:
        yield from _look(name, mask(url), top, list(outputs))


def _knock(name: str, url: str, top: Path) -> str | None:
    """Why nobody opens where the remote is; None if somebody does, or where that is only DVC knows."""
    address = urlsplit(url)
    if address.scheme == "s3":
        given = remote_setting(top / ".dvc", name, "endpointurl")
        named = given or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        address = urlsplit(named or "")
    try:
        port = address.port or _PORTS.get(address.scheme)
        if not address.hostname or port is None:
            return None
        with contextlib.suppress(socket.gaierror), socket.create_connection((address.hostname, port), timeout=_KNOCK):
            return None
    except ValueError:
        return None  # a port that is no number: DVC says so
    except OSError as error:
        return f"could not connect: {error}"
    return None  # a name that is known elsewhere: to a proxy, in ~/.ssh/config


def _look(name: str, url: str, top: Path, outputs: list[Output]) -> Iterator[Finding]:
    known = [output for output in outputs if output.md5 is not None and (output.size or 0) <= _LARGEST]
    smallest = min(known, key=lambda output: output.size or 0, default=None)
    with ThreadPoolExecutor(2) as both, tempfile.TemporaryDirectory(prefix="kit-") as folder:
        listed = both.submit(_dvc, top, "list-url", "-L", "0", f"remote://{name}")
        read = None
        if smallest is not None:
            path = f"remote://{name}/{object_path(smallest)}"
            read = both.submit(_dvc, top, "get-url", path, str(Path(folder) / "object"))
        yield _judge(f"{name} ({url})", name, smallest, listed.result(), None if read is None else read.result())


def object_path(output: Output) -> str:
    """Where a remote keeps it."""
    md5 = output.md5 or ""
    folder = "files/md5/" if output.kind == "md5" else ""  # DVC 2 had none
    return f"{folder}{md5[:2]}/{md5[2:]}"


def _judge(shown: str, name: str, output: Output | None, listed: str | None, read: str | None) -> Finding:
    """By what DVC complained of: None where it did not."""
    for said in (listed, read):
        if said is not None and not any(words in said for words in _ABSENT):
            return _refused(shown, name, said)
    if output is None:
        return Finding("dvc remote", ok=True, what=f"{shown} answers; nothing of a size to try is recorded yet")
    if read is not None:
        what = f"{shown} answers, and does not have {output.path}"
        fix = "Push it from where it was made: `dvc push`."
        return Finding("dvc remote", ok=False, what=what, fix=fix, code=ExitCode.SERVICE)
    return Finding("dvc remote", ok=True, what=f"{shown} can be listed, and {output.path} read")


def _refused(shown: str, name: str, said: str) -> Finding:
    told = explain_refusal(said, name)
    what, fix = told or (mask(one_line(said))[:200], f"See what DVC says: `dvc list-url remote://{name}`.")
    return Finding("dvc remote", ok=False, what=f"{shown}: {what}", fix=fix, code=ExitCode.SERVICE)


def _dvc(top: Path, *arguments: str) -> str | None:
    """What it complains of; None if all is well."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "dvc", *arguments],
            cwd=top,
            env=os.environ | {"DVC_NO_ANALYTICS": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"nothing for {_SECONDS:.0f} s: timed out"
    if done.returncode == 0:
        return None
    return (
        "\n".join(line for line in done.stderr.splitlines() if line.startswith("ERROR")) or done.stderr or "it failed"
    )
