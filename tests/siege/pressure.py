# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon while its memory is swapped out and in without a pause: does it still answer?

``python -m tests.siege.pressure --share 0.6 --seconds 30`` runs it in a memory control group of its
own, swaps to a zram device of its own, then allows it that share of what it has, and scrapes it.
By hand alone, as root: for that time the machine has a swap device.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.daemons import Daemon, wait_for

ZRAM = Path("/sys/class/zram-control")
GROUP = Path("/sys/fs/cgroup/memory/vmad-pressure")
NO_LIMIT = 1 << 40


@contextmanager
def swap(mebibytes: int) -> Iterator[None]:
    """A swap device in memory."""
    number = (ZRAM / "hot_add").read_text().strip()
    device = Path(f"/dev/zram{number}")
    major, minor = Path(f"/sys/block/zram{number}/dev").read_text().split(":")
    made = not device.exists()
    if made:
        os.mknod(device, 0o60600, os.makedev(int(major), int(minor)))
    try:
        Path(f"/sys/block/zram{number}/disksize").write_text(f"{mebibytes}M")
        subprocess.run(["mkswap", device], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["swapon", device], check=True)
        try:
            yield
        finally:
            subprocess.run(["swapoff", device], check=True)
    finally:
        (ZRAM / "hot_remove").write_text(number)
        if made:
            device.unlink()


def figure(name: str) -> int:
    """Of the control group (cgroup-v1/memory.rst)."""
    text = (GROUP / name).read_text()
    return int(text)


def swapped_in(daemon: Daemon) -> int:
    """Major page faults so far."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[9])


def scrapes(daemon: Daemon, seconds: float) -> tuple[list[float], int]:
    """Milliseconds of those that were answered, ascending, and how many were not."""
    times, lost = [], 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://{daemon.address}/metrics", timeout=10) as reply:
                reply.read()
        except OSError:
            lost += 1
        else:
            times.append(1e3 * (time.monotonic() - began))
        time.sleep(0.2)
    return sorted(times), lost


def line(what: str, daemon: Daemon, seconds: float) -> str:
    """What scrapes and scans were like for that long."""
    faults, scans = swapped_in(daemon), _scans(daemon)
    times, lost = scrapes(daemon, seconds)
    scans = _scans(daemon) - scans
    faults = swapped_in(daemon) - faults
    p99 = times[int(0.99 * (len(times) - 1))] if times else float("nan")
    return (
        f"{what}: {len(times)} of {len(times) + lost} scrapes, "
        f"p50 {statistics.median(times or [float('nan')]):.1f} ms, p99 {p99:.1f} ms; "
        f"{scans:.0f} scans; "
        f"{faults / seconds:.0f} major faults/s; {figure('memory.usage_in_bytes') >> 20} MiB"
    )


def _scans(daemon: Daemon) -> float:
    return sum(value for (name, _), value in daemon.series().items() if name == "vmad_scans_total")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    GROUP.mkdir()
    try:
        return _measure(arguments.share, arguments.seconds)
    finally:
        GROUP.rmdir()


def _measure(share: float, seconds: float) -> int:
    enter = ["sh", "-ec", f'echo $$ > {GROUP}/cgroup.procs; exec "$@"', "sh"]
    config = "scan: {interval: 5s, budget: 50%}\n"
    with tempfile.TemporaryDirectory() as directory, swap(256):
        os.chmod(directory, 0o755)
        with Daemon(Path(directory), config, prefix=enter).ready() as daemon:
            print(line("before", daemon, seconds), flush=True)
            limit = int(figure("memory.usage_in_bytes") * share)
            wait_for("the limit", lambda: _limited(limit))
            try:
                print(line(f"{share:.0%} of it", daemon, seconds), flush=True)
            except OSError:
                print(f"ended by {-daemon.process.wait(60)}: more than that cannot be swapped out")
                return 1
            (GROUP / "memory.limit_in_bytes").write_text(str(NO_LIMIT))
            print(line("after", daemon, seconds), flush=True)
    return 0


def _limited(limit: int) -> bool:
    with suppress(OSError):
        (GROUP / "memory.limit_in_bytes").write_text(str(limit))
    return figure("memory.limit_in_bytes") <= limit


if __name__ == "__main__":
    sys.exit(main())
