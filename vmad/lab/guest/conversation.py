# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Carries a command's input and outputs between a running guest and the host, until it ends.

The other side of it is agent.py, which describes the protocol.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vmad.lab.errors import LabError
from vmad.lab.guest.console import first_alarm, last_lines, lines_of, report_from
from vmad.lab.guest.running import Guest

Sink = Callable[[bytes], object]
_CHUNK = 65536
# poll(2) takes milliseconds in an int, and a guest may have no deadline.
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Ending:
    """How a command ended: its status as a shell gives it, and the console's text.

    ``boot_seconds`` is the time from QEMU's start until the command was about to run.
    """

    status: int
    console: str
    boot_seconds: float


@dataclass
class _Progress:
    """What has been carried so far, and what the guest has said about its end."""

    pending: bytes = b""
    stdin_sent: int = 0
    stdin_ended: bool = False
    control: bytes = b""
    boot_seconds: float | None = None
    exit: tuple[int, int, int] | None = None
    carried: dict[str, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})

    @property
    def complete(self) -> bool:
        return self.exit is not None and self.exit[1:] == (
            self.carried["stdout"],
            self.carried["stderr"],
        )


class Conversation:
    """One command in one guest. ``timeout`` and ``boot_timeout`` in seconds from now."""

    def __init__(
        self,
        guest: Guest,
        *,
        what: str,
        stdin: bytes | int,
        stdout: Sink,
        stderr: Sink,
        timeout: float,
        boot_timeout: float,
    ) -> None:
        self._guest = guest
        self._what = what
        self._sinks = {"stdout": stdout, "stderr": stderr}
        self._began = time.monotonic()
        self._timeout = timeout
        self._boot_timeout = min(boot_timeout, timeout)
        self._console = bytearray()
        self._progress = _Progress()
        self._source: int | None = stdin if isinstance(stdin, int) else None
        if isinstance(stdin, bytes):
            self._progress.pending = stdin
            self._progress.stdin_ended = True

    def hold(self) -> Ending:
        """Carry until the command has ended and all its output is here.

        Raises ``LabError`` when the guest does not boot, dies, passes its deadline, or reports a
        fault of the kernel on its console.
        """
        with selectors.PollSelector() as selector:
            for name in ("console", "control", "stdout", "stderr"):
                selector.register(self._guest.sockets[name], selectors.EVENT_READ, name)
            watched: list[int] = []
            try:
                for name, process in self._guest.processes.items():
                    watched.append(os.pidfd_open(process.pid))
                    selector.register(watched[-1], selectors.EVENT_READ, f"end of {name}")
                self._carry(selector)
            finally:
                for descriptor in watched:
                    os.close(descriptor)
        self._guest.end("qemu")
        self._drain("console")
        return self._ending()

    def _carry(self, selector: selectors.BaseSelector) -> None:
        while not self._progress.complete:
            self._offer_stdin(selector)
            left = max(0.0, self._deadline() - time.monotonic())
            events = selector.select(min(left, _LONGEST_WAIT))
            if not events and time.monotonic() >= self._deadline():
                self._give_up()
            for key, _ in events:
                name = str(key.data)
                if name.startswith("end of "):
                    self._died(name.removeprefix("end of "))
                elif name == "stdin source":
                    self._read_stdin(selector)
                elif name == "stdin":
                    self._send_stdin()
                elif self._receive(name) == b"":
                    selector.unregister(key.fileobj)

    def _deadline(self) -> float:
        booted = self._progress.boot_seconds is not None
        return self._began + (self._timeout if booted else self._boot_timeout)

    def _receive(self, name: str) -> bytes:
        """Take what there is on a socket; empty at its end."""
        try:
            got = self._guest.sockets[name].recv(_CHUNK)
        except BlockingIOError:
            return b"\n"  # nothing there, but not its end
        except ConnectionResetError:
            return b""
        if name == "console":
            self._console += got
        elif name == "control":
            self._progress.control += got
            self._obey()
        elif got:
            self._progress.carried[name] += len(got)
            self._sinks[name](got)
        return got

    def _obey(self) -> None:
        *lines, self._progress.control = self._progress.control.split(b"\n")
        for line in lines:
            word, *numbers = line.split()
            if word == b"ready":
                self._progress.boot_seconds = time.monotonic() - self._began
                self._say(b"go\n")
            elif word == b"exit":
                status, out, err = (int(number) for number in numbers)
                self._progress.exit = (status, out, err)

    def _say(self, line: bytes) -> None:
        # A few bytes into an empty socket buffer: they fit.
        self._guest.sockets["control"].sendall(line)

    def _offer_stdin(self, selector: selectors.BaseSelector) -> None:
        """Watch exactly those ends of the standard input that can move now."""
        progress = self._progress
        if progress.boot_seconds is None:
            return
        registered = {str(key.data) for key in selector.get_map().values()}
        port = self._guest.sockets["stdin"]
        if progress.pending and "stdin" not in registered:
            selector.register(port, selectors.EVENT_WRITE, "stdin")
        elif not progress.pending and "stdin" in registered:
            selector.unregister(port)
        reads = self._source is not None and not progress.pending
        if self._source is None:
            pass
        elif reads and "stdin source" not in registered:
            selector.register(self._source, selectors.EVENT_READ, "stdin source")
        elif not reads and "stdin source" in registered:
            selector.unregister(self._source)
        if progress.stdin_ended and not progress.pending:
            progress.stdin_ended = False
            self._say(b"stdin %d\n" % progress.stdin_sent)

    def _read_stdin(self, selector: selectors.BaseSelector) -> None:
        assert self._source is not None
        try:
            self._progress.pending = os.read(self._source, _CHUNK)
        except OSError:
            # EIO: the terminal has gone, or we are not its foreground job. Then there is no input.
            self._progress.pending = b""
        if not self._progress.pending:
            selector.unregister(self._source)
            self._source = None
            self._progress.stdin_ended = True

    def _send_stdin(self) -> None:
        try:
            sent = self._guest.sockets["stdin"].send(self._progress.pending)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            sent = len(self._progress.pending)  # QEMU has ended; that is noticed elsewhere
        self._progress.stdin_sent += sent
        self._progress.pending = self._progress.pending[sent:]

    def _drain(self, name: str) -> None:
        """Take the rest of a socket whose other side has ended."""
        while self._receive(name) not in (b"", b"\n"):
            pass

    def _ending(self) -> Ending:
        lines = lines_of(bytes(self._console))
        self._raise_alarm(lines)
        assert self._progress.exit is not None
        assert self._progress.boot_seconds is not None
        return Ending(self._progress.exit[0], "\n".join(lines), self._progress.boot_seconds)

    def _raise_alarm(self, lines: list[str]) -> None:
        alarm = first_alarm(lines)
        if alarm is not None:
            raise LabError(
                f"the kernel of {self._what} reported a fault ({lines[alarm]})",
                "its report follows, after what the console said before",
                console=report_from(lines, alarm),
            )

    def _give_up(self) -> None:
        booted = self._progress.boot_seconds is not None
        self._guest.end("qemu")
        for name in ("console", "stdout", "stderr"):
            self._drain(name)
        lines = lines_of(bytes(self._console))
        self._raise_alarm(lines)
        if booted:
            raise LabError(
                f"the command in {self._what} had not ended after {self._timeout:g} s",
                "give it a longer --timeout; the console's last lines follow",
                console=last_lines(lines),
            )
        raise LabError(
            f"{self._what} had not booted after {self._boot_timeout:g} s",
            "try another kernel, or a longer --timeout; the console's last lines follow",
            console=last_lines(lines),
        )

    def _died(self, name: str) -> None:
        """One of the processes has ended before the command had."""
        self._guest.end("qemu")
        for socket_name in ("control", "console", "stdout", "stderr"):
            self._drain(socket_name)
        if self._progress.complete:
            return
        lines = lines_of(bytes(self._console))
        self._raise_alarm(lines)
        said = self._guest.complaints(name).splitlines()
        if name != "qemu":
            raise LabError(
                f"virtiofsd ended ({said[-1] if said else 'no word why'})",
                "the lab needs root, and a kernel with mount_setattr(2), 5.12 or later",
                console="\n".join(said),
            )
        if self._progress.boot_seconds is None and not lines:
            raise LabError(
                f"QEMU ended at once ({said[-1] if said else 'no word why'})",
                "check --memory and --cpus against this machine",
                console="\n".join(said),
            )
        booted = self._progress.boot_seconds is not None
        raise LabError(
            f"{self._what} " + ("switched off under the command" if booted else "did not boot"),
            "the console's last lines follow",
            console=last_lines([*lines, *said]),
        )
