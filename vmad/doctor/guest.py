# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The examination of a guest: how far vmad gets into it from outside, and at what cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vmad.errors import TargetUnavailable
from vmad.export.quantities import counted
from vmad.model.findings import Conclusion, Cost, Finding, Report, Setting
from vmad.model.process import ProcessId, Unreadable
from vmad.sources.guest.source import GuestSource

_GIVES = {
    "attach": "the guest's kernel, its types and its processes",
    "direct": "memory in microseconds, out of QEMU's own",
    "pmemsave": "memory through the socket alone, about a millisecond a piece",
    "census": "map_count of every process",
    "walk": "exact verdicts",
    "stop": "each process read while the guest stands still (--consistent)",
}


def examine_guest(
    path: str, types: str | None = None, step: Callable[[str], None] = lambda what: None
) -> Report:
    """Attach, count and read every process once; the guest is not stopped."""
    target = f"qemu:{path}"
    step("to attach")
    try:
        source = GuestSource(path, types=types)
        try:
            return _examined(source, step)
        finally:
            source.close()
    except TargetUnavailable as error:
        finding = Finding("attach", _GIVES["attach"], False, error.what, error.remedy)
        conclusion = Conclusion("The guest cannot be read.", False, False)
        return Report(conclusion, (finding,), (Setting("target", target, ""),), (), target)


def _examined(source: GuestSource, step: Callable[[str], None]) -> Report:
    memory, anchors = source.guest.memory, source.guest.anchors
    direct = memory.why_not_direct is None
    findings = [
        Finding("attach", _GIVES["attach"], True, "works"),
        Finding(
            "memory, direct", _GIVES["direct"], direct, memory.why_not_direct or "works",
            None if direct else "run vmad as QEMU's user, or give it CAP_SYS_PTRACE; "
            "the other way serves meanwhile",
        ),
        Finding("memory, pmemsave", _GIVES["pmemsave"], True, "not used" if direct else "works"),
    ]  # fmt: skip
    step("the census")
    began = time.thread_time()
    census = source.census()
    number = len(census)
    cost = Cost("µs per process", (time.thread_time() - began) / max(number, 1) * 1e6)
    findings.append(Finding("census", _GIVES["census"], True, "works", None, number, number, cost))
    step("to read every process")
    began = time.thread_time()
    results = list(
        source.summarise(ProcessId(*row) for row in census[["pid", "start_time"]].tolist())
    )
    spent = time.thread_time() - began
    missed = [result for result in results if isinstance(result, Unreadable)]
    vmas = sum(result.vmas for result in results if not isinstance(result, Unreadable))
    cost = Cost("ns per VMA", spent / vmas * 1e9 if vmas else None)
    detail = missed[0].detail if missed else "works"
    findings.append(
        Finding("walk", _GIVES["walk"], len(missed) < number, detail, None,
                number - len(missed), number, cost),
    )  # fmt: skip
    findings.append(Finding("stop", _GIVES["stop"], None, "not tried: it would stop the guest"))
    text = f"The guest can be read: exact verdicts for {counted(number, 'process', 'processes')}."
    if missed:
        text = f"The guest can be read, {len(missed):,} of {number:,} processes not this time."
    build = ", ".join(anchors.build_ids) or "not known"
    return Report(
        Conclusion(text, True, not missed),
        tuple(findings),
        tuple(_settings(source, build)),
        (),
        source.target,
    )


def _settings(source: GuestSource, build: str) -> list[Setting]:
    kernel = source.kernel
    version: Any = source.guest.monitor.told("query-version", "qemu", dict)
    patched = "carries the anon_vma series" if kernel.patched else "a stock kernel"
    limit = source.max_map_count
    return [
        Setting("target", source.target, ""),
        Setting("name", source.hostname or "not known", ""),
        Setting("kernel", f"{kernel.release} {kernel.machine}", patched),
        Setting("build-id", build, ""),
        Setting("vm.max_map_count", "not found" if limit is None else str(limit), ""),
        Setting("run state", source.status, "" if source.status == "running" else "stands still"),
        Setting(
            "QEMU",
            ".".join(str(version.get(part, "?")) for part in ("major", "minor", "micro")),
            "",
        ),
    ]
