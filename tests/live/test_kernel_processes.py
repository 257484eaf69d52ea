# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which processes kernel evidence knows, and under which identity."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.live.targets import Target, start_time_of
from tests.live.zygote import ForkedTarget
from vmad.errors import ProcessGone
from vmad.model.kinds import Kind
from vmad.model.process import ProcessId, ProcessSummary, Unread, Unreadable
from vmad.sources.bpf.layout import MAX_HEADERS
from vmad.sources.bpf.source import BpfSource

pytestmark = pytest.mark.bpf

ROOT = Path(__file__).parents[2]
CLONE_VM, SIGCHLD = 0x100, 17


@pytest.fixture
def target() -> Iterator[ForkedTarget]:
    with ForkedTarget() as child:
        yield child


def identity(target: Target) -> ProcessId:
    return ProcessId(target.pid, target.start_time)


def result_of(source: BpfSource, process: ProcessId) -> ProcessSummary | Unreadable:
    (result,) = source.summarise([process])
    return result


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_census_row_is_what_proc_says(kernel_source: BpfSource) -> None:
    with Target(comm="a) R (\nb") as target:
        census = kernel_source.census()
        (row,) = census[census["pid"] == target.pid]
        assert row["comm"] == b"a) R (\nb"
        assert row["start_time"] == target.start_time
        assert row["map_count"] == len(kernel_source.table(identity(target)).rows)
        statm = Path(f"/proc/{target.pid}/statm").read_text().split()
        assert row["total_vm"] == int(statm[0])
        assert (np.diff(census["pid"]) > 0).all()
        (result,) = kernel_source.summarise([identity(target)])
        assert result.comm == "a) R (\nb"


