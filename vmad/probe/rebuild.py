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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from vmad.export.quantities import size
from vmad.model.flags import GUARD, SOFTDIRTY
from vmad.model.kernel import KernelInfo, running_kernel
from vmad.model.process import ProcessId
from vmad.probe.calls import get_regset
from vmad.probe.cost import ENDS, PER_PIECE, PLANNED, Pace, moving_time
from vmad.probe.gadget import find_gadgets
from vmad.probe.hold import Holds
from vmad.probe.inject import choose_thread
from vmad.probe.pieces import LeftOut, Piece, Pieces, Range, give_back
from vmad.probe.processor import borrowing_here
from vmad.probe.promptness import await_sleepers, coming_first, move_near
from vmad.probe.refusals import DidNotStop, Refused, TargetGone
from vmad.probe.sharing import others_in
from vmad.probe.target import Target, examine, filtered, may_not_trace
from vmad.probe.tracing import Stopped, Threads
from vmad.probe.visit import AREA, Outcome, RunPlan, Step, Visit, payload
from vmad.rules.rebuild import RebuildRules
from vmad.rules.rebuild_runs import Run
from vmad.sources.bpf.window import KernelWindow

#: the seed's distance below the run, in bytes, is charged for a moment
_NEAR = 16 << 30
#: pages that were only read and may take memory afterwards, in all
_ZERO_PAGES = (64 << 20) // mmap.PAGESIZE
_REST = 2.0
#: stops in a row without any success before the pieces are chosen in the stop, and before all ends
_FORESEEN_AT_MOST, _LATE_AT_MOST = 3, 30
#: somebody held a page just then, or has mapped where the seed was to lie
_PASSES = {(Step.MOVE, errno.EAGAIN), (Step.SEED, errno.EEXIST)}
#: seconds beyond a stop that its threads wait at most for code of ours if vmad died: it ends in any
#: case, but on a starved machine not soon
_PATIENCE = 60.0
#: share of what is left of such a stop for the moving itself
_IN_STOP = 0.5


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


@dataclass(frozen=True, slots=True)
class _Stop:
    """What is to be done in a stop, what was, and what is to be tried again."""

    pieces: deque[Piece | LeftOut]
    done: list[Rebuilt]
    back: list[Range]


