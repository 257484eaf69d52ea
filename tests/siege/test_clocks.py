# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The clocks jump under the daemon, as when NTP sets a wrong one or a laptop wakes: it goes on.

The daemon alone sees them jump (clocks.c): the machine's are everybody's.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.siege.test_faults import wait_for_scans

HERE = Path(__file__).parent
DAY = 86_400
#: forward, back beyond where it began, an RTC that has lost its battery, and one that is mad
JUMPS = (2 * DAY, -2 * DAY, -40 * 365 * DAY, 127 * 365 * DAY, 0)

#: many VMAs, so that it is among those that are watched; then two more at each step, ten steps a
#: second at most
GROWS = """
import ctypes, mmap, time
PAGES = 60_000
pages = mmap.mmap(-1, PAGES * mmap.PAGESIZE)
libc = ctypes.CDLL(None)
start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
for page in range(1, PAGES, 2):
    libc.mprotect(ctypes.c_void_p(start + page * mmap.PAGESIZE), mmap.PAGESIZE, 1)
    if page == 20_001:
        print("grows", flush=True)
    if page > 20_000:
        time.sleep(0.1)
"""
VMAS_A_SECOND = 100


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("clocks") / "clocks.so"
    command = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(HERE / "clocks.c")], check=True)
    return library


class Clocks:
    """What the daemon's clocks are ahead of the machine's."""

    def __init__(self, shim: Path, offsets: Path) -> None:
        self._offsets = offsets
        offsets.write_bytes(bytes(16))
        self.environment = {"LD_PRELOAD": str(shim), "VMAD_TEST_CLOCKS": str(offsets)}

    def jump(self, real: int, boot: int = 0) -> None:
        """Seconds ahead, from now on: the time of day, and the time since boot."""
        with open(self._offsets, "r+b") as file:
            file.write(struct.pack("=qq", real * 10**9, boot * 10**9))


@contextmanager
def growing() -> Iterator[int]:
    """The pid of a process that grows slowly and without end."""
    with subprocess.Popen([sys.executable, "-c", GROWS], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"grows\n"
            yield process.pid
        finally:
            process.kill()


def growth_of(daemon: Daemon, pid: int) -> float | None:
    """VMAs per second, as the daemon tells."""
    name = "vmad_top_process_memory_map_areas_growth_per_second"
    return next(
        (
            value
            for (found, labels), value in daemon.series().items()
            if found == name and ("pid", str(pid)) in labels
        ),
        None,
    )


def test_scans_and_rates_do_not_go_by_the_time_of_day(tmp_path: Path, shim: Path) -> None:
    clocks = Clocks(shim, tmp_path / "offsets")
    state = tmp_path / "state"
    state.mkdir()
    environment = {**clocks.environment, "STATE_DIRECTORY": str(state)}
    config = "scan: {interval: 1s, full_every: 2, budget: 50%}\n"
    with (
        growing() as pid,
        Daemon(tmp_path, config, environment=environment).ready() as daemon,
    ):
        for ahead in JUMPS:
            clocks.jump(ahead)
            wait_for_scans(daemon, 3)
            told = daemon.value("vmad_scan_last_success_timestamp_seconds")
            assert told is not None
            assert abs(told - time.time() - ahead) < DAY / 2
            growth = growth_of(daemon, pid)
            assert growth is None or 0 <= growth <= VMAS_A_SECOND
            assert daemon.status("/") == 200
            # refused while it changes during every reading
            wait_for("its page", lambda: daemon.status(f"/explain/{pid}") == 200)
        wait_for("its growth", lambda: growth_of(daemon, pid))
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log
        assert not re.search("set aside", daemon.log)


def test_who_slept_with_the_machine_is_known_when_it_wakes(tmp_path: Path, shim: Path) -> None:
    """A suspend moves the time of day and the time since boot, not the monotonic clock."""
    clocks = Clocks(shim, tmp_path / "offsets")
    with (
        growing() as pid,
        Daemon(
            tmp_path, "scan: {interval: 1s}\n", environment=clocks.environment
        ).ready() as daemon,
    ):
        clocks.jump(8 * 3600, 8 * 3600)
        wait_for_scans(daemon, 3)
        growth = wait_for("its growth", lambda: growth_of(daemon, pid))
        assert 0 < growth <= VMAS_A_SECOND
        assert daemon.json(f"/api/v1/explain/{pid}")["pid"] == pid
        assert "Traceback" not in daemon.log


def test_marks_of_a_time_to_come_are_kept_as_long_as_others(tmp_path: Path, shim: Path) -> None:
    """A machine that booted with a wrong clock wrote them."""
    state = tmp_path / "state"
    state.mkdir()
    clocks = Clocks(shim, tmp_path / "offsets")
    clocks.jump(127 * 365 * DAY)
    environment = {**clocks.environment, "STATE_DIRECTORY": str(state)}
    config = "scan: {interval: 1s, full_every: 1, budget: 50%}\n"
    with growing(), Daemon(tmp_path, config, environment=environment).ready() as daemon:
        wait_for_scans(daemon)
        assert daemon.stop() == 0
    # nobody else has marks as high: what is told now is what was kept
    clocks.jump(0)
    with Daemon(tmp_path, config, environment=environment).ready() as daemon:
        wait_for_scans(daemon)
        stamps = [
            value
            for (name, _), value in daemon.series().items()
            if name == "vmad_group_memory_map_areas_highwater_timestamp_seconds"
        ]
        assert stamps
        assert all(abs(stamp - time.time()) < DAY for stamp in stamps)
