# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Servers with clients of our own."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from bench.atlas.row import Needs, Row

#: connections stay open as long as the program is measured; closed with it
_KEPT: list[socket.socket] = []


def _login() -> bytes:
    """The answer to MariaDB's greeting for root without a password (Protocol::HandshakeResponse41).

    A connection that has not logged in keeps a thread of its own, whatever handles the others.
    """
    capabilities = 0x200 | 0x8000  # the protocol of 4.1, its way of passwords
    packet = struct.pack("<IIB23x", capabilities, 1 << 24, 33) + b"root\0" + b"\0"
    return len(packet).to_bytes(3, "little") + b"\1" + packet


def _connected(
    path: str, times: int, first: bytes = b"", *, greeted: bool = False
) -> Callable[[int, Path], None]:
    """Waits for a Unix socket, then keeps that many connections, each having said ``first``
    (after it was ``greeted``) and been answered.
    """

    def ready(pid: int, place: Path) -> None:
        del pid
        end = time.monotonic() + 60
        _KEPT.clear()
        while len(_KEPT) < times:
            client = socket.socket(socket.AF_UNIX)
            try:
                client.settimeout(30)
                client.connect(str(place / path))
                if greeted:
                    client.recv(4096)
                if first:
                    client.sendall(first)
                    client.recv(4096)
            except OSError:
                client.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
                continue
            _KEPT.append(client)

    return ready


def _settled(pid: int, place: Path) -> None:
    """A server that says nothing: its threads have not changed for a second."""
    del place
    seen, since, end = -1, time.monotonic(), time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            now = len(list(Path(f"/proc/{pid}/task").iterdir()))
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > 3:
                return
        time.sleep(0.2)


def _row(
    name: str,
    program: str,
    load: str,
    *argv: str,
    ready: Callable[[int, Path], None] = _settled,
    version: tuple[str, ...] = (),
) -> Row:
    return Row(name, "Servers", program, load, argv, Needs.DEBIAN, ready=ready, version=version)


_MARIADB = (
    "sh",
    "-c",
    "mkdir data && mariadb-install-db --no-defaults --user=root --datadir=$PWD/data "
    "--auth-root-authentication-method=normal >/dev/null 2>&1; exec mariadbd --no-defaults "
    "--user=root --datadir=$PWD/data --socket=$PWD/s --skip-networking --max-connections=600 "
    "--pid-file=$PWD/pid $0",
)
_VERSION = ("mariadbd", "--version")

ROWS = (
    _row(
        "mariadb",
        "MariaDB",
        "no connection",
        *_MARIADB,
        "--skip-name-resolve",
        ready=_connected("s", 1),
        version=_VERSION,
    ),
    _row(
        "mariadb-500",
        "MariaDB",
        "500 connections",
        *_MARIADB,
        "--skip-name-resolve",
        ready=_connected("s", 500, _login(), greeted=True),
        version=_VERSION,
    ),
    _row(
        "mariadb-500-pool",
        "MariaDB",
        "500 connections, thread_handling=pool-of-threads",
        *_MARIADB,
        "--thread-handling=pool-of-threads",
        ready=_connected("s", 500, _login(), greeted=True),
        version=_VERSION,
    ),
    _row(
        "redis",
        "Redis",
        "500,000 keys",
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        "s",
        "--save",
        "",
        ready=_connected("s", 1, b"DEBUG POPULATE 500000\r\n"),
        version=("redis-server", "--version"),
    ),
    _row(
        "memcached",
        "memcached",
        "4 threads",
        "memcached",
        "-s",
        "s",
        "-u",
        "root",
        "-m",
        "256",
        ready=_connected("s", 1, b"stats\r\n"),
        version=("memcached", "--version"),
    ),
    _row(
        "nginx",
        "nginx",
        "one process",
        "nginx",
        "-p",
        ".",
        "-e",
        "stderr",
        "-g",
        "daemon off; master_process off; error_log stderr; pid p;",
        "-c",
        "{loads}/nginx.conf",
        version=("nginx", "-v"),
    ),
    _row(
        "haproxy",
        "HAProxy",
        "2 threads",
        "haproxy",
        "-db",
        "-f",
        "{loads}/haproxy.cfg",
        version=("haproxy", "-v"),
    ),
    _row(
        "varnish",
        "Varnish",
        "the child, default pools",
        "sh",
        "-c",
        "exec varnishd -d -n $PWD/v -a $PWD/s -b none -i atlas",
    ),
    _row(
        "mosquitto",
        "Mosquitto",
        "no client",
        "mosquitto",
        "-c",
        "{loads}/mosquitto.conf",
        version=("mosquitto", "-h"),
    ),
    _row(
        "lighttpd",
        "lighttpd",
        "one process",
        "lighttpd",
        "-D",
        "-f",
        "{loads}/lighttpd.conf",
        version=("lighttpd", "-v"),
    ),
    _row(
        "prometheus",
        "Prometheus",
        "an empty database",
        "prometheus",
        "--web.listen-address=127.0.0.1:0",
        "--storage.tsdb.path=data",
        "--config.file={loads}/prometheus.yml",
        version=("prometheus", "--version"),
    ),
)
