# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The whole examination: every kind of evidence, the surroundings, the conclusion."""

from __future__ import annotations

import os
from collections.abc import Callable

from vmad.doctor.evidence import (
    FILES,
    WALKS,
    bursts_finding,
    census_finding,
    events_finding,
    failures_finding,
    file_finding,
    merge_attempts_finding,
    walk_finding,
)
from vmad.doctor.surroundings import surroundings
from vmad.export.printable import printable
from vmad.model.findings import Finding, Report, conclude
from vmad.model.kernel import running_kernel
from vmad.model.process import Unreadable


def examine(step: Callable[[str], None] = lambda what: None, proc: str = "/proc") -> Report:
    """Try everything; ``step`` is told what is being tried."""
    kernel = running_kernel(proc)
    walks: list[Finding] = []
    hidden: dict[int, Unreadable] = {}
    for name in WALKS:
        step(f"kernel evidence, {name}")
        finding, missed = walk_finding(name, proc)
        walks.append(finding)
        hidden |= {unread.id.pid: unread for unread in missed}
    step("census")
    findings = [*walks, census_finding(proc)]
    step("merge attempts")
    findings.append(merge_attempts_finding(kernel, proc))
    step("failures at the limit")
    findings.append(failures_finding(kernel, proc))
    findings.append(bursts_finding(proc))
    files = {}
    for file in FILES:
        step(f"/proc/PID/{file}")
        files[file] = file_finding(file, kernel, proc)
    step("process events")
    findings += [*files.values(), events_finding()]
    best = next((walk for walk in walks if walk.works), walks[0])
    unseen = tuple(
        f"{printable(process.comm)} (pid {pid})" for pid, process in sorted(hidden.items())
    )
    conclusion = conclude(best, files["maps"], unseen, os.geteuid() == 0)
    return Report(conclusion, tuple(findings), tuple(surroundings(kernel, proc)), unseen)
