"""What is said between a forkserver and who asks it: one request with descriptors, then answers.

No pickle and no JSON: bytes as the kernel has them, so that nothing has to be imported and nothing can be misread.
"""

from __future__ import annotations

import os
import struct

__all__ = ["BEGUN", "COLD", "EXITED", "KILLED", "TOLD", "Request", "answer", "listen_for", "receive", "send"]

BEGUN, COLD, EXITED, KILLED, TOLD = b"b", b"c", b"e", b"k", b"t"
"""The answers: a process began (its pid), none does (why), it exited (its code), it was killed (the signal), a text."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_RIGHTS = 1
"""SCM_RIGHTS of what is sent beside the bytes, at the level SOL_SOCKET, which is 1 as well."""
_HEAD = struct.Struct("!III")
_ANSWER = struct.Struct("!cI")
_LARGEST = 1 << 23
"""Bytes; no program can be started with more than that on Linux."""
_MOST_DESCRIPTORS = 8


class Request:
    """What is asked for.

    Attributes:
        kind: What is to be forked, or `status` or `stop`.
        executable: The interpreter of who asks, which must be the server's.
        arguments: As `sys.argv` is to be, the program's name first.
        environment: All of it.
        targets: The numbers that the descriptors get which come along.
    """

    def __init__(
        self, kind: str, executable: str, arguments: list[str], environment: dict[str, str], targets: list[int]
    ) -> None:
        self.kind = kind
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.targets = targets


def send(link: socket, request: Request, descriptors: list[int]) -> None:
    """Raises:
    OSError: If the server is gone.
    ValueError: If a descriptor is closed, or an argument holds a NUL.
    """
    words = [request.kind, request.executable, *map(str, request.targets), *request.arguments]
    variables = [f"{name}={value}" for name, value in request.environment.items()]
    blocks = [b"\0".join(map(os.fsencode, texts)) for texts in (words, variables)]
    head = _HEAD.pack(len(blocks[0]), len(blocks[1]), len(request.targets))
    numbers = struct.pack(f"{len(descriptors)}i", *descriptors)
    link.sendmsg([head], [(_RIGHTS, _RIGHTS, numbers)])
    link.sendall(blocks[0] + blocks[1])


def receive(link: socket) -> tuple[Request, list[int]]:
    """The request and its descriptors.

    Raises:
        OSError, ValueError: If none comes whole, within the time that the socket allows.
    """
    import socket  # a client has none: loading it takes as long as its server's answer

    head, descriptors, _, _ = socket.recv_fds(link, _HEAD.size, _MOST_DESCRIPTORS)  # type: ignore[arg-type]
    try:
        if len(head) < _HEAD.size:
            raise ValueError("the other side is gone")  # noqa: TRY301 - descriptors are closed below
        said, environment, targets = _HEAD.unpack(head)
        body = _exactly(link, said + environment)
        kind, executable, *words = map(os.fsdecode, body[:said].split(b"\0"))
        variables = (os.fsdecode(item).partition("=") for item in body[said:].split(b"\0") if item)
        named = {name: value for name, _, value in variables}
        numbers = [int(word) for word in words[:targets]]
        if len(numbers) != len(descriptors) or min(numbers, default=0) < 0:
            raise ValueError("not every descriptor has come")  # noqa: TRY301
        return Request(kind, executable, words[targets:], named, numbers), descriptors
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def answer(link: socket, kind: bytes, what: str | int) -> None:
    """Raises:
    OSError: If who asked is gone.
    """
    text = os.fsencode(str(what))
    link.sendall(_ANSWER.pack(kind, len(text)) + text)


def listen_for(link: socket) -> tuple[bytes, str]:
    """The next answer; its kind is empty if none will come any more.

    Raises:
        OSError: If none comes within the time that the socket allows.
    """
    try:
        kind, length = _ANSWER.unpack(_exactly(link, _ANSWER.size))
        return kind, os.fsdecode(_exactly(link, length))
    except (ValueError, ConnectionError):
        return b"", ""


def _exactly(link: socket, size: int) -> bytes:
    if size > _LARGEST:
        raise ValueError("more than anybody says")
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise ValueError("the other side is gone")
        data += more
    return data
