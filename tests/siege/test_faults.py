# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The machine breaks under the daemon: it goes on answering, says what is wrong, and recovers."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.live.targets import Target
from tests.other_users import as_nobody, open_to_everybody, vmad_for_all

#: `make siege-kills KILLS=1000`
KILLS = os.environ.get("VMAD_SIEGE_KILLS", "50")
WRITTEN = "vmad_state_last_write_successful"
#: every second scan is a full one, after which the state is written
QUICK = "scan: {interval: 1s, full_every: 2, budget: 50%}\n"


def threads_and_descriptors(daemon: Daemon) -> tuple[int, int]:
    """How many of each it has."""
    proc = Path(f"/proc/{daemon.process.pid}")
    return len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir()))


def scans(daemon: Daemon) -> float:
    """How many there were."""
    return sum(value for (name, _), value in daemon.series().items() if name == "vmad_scans_total")


def wait_for_scans(daemon: Daemon, number: int = 2) -> None:
    """That many more."""
    before = scans(daemon)
    wait_for("further scans", lambda: scans(daemon) >= before + number)


def test_a_writer_killed_at_any_moment_leaves_a_whole_state() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.siege.killed_writers", "--kills", KILLS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert f"{KILLS} kills" in ran.stdout
    assert ", 0 in the middle" not in ran.stdout


def on_a_file_system_of_its_own(state: Path, options: str) -> list[str]:
    """A prefix: ``state`` is a small file system that nobody else has."""
    mount = f'mount -t tmpfs -o {options} none {state} && exec "$@"'
    return ["unshare", "--mount", "sh", "-ec", mount, "sh"]


def seen_by(daemon: Daemon, path: Path) -> Path:
    """A path in the daemon's mount namespace."""
    return Path(f"/proc/{daemon.process.pid}/root{path}")


