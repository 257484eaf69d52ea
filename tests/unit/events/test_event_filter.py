# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The filter in a real socket: which messages the kernel queues, and which it drops."""

from __future__ import annotations

import socket
import struct

import pytest

from vmad.sources.event_filter import attach

NONE, FORK, EXEC, UID, COMM, EXIT = 0, 1, 2, 4, 0x200, 0x8000_0000


def event(what: int, *numbers: int, size: int = 76) -> bytes:
    """struct nlmsghdr, struct cn_msg, struct proc_event with the first numbers of its data."""
    head = struct.pack("=IHHII", size, 3, 0, 0, 0) + struct.pack("=IIIIHH", 1, 1, 0, 0, 40, 0)
    data = struct.pack(f"={len(numbers)}I", *numbers)
    return (head + struct.pack("=IIQ", what, 0, 0) + data).ljust(size, b"\0")[:size]


@pytest.mark.parametrize(
    ("message", "passes"),
    [
        (event(EXEC, 70, 70), True),
        (event(EXEC, 71, 70), True),  # by a thread that is not the leader
        (event(FORK, 70, 70, 80, 80), False),
        (event(FORK, 70, 70, 80, 70), False),  # a thread
        (event(EXIT, 80, 80), False),
        (event(EXIT, 80, 70), False),  # a thread
        (event(NONE, size=56), True),  # the answer to "listen"
        (event(COMM, 70, 70), False),
        (event(UID, 70, 70), False),
        (event(FORK, size=40), False),  # a control message, sent by anybody
        (event(EXEC, size=40), False),
        (b"", False),
    ],
)
def test_only_programs_that_start_are_queued(message: bytes, passes: bool) -> None:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        attach(receiver)
        receiver.setblocking(False)
        try:
            sender.send(message)
        except OSError:
            assert not passes  # AF_UNIX tells the sender
        try:
            found = receiver.recv(4096)
        except BlockingIOError:
            assert not passes
        else:
            assert passes
            assert found == message
