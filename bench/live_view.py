# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m bench.live_view``: what ``vmad top`` costs, as a share of a core.

In a terminal of three sizes, on a host with so many further processes that sleep and one whose
count moves every tenth of a second. Not part of ``make bench``: it takes minutes.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIZES = ((80, 24), (120, 40), (200, 50))
#: seconds before it is measured: the first scan is full, and Python starts
SETTLING = 15.0

_MOVES = (
    "import mmap, time\n"
    "held = []\n"
    "while True:\n"
    "    held.append(mmap.mmap(-1, 4096))\n"
    "    if len(held) > 600: held.clear()\n"
    "    time.sleep(0.1)\n"
)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.live_view", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="each size; default 60")
    parser.add_argument("--processes", type=int, default=500, help="that sleep; default 500")
    arguments = parser.parse_args()
    with _host(arguments.processes):
        load = os.getloadavg()[0]
        print(f"{_processes()} processes, load average {load:.1f}, Python {sys.version.split()[0]}")
        print("| terminal | % of a core |\n|---|---:|")
        for columns, lines in SIZES:
            share = _share(columns, lines, arguments.seconds)
            print(f"| {columns} × {lines} | {share * 100:.2f} |", flush=True)
    return 0


@contextmanager
def _host(sleeping: int) -> Iterator[None]:
    children = [subprocess.Popen(["sleep", "3600"]) for _ in range(sleeping)]
    children.append(subprocess.Popen([sys.executable, "-c", _MOVES]))
    try:
        yield
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()


def _processes() -> int:
    return sum(name.isdecimal() for name in os.listdir("/proc"))


def _share(columns: int, lines: int, seconds: float) -> float:
    """CPU time of the program by the time that passed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
    program = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "vmad", "top"],
        stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    try:
        _read_for(master, SETTLING)
        before, began = _cpu_seconds(program.pid), time.monotonic()
        _read_for(master, seconds)
        return (_cpu_seconds(program.pid) - before) / (time.monotonic() - began)
    finally:
        program.kill()
        program.wait()
        os.close(master)


def _read_for(master: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            os.read(master, 1 << 16)


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
