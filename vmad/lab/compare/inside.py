# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The guest's side of a comparison: runs a workload, samples its VMAs, judges peak and end.

    python3 -m vmad.lab.compare.inside '{"argv": [...], "tree": ..., "environment": {...}}'

The workload gets a cgroup of its own, which says at any time which processes belong to it. What
it prints goes to stderr; stdout gets one JSON document.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vmad.errors import EvidenceUnavailable, VmadError
from vmad.lab.compare.perf_counts import SystemCallCounts
from vmad.lab.compare.record import Look, Order, PairCount, Record, Sample
from vmad.model.kernel import running_kernel
from vmad.model.process import ProcessId, ProcessSummary
from vmad.rules.kernel_rules import KernelRules
from vmad.sources.choose import open_source
from vmad.sources.procfs.merge_counters import read_merge_attempts
from vmad.sources.source import Source

CALLS = ("mmap", "munmap", "mprotect", "mremap", "brk", "madvise")
SAMPLE_SECONDS = 0.1
#: judged anew when the biggest process has grown by this factor, and after so many seconds
GROWTH, JUDGE_SECONDS = 1.02, 2.0
GROUP = Path("/sys/fs/cgroup/vmad-workload")
END = Path("/tmp/vmad-lab-end")


class Counts:
    """map_count of the workload's processes: from one BPF census, or from the lines of maps."""

    def __init__(self, source: Source) -> None:
        self.how = "census" if source.evidence == "kernel" else "maps"
        self._source = source

    def take(self) -> dict[int, int]:
        """VMAs by pid. Processes that have just ended are left out."""
        members = [int(pid) for pid in (GROUP / "cgroup.procs").read_text().split()]
        if self.how == "census":
            pids = set(members)
            rows = self._source.census()[["pid", "map_count"]].tolist()
            return {pid: count for pid, count in rows if pid in pids}
        counts = {}
        for pid in members:
            try:
                text = Path(f"/proc/{pid}/maps").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The kernel does not count [vsyscall], which maps shows as its last line.
            if lines := text.count(b"\n"):
                counts[pid] = lines - (b"[vsyscall]" in text[-120:])
        return counts


class Looks:
    """Judgements of the biggest process: the latest one, and the one at the highest count."""

    def __init__(self, source: Source) -> None:
        self._source = source
        kernel = running_kernel()
        self._rules = KernelRules.of(kernel)
        self.peak: Look | None = None
        self.last: Look | None = None
        self._judged_at = 0.0

    def due(self, now: float, count: int) -> bool:
        """Whether a look now would tell something new."""
        highest = self.peak.vmas if self.peak else 0
        return count > highest * GROWTH or now - self._judged_at >= JUDGE_SECONDS

    def look(self, now: float, pid: int) -> None:
        """Judge one process, unless it is gone by now."""
        self._judged_at = now
        try:
            process = ProcessId(pid, _start_time(pid))
            (summary,) = self._source.summarise([process])
        except (VmadError, OSError):
            return
        if not isinstance(summary, ProcessSummary):
            return
        counts = self._rules.judged(summary.facts).pairs
        self.last = Look(
            seconds=round(now, 3),
            pid=pid,
            comm=summary.comm,
            vmas=summary.vmas,
            pairs=tuple(PairCount(*key, count) for key, count in counts.items()),
            recoverable=dict(summary.recoverable),
        )
        if self.peak is None or summary.vmas > self.peak.vmas:
            self.peak = self.last


def attempts_since(before: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Merge attempts of the whole guest by ``OUTCOME REASON``; nothing on a stock kernel."""
    now = read_merge_attempts() or {}
    grown = {" ".join(name): count - before.get(name, 0) for name, count in now.items()}
    return {name: count for name, count in grown.items() if count}


def _start_time(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def lay_over(tree: str) -> None:
    """Mount what a workload's packages hold over the guest's own directories."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("usr", "etc", "opt"):
        lower = f"{tree}/{name}"
        if not os.path.isdir(lower):
            continue
        options = f"lowerdir={lower}:/{name}".encode()
        if libc.mount(b"overlay", f"/{name}".encode(), b"overlay", 1, options) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"cannot lay {lower} over /{name}: {os.strerror(error)}")


def started(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, int, int]:
    """A child in the workload's group: its pid, its gate, and what ends when it has executed.

    It waits until the gate is written to.
    """
    gate, opens = os.pipe()
    executed, until_exec = os.pipe()
    pid = os.fork()
    if pid:
        os.close(gate)
        os.close(until_exec)
        return pid, opens, executed
    os.close(opens)
    os.setsid()
    (GROUP / "cgroup.procs").write_text("0")
    os.dup2(2, 1)
    os.read(gate, 1)
    try:
        os.execvpe(argv[0], list(argv), {**os.environ, **environment, "VMAD_LAB_END": str(END)})
    except OSError as error:
        os.write(2, f"vmad lab: {argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def run(order: Order) -> Record:
    """Run the workload once; the record for the host."""
    if order.tree:
        lay_over(order.tree)
    try:
        source = open_source("kernel", None)
    except EvidenceUnavailable:
        source = open_source("procfs", None)
    GROUP.mkdir()
    pid, gate, executed = started(order.argv, order.environment)
    while str(pid) not in (GROUP / "cgroup.procs").read_text().split():
        time.sleep(0.001)
    calls = SystemCallCounts(pid, CALLS)
    counts, looks = Counts(source), Looks(source)
    samples: list[Sample] = []
    ended: float | None = None
    at_end: Look | None = None
    made: dict[str, int] = {}
    attempts: dict[str, int] | None = None
    attempts_before = read_merge_attempts() or {}
    os.write(gate, b"x")
    os.read(executed, 1)  # at its end since it is closed by exec: this program's VMAs are gone
    began = time.monotonic()
    status: int | None = None
    while status is None:
        now = time.monotonic() - began
        there = counts.take()
        if there and ended is None:
            biggest = max(there, key=lambda pid: there[pid])
            samples.append(Sample(round(now, 3), there[biggest], sum(there.values()), len(there)))
            done = END.exists()
            if done or looks.due(now, there[biggest]):
                looks.look(now, biggest)
            if done:
                ended, at_end, made = now, looks.last, calls.read()
                attempts = attempts_since(attempts_before)
                END.unlink()
        reaped, how = os.waitpid(pid, os.WNOHANG)
        if reaped:
            status = os.waitstatus_to_exitcode(how)
            break
        # A grid, so that a slow sample does not delay all that follow.
        time.sleep(SAMPLE_SECONDS - (time.monotonic() - began) % SAMPLE_SECONDS)
    seconds = time.monotonic() - began
    source.close()
    return Record(
        release=os.uname().release,
        evidence=str(source.evidence),
        sampled_by=counts.how,
        status=status,
        run_seconds=round(seconds if ended is None else ended, 3),
        samples=tuple(samples),
        peak=looks.peak,
        end=at_end or looks.last,
        end_is_exact=at_end is not None,
        calls=made or calls.read(),
        attempts=attempts_since(attempts_before) if attempts is None else attempts,
    )


if __name__ == "__main__":
    print(run(Order.from_json(sys.argv[1])).to_json())
