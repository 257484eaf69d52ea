# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Writes log records with their fields to journald, by its native protocol.

A datagram of KEY=value lines to a socket (systemd, docs/JOURNAL_NATIVE_PROTOCOL.md); a value with a
newline follows its key, a newline and its length in eight bytes.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Mapping
from typing import TextIO

from vmad.daemon.messages import ATTRIBUTE

SOCKET = "/run/systemd/journal/socket"
#: how journald wants a level (sd-daemon(3))
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
#: bytes of a field: a datagram has room for some, and nobody reads more
LONGEST = 16 << 10


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``stream`` leads to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    if not (device.isdecimal() and inode.isdecimal()):
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (status.st_dev, status.st_ino) == (int(device), int(inode))


class JournalHandler(logging.Handler):
    """Sends each record as one datagram; what cannot be sent goes to ``otherwise``."""

    def __init__(self, otherwise: logging.Handler, path: str = SOCKET) -> None:
        super().__init__()
        self._otherwise = otherwise
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # a journal that does not read must not hold up the daemon
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send it."""
        try:
            self._socket.sendto(datagram(fields_of(record, self.format(record))), self._path)
        except OSError:
            self._otherwise.handle(record)

    def close(self) -> None:
        """Give back the socket."""
        self._socket.close()
        super().close()


def fields_of(record: logging.LogRecord, text: str) -> dict[str, str]:
    """What journald is to keep of a record whose text is ``text``."""
    return {
        "MESSAGE": text,
        "PRIORITY": str(PRIORITIES.get(record.levelname, 6)),
        "SYSLOG_IDENTIFIER": "vmad",
        "THREAD_NAME": record.threadName or "",
        **getattr(record, ATTRIBUTE, {}),
    }


def datagram(fields: Mapping[str, str]) -> bytes:
    """The protocol's form of them. Names are ours, values may be anybody's."""
    parts = []
    for name, value in fields.items():
        content = value.encode("utf-8", "surrogateescape")[:LONGEST]
        if b"\n" in content:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(content)) + content + b"\n")
        else:
            parts.append(name.encode() + b"=" + content + b"\n")
    return b"".join(parts)
