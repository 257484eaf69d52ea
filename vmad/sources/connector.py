# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The proc connector on a bare netlink socket, for where pyroute2 does not know it.

Debian 12 has pyroute2 0.7.2, which came before that library learned the connector (here 0.9).
What vmad needs of it is three structures: struct nlmsghdr, struct cn_msg, struct proc_event
(linux/netlink.h, linux/connector.h, linux/cn_proc.h). Same methods as pyroute2's ProcEventSocket.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any

NETLINK_CONNECTOR = 11
_CN_IDX_PROC, _CN_VAL_PROC = 1, 1
_CN_IDX_NOBODY = 0xFFFF_FFFF
_LISTEN = 1
_NLMSG_DONE = 3

#: length, type, flags, sequence, port
_HEADER = struct.Struct("=IHHII")
#: idx, val, sequence, acknowledgement, length, flags
_MESSAGE = struct.Struct("=IIIIHH")
#: what, cpu, timestamp
_EVENT = struct.Struct("=IIQ")
_TWO_PIDS = struct.Struct("=II")
_EVENT_AT = _HEADER.size + _MESSAGE.size
_FIRST_AT = _EVENT_AT + _EVENT.size

_NONE, _FORK, _EXEC, _EXIT = 0, 1, 2, 0x8000_0000
_NAMES = {_FORK: "PROC_EVENT_FORK", _EXEC: "PROC_EVENT_EXEC", _EXIT: "PROC_EVENT_EXIT"}
#: netlink messages to one read: more than one socket buffer of the kernel's holds
_MOST = 1 << 16


def check_that_somebody_is_there() -> None:
    """Send what nobody asked for to the connector: the kernel passes over it.

    Raises ConnectionRefusedError where there is no connector to send to, as in every network
    namespace but the initial one, and OSError where there are no such sockets at all.
    """
    message = _HEADER.pack(_HEADER.size + _MESSAGE.size, _NLMSG_DONE, 0, 0, os.getpid())
    message += _MESSAGE.pack(_CN_IDX_NOBODY, 0, 0, 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR) as asking:
        asking.sendto(message, (0, 0))


class PlainConnector:
    """One listener."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        self._woken, self._wake = socket.socketpair()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """As socket.setsockopt. Raises OSError."""
        self._socket.setsockopt(level, option, value)

    def bind(self) -> None:
        """Join the connector's group. Raises OSError."""
        self._socket.bind((0, _CN_IDX_PROC))

    def control(self, listen: bool) -> None:
        """Ask for events, and wait for the kernel's answer. Raises OSError, TimeoutError."""
        payload = struct.pack("=I", _LISTEN if listen else _LISTEN + 1)
        message = _MESSAGE.pack(_CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(payload), 0) + payload
        header = _HEADER.pack(_HEADER.size + len(message), _NLMSG_DONE, 0, 0, os.getpid())
        self._socket.sendto(header + message, (0, 0))
        # outside of the initial network namespace nobody answers
        if not select.select([self._socket], [], [], 1.0)[0]:
            raise TimeoutError("the connector does not answer")
        self._socket.recv(_MOST)

    def get(self) -> list[dict[str, Any]]:
        """Wait for events: ``event`` is a name of cn_proc.h, an exec has ``process_tgid``.

        Raises OSError: ENOBUFS when events were lost, EBADF when it was closed meanwhile.
        """
        ready, _, _ = select.select([self._socket, self._woken], [], [])
        if self._woken in ready:
            raise OSError(errno.EBADF, "closed")
        return list(_events(self._socket.recv(_MOST)))

    def close(self) -> None:
        """From any thread; a ``get`` that waits ends. Twice does no harm."""
        self._wake.close()  # the other end is readable from now on
        self._socket.close()


def _events(datagram: bytes) -> Iterator[dict[str, Any]]:
    at = 0
    while at + _FIRST_AT + _TWO_PIDS.size <= len(datagram):
        length = _HEADER.unpack_from(datagram, at)[0]
        what = _EVENT.unpack_from(datagram, at + _EVENT_AT)[0]
        name = _NAMES.get(what)
        if name is not None:
            pid, tgid = _TWO_PIDS.unpack_from(datagram, at + _FIRST_AT)
            yield {"event": name, "process_pid": pid, "process_tgid": tgid}
        if length < _HEADER.size:
            return
        at += (length + 3) & ~3
