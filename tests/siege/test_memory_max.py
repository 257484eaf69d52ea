# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The unit's memory is enough for very many processes and clients that ask and never read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.e2e.test_threats import peak_resident
from tests.memory_group import memory_group
from tests.other_users import open_to_everybody
from tests.siege.subjects import herd
from tests.siege.test_faults import wait_for_scans

#: of the unit
MEMORY_HIGH, MEMORY_MAX = 160 << 20, 256 << 20
PROCESSES = 10_000
CONFIG = """\
scan: {interval: 5s, full_every: 2, budget: 50%}
export: {max_groups: 1000}
web: {budget: 100%}
"""


@contextmanager
def deaf(address: str, number: int) -> Iterator[None]:
    """Clients that ask for the scan as JSON and never read."""
    host, _, port = address.partition(":")
    with ExitStack() as until_the_end:
        for _ in range(number):
            client = socket.create_connection((host, int(port)))
            until_the_end.enter_context(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /api/v1/scan HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


@pytest.mark.memory_group
@pytest.mark.root
def test_processes_by_the_ten_thousand_and_deaf_clients_fit_into_the_units_memory(
    tmp_path: Path,
) -> None:
    open_to_everybody(tmp_path)
    with (
        herd(PROCESSES) as number,
        memory_group(MEMORY_MAX) as group,
        Daemon(tmp_path, CONFIG, prefix=group.enter).ready() as daemon,
    ):
        wait_for(
            "a scan that sees them",
            lambda: (daemon.value("vmad_group_processes", group="comm/herd") or 0) > number - 10,
        )
        with deaf(daemon.address, 50):
            wait_for_scans(daemon, 4)
            assert daemon.status("/metrics") == daemon.status("/-/healthy") == 200
        peak = peak_resident(daemon.process.pid)
        assert daemon.stop() == 0
    assert number == PROCESSES
    assert peak < MEMORY_HIGH
    print(f"at most {peak >> 20} MiB")
