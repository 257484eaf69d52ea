# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kernel's proc connector on a netlink socket: which processes started another program.

Documentation/driver-api/connector.rst. pyroute2 opens it, joins and asks for events, from 0.9 on;
Debian 12 has an earlier one, and there the same is done on a bare socket. Reading is ours in both
cases, of three structures: struct nlmsghdr, struct cn_msg, struct proc_event (linux/netlink.h,
linux/connector.h, linux/cn_proc.h). pyroute2 0.9.7 takes four times the CPU per event, and does not
survive a loss of events.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import socket
import struct
import sys
import types
from collections.abc import Iterator
from typing import Any

from vmad.sources.event_filter import attach

NETLINK_CONNECTOR = 11
#: bytes; the kernel doubles it, then some 2,500 events fit: small enough for a limited cgroup
RECEIVE_BUFFER = 1 << 20

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

_EXEC = 2
#: netlink messages to one read: more than one socket buffer of the kernel's holds
_MOST = 1 << 16
#: reads at a time
_READS = 4096


def check_that_somebody_is_there() -> None:
    """Send what nobody asked for to the connector: the kernel passes over it.

    Raises ConnectionRefusedError where there is no connector to send to, as in every network
    namespace but the initial one, and OSError where there are no such sockets at all.
    """
    message = _HEADER.pack(_HEADER.size + _MESSAGE.size, _NLMSG_DONE, 0, 0, os.getpid())
    message += _MESSAGE.pack(_CN_IDX_NOBODY, 0, 0, 0, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR) as asking:
        asking.sendto(message, (0, 0))


class Closed(Exception):
    """The socket was closed meanwhile, from another thread."""


class Connector:
    """One listener, from its making to ``close``. Raises OSError, TimeoutError."""

    def __init__(self) -> None:
        check_that_somebody_is_there()
        subscriber = _pyroute2_socket()
        if subscriber is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        else:
            self._socket = socket.socket(fileno=os.dup(subscriber.fileno()))
        self._woken, self._wake = socket.socketpair()
        try:
            # before bind: what is queued in between counts too
            self._enlarge()
            attach(self._socket)
            if subscriber is None:
                self._socket.bind((0, _CN_IDX_PROC))
                self._listen()
            else:
                subscriber.bind()
                subscriber.control(listen=True)
        except BaseException:
            self.close()
            raise
        finally:
            if subscriber is not None:
                subscriber.close()  # ours is the same socket: it stays open, and asked for

    def _enlarge(self) -> None:
        """SO_RCVBUFFORCE needs CAP_NET_ADMIN; without it SO_RCVBUF gives what rmem_max allows."""
        force = getattr(socket, "SO_RCVBUFFORCE", 33)
        for option in (force, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER)
                return

    def _listen(self) -> None:
        """Ask for events, and wait for the kernel's answer."""
        payload = struct.pack("=I", _LISTEN)
        message = _MESSAGE.pack(_CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(payload), 0) + payload
        header = _HEADER.pack(_HEADER.size + len(message), _NLMSG_DONE, 0, 0, os.getpid())
        self._socket.sendto(header + message, (0, 0))
        # outside of the initial network namespace nobody answers
        if not select.select([self._socket], [], [], 1.0)[0]:
            raise TimeoutError("the connector does not answer")
        self._socket.recv(_MOST)

    def execs(self) -> list[int]:
        """Wait for events, and take all that have come: the tgid of each process that exec'ed.

        Raises OSError (ENOBUFS when events were lost), Closed.
        """
        ready, _, _ = select.select([self._socket, self._woken], [], [])
        if self._woken in ready:
            raise Closed
        pids: list[int] = []
        for _ in range(_READS):
            try:
                pids += _execs(self._socket.recv(_MOST, socket.MSG_DONTWAIT))
            except BlockingIOError:
                break
        return pids

    def close(self) -> None:
        """From any thread; an ``execs`` that waits ends. Twice does no harm."""
        self._wake.close()  # the other end is readable from now on
        self._socket.close()


def _pyroute2_socket() -> Any:
    """pyroute2's, not yet bound; None where it is not installed, or has none."""
    try:
        with _only_a_part_of("pyroute2"):
            from pyroute2.netlink.connector.cn_proc import (  # noqa: PLC0415  2 MiB
                ProcEventSocket,
            )
    except ImportError:
        return None
    return ProcEventSocket()


@contextlib.contextmanager
def _only_a_part_of(package: str) -> Iterator[None]:
    """Import modules of a package without what the package itself imports.

    pyroute2's brings its database (sqlite3), psutil and unittest: 146 modules, 10 MiB. Whoever
    imports it otherwise, before or afterwards, has it whole. Raises ImportError.
    """
    if package in sys.modules:
        yield
        return
    found = importlib.util.find_spec(package)
    if found is None or found.submodule_search_locations is None:
        raise ImportError(package)
    bare = types.ModuleType(package)
    bare.__path__ = list(found.submodule_search_locations)
    sys.modules[package] = bare
    try:
        yield
    finally:
        sys.modules.pop(package, None)


def _execs(datagram: bytes) -> Iterator[int]:
    at = 0
    while at + _FIRST_AT + _TWO_PIDS.size <= len(datagram):
        length = _HEADER.unpack_from(datagram, at)[0]
        if _EVENT.unpack_from(datagram, at + _EVENT_AT)[0] == _EXEC:
            yield _TWO_PIDS.unpack_from(datagram, at + _FIRST_AT)[1]
        if length < _HEADER.size:
            return
        at += (length + 3) & ~3
