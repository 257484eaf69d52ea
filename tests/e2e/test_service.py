# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon as a service: signals, the service manager, the budget, and bad starts."""

from __future__ import annotations

import base64
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest

from tests.e2e.daemons import VMAD, Daemon, Manager, wait_for
from tests.live.targets import Target
from tests.other_users import as_nobody, open_to_everybody, vmad_for_all

QUICK = "scan:\n  interval: 1s\n  budget: 50%\n"
#: longer than STOPS: nothing happens by itself, and no client is given up
UNHURRIED = "scan:\n  interval: 1h\n  budget: 50%\nweb:\n  timeout: 5m\n"
#: every scan full and one after the other: most of its time the daemon is in a scan
BUSY = "scan:\n  interval: 1s\n  full_every: 1\n  evidence: {evidence}\n  budget: 100%\n"
EVIDENCES = [pytest.param("kernel", marks=pytest.mark.bpf), "procfs"]


def refused(*words: str, prefix: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Exit status and stderr of a daemon that does not start."""
    ran = subprocess.run(
        [*prefix, vmad_for_all() if prefix else VMAD, "serve", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == ""
    return ran.returncode, ran.stderr.splitlines()


# --- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_at_once_though_its_next_scan_is_far_away(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Daemon(tmp_path, UNHURRIED).ready() as daemon:
        assert daemon.stop(number) == 0


@pytest.mark.parametrize("evidence", EVIDENCES)
def test_stops_in_the_middle_of_a_scan(tmp_path: Path, victim: Target, evidence: str) -> None:
    victim.build("guard_pages", pairs=12_000)
    with Daemon(tmp_path, BUSY.format(evidence=evidence)).ready() as daemon:
        assert daemon.stop() == 0


def test_stops_before_the_first_scan_is_complete(tmp_path: Path, victim: Target) -> None:
    victim.build("guard_pages", pairs=12_000)
    with Daemon(tmp_path, BUSY.format(evidence="auto")) as daemon:
        daemon.logged("listening on")
        assert daemon.stop() == 0


def test_stops_though_clients_hang(tmp_path: Path) -> None:
    with Daemon(tmp_path, UNHURRIED).ready() as daemon:
        host, _, port = daemon.address.partition(":")
        silent = socket.create_connection((host, int(port)))
        halfway = socket.create_connection((host, int(port)))
        halfway.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect((host, int(port)))
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        daemon.get("/metrics")  # they have all been accepted
        assert daemon.stop() == 0  # they hang on, and none was given up
        for client in (silent, halfway, deaf):
            client.close()


def test_stops_while_it_starts(tmp_path: Path) -> None:
    """Importing and loading BPF: the signal's default action, as systemd expects it."""
    for _ in range(3):
        with Daemon(tmp_path, QUICK) as daemon:
            assert daemon.stop() in (0, -signal.SIGTERM)


# --- the service manager


def test_manager_hears_ready_after_the_first_scan_then_the_watchdog_then_stopping(
    tmp_path: Path,
) -> None:
    with (
        Manager(tmp_path) as manager,
        Daemon(tmp_path, QUICK, environment=manager.environment(watchdog_seconds=1.5)) as daemon,
    ):
        ready = manager.until("READY=1")[-1]
        assert daemon.status("/-/ready") == 200
        assert daemon.value("vmad_scans_total", kind="full") == 1
        assert "processes" in ready[1]
        manager.until("WATCHDOG=1")

        daemon.reload()
        (reloading,) = [one for one in manager.until("READY=1") if "RELOADING=1" in one]
        assert reloading[1].startswith("MONOTONIC_USEC=")
        daemon.stop()
        manager.until("STOPPING=1")


# --- reloading


def test_reload_takes_a_good_configuration_and_refuses_a_bad_one(
    tmp_path: Path, victim: Target
) -> None:
    hour = "scan:\n  interval: 1h\n  budget: 50%\n"
    with Daemon(tmp_path, hour).ready() as daemon:
        assert daemon.value("vmad_config_last_reload_successful") is None

        daemon.configure(hour + "grups: []\n")
        daemon.reload()
        line = daemon.logged(r"refused, the old one stays: (.*)")[1]
        assert line.startswith(f"{daemon.config}:4: ")
        assert "grups" in line
        # at the next scrape, though the next scan is an hour away
        assert daemon.value("vmad_config_last_reload_successful") == 0
        assert daemon.value("vmad_config_last_reload_success_timestamp_seconds") is None
        assert daemon.value("vmad_group_processes", group="comm/vmad-victim") == 1

        daemon.configure(hour + "groups:\n  - match: {comm: vmad-victim}\n    name: renamed\n")
        daemon.reload()
        daemon.wait_for_value("vmad_group_processes", lambda n: n == 1, group="renamed")
        assert daemon.value("vmad_config_last_reload_successful") == 1
        assert (daemon.value("vmad_config_last_reload_success_timestamp_seconds") or 0) > 1e9


def test_reload_switches_process_events_off_and_on(tmp_path: Path) -> None:
    with Daemon(tmp_path, QUICK).ready() as daemon:
        daemon.wait_for_value("vmad_event_source_up", lambda up: up == 1)
        daemon.configure(QUICK + "  events: false\n")
        daemon.reload()
        daemon.wait_for_value("vmad_event_source_up", lambda up: up == 0)
        daemon.configure(QUICK)
        daemon.reload()
        daemon.wait_for_value("vmad_event_source_up", lambda up: up == 1)


def test_reload_while_it_starts_does_not_end_it(tmp_path: Path) -> None:
    with Daemon(tmp_path, QUICK) as daemon:
        daemon.logged("listening on")
        daemon.reload()
        daemon.reload()
        daemon.ready()
        daemon.logged("configuration reloaded")
        assert daemon.stop() == 0


def test_keys_that_are_read_at_the_start_are_named_when_they_change(tmp_path: Path) -> None:
    with Daemon(tmp_path, QUICK).ready() as daemon:
        daemon.configure(QUICK + "  deadline: 3s\nweb:\n  max_connections: 5\n")
        daemon.reload()
        daemon.logged("changes under web take effect at the next start")
        daemon.logged(r"a change of scan\.deadline takes effect at the next start")


# --- process events


def test_lost_events_are_counted_at_the_next_scrape_and_healed_by_a_full_scan(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path, "scan:\n  interval: 60s\n  budget: 50%\n").ready() as daemon:
        daemon.wait_for_value("vmad_event_source_up", lambda up: up == 1)
        full = daemon.value("vmad_scans_total", kind="full") or 0
        # more events than its socket holds, while it cannot read
        daemon.process.send_signal(signal.SIGSTOP)
        many = "i=0; while [ $i -lt 3000 ]; do /bin/true; i=$((i+1)); done"
        subprocess.run(["sh", "-c", many], check=True)
        daemon.process.send_signal(signal.SIGCONT)

        daemon.wait_for_value("vmad_event_overruns_total", lambda number: number >= 1)
        daemon.wait_for_value("vmad_scans_total", lambda now: now > full, kind="full")
        daemon.wait_for_value("vmad_event_source_up", lambda up: up == 1)


# --- the budget


def test_tiny_budget_stretches_the_interval(tmp_path: Path) -> None:
    config = "scan:\n  interval: 1s\n  budget: 0.01%\n"
    with Daemon(tmp_path, config).ready() as daemon:
        daemon.wait_for_value(
            "vmad_scan_interval_seconds", lambda seconds: seconds > 1, kind="effective"
        )
        stretched = daemon.value("vmad_scan_interval_seconds", kind="effective")
        scans = daemon.value("vmad_scans_total", kind="incremental")
        page = daemon.get("/").decode()

        assert daemon.value("vmad_scan_interval_seconds", kind="configured") == 1
        assert daemon.value("vmad_cpu_budget_ratio") == 0.0001
        assert "for the budget" in page
        # no scan takes less than a millisecond of CPU: unbounded, that would be more than ten
        assert stretched == 10
        assert (scans or 0) <= 5


def test_clients_do_not_delay_scans(tmp_path: Path, victim: Target) -> None:
    """What they make the daemon do is not charged to the scans' budget."""
    victim.build("guard_pages", pairs=15_000)
    with Daemon(tmp_path, "scan:\n  interval: 5s\n  budget: 5%\n").ready() as daemon:
        before = daemon.value("vmad_scans_total", kind="incremental") or 0
        cpu = daemon.value("vmad_cpu_seconds_total") or 0
        for _ in range(200):
            daemon.status(f"/api/v1/explain/{victim.pid}")
            daemon.status("/")
            daemon.get("/metrics")
        spent = (daemon.value("vmad_cpu_seconds_total") or 0) - cpu
        daemon.wait_for_value(
            "vmad_scans_total", lambda scans: scans >= before + 2, kind="incremental"
        )

        # that much would have to be waited for for longer than an interval
        assert spent > 5 * 0.05
        assert daemon.value("vmad_scan_interval_seconds", kind="effective") == 5


def test_wrong_passwords_without_a_pause_do_not_delay_scans(tmp_path: Path) -> None:
    users = tmp_path / "web.yml"
    # a fifth of a second to check
    known = bcrypt.hashpw(b"sesame", bcrypt.gensalt(12)).decode()
    users.write_text(f"basic_auth_users: {{ann: {known}}}\n")
    config = "scan: {interval: 1s, budget: 5%}\n"
    with Daemon(tmp_path, config, "--web.config.file", str(users)) as daemon:

        def asked(password: str) -> str | None:
            word = base64.b64encode(f"ann:{password}".encode()).decode()
            request = urllib.request.Request(f"http://{daemon.address}/metrics")
            request.add_header("Authorization", f"Basic {word}")
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    return str(reply.read().decode())
            except urllib.error.HTTPError:
                return None

        def scans() -> float:
            text = wait_for("the known password", lambda: asked("sesame"))
            return sum(map(float, re.findall(r"(?m)^vmad_scans_total{.*} (\S+)$", text)))

        wait_for("the first scans", lambda: scans() >= 2)
        over = threading.Event()
        with ThreadPoolExecutor(4) as guessers:

            def guess() -> int:
                tries = 0
                while not over.is_set():
                    assert asked(f"wrong {tries}") is None
                    tries += 1
                return tries

            guesses = [guessers.submit(guess) for _ in range(4)]
            before = scans()
            wait_for("further scans", lambda: scans() >= before + 5)
            text = wait_for("the known password", lambda: asked("sesame"))
            over.set()
            assert sum(each.result() for each in guesses) >= 4

    assert 'vmad_scan_interval_seconds{kind="effective"} 1.0\n' in text


# --- what keeps it from starting


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = refused("--web.listen-address", f"127.0.0.1:{port}")

    (error,) = [line for line in lines if line.startswith("vmad: ")]
    assert (status, error) == (1, lines[-1])
    assert str(port) in error


def test_bad_configuration_is_a_line_with_file_and_line(tmp_path: Path) -> None:
    config = tmp_path / "vmad.yml"
    config.write_text("scan:\n  interval: never\n")
    status, lines = refused("--config", str(config))

    assert (status, len(lines)) == (2, 1)
    assert f"{config}:2: " in lines[0]


def test_missing_configuration_is_one_line(tmp_path: Path) -> None:
    status, lines = refused("--config", str(tmp_path / "none.yml"))

    assert (status, len(lines)) == (2, 1)
    assert "none.yml" in lines[0]


def test_evidence_that_was_asked_for_and_cannot_be_had_is_one_line() -> None:
    status, lines = refused("--evidence", "kernel", prefix=tuple(as_nobody()))

    assert (status, len(lines)) == (1, 1)
    assert "CAP_BPF and CAP_PERFMON" in lines[0]


def test_without_rights_it_serves_what_it_may_see_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    open_to_everybody(tmp_path)
    with Daemon(tmp_path, QUICK, prefix=as_nobody()).ready() as daemon:
        assert daemon.value("vmad_source_up", source="kernel") == 0
        assert daemon.value("vmad_source_up", source="procfs") == 1
        assert (daemon.value("vmad_processes_read") or 0) >= 1
        assert (daemon.value("vmad_processes_unreadable", reason="permission") or 0) >= 1
        assert "needs CAP_BPF and CAP_PERFMON" in daemon.logged("evidence kernel cannot .*")[0]
        assert "needs CAP_SYS_PTRACE" in daemon.logged("may not be read: .*")[0]
        page = daemon.get("/").decode()
        assert "CAP_BPF and CAP_PERFMON" in page
        # it goes on so, and does not try in vain what it may not
        failed = daemon.value("vmad_reads_failed_total", reason="permission")
        daemon.wait_for_value("vmad_scans_total", lambda scans: scans >= 2, kind="incremental")
        assert failed is not None


@pytest.mark.bpf
def test_two_capabilities_are_enough_to_see_everybody(tmp_path: Path, victim: Target) -> None:
    open_to_everybody(tmp_path)
    # the machine may be busy with more groups than are exported by default
    config = QUICK + "export:\n  max_groups: 1000\n"
    with Daemon(tmp_path, config, prefix=as_nobody("bpf", "perfmon")).ready() as daemon:
        assert daemon.value("vmad_group_processes", group="comm/vmad-victim") == 1
        assert daemon.value("vmad_processes_unreadable", reason="permission") == 0
        assert wait_for("JSON", lambda: daemon.json(f"/api/v1/explain/{victim.pid}"))
