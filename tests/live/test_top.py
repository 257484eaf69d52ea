# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad top`` in a terminal, on processes of this machine, of a guest and of a capture."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.targets import Target
from vmad.sources.choose import open_source
from vmad.top.sparkline import known_part
from vmad.top.watching import Watching

#: escape sequences that name a colour (ECMA-48, SGR): 30 to 48 and 90 to 107 but not the default
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10[0-7])(?:;\d+)*m")
PATIENCE = 60.0


class Terminal:
    """A program on the other side of a pseudo-terminal."""

    def __init__(self, master: int, program: subprocess.Popen[bytes]) -> None:
        self._master, self.program = master, program
        self.seen = b""

    def wait_for(self, there: Callable[[bytes], bool]) -> None:
        """Until what was written since the last key satisfies it."""
        end = time.monotonic() + PATIENCE
        while not there(self.seen):
            assert time.monotonic() < end, self.seen[-3000:]
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self._master, 1 << 16)
                except OSError:  # it has ended
                    assert there(self.seen), self.seen[-3000:]

    def status(self) -> int:
        """How it ended; what it writes until then is read, or it would wait for a reader."""
        end = time.monotonic() + PATIENCE
        while self.program.poll() is None:
            assert time.monotonic() < end, self.seen[-3000:]
            if select.select([self._master], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self._master, 1 << 16)
        return self.program.returncode

    def press(self, keys: bytes) -> None:
        """Type them; what was seen so far is forgotten."""
        self.seen = b""
        os.write(self._master, keys)

    def resize(self, columns: int, lines: int) -> None:
        """Another size."""
        self.seen = b""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))


@contextmanager
def top(*words: object, columns: int = 80, **environment: str) -> Iterator[Terminal]:
    """``vmad top`` in a terminal of 24 lines."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    program = subprocess.Popen(
        # as its controlling terminal, so that it is told of another size
        ["setsid", "--ctty", sys.executable, "-m", "vmad", "top", *map(str, words)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(slave)
    try:
        yield Terminal(master, program)
    finally:
        program.kill()
        program.wait()
        os.close(master)


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as child:
        yield child


@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
def test_a_process_is_found_by_its_pid_and_looked_into(target: Target, evidence: str) -> None:
    made = target.build("guard_pages", pairs=2_000)
    pid = str(made.pid).encode()
    with top("--evidence", evidence, NO_COLOR="") as terminal:
        terminal.wait_for(lambda seen: b"GROWTH/S" in seen)
        terminal.press(b"/" + pid + b"\r")
        terminal.wait_for(lambda seen: b"1 process" in seen and pid in seen)
        terminal.press(b"\r")
        terminal.wait_for(lambda seen: b"What to change" in seen or b"lines below" in seen)
        assert b"vm_flags:access" in terminal.seen
        terminal.press(b"qq")
        assert terminal.status() == 0


def test_nothing_is_coloured_where_no_colour_is_wanted(target: Target) -> None:
    target.build("guard_pages", pairs=2_000)
    with top(NO_COLOR="1") as terminal:
        terminal.wait_for(lambda seen: b"GROWTH/S" in seen)
        terminal.press(b"/" + str(target.pid).encode() + b"\r\r")
        terminal.wait_for(lambda seen: b"Address space" in seen and b"Why" in seen)
        assert COLOUR.findall(terminal.seen) == []


def test_colours_are_used_where_nothing_speaks_against_them(target: Target) -> None:
    target.build("guard_pages", pairs=2_000)
    with top(NO_COLOR="") as terminal:
        terminal.wait_for(lambda seen: b"GROWTH/S" in seen)
        terminal.press(b"/" + str(target.pid).encode() + b"\r\r")
        terminal.wait_for(lambda seen: b"Address space" in seen and b"Why" in seen)
        assert COLOUR.findall(terminal.seen) != []


def test_another_size_is_drawn() -> None:
    with top() as terminal:
        terminal.wait_for(lambda seen: b"GROWTH/S" in seen)
        terminal.resize(200, 50)
        terminal.wait_for(lambda seen: b"MOSTLY" in seen and b"GROUP" in seen)
        terminal.press(b"q")
        assert terminal.status() == 0


def test_the_terminal_is_left_as_it_was_when_it_is_told_to_end() -> None:
    with top() as terminal:
        terminal.wait_for(lambda seen: b"GROWTH/S" in seen)
        terminal.press(b"\x03")
        terminal.wait_for(lambda seen: b"\x1b[?1049l" in seen and b"\x1b[?25h" in seen)
        assert terminal.status() == 0


def test_a_capture_is_shown(target: Target, tmp_path: Path) -> None:
    target.build("guard_pages", pairs=300)
    file = tmp_path / "capture"
    command = [sys.executable, "-m", "vmad", "capture", str(target.pid), "-o", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    with top("--from", file) as terminal:
        terminal.wait_for(lambda seen: str(target.pid).encode() in seen)
        terminal.press(b"\r")
        terminal.wait_for(lambda seen: b"vm_flags:access" in seen)


@pytest.mark.bpf
def test_what_is_made_now_is_counted_now(target: Target) -> None:
    source = open_source("kernel", None)
    try:
        watching = Watching(source, "here")
        watching.step()
        process = source.find(target.pid)
        before = watching.step().of(process)
        target.build("guard_pages", pairs=1_000)
        after = watching.step().of(process)
        assert before is not None
        assert after is not None
        assert (after.map_count or 0) - (before.map_count or 0) >= 1_000
        assert known_part(after.past)[-1] == after.map_count
    finally:
        source.close()


def test_a_process_that_is_gone_is_told() -> None:
    source = open_source("auto", None)
    child = subprocess.Popen(["sleep", "60"])
    process = source.find(child.pid)
    child.send_signal(signal.SIGKILL)
    child.wait()
    found = Watching(source, "here").look_into(process)
    source.close()

    assert found.explanation is None
    assert str(process.pid) in (found.problem or "")