def test_lock_seq_moves_with_a_change_and_not_with_a_look(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    def lock_seq() -> int:
        census = kernel_source.census()
        return int(census["lock_seq"][census["pid"] == target.pid][0])

    target.build("one")
    before = lock_seq()
    kernel_source.table(identity(target))
    assert lock_seq() == before
    target.build("one")
    assert (before == -1) or lock_seq() > before


def test_kernel_threads_and_zombies_are_not_there(kernel_source: BpfSource) -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombie = ProcessId(child.pid, start_time_of(child.pid))
    kernel_thread = ProcessId(2, start_time_of(2))
    pids = kernel_source.census()["pid"]
    for process in (zombie, kernel_thread):
        assert process.pid not in pids
        result = result_of(kernel_source, process)
        assert isinstance(result, Unreadable)
        assert result.why is Unread.GONE
        with pytest.raises(ProcessGone):
            kernel_source.table(process)
    child.wait()


def test_a_reused_pid_is_another_process(kernel_source: BpfSource, target: ForkedTarget) -> None:
    for start_time in (target.start_time - 1, target.start_time + 1, 0):
        result = result_of(kernel_source, ProcessId(target.pid, start_time))
        assert isinstance(result, Unreadable)
        assert result.why is Unread.GONE
        with pytest.raises(ProcessGone):
            kernel_source.table(ProcessId(target.pid, start_time))


def test_an_exited_process_is_gone_though_an_old_census_knows_it(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    process = identity(target)
    assert isinstance(result_of(kernel_source, process), ProcessSummary)
    target.stop()
    result = result_of(kernel_source, process)
    assert isinstance(result, Unreadable)
    assert result.why is Unread.GONE
    with pytest.raises(ProcessGone):
        kernel_source.table(process)


def test_processes_that_share_an_address_space_show_the_same_mm(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    target.run(
        "stack = mapped(BASE - (1 << 20), 1 << 16) + (1 << 16)\n"
        "pause = ctypes.cast(libc.pause, ctypes.c_void_p)\n"
        "libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]\n"
        f"pid = checked(libc.clone(pause, stack, {CLONE_VM | SIGCHLD}, None), 'clone')\n"
        "LAYOUTS['cloned'] = lambda at: {'pid': pid}"
    )
    made = target.build("cloned")
    child = ProcessId(made.pid, start_time_of(made.pid))
    try:
        ours, theirs = kernel_source.summarise([identity(target), child])
        assert isinstance(ours, ProcessSummary)
        assert isinstance(theirs, ProcessSummary)
        assert ours.mm == theirs.mm != 0
        assert ours.kinds == theirs.kinds
        assert ours.facts == theirs.facts
        assert kernel_source.table(child).mm == ours.mm
    finally:
        os.kill(made.pid, signal.SIGKILL)


def test_a_process_whose_leader_has_exited_is_read_through_its_threads(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    target.build("guard_pages", pairs=500)
    target.run(
        "import threading, time\n"
        "for _ in range(3): threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()"
    )
    before = result_of(kernel_source, identity(target))
    assert isinstance(before, ProcessSummary)
    target.send("libc.syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], *[0] * 6)")
    while state_of(target.pid) != "Z":
        pass
    census = kernel_source.census()
    assert census["pid"].tolist().count(target.pid) == 1
    (row,) = census[census["pid"] == target.pid]
    assert row["start_time"] == target.start_time
    assert row["map_count"] == before.map_count
    after = result_of(kernel_source, identity(target))
    assert isinstance(after, ProcessSummary)
    assert (after.kinds, after.facts, after.mm) == (before.kinds, before.facts, before.mm)
    table = kernel_source.table(identity(target))
    assert table.consistent
    assert len(table.rows) == before.vmas


def test_more_processes_than_one_batch_holds(
    kernel_source: BpfSource, target: ForkedTarget
) -> None:
    number = MAX_HEADERS + 150
    target.run(
        "stacks = mapped(BASE - (1 << 30), 1 << 24)\n"
        "pause = ctypes.cast(libc.pause, ctypes.c_void_p)\n"
        "libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]\n"
        f"for n in range({number}):\n"
        f"    libc.clone(pause, stacks + (n + 1) * 8192, {CLONE_VM | SIGCHLD}, None)"
    )
    try:
        census = kernel_source.census()
        (mm,) = census["mm"][census["pid"] == target.pid]
        crowd = census[census["mm"] == mm]
        assert len(crowd) == number + 1
        everybody = [ProcessId(int(row["pid"]), int(row["start_time"])) for row in census]
        results = list(kernel_source.summarise(everybody))
        assert sorted(result.id for result in results) == sorted(everybody)
        alike = [each for each in results if isinstance(each, ProcessSummary) and each.mm == mm]
        assert len(alike) == number + 1
        assert len({(each.kinds, each.facts, each.map_count) for each in alike}) == 1
    finally:
        for pid in crowd["pid"].tolist():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.mounts
def test_in_a_pid_namespace_pids_are_those_that_the_reader_sees(kernel_source: BpfSource) -> None:
    script = (
        "import subprocess\n"
        "from vmad.sources.choose import open_source\n"
        "from vmad.model.process import ProcessId\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "open(f'/proc/{child.pid}/comm').read()\n"
        "source = open_source('kernel', None)\n"
        "census = source.census()\n"
        "(row,) = census[census['pid'] == child.pid]\n"
        "process = ProcessId(child.pid, int(row['start_time']))\n"
        "(result,) = source.summarise([process])\n"
        "rows = source.table(process).rows\n"
        "child.kill()\n"
        "print(sorted(census['pid'].tolist()) == [1, child.pid], result.vmas == len(rows) > 5)\n"
    )
    ran = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script],
        env={
            **os.environ,
            "VMAD_WALK": kernel_source.health().walk,
            "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("True True\n", "")


@pytest.mark.mounts
def test_files_seen_through_overlayfs_are_of_the_kind_that_the_user_sees(
    kernel_source: BpfSource, tmp_path: Path
) -> None:
    """A file deleted in a container lives on in its image; one on tmpfs below is a file above."""
    script = """
        mount -t tmpfs none "$1"; cd "$1"; mkdir lower upper work merged
        head -c 65536 /dev/zero > lower/kept; cp lower/kept lower/deleted
        mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work merged
        exec "$2" -c '
import mmap, os, sys
maps = []
for name in ("kept", "deleted"):
    with open("merged/" + name, "rb") as file:
        maps.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
os.unlink("merged/deleted")
print(flush=True)
sys.stdin.read()
'
    """
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-e", "-c", script, "sh", str(tmp_path), sys.executable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        table = kernel_source.table(ProcessId(child.pid, start_time_of(child.pid)))
        maps = Path(f"/proc/{child.pid}/maps").read_text().splitlines()
        child.stdin.close()
    kinds = {}
    for line in maps:
        if "/merged/" in line or line.endswith(("/kept", "/deleted (deleted)")):
            start = int(line.partition("-")[0], 16)
            (row,) = table.rows[table.rows["start"] == start]
            kinds["deleted" in line] = Kind(row["kind"])
    assert kinds == {False: Kind.FILE, True: Kind.FILE_DELETED}
