# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Rebuilding runs of one process, in stops of bounded length."""

from __future__ import annotations

import bisect
import errno
import gc
import mmap
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vmad.export.quantities import size
from vmad.model.flags import GUARD, SOFTDIRTY
from vmad.model.kernel import KernelInfo, running_kernel
from vmad.model.process import Evidence, ProcessId
from vmad.model.table import VMA_ROW, VmaTable
from vmad.model.verdict import Verdict
from vmad.probe.cost import PER_STOP, PER_VMA, PLANNED, move_seconds
from vmad.probe.gadget import find_gadgets
from vmad.probe.inject import choose_thread
from vmad.probe.promptness import await_sleepers, come_first, move_near
from vmad.probe.refusals import DidNotStop, Refused, TargetGone
from vmad.probe.sharing import others_in
from vmad.probe.target import Target, examine, may_not_trace
from vmad.probe.tracing import Threads
from vmad.probe.visit import AREA, MAX_CUTS, Outcome, RunPlan, Step, Visit, payload
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import Run, movable, rebuild_runs
from vmad.sources.bpf.layout import MAX_ROWS
from vmad.sources.bpf.window import KernelWindow, WindowRow

#: the seed's distance below the run, in bytes, is charged for a moment
_NEAR = 16 << 30
#: pages that were only read and may take memory afterwards, in all
_ZERO_PAGES = (64 << 20) // mmap.PAGESIZE
_REST = 2.0
_LATE_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One run, or a part of one. ``outcome``: "rebuilt", "left out" (``why``) or "changed".

    ``vmas`` stood in [start, end) before; ``moved``: bytes.
    """

    start: int
    end: int
    vmas: int
    outcome: str
    why: str = ""
    moved: int = 0


@dataclass(frozen=True, slots=True)
class RebuildStop:
    """One stop of the target."""

    seconds: float
    threads: int
    map_count: int
    rebuilt: list[Rebuilt]


class RebuildSession:
    """A target with everything prepared that does not need it to stand still.

    ``max_stop``: seconds. Raises Refused, MayNotTrace, TargetGone, NoGadget, EvidenceUnavailable.
    """

    def __init__(self, pid: int, *, max_stop: float, kernel: KernelInfo | None = None) -> None:
        self.target: Target = examine(pid)
        self._max_stop = max_stop
        kernel = kernel or running_kernel()
        self._rules = RebuildRules(kernel)
        if not self._rules.possible:
            raise Refused(
                f"Linux {kernel.release} cannot move pages between areas",
                "UFFDIO_MOVE came with 6.8",
            )
        if self.target.seccomp:
            raise Refused(
                f"process {pid} has a seccomp filter: if vmad died in the middle, it could forbid "
                "the calls that bring its pages home"
            )
        if others := others_in(pid):
            raise Refused(
                f"process {pid} shares its address space with process {others[0]}, which would not "
                "stand still"
            )
        self._code = payload()
        try:
            self._gadgets = find_gadgets(pid)
        except PermissionError as error:
            raise may_not_trace(pid) from error
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {pid} is gone") from error
        self._process = ProcessId(pid, self.target.start_time)
        self._window = KernelWindow(kernel, self._process)
        self._holes: list[tuple[int, int]] = []
        self._zero_pages = _ZERO_PAGES
        self._ignored = SOFTDIRTY | GUARD
        come_first()

    def rebuild(
        self, runs: Sequence[tuple[int, int]], cancelled: Callable[[], bool]
    ) -> Iterator[RebuildStop]:
        """Rebuild runs [start, end); the target runs between two stops."""
        waiting = deque(runs)
        late = 0
        while waiting and not cancelled():
            self._read_holes()
            try:
                stop = self._stop(waiting)
            except DidNotStop:
                late += 1
                if late > _LATE_AT_MOST:
                    raise
                time.sleep(min(0.02 * 2**late, 1.0))
                continue
            late = 0
            yield stop
            if waiting:
                time.sleep(stop.seconds * _REST)

    def _stop(self, waiting: deque[tuple[int, int]]) -> RebuildStop:
        if not self.target.still_the_same():
            raise TargetGone(f"process {self.target.pid} is gone")
        await_sleepers(self.target)
        move_near(self.target.pid)
        threads = Threads(self.target)
        done: list[Rebuilt] = []
        gc.disable()
        try:
            threads.seize()
            with threads.all_stopped(self._max_stop) as deadline:
                if not self._gadgets.still_there(self.target.pid):
                    raise TargetGone(f"process {self.target.pid} runs another program now")
                count = len(threads.stopped)
                own = sorted(
                    address
                    for each in threads.stopped.values()
                    for address in (each.registers.rsp, each.registers.fs_base)
                )
                visit = Visit(choose_thread(threads), self._gadgets, deadline, False)
                try:
                    visit.enter(self._area(), self._code)
                    left = self._max_stop * PLANNED - PER_STOP
                    while waiting and (not done or left > PER_STOP):
                        left -= self._one(visit, waiting, left, own, done)
                finally:
                    visit.leave()
        finally:
            gc.enable()
        _, map_count = self._window.look(0, 1)
        return RebuildStop(threads.took, count, map_count, done)

    def _one(
        self,
        visit: Visit,
        waiting: deque[tuple[int, int]],
        budget: float,
        own: list[int],
        done: list[Rebuilt],
    ) -> float:
        """Take a part of the first run; returns the seconds that it may have taken."""
        start, end = waiting.popleft()
        run = self._part(start, end, budget, own, done)
        if run is None:
            return 0.0
        if run.end < end:
            waiting.appendleft((run.end, end))
        if run.vmas < 2:
            return PER_VMA
        flags = self._window.look(run.start, 1)[0][0].flags
        outcome = visit.rebuild(self._plan(run, own))
        self._zero_pages = outcome.zero_pages
        if not outcome.error:
            done.append(self._note_done(run, flags, outcome.moved))
        elif outcome.step is Step.MOVE and outcome.error in (errno.EBUSY, errno.EFAULT):
            index = max(bisect.bisect_right(run.starts, outcome.at) - 1, 0)
            below, above = run.starts[index], (*run.starts, run.end)[index + 1]
            held = "has guard regions, which do not move"
            if outcome.error == errno.EBUSY:
                held = "has a page that is shared with a child, pinned, or merged by KSM"
            done.append(Rebuilt(below, above, 1, "left out", held))
            waiting.extendleft([(above, run.end)] if run.end > above else [])
            waiting.extendleft([(run.start, below)] if below > run.start else [])
        elif outcome.step is Step.ZERO and outcome.error == errno.EBUSY:
            why = "has many pages that were only read, which would take memory then"
            done.append(Rebuilt(run.start, run.end, run.vmas, "left out", why))
        else:
            raise self._refusal(outcome, run)
        return move_seconds(run.vmas, run.end - run.start)

    def _part(
        self, start: int, end: int, budget: float, own: list[int], done: list[Rebuilt]
    ) -> Run | None:
        """The first VMAs of [start, end) that are a run now, as many as fit into ``budget``.

        One VMA alone is to be passed over; None: nothing is left that a rebuild would join.
        """
        found = rebuild_runs(self._look(start, end, budget), self._rules)
        if not found.runs:
            return None
        run = found.runs[0]
        needed = _holds(run.start, run.end, own)
        if needed:
            # what a thread needs on its way back from a stop stays in its place
            index = bisect.bisect_right(run.starts, needed) - 1
            if index >= 2:
                return _head(run, index)
            why = "holds a thread's stack or its thread-local storage"
            done.append(Rebuilt(run.starts[index], _end(run, index + 1), 1, "left out", why))
            return Run(run.start, _end(run, index + 1), (run.start,), run.carried)
        vmas = run.vmas
        while vmas > 2 and move_seconds(vmas, _end(run, vmas) - run.start) > budget:
            vmas -= max(1, vmas // 8)
        if run.vmas - vmas == 1:  # one VMA alone would be no run the next time
            vmas += -1 if vmas > 2 else 1
        if move_seconds(vmas, _end(run, vmas) - run.start) > self._max_stop:
            why = "is too large to be moved within one stop"
            done.append(Rebuilt(run.start, _end(run, 1), 1, "left out", why))
            vmas = 1
        return _head(run, vmas)

    def _look(self, start: int, end: int, budget: float) -> VmaTable:
        """The VMAs of [start, end), as they are now, until they fill the budget."""
        rows: list[WindowRow] = []
        while len(rows) < MAX_CUTS:
            # from the last one on again: the first row of a look is not held against its neighbour
            more, _ = self._window.look(rows[-1].start if rows else start, MAX_ROWS)
            more = [row for row in more[bool(rows) :] if row.start < end]
            rows += more
            if not more or move_seconds(len(rows), rows[-1].end - start) > budget:
                break
        table = np.zeros(len(rows), VMA_ROW)
        for name in ("start", "end", "flags", "facts", "file", "kind", "pair"):
            table[name] = [getattr(row, name) for row in rows]
        return VmaTable(self._process, self.target.comm, Evidence.KERNEL, None, table)

    def _plan(self, run: Run, own: list[int]) -> RunPlan:
        page = mmap.PAGESIZE
        seed = 0
        for low, high in reversed(self._holes):
            if high <= run.start and high - low >= 3 * page:
                seed = high - 2 * page if run.start - high < _NEAR else 0
                break
        cuts = run.starts[1:]
        below = self._below(run, own)
        return RunPlan(run.start, run.end, cuts, run.carried, seed, below, self._zero_pages)

    def _below(self, run: Run, own: list[int]) -> int:
        """Where the VMA begins that the run, once rebuilt, can be a part of; 0: there is none.

        Mostly that is what an earlier stop has left of the same run.
        """
        page = mmap.PAGESIZE
        rows, _ = self._window.look(run.start - page, 2)
        if len(rows) < 2 or rows[0].end != run.start or not rows[1].pair or run.carried.lock:
            return 0
        vma, joins = rows[0], self._rules.judge(rows[1].facts).verdict is Verdict.MERGEABLE
        natural = vma.anon_vma and vma.pgoff == vma.start // page
        needed = _holds(vma.start, vma.end, own)
        if not (joins and natural and movable(vma.flags, vma.kind, bool(vma.file))) or needed:
            return 0
        return vma.start if vma.end - vma.start > page else 0

    def _note_done(self, run: Run, flags: int, moved: int) -> Rebuilt:
        """Look at what stands there now."""
        rows, _ = self._window.look(run.start, 1)
        if not rows or rows[0].start > run.start or rows[0].end < run.end:
            why = "it is not one VMA afterwards"
        elif (rows[0].flags ^ flags) & ~self._ignored:
            why = f"its flags were {flags:#x} and are {rows[0].flags:#x}"
        else:
            return Rebuilt(run.start, run.end, run.vmas, "rebuilt", moved=moved)
        return Rebuilt(run.start, run.end, run.vmas, "changed", why, moved)

    def _read_holes(self) -> None:
        """Free address ranges of the target, ascending."""
        holes = []
        below = 1 << 20
        try:
            with open(f"/proc/{self.target.pid}/maps", "rb") as file:
                for line in file:
                    low, high = (int(part, 16) for part in line.split(None, 1)[0].split(b"-"))
                    if below < low < _USER_END:
                        holes.append((below, low))
                    below = max(below, high)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {self.target.pid} is gone") from error
        self._holes = holes

    def _area(self) -> int:
        """A place for the code: far from what grows, in the middle of the widest hole."""
        low, high = max(self._holes, key=lambda hole: hole[1] - hole[0])
        return (low + high - AREA) // 2 // mmap.PAGESIZE * mmap.PAGESIZE

    def _refusal(self, outcome: Outcome, run: Run) -> Refused:
        """Why no run of this process can be rebuilt now."""
        pid, why = self.target.pid, os.strerror(outcome.error).lower()
        if outcome.step is Step.REGISTER and outcome.error == errno.EPERM:
            return Refused(
                f"process {pid} may not have a userfaultfd of the whole kernel",
                "it needs CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1 for the time being",
            )
        if outcome.step is Step.ZERO and outcome.error == errno.ENOENT:
            return Refused(
                f"process {pid} has no /proc mounted where it could read of its own pages"
            )
        if outcome.error == errno.ENOMEM:
            return Refused(
                f"process {pid} has no room for the {size(run.end - run.start)} at {run.start:#x} "
                "to be moved",
                "it needs 10 VMAs below vm.max_map_count, and so much address space "
                "(RLIMIT_AS, overcommit)",
            )
        return Refused(f"process {pid}: {outcome.step.name.lower()} at {run.start:#x}: {why}")

    def close(self) -> None:
        """Give back what is held; nothing is attached between stops."""
        self._window.close()


#: x86-64, four levels of page tables
_USER_END = 1 << 47


def _end(run: Run, vmas: int) -> int:
    """Where the first ``vmas`` VMAs of a run end."""
    return run.end if vmas >= run.vmas else run.starts[vmas]


def _holds(start: int, end: int, addresses: list[int]) -> int:
    """The lowest of ascending addresses that lies in [start, end), or 0."""
    first = bisect.bisect_left(addresses, start)
    return addresses[first] if first < len(addresses) and addresses[first] < end else 0


def _head(run: Run, vmas: int) -> Run:
    return Run(run.start, _end(run, vmas), run.starts[:vmas], run.carried)
