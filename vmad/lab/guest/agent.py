# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""PID 1 inside the guest: runs the command and carries its input, output and status.

Runs as a program of its own (python -I -S), not as part of the package; under software emulation
each import costs up to a tenth of a second, hence built-in modules only. It talks to
conversation.py on the host over virtio-serial ports, in lines on the control port:

    guest: ready UPTIME          host: go, stdin BYTES (how much there was in all)
    guest: exit STATUS BYTES-OF-STDOUT BYTES-OF-STDERR

Both sides count bytes, since a port's end of file is no proof that everything has arrived.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import os
import sys
import time

PORTS = "/sys/class/virtio-ports"
PREFIX = "org.vmad.lab."


def open_ports() -> dict[str, int]:
    """Open the lab's ports; the driver announces them a moment after the device."""
    opened: dict[str, int] = {}
    while len(opened) < 4:
        for entry in os.listdir(PORTS):
            try:
                with open(f"{PORTS}/{entry}/name") as file:
                    name = file.read().strip().removeprefix(PREFIX)
            except FileNotFoundError:
                continue
            if name in ("control", "stdin", "stdout", "stderr") and name not in opened:
                opened[name] = os.open(f"/dev/{entry}", os.O_RDWR | os.O_CLOEXEC)
    return opened


class Lines:
    """Reads the control port line by line."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._rest = b""

    def next(self) -> list[str]:
        """The words of the next line."""
        while b"\n" not in self._rest:
            got = os.read(self._port, 4096)
            if not got:
                # Reads as at its end until the host's side of the port is known to be open.
                time.sleep(0.005)
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().split()


def write_all(descriptor: int, content: bytes) -> None:
    """write(2) until everything is written."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


class Outflow:
    """Carries one of the command's outputs to its port, in a thread, and counts."""

    def __init__(self, pipe: int, port: int) -> None:
        self._pipe = pipe
        self._port = port
        self.carried = 0
        self._done = _thread.allocate_lock()
        self._done.acquire()
        _thread.start_new_thread(self._carry, ())

    def _carry(self) -> None:
        try:
            while got := os.read(self._pipe, 65536):
                write_all(self._port, got)
                self.carried += len(got)
        finally:
            self._done.release()

    def wait(self) -> None:
        """Return when the last writer has closed its end and all has been carried."""
        self._done.acquire()


class Inflow:
    """Carries the host's standard input to the command, in a thread."""

    def __init__(self, port: int, pipe: int, control: Lines) -> None:
        self._port = port
        self._pipe: int | None = pipe
        self._total: int | None = None
        _thread.start_new_thread(self._listen, (control,))
        _thread.start_new_thread(self._carry, ())

    def _listen(self, control: Lines) -> None:
        while True:
            words = control.next()
            if words[0] == "stdin":
                self._total = int(words[1])

    def _carry(self) -> None:
        carried = 0
        while self._total is None or carried < self._total:
            got = os.read(self._port, 65536)
            if not got:
                time.sleep(0.005)  # at its end: the total is on its way
                continue
            carried += len(got)
            if self._pipe is not None:
                try:
                    write_all(self._pipe, got)
                except BrokenPipeError:
                    self._close()  # the command wants no more; the host may still send
        self._close()

    def _close(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def run(directory: str, argv: list[str], environment: dict[str, str], ends: list[int]) -> None:
    """In the child: become the command. ``ends`` are its stdin, stdout and stderr."""
    os.setsid()
    for ignored in (_signal.SIGPIPE, _signal.SIGXFSZ):  # by Python, for itself
        _signal.signal(ignored, _signal.SIG_DFL)
    for number, end in enumerate(ends):
        os.dup2(end, number)
    try:
        os.chdir(directory)
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        write_all(2, f"vmad lab: {argv[0]} in the guest: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def wait_for(child: int) -> int:
    """Reap whatever ends, as PID 1 must, until ``child`` has; returns its status as a shell's."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def end_the_rest() -> None:
    """Kill what the command left behind, which would hold its outputs open for ever."""
    try:
        os.kill(-1, 9)  # everything but this process (kill(2): PID 1 and the caller are spared)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def main() -> None:
    """Take the request, run it, report, and wait for the host to pull the plug."""
    with open("/run/vmad-lab/request", "rb") as file:
        directory, count, *words = [os.fsdecode(field) for field in file.read().split(b"\0")]
    argv, variables = words[: int(count)], words[int(count) :]
    environment = dict(variable.split("=", 1) for variable in variables)
    ports = open_ports()
    control = Lines(ports["control"])
    with open("/proc/uptime") as file:
        uptime = file.read().split()[0]
    write_all(ports["control"], f"ready {uptime}\n".encode())
    while control.next()[0] != "go":
        pass
    pipes = [os.pipe() for _ in range(3)]
    child = os.fork()
    if child == 0:
        run(directory, argv, environment, [pipes[0][0], pipes[1][1], pipes[2][1]])
    for end in (pipes[0][0], pipes[1][1], pipes[2][1]):
        os.close(end)
    Inflow(ports["stdin"], pipes[0][1], control)
    outputs = [Outflow(pipes[1][0], ports["stdout"]), Outflow(pipes[2][0], ports["stderr"])]
    status = wait_for(child)
    end_the_rest()
    for output in outputs:
        output.wait()
    os.sync()  # pages that the command changed through a mapping of a file under --out
    out, err = (output.carried for output in outputs)
    write_all(ports["control"], f"exit {status} {out} {err}\n".encode())
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        # The traceback module would not load faster than a person reads this.
        with open("/dev/console", "w") as console:
            console.write(f"vmad-lab-agent: {error!r} line {sys.exc_info()[2].tb_lineno}\n")  # type: ignore[union-attr]
        raise
