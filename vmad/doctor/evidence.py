# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tries every kind of evidence on this host, for a second at most, and says what each costs."""

from __future__ import annotations

import errno
import os

from vmad.doctor.measure import best_of, many_vmas, ns_per_call, ns_per_vma
from vmad.doctor.rights import bpf_remedy, file_remedy, loads_other_programs
from vmad.errors import EvidenceUnavailable
from vmad.export.quantities import counted
from vmad.model.findings import Cost, Finding
from vmad.model.kernel import KernelInfo
from vmad.model.process import Unreadable
from vmad.sources.bounded import BoundedReads, Stuck
from vmad.sources.choose import kernel_source
from vmad.sources.events import event_source_problem
from vmad.sources.maximum import read_max_map_count
from vmad.sources.procfs.source import ProcfsSource

#: name -> (what it gives, documented cost in ns per VMA)
WALKS = {
    "lockless": ("exact verdicts, taking no lock of a process (6.10 and later)", "85–220"),
    "open-coded": ("exact verdicts, waiting for no lock of a process (6.10 and later)", "270–450"),
    "task_vma": ("exact verdicts (5.12 to 6.9; 6.1 and later by process)", "310–430"),
}
#: file -> (what it gives, documented cost in ns per VMA)
FILES = {
    "maps": ("procfs evidence: neighbours, access, names", "430–620"),
    "pagemap": ("procfs evidence: which pages are there, and whose", None),
    "smaps": ("procfs evidence of one process: the kernel's flags", "2,900–4,000"),
    "numa_maps": ("procfs evidence of one process: memory policies", None),
}
#: how failing calls are watched -> documented cost in ns per call that does not fail
CALL_COSTS = {"fexit": None, "sys_exit": "20–80"}
#: seconds that a walk may hang, and how many times as long it may work on a slow machine
DEADLINE, PATIENCE = 5.0, 12


def walk_finding(name: str, proc: str = "/proc") -> tuple[Finding, tuple[Unreadable, ...]]:
    """Kernel evidence by this walk; and the processes that the kernel hides from BPF."""
    gives, elsewhere = WALKS[name]
    title = f"BPF {name}"
    try:
        source = kernel_source(proc, name)
    except EvidenceUnavailable as error:
        return Finding(title, gives, False, error.what, bpf_remedy(error, proc)), ()
    try:
        # the task_vma walk waits for as long as some process's mmap_lock is held
        here = BoundedReads(1, DEADLINE, PATIENCE).run(lambda _: ns_per_vma(source))
    except Stuck as stuck:
        detail = f"loads, but did not end within {DEADLINE:g} s: some mmap_lock is held"
        if stuck.working:
            detail = f"loads, but worked for {DEADLINE * PATIENCE:g} s without an end"
        return Finding(title, gives, None, detail, "try again"), ()
    number, hidden = len(source.census()), source.unreadable
    source.close()
    cost = Cost("ns per VMA", here, elsewhere)
    return Finding(title, gives, True, "works", None, number, number, cost), hidden


def census_finding(proc: str = "/proc") -> Finding:
    """The count of all processes in one pass."""
    from vmad.sources.bpf.census import KernelCensus  # noqa: PLC0415  libbpf

    title, gives = "BPF census", "map_count of every process each second"
    try:
        census = KernelCensus()
    except EvidenceUnavailable as error:
        return Finding(title, gives, False, error.what, bpf_remedy(error, proc))
    number = len(census.take())
    here = best_of(5, census.take) / max(number, 1) * 1e6
    census.close()
    cost = Cost("µs per process", here, "0.5")
    return Finding(title, gives, True, "works", None, number, number, cost)


def merge_attempts_finding(kernel: KernelInfo, proc: str = "/proc") -> Finding:
    """Counting on a stock kernel: attached for a moment."""
    from vmad.sources.bpf.merge_attempts import (  # noqa: PLC0415  libbpf
        KernelMergeAttempts,
        is_counting,
    )

    title = "BPF merge attempts"
    gives = "what becomes of each attempt to merge (scan.merge_attempts: bpf)"
    if kernel.patched:
        return Finding(title, gives, None, "not needed: this kernel counts them itself")
    try:
        on = {True: ", and is on", False: ", and is off", None: ""}[is_counting()]
        attempts = KernelMergeAttempts(kernel)
    except EvidenceUnavailable as error:
        remedy = bpf_remedy(error, proc, others_load=loads_other_programs())
        return Finding(title, gives, False, error.what.removeprefix("merge attempts: "), remedy)
    attempts.close()
    return Finding(title, gives, True, f"works by {attempts.way}{on}")


