# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the daemon stands on is taken away while it runs: rights, BPF, its kernel's files."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, Series, wait_for
from tests.live.targets import Target
from tests.other_users import as_nobody, open_to_everybody, packages
from tests.siege.test_faults import QUICK, wait_for_scans

HERE = Path(__file__).parent
#: nobody else's on this machine
COMM = f"robbed-{os.getpid()}"
VICTIM = f"comm/{COMM}"
_PROCFS = QUICK.replace("budget", "evidence: procfs, budget")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("breaks") / "breaks.so"
    command = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(HERE / "breaks.c")], check=True)
    open_to_everybody(library.parent)
    return library


def to_each_thread(pid: int, number: signal.Signals) -> None:
    """A signal, whose handler is of the thread that gets it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for thread in os.listdir(f"/proc/{pid}/task"):
        libc.tgkill(pid, int(thread), int(number))


def of_victim(daemon: Daemon) -> float | None:
    """Whether it is told of."""
    return daemon.value("vmad_group_processes", group=VICTIM)


def within_two_intervals(
    daemon: Daemon, act: Callable[[], object], condition: Callable[[Series], bool]
) -> None:
    """What is so at last after an ``act`` is so in the metrics of two full scans later at most.

    One scan may have begun before.
    """
    before = scans_in(daemon.series())
    act()

    def found() -> Series | None:
        series = daemon.series()
        return series if condition(series) else None

    # every second one is full
    assert scans_in(wait_for("what comes of it", found)) - before <= 2 * 2 + 1


def scans_in(series: Series) -> float:
    """How many there were."""
    return sum(value for (name, _), value in series.items() if name == "vmad_scans_total")


def of(series: Series, name: str, **labels: str) -> float | None:
    """One sample; None where it is absent."""
    return series.get((name, frozenset(labels.items())))


@pytest.mark.root
def test_rights_that_are_lost_are_told_and_taken_up_again(tmp_path: Path, shim: Path) -> None:
    open_to_everybody(tmp_path)
    environment = {"LD_PRELOAD": str(shim)}
    rights = as_nobody("sys_ptrace")
    with (
        Target(COMM),
        Daemon(tmp_path, _PROCFS, prefix=rights, environment=environment).ready() as daemon,
    ):
        wait_for("the victim", lambda: of_victim(daemon) == 1)
        within_two_intervals(
            daemon,
            lambda: to_each_thread(daemon.process.pid, signal.SIGUSR2),
            lambda series: (
                (of(series, "vmad_processes_unreadable", reason="permission") or 0) > 2
                and not of(series, "vmad_group_processes", group=VICTIM)
            ),
        )
        daemon.logged(r"evidence is lost: rights: \d+ of \d+ processes may not be read: Perm")
        within_two_intervals(
            daemon,
            lambda: to_each_thread(daemon.process.pid, signal.SIGUSR1),
            lambda series: of(series, "vmad_group_processes", group=VICTIM) == 1,
        )
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest.mark.bpf
def test_bpf_that_is_refused_leaves_procfs_until_it_no_longer_is(
    tmp_path: Path, shim: Path
) -> None:
    gate = tmp_path / "gate"
    gate.write_bytes(b"\0")
    environment = {"LD_PRELOAD": str(shim), "VMAD_TEST_BREAKS": str(gate)}
    with (
        Target(COMM),
        Daemon(tmp_path, QUICK, environment=environment).ready() as daemon,
    ):

        def up() -> float | None:
            return daemon.value("vmad_source_up", source="kernel")

        wait_for("the victim", lambda: of_victim(daemon) == 1)
        assert up() == 1
        within_two_intervals(
            daemon,
            lambda: gate.write_bytes(b"\1"),
            lambda series: of(series, "vmad_source_up", source="kernel") == 0,
        )
        daemon.logged("evidence is lost: kernel: BPF: .*Operation not permitted")
        wait_for_scans(daemon, 2)
        assert of_victim(daemon) == 1
        within_two_intervals(
            daemon,
            lambda: gate.write_bytes(b"\0"),
            lambda series: of(series, "vmad_source_up", source="kernel") == 1,
        )
        wait_for_scans(daemon, 2)
        assert (up(), of_victim(daemon)) == (1, 1)
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest.mark.bpf
def test_descriptors_of_bpf_that_are_gone_leave_procfs_and_are_told(
    tmp_path: Path, shim: Path
) -> None:
    """Programs, maps and links alike; the right to load them anew was given up at the start."""
    with (
        Target(COMM) as target,
        Daemon(tmp_path, QUICK, environment={"LD_PRELOAD": str(shim)}).ready() as daemon,
    ):
        wait_for("the victim", lambda: of_victim(daemon) == 1)
        assert descriptors_of_bpf(daemon) > 3
        within_two_intervals(
            daemon,
            lambda: daemon.process.send_signal(signal.SIGURG),
            lambda series: of(series, "vmad_source_up", source="kernel") == 0,
        )
        assert descriptors_of_bpf(daemon) == 0
        daemon.logged("evidence is lost: kernel: BPF: ")
        target.build("guard_pages", pairs=500)
        daemon.wait_for_value("vmad_group_memory_map_areas_max", lambda n: n > 1_000, group=VICTIM)
        assert of_victim(daemon) == 1
        for path in ("/metrics", "/", "/api/v1/scan", f"/api/v1/explain/{target.pid}"):
            assert daemon.status(path) == 200
        lines = daemon.log.count("\n")
        wait_for_scans(daemon, 4)
        assert daemon.log.count("\n") - lines <= 1
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def descriptors_of_bpf(daemon: Daemon) -> int:
    """How many it has."""
    number = 0
    for fd in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            number += "bpf" in os.readlink(fd)
    return number


@pytest.mark.mounts
def test_proc_that_hides_processes_from_then_on_is_seen_through_by_the_kernels_evidence(
    tmp_path: Path,
) -> None:
    open_to_everybody(tmp_path)
    prefix = ["unshare", "--mount", "sh", "-ec", 'mount -t proc proc /proc && exec "$@"', "sh"]
    with (
        Target(COMM),
        Daemon(tmp_path, QUICK, prefix=prefix + as_nobody("bpf", "perfmon")).ready() as daemon,
    ):
        wait_for("the victim", lambda: of_victim(daemon) == 1)
        _in_its_mounts(daemon, "mount", "-o", "remount,hidepid=2", "/proc")
        before = daemon.value("vmad_processes_read") or 0
        wait_for_scans(daemon, 4)
        assert (daemon.value("vmad_processes_read") or 0) > before / 2
        assert daemon.value("vmad_source_up", source="kernel") == 1
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def _in_its_mounts(daemon: Daemon, *command: str) -> None:
    pid = str(daemon.process.pid)
    subprocess.run(["nsenter", "-t", pid, "-m", *command], check=True)


@pytest.mark.bpf
@pytest.mark.mounts
def test_a_kernel_and_a_package_replaced_under_it_leave_it_at_work(
    tmp_path: Path,
) -> None:
    """Types, modules and boot files of the running kernel, BPF objects, and at last all of the
    package: an upgrade replaces them, a purge takes them away.
    """
    open_to_everybody(tmp_path)
    prefix = ["unshare", "--mount", "sh", "-ec", 'exec "$@"', "sh"]
    with (
        Target(COMM) as victim,
        Daemon(tmp_path, QUICK, prefix=prefix).ready() as daemon,
    ):
        wait_for("the victim", lambda: of_victim(daemon) == 1)
        damaged = tmp_path / "damaged"
        damaged.write_bytes(b"\x9f\xeb\x01\0" + bytes(1000))
        _in_its_mounts(daemon, "mount", "--bind", str(damaged), "/sys/kernel/btf/vmlinux")
        for place in ("/lib/modules", "/boot"):
            if Path(place).is_dir():
                _in_its_mounts(daemon, "mount", "-t", "tmpfs", "none", place)
        for program in (packages() / "vmad/sources/bpf").glob("*.bpf.o"):
            _in_its_mounts(daemon, "mount", "--bind", str(damaged), str(program))
        victim.build("guard_pages", pairs=500)
        wait_for_scans(daemon, 4)
        daemon.reload()
        daemon.logged("configuration reloaded")
        wait_for_scans(daemon, 4)
        assert daemon.value("vmad_source_up", source="kernel") == 1
        assert daemon.json(f"/api/v1/explain/{victim.pid}")["map_count"] > 1_000
        assert daemon.status("/") == daemon.status("/api/v1/scan") == 200
        _in_its_mounts(daemon, "mount", "-t", "tmpfs", "none", str(packages() / "vmad"))
        # what was not needed so far is not there any more
        assert daemon.status(f"/explain/{victim.pid}") == 503
        daemon.logged("requests cannot be answered: .*No such file|.*No module named")
        wait_for_scans(daemon, 4)
        assert daemon.status("/metrics") == daemon.status("/api/v1/scan") == 200
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
