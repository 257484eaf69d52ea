# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad heal --rebuild`` of a process that notices everything: nothing is lost, come what may."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.emulated import SHORT_STOP
from tests.live.rebuild.movers import Mover, heal

pytestmark = pytest.mark.bpf

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.mark.moves
def test_what_was_predicted_is_reached_and_nothing_is_noticed(mover: Callable[..., Mover]) -> None:
    target = mover(400)
    before = target.after_more_work()
    plain = heal(target.pid)
    planned = heal(target.pid, "--rebuild")
    assert target.ask().row == before.row == 400
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")
    after = target.after_more_work()

    assert f"A rebuild could join more, 399 VMAs in all: vmad heal {target.pid}" in plain.stdout
    assert "1 run of 400 VMAs would become 1 VMA: 399 VMAs fewer." in planned.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert "399 VMAs fewer (399 predicted)" in done.stdout
    assert hurried(target.pid) == []
    assert (after.wrong, after.row, after.files) == (0, 1, before.files)
    assert after.vmas == before.vmas - 399


@pytest.mark.moves
def test_runs_where_the_kernel_maps_next_are_no_exception(mover: Callable[..., Mover]) -> None:
    """The seed's hole is the one that the kernel would fill first."""
    target = mover(40, "8", "near")
    assert target.after_more_work().row == 40
    done = heal(target.pid, "--rebuild", "--apply", "--max-stop", "500")
    after = target.after_more_work()

    assert (done.returncode, done.stderr) == (0, "")
    assert (after.wrong, after.row) == (0, 1)


@pytest.mark.moves
def test_many_short_stops_leave_one_vma(mover: Callable[..., Mover]) -> None:
    target = mover(2000, "32")
    before = target.after_more_work()
    planned = json.loads(heal(target.pid, "--rebuild", "--format", "json").stdout)
    done = json.loads(
        heal(
            target.pid, "--rebuild", "--apply", "--format", "json", "--max-stop", SHORT_STOP
        ).stdout
    )  # fmt: skip
    after = target.after_more_work()

    assert planned["predicted"] == 1999
    assert done["map_count_before"] - done["map_count_after"] == 1999
    assert len(done["stops_seconds"]) > 1
    assert after.row == 1
    assert (after.wrong, after.files) == (0, before.files)


@pytest.mark.moves
def test_huge_pages_stay_whole_over_many_stops(mover: Callable[..., Mover]) -> None:
    """A piece joins the one below by its last huge page; khugepaged may hold one just then."""
    # two to a piece, of which one is there, but no more than a small machine has
    size = int(Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").read_text())
    pieces = max((120 << 20) // size, 8)
    target = mover(pieces, str(2 * size // PAGE), "huge")
    before, whole = target.after_more_work(), huge_kib(target.pid)
    done = json.loads(
        heal(
            target.pid, "--rebuild", "--apply", "--format", "json", "--max-stop", SHORT_STOP
        ).stdout
    )  # fmt: skip
    after = target.after_more_work()

    assert len(done["stops_seconds"]) > 1
    assert (after.wrong, before.row, after.row) == (0, pieces, 1)
    assert huge_kib(target.pid) > whole * 0.8 > 0


def huge_kib(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("AnonHugePages:"))


@pytest.mark.moves
def test_pages_that_a_child_shares_stay_with_their_vmas(mover: Callable[..., Mover]) -> None:
    target = mover(20)
    target.ask("fork")
    done = heal(target.pid, "--rebuild", "--apply")
    after = target.after_more_work()

    assert done.returncode == 0
    assert "is shared with a child, pinned, or merged by KSM" in done.stdout
    assert (after.wrong, after.row) == (0, 20)


#: for each line on stdin: rebuilds in a child that dies by SIGKILL at the next ptrace call, then at
#: the next look at the memory of the target, while its code runs; 0 when the child came to the end.
#: All of it is one stop, however slow the machine: between two stops the row is half rebuilt
DIE_AT = """
import os, signal, sys
import vmad.probe.calls as calls, vmad.probe.tracing as tracing, vmad.probe.inject as inject
import vmad.probe.visit as visit
from vmad.probe.rebuild import RebuildSession
pid, start, end, which = map(int, sys.argv[1:])
session = RebuildSession(pid, max_stop=10)
done, last = 0, 0
def dying(real):
    def wrapped(*arguments):
        global done
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    return wrapped
if which == 0:
    calls.call = tracing.call = inject.call = visit.call = dying(calls.call)
else:
    visit.read_memory = dying(visit.read_memory)
for line in sys.stdin:
    last += 1
    child = os.fork()
    if child == 0:
        for stop in session.rebuild([(start, end)], lambda: False):
            pass
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    print(last if killed else 0, flush=True)
"""


def hurried(pid: int) -> list[int]:
    """Threads that still have the right to run first that they were lent."""
    threads = map(int, os.listdir(f"/proc/{pid}/task"))
    return [tid for tid in threads if os.sched_getscheduler(tid) != os.SCHED_OTHER]


#: a signal that is handled is always on its way, and finds whatever runs
SIGNALS = """
import os, signal, sys, time
while True:
    os.kill(int(sys.argv[1]), signal.SIGUSR1)
    time.sleep(0.0002)
"""


@contextmanager
def signals_to(pid: int) -> Iterator[None]:
    sending = subprocess.Popen([sys.executable, "-c", SIGNALS, str(pid)])
    try:
        yield
    finally:
        sending.kill()
        sending.wait()


@pytest.mark.moves
@pytest.mark.parametrize("which", [0, 1], ids=["ptrace calls", "looks"])
def test_the_death_of_the_tracer_at_any_step_loses_nothing(
    mover: Callable[..., Mover], which: int
) -> None:
    """The process goes on, with the runs as they were or rebuilt, and nothing left behind."""
    target = mover(24)
    start, end = 0x200000000000, 0x200000000000 + 24 * 8 * PAGE
    before = target.after_more_work()
    command = [sys.executable, "-c", DIE_AT, *map(str, (target.pid, start, end, which))]
    deaths, rebuilt = 0, 0
    with (
        signals_to(target.pid),
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as session,
    ):
        assert session.stdin is not None
        assert session.stdout is not None
        while True:
            assert target.ask("spoil").row > 20
            session.stdin.write("\n")
            session.stdin.flush()
            step = int(session.stdout.readline())
            if not step:
                break
            deaths += 1
            now = target.after_more_work()
            # the borrowed thread waits a second for its tracer
            while now.vmas > before.vmas or hurried(target.pid):
                now = target.after_more_work()
            assert (now.wrong, now.files) == (0, before.files), f"death at step {step}"
            assert now.row in (1, 24), f"death at step {step}"
            rebuilt += now.row == 1
        session.stdin.close()

    assert deaths > (30 if which == 0 else 1)
    assert rebuilt > 0
    assert target.after_more_work().row == 1


@pytest.mark.moves
def test_a_target_that_is_killed_in_the_middle_ends_the_rebuild(
    mover: Callable[..., Mover],
) -> None:
    target = mover(3000, "32")  # many stops
    command = [sys.executable, "-m", "vmad", "heal", str(target.pid), "--rebuild", "--apply"]
    command += ["--max-stop", str(SHORT_STOP)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as healing:
        while target.ask().row > 2900:
            assert healing.poll() is None
        target.process.send_signal(signal.SIGKILL)
        _, errors = healing.communicate(timeout=300)

    assert healing.returncode == 3, errors
    assert errors.count("\n") == 1
    assert any(how in errors for how in ("is gone", "was killed", "has exited"))