def failures_finding(kernel: KernelInfo, proc: str = "/proc") -> Finding:
    """Counting of calls that fail at the limit: attached for a moment, and what that costs."""
    from vmad.sources.bpf.failures import KernelFailures, is_counting  # noqa: PLC0415  libbpf

    title, gives = "BPF failures", "calls that fail at the limit, as they fail (scan.failures)"
    try:
        on = {True: ", and is on", False: ", and is off", None: ""}[is_counting()]
        without = ns_per_call()
        failures = KernelFailures(kernel, read_max_map_count(proc))
    except EvidenceUnavailable as error:
        return Finding(title, gives, False, error.what, bpf_remedy(error, proc))
    here = max(ns_per_call() - without, 0.0)
    failures.close()
    who_pays = {
        "fexit": "calls that map memory pay",
        "sys_exit": "every call of the host pays, in auto while one is beyond half of the limit",
    }[failures.way]
    cost = Cost("ns per call", here, CALL_COSTS[failures.way])
    detail = f"works by {failures.way}{on}"
    return Finding(title, f"{gives}; {detail}: {who_pays}", True, detail, cost=cost)


def bursts_finding(proc: str = "/proc") -> Finding:
    """Keeping the highest counts: attached for a moment, and what that costs."""
    from vmad.sources.bpf.bursts import KernelBursts, is_watching  # noqa: PLC0415  libbpf

    title, gives = "BPF bursts", "highest counts between two samples (scan.bursts)"
    try:
        on = {True: ", and is on", False: ", and is off", None: ""}[is_watching()]
        without = ns_per_call()
        bursts = KernelBursts(read_max_map_count(proc))
    except EvidenceUnavailable as error:
        return Finding(title, gives, False, error.what, bpf_remedy(error, proc))
    here = ns_per_call()
    bursts.close()
    cost = Cost("ns per call", max(here - without, 0.0), None)
    detail = f"works by {bursts.way}{on}"
    ratio = here / without if without > 0 else 1.0
    shown = f"{gives}; {detail}: mmap and munmap take {ratio:.2f} times as long"
    return Finding(title, shown, True, detail, cost=cost)


def file_finding(file: str, kernel: KernelInfo, proc: str = "/proc") -> Finding:
    """/proc/PID/``file`` of every process: opened, which is what the kernel asks a right for."""
    gives, elsewhere = FILES[file]
    title = f"/proc/PID/{file}"
    if not os.path.exists(f"{proc}/self/{file}"):
        return Finding(title, gives, False, "this kernel does not have it")
    census = ProcfsSource(proc).census()
    may_open = [_may_open(f"{proc}/{pid}/{file}") for pid in census["pid"].tolist()]
    of, reached = sum(opens is not None for opens in may_open), may_open.count(True)
    detail, remedy = "works", None
    if reached < of:
        remedy = file_remedy(file, kernel, proc)
        why = "" if remedy else ", whatever the rights"
        detail = f"refused for {counted(of - reached, 'process', 'processes')}{why}"
    cost = _file_cost(file, elsewhere, proc) if reached else None
    return Finding(title, gives, reached > 0, detail, remedy, reached, of, cost)


def events_finding() -> Finding:
    """The proc connector."""
    gives = "fork, exec and exit as they happen"
    problem = event_source_problem()
    if problem is None:
        return Finding("process events", gives, True, "works")
    what, _, remedy = problem.removeprefix("process events: ").rpartition("; ")
    return Finding("process events", gives, False, what, remedy)


def _may_open(path: str) -> bool | None:
    """None: the process has gone meanwhile."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return None if error.errno in (errno.ENOENT, errno.ESRCH) else False
    return True


def _file_cost(file: str, elsewhere: str | None, proc: str) -> Cost | None:
    """Of maps: read and judged as a scan does; of the others: read."""
    if file == "pagemap":
        return None  # read by the page, not by the VMA
    if file == "maps":
        source = ProcfsSource(proc, page_budget=0)
        try:
            return Cost("ns per VMA", ns_per_vma(source, proc), elsewhere)
        finally:
            source.close()
    with many_vmas(proc) as number:
        spent = best_of(1, lambda: _read(f"{proc}/self/{file}"))
    return Cost("ns per VMA", spent / number * 1e9, elsewhere)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
