# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The lines of docs/threat-model.md that take a real daemon and real other users."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.live.targets import Target
from tests.other_users import ASK_BY_SOCKET, open_to_everybody
from tests.unit.web.serving import Reply, parse_reply

CONFIG = "scan:\n  interval: 1s\n  budget: 50%\n"
#: a user and a group that nobody has
UID = "54321"
AS_USER = ("setpriv", "--reuid", UID, "--regid", UID, "--clear-groups")
_ADDRESS = re.compile(rb"0x[0-9a-f]{6,}|\b[0-9a-f]{8,16}-[0-9a-f]{8,16}\b")


def ask(path: Path, what: str, *prefix: str) -> Reply:
    """GET at a Unix socket, as another user."""
    python = sys._base_executable  # type: ignore[attr-defined]
    ran = subprocess.run(
        [*prefix, python, "-S", "-c", ASK_BY_SOCKET, str(path)],
        input=f"GET {what} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return parse_reply(ran.stdout)


@contextmanager
def sleeper(*prefix: str) -> Iterator[int]:
    """The pid of a process that does nothing."""
    with subprocess.Popen([*prefix, "sleep", "1000"]) as process:
        wait_for("its exec", lambda: "sleep" in Path(f"/proc/{process.pid}/comm").read_text())
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("evidence", [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"])
def test_pairs_are_for_those_who_may_read_the_maps(
    tmp_path: Path, victim: Target, evidence: str
) -> None:
    open_to_everybody(tmp_path)
    victim.build("guard_pages", pairs=5)
    path = tmp_path / "vmad.sock"
    words = ("--evidence", evidence, "--web.listen-address", f"unix:{path}")
    with (
        Daemon(tmp_path, CONFIG, *words).ready() as daemon,
        sleeper(*AS_USER) as own,
        sleeper() as roots,
    ):
        asked = {pid: f"/api/v1/explain/{pid}?pairs=true" for pid in (own, roots, victim.pid)}
        by_user = {pid: ask(path, what, *AS_USER).status for pid, what in asked.items()}
        by_root = ask(path, asked[victim.pid])
        page_of_root = ask(path, f"/explain/{victim.pid}").body
        by_network = daemon.status(asked[victim.pid])
        maps = {pid: f"/api/v1/map/{pid}" for pid in (own, roots)}
        seen = {
            who: {pid: ask(path, what, *prefix).body for pid, what in maps.items()}
            for who, prefix in (("user", AS_USER), ("root", ()))
        }
        by_anybody = {pid: daemon.get(what) for pid, what in maps.items()}
        everything = b"".join(
            daemon.get(what)
            for what in (
                "/",
                "/history",
                "/metrics",
                "/api/v1/scan",
                "/api/v1/daemon",
                "/api/v1/bursts",
                "/api/v1/history",
                f"/api/v1/explain/{victim.pid}",
                f"/explain/{victim.pid}",
                f"/api/v1/map/{victim.pid}",
            )
        )

    assert by_user == {own: 200, roots: 403, victim.pid: 403}
    assert by_network == 403
    # the picture: with places and names for who may read the maps, without them for the others
    assert seen["user"][own] == seen["root"][own] != by_anybody[own]
    assert seen["user"][roots] == by_anybody[roots] != seen["root"][roots]
    assert _ADDRESS.search(by_root.body)
    assert len(json.loads(by_root.body)["pairs"]) >= 5
    assert b"Mapped most often" in page_of_root
    assert b"Mapped most often" not in everything
    assert not _ADDRESS.search(everything)
    assert sys.executable.encode() not in everything


def test_clients_that_never_read_cost_little_memory(tmp_path: Path, victim: Target) -> None:
    victim.build("guard_pages", pairs=15_000)
    path = tmp_path / "vmad.sock"
    config = CONFIG + "web:\n  budget: 100%\n"
    with Daemon(tmp_path, config, "--web.listen-address", f"unix:{path}").ready() as daemon:
        what = f"/api/v1/explain/{victim.pid}?pairs=true"
        # as large as it gets when one client reads it
        whole = len(ask(path, what).body)
        before = resident(daemon.process.pid)
        deaf = [socket.socket(socket.AF_UNIX) for _ in range(50)]
        try:
            for one in deaf:
                one.connect(str(path))
                one.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode())
            for _ in range(20):
                daemon.get("/metrics")
            peak = peak_resident(daemon.process.pid)
        finally:
            for one in deaf:
                one.close()
        assert daemon.status("/-/healthy") == 200
        after = before + whole // 2
        wait_for("memory given back", lambda: resident(daemon.process.pid) < after)

    assert whole > 5_000_000
    # not even a second copy of one answer
    assert peak - before < 2 * whole


def resident(pid: int) -> int:
    """Bytes."""
    return _status(pid, "VmRSS")


def peak_resident(pid: int) -> int:
    """Bytes, since it started."""
    return _status(pid, "VmHWM")


def _status(pid: int, key: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) * 1024  # type: ignore[index]


def test_unknown_host_name_is_refused_by_the_daemon(tmp_path: Path) -> None:
    config = CONFIG + "web:\n  hosts: [vmad.example.net]\n"
    with Daemon(tmp_path, config).ready() as daemon:
        host, _, port = daemon.address.partition(":")
        statuses = {}
        for name in ("vmad.example.net", "localhost", "evil.example"):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
                statuses[name] = int(client.makefile("rb").readline().split()[1])
        refused = daemon.value("vmad_web_requests_refused_total", reason="site")

    assert statuses == {"vmad.example.net": 200, "localhost": 200, "evil.example": 421}
    assert refused == 1
