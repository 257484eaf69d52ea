# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Listening sockets: from "127.0.0.1:19797", "[::1]:0", ":19797" or "unix:/run/vmad/vmad.sock"."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress

from vmad.config.values import Listen, ListenAddress
from vmad.errors import UsageError, VmadError
from vmad.web.lanes import by_address, lanes

_BACKLOG = 128
UNIX = "unix:"
#: bytes that the kernel keeps for a client that does not read; it doubles them (socket(7))
_SEND_BUFFER = 1 << 17


def address_text(bound: socket.socket) -> str:
    """The address that a socket is bound to, as it goes into a URL (or unix:PATH)."""
    if bound.family == socket.AF_UNIX:
        return f"{UNIX}{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if bound.family == socket.AF_INET6 else f"{host}:{port}"


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine reaches what is bound to it (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
    if bound.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def bind_all(addresses: Sequence[str]) -> list[socket.socket]:
    """Listening sockets, non-blocking; a name that resolves to several addresses gives several.

    Raises UsageError for a malformed address, VmadError when one cannot be had (then none is
    left open).
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            bound.extend(_bind(address))
    except VmadError:
        for sock in bound:
            sock.close()
        raise
    return bound


def _parsed(address: str) -> ListenAddress:
    form = Listen()
    try:
        return form.read(address)
    except ValueError as error:
        raise UsageError(f"listen address {address!r}: allowed: {form.allowed}") from error


def _bind(address: str) -> list[socket.socket]:
    host, port, path = _parsed(address)
    if path:
        return [_bind_unix(address)]
    try:
        addresses = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise VmadError(f"cannot listen on {address}: {error.strerror}") from error
    bound: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, where in addresses:
        try:
            bound += _listen(family, where)
        except OSError as error:
            # a host name may stand for ::1 on a machine without IPv6; one address is enough
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                for sock in bound:
                    sock.close()
                raise _cannot_listen(address, port, error) from error
            failure = error
    if not bound:
        failure = failure or OSError(errno.EADDRNOTAVAIL, "no such address")
        raise _cannot_listen(address, port, failure) from failure
    return bound


def _listen(family: int, where: object) -> list[socket.socket]:
    """A socket for each lane (vmad.web.lanes). Raises OSError."""
    number = lanes()
    bound: list[socket.socket] = []
    try:
        # a socket that shares its port with others would share it with another daemon, too
        with _opened(family) as alone:
            alone.bind(where)  # type: ignore[arg-type]
            where = alone.getsockname()
        for _ in range(number):
            bound.append(_opened(family))
            bound[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, number > 1)
            bound[-1].bind(where)  # type: ignore[arg-type]
            if number > 1 and len(bound) == 1:
                by_address(bound[0])
            bound[-1].listen(_BACKLOG)
            bound[-1].setblocking(False)
    except OSError:
        for listener in bound:
            listener.close()
        raise
    return bound


def _opened(family: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        # so that 0.0.0.0 and :: can be bound side by side
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # those that it accepts inherit it
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return listener


def _cannot_listen(address: str, port: int, error: OSError) -> VmadError:
    what = f"cannot listen on {address}: {error.strerror}"
    if error.errno == errno.EADDRINUSE:
        return VmadError(
            what,
            f"`ss -ltnp 'sport = :{port}'` names the program that holds the port; "
            "stop it or choose another with --web.listen-address",
        )
    if error.errno == errno.EACCES:
        return VmadError(what, "choose a port from 1024 on, or give vmad CAP_NET_BIND_SERVICE")
    return VmadError(what, "choose an address of this machine with --web.listen-address")


def _bind_unix(address: str) -> socket.socket:
    """A socket that everybody may connect to: who they are is asked of each (SO_PEERCRED)."""
    path = address.removeprefix(UNIX)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        # its mode by umask(2): chmod(2) would go where somebody had put a link meanwhile
        mask = os.umask(0o111)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        what = f"cannot listen on {address}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            raise VmadError(what, "another program listens there, or it is no socket") from error
        raise VmadError(what, "its directory must exist and be vmad's own to write") from error
    return listener


def _remove_stale(path: str) -> None:
    """A socket file that nobody listens on any more stays behind a program that was killed."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1.0)
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return


def remove(bound: socket.socket) -> None:
    """Close it; a Unix socket's file goes too."""
    path = bound.getsockname() if bound.family == socket.AF_UNIX else None
    bound.close()
    if path:
        with suppress(OSError):
            os.unlink(path)