class RebuildSession:
    """A target with everything prepared that does not need it to stand still.

    ``max_stop``: seconds; ``started``: start time of the process that is meant, clock ticks.
    Raises Refused, MayNotTrace, TargetGone, NoGadget, EvidenceUnavailable.
    """

    def __init__(
        self,
        pid: int,
        *,
        max_stop: float,
        started: int | None = None,
        kernel: KernelInfo | None = None,
    ) -> None:
        self.target: Target = examine(pid, started)
        self._max_stop = max_stop
        kernel = kernel or running_kernel()
        self._rules = RebuildRules(kernel)
        if not self._rules.possible:
            raise Refused(
                f"Linux {kernel.release} cannot move pages between areas",
                "UFFDIO_MOVE came with 6.8",
            )
        self._refuse_filter(self.target.seccomp)
        self._refuse_others()
        self._code = payload()
        try:
            self._gadgets = find_gadgets(pid)
        except PermissionError as error:
            raise may_not_trace(pid) from error
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {pid} is gone") from error
        self._process = ProcessId(pid, self.target.start_time)
        self._window = KernelWindow(kernel, self._process)
        self._pace = Pace()
        self._pieces = Pieces(self._process, self._window, self._rules, self._pace, max_stop)
        self._holes: list[Range] = []
        self._zero_pages = _ZERO_PAGES
        self._ignored = SOFTDIRTY | GUARD

    def rebuild(
        self, runs: Sequence[Range], cancelled: Callable[[], bool]
    ) -> Iterator[RebuildStop]:
        """Rebuild runs [start, end); the target runs between two stops."""
        waiting = deque(runs)
        late = 0
        while waiting and not cancelled():
            self._read_holes()
            left = _bytes(waiting)
            pieces = None
            if late < _FORESEEN_AT_MOST:
                pieces = self._pieces.take(waiting, moving_time(self._max_stop))
            if pieces == []:
                continue
            with coming_first():
                stop = self._stop(waiting, pieces, late >= _LATE_AT_MOST)
            yield stop
            if not waiting:
                return
            late = late + 1 if _bytes(waiting) == left else 0
            if late > _LATE_AT_MOST:
                raise Refused(
                    f"process {self.target.pid} changes what is to be rebuilt all the time, or "
                    "leaves no time for it in a stop",
                    "try again later, or allow a longer stop",
                )
            time.sleep(min(0.02 * 2**late, 0.5) if late else stop.seconds * _REST)

    def _stop(
        self, waiting: deque[Range], foreseen: list[Piece | LeftOut] | None, last_try: bool
    ) -> RebuildStop:
        """One stop: pieces that were foreseen, or else what is seen then. The rest goes back."""
        if not self.target.still_the_same():
            raise TargetGone(f"process {self.target.pid} is gone")
        await_sleepers(self.target)
        move_near(self.target.pid)
        threads = Threads(self.target)
        stop = _Stop(deque(foreseen or ()), [], [])
        count = 0
        gc.disable()
        try:
            threads.seize()
            with threads.all_stopped(self._max_stop * PLANNED) as deadline:
                if not self._gadgets.still_there(self.target.pid):
                    raise TargetGone(f"process {self.target.pid} runs another program now")
                count = len(threads.stopped)
                self._pieces.own = sorted(
                    address for thread in threads.stopped.values() for address in _lives_by(thread)
                )
                ends = threads.began + self._max_stop * ENDS
                thread = choose_thread(threads, self._gadgets)
                self._refuse_filter(filtered(self.target.pid, thread.tid))
                self._window.look(0, 1)
                if self._window.users > count:
                    self._refuse_others()
                visit = Visit(thread, self._gadgets, deadline, False)
                try:
                    visit.enter(self._area(), self._code)
                    others = [each for each in threads.stopped.values() if each is not thread]
                    with Holds(others, self._gadgets, visit.running, self._max_stop + _PATIENCE):
                        if foreseen is None:
                            left = ends - time.perf_counter()
                            stop.pieces.extend(self._pieces.take(waiting, left * _IN_STOP) or ())
                        # one in any case: it looks at the clock itself
                        while stop.pieces and not (
                            stop.done and time.perf_counter() > ends - PER_PIECE
                        ):
                            self._one(visit, ends, stop)
                finally:
                    visit.leave()
        except DidNotStop:
            if last_try:
                raise
        finally:
            gc.enable()
            give_back(waiting, [*stop.back, *(each.range for each in stop.pieces)])
        _, map_count = self._window.look(0, 1)
        return RebuildStop(threads.took, count, map_count, stop.done)

    def _one(self, visit: Visit, ends: float, stop: _Stop) -> None:
        """The next piece, until ``ends`` (time.perf_counter())."""
        piece = stop.pieces.popleft()
        if isinstance(piece, LeftOut):
            stop.done.append(Rebuilt(piece.start, piece.end, 1, "left out", piece.why))
            return
        run = piece.run
        if not self._pieces.holds(piece):
            stop.back.append(piece.range)
            return
        below = self._pieces.below(run)
        if run.vmas == 1 and not below:
            return
        began = time.perf_counter()
        plan = RunPlan(
            run.start, run.end, run.starts[1:], run.carried, self._seed(run), below,
            self._zero_pages,
        )  # fmt: skip
        outcome = visit.rebuild(plan, int(ends * 1e9))
        took = time.perf_counter() - began
        self._zero_pages = outcome.zero_pages
        stop.back.extend(self._rest(run, outcome, stop.done))
        if outcome.moved:
            vmas = bisect.bisect_left(run.starts, outcome.end)
            part = Rebuilt(run.start, outcome.end, vmas, "rebuilt", moved=outcome.moved)
            stop.done.append(self._checked(part, piece.flags))
            self._pace.note(vmas, outcome.moved, took)

    def _rest(self, run: Run, outcome: Outcome, done: list[Rebuilt]) -> list[Range]:
        """What of a run is to be tried again. Raises Refused where no run of the process can be."""
        start = outcome.end if outcome.moved else run.start
        if not outcome.error or (outcome.step, outcome.error) in _PASSES:
            return [(start, run.end)] if start < run.end else []
        if outcome.step is Step.MOVE and outcome.error in (errno.EBUSY, errno.EFAULT):
            index = max(bisect.bisect_right(run.starts, outcome.at) - 1, 0)
            below, above = run.starts[index], (*run.starts, run.end)[index + 1]
            why = "has guard regions, which do not move"
            if outcome.error == errno.EBUSY:
                why = "has a page that is shared with a child, pinned, or merged by KSM"
            done.append(Rebuilt(below, above, 1, "left out", why))
            return [each for each in ((start, below), (above, run.end)) if each[0] < each[1]]
        if outcome.step is Step.ZERO and outcome.error == errno.EBUSY:
            why = "has many pages that were only read, which would take memory then"
            done.append(Rebuilt(run.start, run.end, run.vmas, "left out", why))
            return []
        raise self._refusal(outcome, run)

    def _seed(self, run: Run) -> int:
        """A free page below the run, with free ones around it, or 0."""
        for low, high in reversed(self._holes):
            if high <= run.start and high - low >= 3 * mmap.PAGESIZE:
                return high - 2 * mmap.PAGESIZE if run.start - high < _NEAR else 0
        return 0

    def _checked(self, part: Rebuilt, flags: int) -> Rebuilt:
        """Look at what stands there now."""
        rows, _ = self._window.look(part.start, 1)
        if not rows or rows[0].start > part.start or rows[0].end < part.end:
            if not self.target.still_the_same():
                raise TargetGone(f"process {self.target.pid} was killed in the middle")
            why = "it is not one VMA afterwards"
        elif (rows[0].flags ^ flags) & ~self._ignored:
            why = f"its flags were {flags:#x} and are {rows[0].flags:#x}"
        else:
            return part
        return replace(part, outcome="changed", why=why)

    def _refuse_filter(self, there: bool) -> None:
        if there:
            raise Refused(
                f"process {self.target.pid} has a seccomp filter: if vmad died in the middle, it "
                "could forbid the calls that bring its pages home"
            )

    def _refuse_others(self) -> None:
        """Called once more in a stop: until then a thread can have let others in."""
        if others := others_in(self.target.pid):
            raise Refused(
                f"process {self.target.pid} shares its address space with process {others[0]}, "
                "which would not stand still"
            )

    def _read_holes(self) -> None:
        """Free address ranges of the target, ascending."""
        holes = []
        below, end = 1 << 20, borrowing_here().user_end
        try:
            with open(f"/proc/{self.target.pid}/maps", "rb") as file:
                for line in file:
                    low, high = (int(part, 16) for part in line.split(None, 1)[0].split(b"-"))
                    if below < low < end:
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
        if outcome.step is Step.ZERO and outcome.error == errno.EACCES:
            return Refused(
                f"process {pid} may not read of its own pages in /proc/self/pagemap: it has "
                "changed its user (prctl(PR_SET_DUMPABLE))"
            )
        if outcome.step is Step.ZERO and outcome.error in (errno.ENOENT, errno.ENOTTY):
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


def _lives_by(thread: Stopped) -> Iterator[int]:
    """Addresses in what a stopped thread, and the kernel for it, may write to at any time."""
    here = borrowing_here()
    for name in here.on_its_stack:
        yield here.read(thread.registers, name)
    if here.thread_pointer is not None:
        yield int.from_bytes(get_regset(thread.tid, here.thread_pointer)[:8], "little")


def _bytes(ranges: Iterable[Range]) -> int:
    return sum(end - start for start, end in ranges)