def fill(path: Path) -> None:
    """Until there is no space left."""
    with open(path, "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass


@pytest.mark.mounts
def test_full_disk_is_told_once_and_over_when_there_is_space(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    prefix = on_a_file_system_of_its_own(state, "size=1M,mode=777")
    environment = {"STATE_DIRECTORY": str(state)}
    with Daemon(tmp_path, QUICK, prefix=prefix, environment=environment).ready() as daemon:
        here = seen_by(daemon, state)
        wait_for("the state", (here / "history").exists)
        assert daemon.value(WRITTEN) == 1
        fill(here / "filler")
        daemon.logged("state .*history cannot be written: No space left on device")
        daemon.wait_for_value(WRITTEN, lambda written: written == 0)
        wait_for_scans(daemon, 4)
        written = (here / "history").stat().st_mtime_ns
        (here / "filler").unlink()
        wait_for_scans(daemon, 4)
        assert (here / "history").stat().st_mtime_ns > written
        assert daemon.value(WRITTEN) == 1
        assert not list(here.glob("*.new"))
        assert len(re.findall("history cannot be written", daemon.log)) == 1


@pytest.mark.mounts
def test_read_only_state_is_told_once_and_over_when_it_is_writable(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    prefix = on_a_file_system_of_its_own(state, "size=1M,mode=777")
    environment = {"STATE_DIRECTORY": str(state)}
    with Daemon(tmp_path, QUICK, prefix=prefix, environment=environment).ready() as daemon:

        def remount(how: str) -> None:
            pid = str(daemon.process.pid)
            command = ["nsenter", "-t", pid, "-m", "mount", "-o", f"remount,{how}", str(state)]
            subprocess.run(command, check=True)

        here = seen_by(daemon, state)
        wait_for("the state", (here / "history").exists)
        # busy while it is being written
        wait_for("read-only", lambda: _succeeds(lambda: remount("ro")))
        daemon.logged("state .*history cannot be written: Read-only file system")
        wait_for_scans(daemon, 4)
        written = (here / "history").stat().st_mtime_ns
        remount("rw")
        wait_for_scans(daemon, 4)
        assert (here / "history").stat().st_mtime_ns > written
        assert len(re.findall("history cannot be written", daemon.log)) == 1


def _succeeds(act: object) -> bool:
    try:
        act()  # type: ignore[operator]
    except subprocess.CalledProcessError:
        return False
    return True


def test_a_storm_of_reloads_leaves_the_last_configuration_and_nothing_else(tmp_path: Path) -> None:
    with Daemon(tmp_path, QUICK).ready() as daemon:
        daemon.configure(QUICK.replace("1s", "2s"))
        daemon.reload()
        daemon.logged("configuration reloaded")
        wait_for_scans(daemon)
        before = threads_and_descriptors(daemon)
        lines = daemon.log.count("\n")
        for number in range(2_000):
            daemon.configure(QUICK.replace("1s", "3s" if number % 2 else "nonsense"))
            daemon.reload()
            if number % 100 == 0:
                assert daemon.status("/-/healthy") == 200
        daemon.wait_for_value(
            "vmad_scan_interval_seconds", lambda seconds: seconds == 3, kind="configured"
        )
        daemon.wait_for_value("vmad_config_last_reload_successful", lambda good: good == 1)
        wait_for_scans(daemon)
        threads, descriptors = threads_and_descriptors(daemon)
        assert threads <= before[0] + 1
        assert descriptors <= before[1] + 2
        assert daemon.log.count("\n") - lines < 3 * 2_000


def test_without_memory_it_answers_and_scans_again_when_there_is_some(tmp_path: Path) -> None:
    config = QUICK.replace("full_every: 2", "full_every: 1")
    sleeper = tmp_path / "vmad-sleeper"  # of which this machine has no other
    sleeper.symlink_to("/bin/sleep")
    with Daemon(tmp_path, config).ready() as daemon, Target("vmad-victim") as target:
        wait_for_scans(daemon)
        pid = daemon.process.pid
        mebibyte = 1 << 20
        text = Path(f"/proc/{pid}/status").read_text()
        size = int(re.search(r"VmSize:\s+(\d+) kB", text)[1]) * 1024  # type: ignore[index]
        resource.prlimit(pid, resource.RLIMIT_AS, (size - 20 * mebibyte, resource.RLIM_INFINITY))
        # what there is to be told of outgrows what it has
        target.build("guard_pages", pairs=30_000)
        statuses: Counter[tuple[str, int]] = Counter()
        children = [subprocess.Popen([sleeper, "600"]) for _ in range(200)]
        try:
            for path in ("/-/healthy", "/metrics", "/api/v1/scan", "/") * 20:
                statuses[path, daemon.status(path)] += 1
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            began = time.monotonic()
            wait_for_scans(daemon)
            daemon.wait_for_value(
                "vmad_group_processes", lambda number: number == 200, group="comm/vmad-sleeper"
            )
            print(f"scans again {time.monotonic() - began:.1f} s after there was memory")
            for path in ("/metrics", "/api/v1/scan", "/"):
                assert daemon.status(path) == 200
        finally:
            for child in children:
                child.kill()
                child.wait()
    # a thread is not to be had; those that are there go on
    assert statuses["/-/healthy", 200] == statuses["/metrics", 200] == 20
    assert statuses["/api/v1/scan", 503] > 0
    assert 1 <= daemon.log.count("no further thread can be started") < 5
    assert "Traceback" not in daemon.log


def has_memory(pid: str) -> bool:
    """Whether it has an address space: a kernel thread or a zombie has none."""
    try:
        return not Path(f"/proc/{pid}/statm").read_text("ascii").startswith("0 ")
    except OSError:
        return False


@pytest.mark.bpf
@pytest.mark.mounts
def test_processes_that_proc_hides_are_seen_by_the_kernels_evidence(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    prefix = [
        *("unshare", "--mount", "sh", "-ec"),
        'mount -t proc -o hidepid=2 proc /proc && exec "$@"',
        "sh",
    ]
    rights = as_nobody("bpf", "perfmon")
    with Target("vmad-victim"), Daemon(tmp_path, QUICK, prefix=prefix + rights).ready() as daemon:
        assert daemon.value("vmad_source_up", source="kernel") == 1
        seen = daemon.value("vmad_processes_read")
        there = sum(map(has_memory, filter(str.isdigit, os.listdir("/proc"))))
    assert seen is not None
    # others come and go; the daemon, whose user may see none but its own, would read one
    assert seen > max(there / 2, 2)


@pytest.mark.root
@pytest.mark.mounts
def test_processes_that_proc_hides_from_procfs_evidence_are_told_to_be_missing(
    tmp_path: Path,
) -> None:
    open_to_everybody(tmp_path)
    hide = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-ec", hide, "sh", *as_nobody()]
    config = QUICK.replace("budget", "evidence: procfs, budget")
    with Daemon(tmp_path, config, prefix=prefix).ready() as daemon:
        daemon.logged(r"evidence procfs cannot be had: processes of other users are hidden \(.*hid")
        wait_for_scans(daemon)
        assert daemon.value("vmad_source_up", source="procfs") == 0
        assert daemon.value("vmad_processes_read") == 1
        assert b"processes of other users are hidden" in daemon.get("/")
        scan = [*prefix, vmad_for_all(), "scan"]
        said = subprocess.run(scan, capture_output=True, text=True, check=True)
        assert "Some are missing: processes of other users are hidden" in said.stdout
        assert daemon.stop() == 0
    with Daemon(tmp_path, config).ready() as daemon:
        assert daemon.value("vmad_source_up", source="procfs") == 1


@pytest.mark.mounts
def test_without_btf_the_daemon_says_so_and_serves_what_proc_shows(tmp_path: Path) -> None:
    open_to_everybody(tmp_path)
    hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-ec", hide, "sh"]
    with Daemon(tmp_path, QUICK, prefix=prefix).ready() as daemon:
        daemon.logged("evidence kernel cannot be had: .*no /sys/kernel/btf/vmlinux")
        assert daemon.value("vmad_source_up", source="kernel") == 0
        assert (daemon.value("vmad_processes_read") or 0) > 0
