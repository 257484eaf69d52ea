# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Asking the kernel about many boundaries of one process, in stops of bounded length."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from vmad.model.flags import GUARD, SOFTDIRTY
from vmad.model.kernel import KernelInfo, running_kernel
from vmad.model.process import ProcessId
from vmad.model.verdict import Verdict
from vmad.probe.gadget import find_gadgets
from vmad.probe.inject import Injection, choose_thread
from vmad.probe.promptness import await_sleepers, coming_first, move_near
from vmad.probe.question import Question, merged, pose, unexpected
from vmad.probe.refusals import DidNotStop, TargetGone
from vmad.probe.sight import Seen, Sight, open_sight
from vmad.probe.target import Target, examine, filtered, may_not_trace
from vmad.probe.tracing import Threads
from vmad.rules.stock import StockRules
from vmad.sources.maximum import read_max_map_count

#: share of the allowed stop after which no further boundary is begun
_ENOUGH = 0.5
#: the target runs at least so many times as long as it stood still, between two stops
_REST = 2.0
#: stops in a row that may fail since a thread was not given a processor in time
_LATE_AT_MOST = 10


@dataclass(slots=True)
class Answer:
    """What the kernel did at one boundary.

    ``outcome``: "merged", "apart", "refused" (``why`` says why) or "changed" (``why`` says what
    else than a merge changed). ``verdict`` and ``reasons`` are what the rules said just before;
    empty without kernel evidence. ``earlier``: it was merged along with an earlier boundary.
    """

    boundary: int
    outcome: str
    why: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    earlier: bool = False
    toggle: str = ""
    side: str = ""
    before: list[Seen] = field(default_factory=list)
    after: list[Seen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the target: how long it stood still, and what was learnt."""

    seconds: float
    threads: int
    map_count: int | None
    answers: list[Answer]


class Session:
    """A target with everything prepared that does not need it to stand still.

    ``max_stop``: seconds; a thread that has not stopped by then is given up, and no toggle is
    begun after half of it. ``started``: start time of the process that is meant, clock ticks.
    ``latent_only``: leave alone what is not mergeable (heal). Raises
    Refused, MayNotTrace, TargetGone, NoGadget.
    """

    def __init__(
        self,
        pid: int,
        *,
        max_stop: float,
        started: int | None = None,
        evidence: str = "auto",
        latent_only: bool = False,
        room_needed: int = 1,
        kernel: KernelInfo | None = None,
    ) -> None:
        self.target: Target = examine(pid, started)
        self._max_stop, self._latent_only = max_stop, latent_only
        self._room_needed = room_needed
        kernel = kernel or running_kernel()
        self._rules = StockRules(kernel)
        try:
            self._gadgets = find_gadgets(pid)
        except PermissionError as error:
            raise may_not_trace(pid) from error
        except (FileNotFoundError, ProcessLookupError) as error:
            raise TargetGone(f"process {pid} is gone") from error
        process = ProcessId(pid, self.target.start_time)
        self.sight: Sight = open_sight(kernel, process, evidence)
        self._max_map_count = read_max_map_count("/proc")
        self.gave_up = False
        self._joined = (0, 0)

    def ask(self, boundaries: Sequence[int], cancelled: Callable[[], bool]) -> Iterator[Stop]:
        """Ask about each boundary; one Stop after the other, the target running in between."""
        done = late = 0
        while done < len(boundaries) and not cancelled():
            try:
                with coming_first():
                    stop = self._stop(boundaries[done:])
            except DidNotStop:
                late += 1
                if self.gave_up or late > _LATE_AT_MOST:
                    raise
                time.sleep(min(0.02 * 2**late, 1.0))
                continue
            late = 0
            done += len(stop.answers)
            yield stop
            if done < len(boundaries):
                time.sleep(stop.seconds * _REST)

    def _stop(self, boundaries: Sequence[int]) -> Stop:
        if not self.target.still_the_same():
            raise TargetGone(f"process {self.target.pid} is gone")
        await_sleepers(self.target)
        move_near(self.target.pid)
        threads = Threads(self.target)
        answers: list[Answer] = []
        count = 0
        gc.disable()
        try:
            threads.seize()
            with threads.all_stopped(self._max_stop) as deadline:
                if not self._gadgets.still_there(next(iter(threads.stopped))):
                    raise TargetGone(f"process {self.target.pid} runs another program now")
                count = len(threads.stopped)
                ends = threads.began + self._max_stop * _ENOUGH
                injection: Injection | None = None
                try:
                    for boundary in boundaries:
                        if answers and time.perf_counter() > ends:
                            break
                        posed = self._pose(boundary)
                        if isinstance(posed, Answer):
                            answers.append(posed)
                            continue
                        if injection is None:
                            thread = choose_thread(threads, self._gadgets)
                            injection = Injection(
                                thread, self._gadgets, deadline,
                                filtered(self.target.pid, thread.tid),
                            )  # fmt: skip
                        answers.append(self._answer(injection, boundary, *posed))
                finally:
                    if injection is not None:
                        injection.restore()
        finally:
            gc.enable()
            self.gave_up |= threads.gave_up
        return Stop(threads.took, count, self.sight.map_count, answers)

    def _pose(self, boundary: int) -> Answer | tuple[list[Seen], Question]:
        before = self.sight.around(boundary)
        room = None
        if self._max_map_count is not None:
            room = self._max_map_count - self.sight.map_count
        question = pose(before, boundary, self._rules, room, self._room_needed)
        if isinstance(question, str):
            if self._joined[0] < boundary < self._joined[1]:
                return Answer(boundary, "merged", earlier=True)
            return Answer(boundary, "refused", question)
        if self._latent_only and question.b.facts is not None:
            judgement = self._rules.judge(question.b.facts)
            if judgement.verdict is not Verdict.MERGEABLE:
                why = f"not mergeable any more: {', '.join(judgement.reasons)}"
                return Answer(boundary, "refused", why)
        return before, question

    def _answer(
        self, injection: Injection, boundary: int, before: list[Seen], question: Question
    ) -> Answer:
        answer = Answer(boundary, "apart", before=[question.a, question.b])
        if question.b.facts is not None:
            judgement = self._rules.judge(question.b.facts)
            answer.verdict, answer.reasons = judgement.verdict.value, judgement.reasons
        ignored = SOFTDIRTY | (GUARD if self._rules.era.ignored_flags & GUARD else 0)
        for step in question.steps:
            refused = injection.toggle(step.toggle, step.start, step.length)
            if refused is not None:
                answer.outcome, answer.why = "refused", refused
                continue
            answer.outcome, answer.why = "apart", ""
            answer.side, answer.toggle = step.side, str(step.toggle)
            after = self.sight.starting_in(before[0].start, before[-1].end)
            problems = unexpected(before, _clipped(after, before), ignored)
            answer.after = [
                each
                for each in after
                if each.end > question.a.start and each.start < question.b.end
            ]
            if problems:
                answer.outcome, answer.why = "changed", "; ".join(problems)
                return answer
            if merged(after, boundary):
                answer.outcome = "merged"
                self._joined = max(
                    ((each.start, each.end) for each in answer.after),
                    key=lambda span: span[0] < boundary < span[1],
                )
                return answer
            before = after
        return answer

    def close(self) -> None:
        """Give back what is held; nothing is attached between stops."""
        self.sight.close()


def _clipped(after: list[Seen], before: list[Seen]) -> list[Seen]:
    """Without a merge beyond the VMAs that were looked at: the outermost ends as they were."""
    if not after:
        return after
    first, last = after[0], after[-1]
    after = [first._replace(start=max(first.start, before[0].start)), *after[1:]]
    last = after[-1]
    return [*after[:-1], last._replace(end=min(last.end, before[-1].end))]
