# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the matrix runs inside each guest: scans, the self-check, live and differential tests.

Each step is a function that runs in a process of its own, forked from one that has imported the
slow things already (inside.py), and returns what it saw; an exception is a failure.
"""

from __future__ import annotations

import io
import os
import random
import runpy
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from vmad.errors import EvidenceUnavailable
from vmad.lab.matrix.order import Slice, StepResult
from vmad.model.evidence import EvidenceChoice
from vmad.model.kernel import running_kernel
from vmad.model.verdict import PairKey
from vmad.scan.once import HostScan, scan_once
from vmad.sources.choose import open_source

#: the walks of the kernel evidence, and the first release that must have each
WALKS = {"lockless": (6, 10), "open-coded": (6, 10), "task_vma": (5, 15)}
#: what stands in the guest while it is scanned: layouts of tests/live/layouts.py
LAYOUTS = ("guard_pages", "faulted_apart", "halves_swapped", "moved_beside_unfaulted")


def has_kernel_evidence() -> bool:
    """Whether this kernel is new enough that it must be read by BPF."""
    return running_kernel().version[:2] >= min(WALKS.values())


def scan(_slice: Slice) -> StepResult:
    """Scan this guest by every evidence; they must agree on what each of them can see."""
    from tests.live.targets import Target  # noqa: PLC0415  # of the checkout, not the package

    with Target("matrix-target") as target:
        for layout in LAYOUTS:
            target.build(layout)
        procfs = _scan("procfs")
        scans = {"procfs": procfs}
        complaints: list[str] = []
        for walk, since in WALKS.items():
            os.environ["VMAD_WALK"] = walk
            try:
                scans[walk] = _scan("kernel")
            except EvidenceUnavailable as error:
                if running_kernel().version[:2] >= since:
                    complaints.append(f"{walk}: {error}")
        for walk, scanned in scans.items():
            complaints += _differences(walk, scanned, procfs)
    times = ", ".join(f"{name} {host.took_seconds * 1e3:.0f} ms" for name, host in scans.items())
    summary = f"{len(procfs.processes)} processes, {procfs.vmas} VMAs: {times}"
    return StepResult(not complaints, summary, "\n".join(complaints))


def _scan(evidence: EvidenceChoice) -> HostScan:
    source = open_source(evidence, None)
    try:
        return scan_once(source)
    finally:
        source.close()


def _differences(name: str, exact: HostScan, procfs: HostScan) -> list[str]:
    """Where a scan contradicts what procfs is sure of; this process itself changes as it runs."""
    said = [f"{name}: {unread.id.pid} unreadable: {unread.detail}" for unread in exact.unreadable]
    others = {process.id: process for process in procfs.processes}
    for process in exact.processes:
        other = others.pop(process.id, None)
        if process.id.pid == os.getpid():
            continue
        who = f"{name}: {process.id.pid} ({process.comm})"
        if other is None:
            said.append(f"{who} is not seen by procfs")
            continue
        if process.map_count != other.map_count:
            said.append(f"{who} has {process.map_count} VMAs, by procfs {other.map_count}")
        for verdict in ("mergeable", "blocked"):
            here, sure = (_stock(side.pairs, verdict) for side in (process, other))
            if here < sure:
                said.append(f"{who}: {here} pairs {verdict}, procfs is sure of {sure}")
    return said + [f"{name}: {gone.pid} is seen by procfs only" for gone in others]


def _stock(pairs: Mapping[PairKey, int], verdict: str) -> int:
    return sum(count for key, count in pairs.items() if key[:2] == ("stock", verdict))


def selfcheck(_slice: Slice) -> StepResult:
    """``vmad selfcheck``: the rules against this kernel, with real pairs."""
    said = io.StringIO()
    status: object = 0
    sys.argv = ["vmad", "selfcheck"]
    try:
        with redirect_stdout(said):
            runpy.run_module("vmad", run_name="__main__")  # in this process: numpy is imported
    except SystemExit as end:
        status = end.code or 0
    lines = said.getvalue().strip().splitlines()
    summary = (lines[-1].strip() if lines else "") or f"status {status}"
    return StepResult(status == 0, summary, "" if status == 0 else "\n".join(lines))


class _Outcomes:
    """A pytest plugin: tests in an order drawn from a seed, until the time is up; how each ended.

    The order is by file, since tests of a file share what they prepare.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.collected = 0
        self._began = 0.0
        self._seconds, self._seed = seconds, seed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mix files, and the tests in each."""
        self.collected = len(items)
        draw = random.Random(self._seed)
        files = list(dict.fromkeys(item.path for item in items))
        draw.shuffle(files)
        draw.shuffle(items)
        items.sort(key=lambda item: files.index(item.path))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what did not pass; a skipped test has not passed."""
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.outcome != "passed":
            self.failures.append(f"{report.nodeid} {report.outcome}\n{report.longreprtext}")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Start the clock with the first; say what is seen when this step has to be killed."""
        self._began = self._began or time.monotonic()
        print(f" {time.monotonic() - self._began:.1f} s: {nodeid} ", flush=True)

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """End after this test when the time is up."""
        if time.monotonic() - self._began >= self._seconds:
            item.session.shouldstop = "the time is up"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that does not import is a failure."""
        if report.outcome != "passed":
            self.counts["failed"] += 1
            self.failures.append(f"{report.nodeid}\n{report.longreprtext}")


