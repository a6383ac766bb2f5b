"""Requests and answers over a real socket."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.forkserver import _wire

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
NAME = st.text(st.characters(exclude_characters="\0=", codec="utf-8"), min_size=1, max_size=20)


@given(arguments=st.lists(TEXT, min_size=1, max_size=5), environment=st.dictionaries(NAME, TEXT, max_size=5))
def test_what_is_sent_arrives(arguments: list[str], environment: dict[str, str]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _wire.send(ours, _wire.Request("command", "/bin/python", arguments, environment, [0, 7]), [0, 1])
        request, descriptors = _wire.receive(theirs)
    for descriptor in descriptors:
        os.close(descriptor)
    assert (request.kind, request.executable, request.targets) == ("command", "/bin/python", [0, 7])
    assert (request.arguments, request.environment) == (arguments, environment)


def test_bytes_that_are_no_text_arrive() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _wire.send(ours, _wire.Request("command", "x", ["\udcff"], {"A": "\udcfe=="}, []), [])
        request, _ = _wire.receive(theirs)
    assert (request.arguments, request.environment) == (["\udcff"], {"A": "\udcfe=="})


@given(said=st.binary(max_size=100))
def test_anything_else_is_refused(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(said)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises((ValueError, OSError)):
            _wire.receive(theirs)


def test_a_long_request_is_refused_before_it_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(_wire._HEAD.pack(1 << 31, 1 << 31, 0))
        with pytest.raises(ValueError, match="more than anybody says"):
            _wire.receive(theirs)


def test_descriptors_are_closed_when_a_request_is_refused() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        socket.send_fds(ours, [_wire._HEAD.pack(1, 0, 5)], [write])
        ours.sendall(b"x")
        os.close(write)
        with pytest.raises(ValueError, match="unpack"):
            _wire.receive(theirs)
    assert os.read(read, 1) == b""  # nobody has the other end any more
    os.close(read)


def test_answers_come_in_their_order_and_then_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            for number in (1, 2):
                _wire.answer(theirs, _wire.BEGUN, number)
        assert [_wire.listen_for(ours) for _ in range(3)] == [(b"b", "1"), (b"b", "2"), (b"", "")]
