# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A client of QEMU's machine protocol (docs/interop/qmp-spec): JSON lines over a Unix socket.

Answers come in the order of the commands, events in between. A socket serves one client; the
next one is accepted by the kernel and hears nothing until the first has gone.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar, cast

from vmad.errors import TargetUnavailable
from vmad.model.identity import label_safe

#: seconds until a QEMU that says nothing is given up; a busy emulator has taken 2
TIMEOUT = 10.0
#: seconds for the greeting: QEMU sends it at once, unless another client is being served
GREETING_TIMEOUT = 3.0
#: seconds for one piece of work, however many answers it takes: attaching, a scan, one process
LONGEST_WORK = 300.0
#: bytes; the longest answer that is asked for ("info mtree -f") has some 100 kB. What is made of
#: one takes up to 25 times as much
LONGEST_LINE = 2 << 20
#: characters that are told of what QEMU says
LONGEST_TOLD = 200
#: events that are kept until they are asked for; the newest
MOST_EVENTS = 256

_GREETING = b'{"QMP":'

T = TypeVar("T")

Command = tuple[str, dict[str, Any]]


class Refused(Exception):
    """QEMU answered a command with an error; the text is QEMU's."""


class Monitor:
    """One connection. Raises TargetUnavailable whenever QEMU is not there as it should be.

    Calls may come from several threads; each call has the connection for itself.
    """

    #: monotonic seconds: until when the work under way has to be done
    _until = math.inf

    def __init__(self, path: str) -> None:
        self._begin(path, socket.socket(socket.AF_UNIX))
        try:
            self._open()
        except BaseException:
            self._socket.close()
            raise

    def _begin(self, path: str, connection: socket.socket) -> None:
        self.path = path
        self.events: deque[tuple[str, float]] = deque(maxlen=MOST_EVENTS)
        self.lock = threading.RLock()
        self._received = bytearray()
        self._ids = count(secrets.randbits(40) << 20)
        self._closed = False
        self._deadline = math.inf
        self._socket = connection

    def _open(self) -> None:
        self._socket.settimeout(GREETING_TIMEOUT)
        try:
            self._socket.connect(os.fsencode(self.path))
        except FileNotFoundError as error:
            raise self._lost("no such socket", "is the guest running?") from error
        except PermissionError as error:
            raise self._lost("permission denied", "it takes write access to the socket") from error
        except ConnectionRefusedError as error:
            raise self._lost("nobody listens on it", "is the guest running?") from error
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or str(error)
            raise self._lost(f"cannot connect: {cause}", "name a QMP socket") from error
        self._await_greeting()
        try:
            self.execute("qmp_capabilities")
        except Refused as error:
            raise self.refuses(error) from error

    def _await_greeting(self) -> None:
        """Read up to the greeting.

        A client that was killed may have left answers, or half of one, which QEMU sends to the
        next (seen with 7.2, 20 kills of which one).
        """
        read = 0
        self._deadline = time.monotonic() + GREETING_TIMEOUT
        while True:
            try:
                line = self._raw_line()
            except TimeoutError as error:
                if read or self._received:
                    raise self._not_qmp() from error
                raise self._lost(
                    "QEMU does not greet: another client is connected, and QMP serves one",
                    "give vmad a QMP socket of its own (docs/guests.md)",
                ) from error
            except TargetUnavailable as error:
                if read or self._received:
                    raise self._not_qmp() from error
                raise
            if _GREETING in line:
                return
            read += len(line)
            if read > LONGEST_LINE:
                raise self._not_qmp()

    def _lost(self, cause: str, remedy: str | None = None) -> TargetUnavailable:
        return TargetUnavailable(f"qemu:{self.path}: {cause}", remedy)

    def refuses(self, error: Refused, remedy: str | None = None) -> TargetUnavailable:
        """To raise when a command is refused that every QEMU has."""
        return self._lost(f"QEMU refuses: {error}", remedy)

    @contextmanager
    def by(self, deadline: float) -> Iterator[None]:
        """All that is asked and read inside has to be done by then (monotonic seconds)."""
        before, self._until = self._until, min(self._until, deadline)
        try:
            yield
        finally:
            self._until = before

    def check_time(self) -> None:
        """Raises TargetUnavailable where the work under way has taken too long."""
        if time.monotonic() > self._until:
            self.close()
            raise self._lost(
                f"reading it has taken more than {LONGEST_WORK:g} s",
                "let vmad trace QEMU (docs/guests.md); is it overloaded?",
            )

    def _not_qmp(self) -> TargetUnavailable:
        return self._lost("what answers does not speak QMP", "name a socket of qemu's option -qmp")

    def _line(self) -> Any:
        """The next line's JSON. Raises TimeoutError, TargetUnavailable."""
        try:
            return json.loads(self._raw_line())
        except (ValueError, RecursionError) as error:
            raise self._not_qmp() from error

    def _raw_line(self) -> bytes:
        """The next line, whole before the deadline. Raises TimeoutError, TargetUnavailable."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            try:
                self._socket.settimeout(left)
                read = self._socket.recv(1 << 18)
            except TimeoutError:
                raise
            except OSError as error:
                raise self._ended() from error
            if not read:
                raise self._ended()
            self._received += read
            if len(self._received) > LONGEST_LINE:
                raise self._not_qmp()
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _ended(self) -> TargetUnavailable:
        self._closed = True
        return self._lost("QEMU closed the connection", "has the guest ended?")

    def execute(self, command: str, fd: int | None = None, **arguments: Any) -> Any:
        """Run one command; ``fd`` travels with it. Raises Refused, TargetUnavailable."""
        (answer,) = self.execute_all([(command, arguments)], fd)
        if isinstance(answer, Refused):
            raise answer
        return answer

    def execute_all(self, commands: Sequence[Command], fd: int | None = None) -> list[Any]:
        """Run commands without waiting in between; their answers in order, Refused among them.

        All are sent before the first answer is read: at most a few dozen, or both sides' socket
        buffers fill.
        """
        ids = [next(self._ids) for _ in commands]
        text = b"".join(
            json.dumps({"execute": name, "arguments": arguments, "id": number}).encode() + b"\n"
            for number, (name, arguments) in zip(ids, commands, strict=True)
        )
        with self.lock:
            if self._closed:
                raise self._lost("the connection is closed")
            self.check_time()
            try:
                self._socket.settimeout(TIMEOUT)
                if fd is None:
                    self._socket.sendall(text)
                else:
                    socket.send_fds(self._socket, [text], [fd])
                return [self._answer(number) for number in ids]
            except TimeoutError as error:
                self.check_time()
                # what comes late would be taken for the answer to something else
                self.close()
                raise self._lost(
                    f"QEMU has not answered for {TIMEOUT:g} s", "the guest may hang, or migrate"
                ) from error
            except OSError as error:
                raise self._ended() from error

    def _answer(self, number: int) -> Any:
        """The answer to the command of this number; others are for a client that has gone.

        It has to come in time, whatever else comes meanwhile.
        """
        self._deadline = min(time.monotonic() + TIMEOUT, self._until)
        while True:
            line = self._line()
            if time.monotonic() > self._deadline:
                raise TimeoutError
            if not isinstance(line, dict):
                raise self._not_qmp()
            if "return" in line and line.get("id") == number:
                return line["return"]
            if "error" in line and line.get("id") == number:
                return Refused(_description(line["error"]))
            if "return" in line or "error" in line:
                continue
            if "event" in line:
                self.events.append((str(line["event"])[:64], _moment(line.get("timestamp"))))
            else:
                raise self._not_qmp()

    def told(self, command: str, key: str, kind: type[T], send: int | None = None) -> T:
        """One field of the answer to a command, of this type; ``send`` is a descriptor. Text is
        short, and of one line.

        Raises Refused, TargetUnavailable.
        """
        answer = self.execute(command, fd=send)
        value = answer.get(key) if isinstance(answer, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._lost(f"QEMU answers {command} with something else than QEMU does")
        if isinstance(value, str):
            told: Any = label_safe(value[:LONGEST_TOLD])
            return cast(T, told)
        return value

    def peer(self) -> int:
        """The pid of who listens on the socket, as this process sees it; 0 when it does not."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid: int = struct.unpack("3i", credentials)[0]
        return pid

    def human(self, line: str) -> str:
        """The text that a command of the human monitor prints. Raises Refused."""
        arguments: dict[str, Any] = {"command-line": line}
        return str(self.execute("human-monitor-command", **arguments))

    def take_events(self) -> list[tuple[str, float]]:
        """(name, Unix time by QEMU's clock) of the events that have come since the last call."""
        with self.lock:
            taken = list(self.events)
            self.events.clear()
        return taken

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._closed

    def close(self) -> None:
        """Leave the socket to the next client."""
        self._closed = True
        self._socket.close()


def _description(error: object) -> str:
    text = error.get("desc") if isinstance(error, dict) else None
    return label_safe(str(text)[:LONGEST_TOLD]) if text else "no description"


def _moment(stamp: object) -> float:
    """Unix time of an event; 0 where it does not say."""
    parts = stamp if isinstance(stamp, dict) else {}
    seconds, micro = (parts.get(part, 0) for part in ("seconds", "microseconds"))
    for number in (seconds, micro):
        # a NaN is not below anything
        if not isinstance(number, int | float) or not abs(number) < 1 << 53:
            return 0.0
    return float(seconds + micro / 1e6)