def live(part: Slice) -> StepResult:
    """Live tests, real processes of this kernel: a few files, as far as the time allows."""
    paths = list(part.live)
    if not has_kernel_evidence():
        os.environ["VMAD_TEST_EVIDENCE"] = "procfs"
        # what a file of the kernel evidence's tests holds would all be left out
        paths = [path for path in paths if not Path(path).name.startswith("test_kernel_")]
    outcomes = _Outcomes(part.live_seconds, part.seed)
    # Not below /tmp, which is a tmpfs in a guest: deleted files there are another kind of VMA.
    files = random.Random(part.seed).sample(paths, min(part.live_files, len(paths)))
    words = ["-q", "-s", "-p", "no:cacheprovider", "--basetemp=/var/tmp/vmad-pytest"]
    status = pytest.main([*words, *files], plugins=[outcomes])
    ran = sum(outcomes.counts.values())
    parts = [f"{count} {outcome}" for outcome, count in sorted(outcomes.counts.items())]
    if ran < outcomes.collected:
        parts.append(f"{outcomes.collected - ran} left when the time was up")
    ends = (pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED)
    ok = status in ends and set(outcomes.counts) == {"passed"}
    if len(files) < 3:
        parts.append(f"of {' and '.join(Path(file).stem for file in files)}")
    summary = ", ".join(parts) if ran else f"pytest ended with {status!r}"
    return StepResult(ok, summary, "\n\n".join(outcomes.failures))


def differential(part: Slice) -> StepResult:
    """Random programs for a while: every verdict held against what the kernel then does."""
    from tests.differential.executor import Executor  # noqa: PLC0415  # of the checkout
    from tests.differential.fuzz import program_of  # noqa: PLC0415
    from tests.differential.trial import Disagrees, NotReproduced, Trial  # noqa: PLC0415

    procfs = open_source("procfs", None)
    source = open_source("kernel", None) if has_kernel_evidence() else procfs
    pairs = decided = merged = programs = lost = 0
    wrong: list[str] = []
    with Executor() as executor:
        trial = Trial(executor, source, procfs)
        ends = time.monotonic() + part.differential_seconds
        while time.monotonic() < ends:
            program, choose_a = program_of(part.seed, programs)
            trial.procfs = procfs if programs % 10 == 0 else None
            programs += 1
            try:
                answered = trial.answers(program, choose_a)
            except NotReproduced:
                lost += 1
                continue
            except Disagrees as error:
                wrong.append(f"seed {part.seed} program {programs - 1}: {error}")
                continue
            pairs += len(answered)
            decided += sum(answer.pair.judgement.verdict != "unknown" for answer in answered)
            merged += sum(answer.merged for answer in answered)
    summary = f"{pairs} pairs ({decided} decided, {merged} merged), {len(wrong)} wrong"
    # Programs that the kernel answers differently each time prove nothing; many of them would
    # mean that this slice proves nothing either.
    enough = pairs > 0 and lost <= programs // 20
    detail = "\n\n".join(wrong[:10]) or ("" if enough else f"{lost} of {programs} not reproduced")
    return StepResult(enough and not wrong, summary, detail)


STEPS: dict[str, Callable[[Slice], StepResult]] = {
    "scan": scan,
    "selfcheck": selfcheck,
    "live": live,
    "differential": differential,
}  #: name -> step, in the order in which they run


def warm_up() -> None:
    """Import what the steps need while there is one process, so that each fork has it."""
    from vmad.sources.procfs import source as _procfs  # noqa: PLC0415, F401

    if has_kernel_evidence():
        from vmad.sources.bpf import source as _bpf  # noqa: PLC0415, F401
    np.zeros(1)
    sys.stdout.flush()
