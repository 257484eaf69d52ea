# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scan as JSON, schema vmad.scan/1: counts by verdict and reason for every process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from vmad.export.printable import utf8
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_NAMES, Kind
from vmad.model.process import Evidence, Unreadable
from vmad.model.verdict import MERGE_RULES, PairKey, Verdict
from vmad.rules.limit_origin import LimitOrigin
from vmad.rules.vma_cost import VmaCost
from vmad.scan.phases import Phase
from vmad.scan.snapshot import GroupStats, JudgedProcess

if TYPE_CHECKING:
    from vmad.model.failures import FailureTally

SCHEMA = "vmad.scan/1"
#: processes per piece of text that is handed on
CHUNK = 100


def kernel_object(kernel: KernelInfo, judged_as: KernelInfo | None = None) -> dict[str, Any]:
    """A kernel; ``judged_as`` appears only when the rules of another release were asked for."""
    document: dict[str, Any] = {
        "release": utf8(kernel.release),
        "machine": utf8(kernel.machine),
        "patched": kernel.patched,
    }
    if judged_as is not None and judged_as != kernel:
        document["judged_as"] = utf8(judged_as.release)
    return document


def kinds_object(kinds: tuple[int, ...]) -> dict[str, int]:
    """VMAs by kind; every kind is there."""
    return {KIND_NAMES[kind]: kinds[kind] for kind in Kind}


def vma_cost_object(cost: VmaCost) -> dict[str, int | None]:
    """Bytes of kernel memory by VMA."""
    return {"each": cost.each, "written": cost.written}


def origin_object(origin: LimitOrigin) -> dict[str, Any]:
    """What set vm.max_map_count; "file", "line" where a file did."""
    document: dict[str, Any] = {"kind": origin.kind.value, "text": utf8(origin.text)}
    if origin.by is not None:
        document |= {"file": utf8(origin.by.file), "line": origin.by.line}
    document["without_effect"] = [
        {"file": utf8(other.file), "line": other.line, "value": other.value}
        for other in origin.others
    ]
    return document


def pairs_object(pairs: Mapping[PairKey, int]) -> dict[str, dict[str, dict[str, int]]]:
    """Pairs by rules, verdict and decisive reason; every verdict is there."""
    document: dict[str, dict[str, dict[str, int]]] = {
        rules: {verdict.value: {} for verdict in Verdict} for rules in MERGE_RULES
    }
    for (rules, verdict, reason), number in sorted(pairs.items()):
        document[rules][verdict][reason] = number
    return document


def process_object(process: JudgedProcess) -> dict[str, Any]:
    """One process that was read; what only a daemon knows is there when it is known."""
    watched = {
        "group": utf8(process.group) or None,
        "high_water": process.high_water,
        "rate": process.rate,
        "seconds_to_limit": process.seconds_to_limit,
    }
    return {
        "pid": process.id.pid,
        "start_time": process.id.start_time,
        "comm": utf8(process.comm),
        "map_count": process.map_count,
        "kinds": kinds_object(process.kinds),
        "pairs": pairs_object(process.pairs),
        "recoverable": dict(process.recoverable),
        **{key: value for key, value in watched.items() if value is not None},
    }


def group_object(group: GroupStats) -> dict[str, Any]:
    """One group of processes; what is not known is left out."""
    known = {
        "map_count": group.map_count_sum,
        "map_count_max": group.map_count_max,
        "ratio": group.ratio,
        "high_water": group.high_water,
        "high_water_at": group.high_water_at,
        "rate": group.rate,
        "seconds_to_limit": group.seconds_to_limit,
        "worst_pid": None if group.worst is None else group.worst.id.pid,
        "soonest_pid": None if group.soonest is None else group.soonest.id.pid,
        "vma_kernel_bytes": group.kernel_bytes,
    }
    return {
        "group": utf8(group.name),
        "processes": group.processes,
        **{key: value for key, value in known.items() if value is not None},
    }


def unreadable_object(process: Unreadable) -> dict[str, Any]:
    """One process that could not be read, and why."""
    return {
        "pid": process.id.pid,
        "comm": utf8(process.comm),
        "why": process.why.value,
        "detail": utf8(process.detail),
    }


def phases_object(phases: Mapping[Phase, float]) -> dict[str, float]:
    """Seconds by phase, in their order."""
    return {phase.value: round(seconds, 6) for phase, seconds in phases.items()}


def scan_document(
    *,
    evidence: Evidence,
    kernel: KernelInfo,
    max_map_count: int | None,
    took_seconds: float,
    processes: Iterable[JudgedProcess],
    unreadable: Iterable[Unreadable],
    judged_as: KernelInfo | None = None,
    groups: Iterable[GroupStats] | None = None,
    origin: LimitOrigin | None = None,
    cost: VmaCost | None = None,
    phases: Mapping[Phase, float] | None = None,
) -> dict[str, Any]:
    """The whole answer. ``took_seconds`` is the reading and judging of all processes, ``phases``
    what each of its parts took (seconds), and rendering where it is known.

    ``groups`` are what only a daemon knows; a ``high_water_at`` is in Unix seconds.
    """
    of_groups = {} if groups is None else {"groups": [group_object(group) for group in groups]}
    return {
        **_head(evidence, kernel, max_map_count, took_seconds, judged_as, phases=phases),
        **_limit(origin, cost),
        "processes": [process_object(process) for process in processes],
        "unreadable": [unreadable_object(process) for process in unreadable],
        **of_groups,
    }


def scan_pieces(
    *,
    evidence: Evidence,
    kernel: KernelInfo,
    max_map_count: int | None,
    took_seconds: float,
    processes: Iterable[JudgedProcess],
    unreadable: Iterable[Unreadable],
    groups: Iterable[GroupStats],
    failures: FailureTally | None = None,
    origin: LimitOrigin | None = None,
    cost: VmaCost | None = None,
    phases: Mapping[Phase, float] | None = None,
    taken_at: float | None = None,
    counted_at: float | None = None,
) -> Iterator[str]:
    """The same as JSON, in pieces: 20,000 processes are 30 MB that nobody needs at once.

    ``taken_at`` is when the scan ended, ``counted_at`` when VMAs were counted (Unix seconds).
    """
    head = json.dumps(
        _head(evidence, kernel, max_map_count, took_seconds, None, phases=phases)
        | _limit(origin, cost)
        | _times(taken_at=taken_at, counted_at=counted_at)
    )
    yield f'{head[:-1]}, "processes": ['
    yield from _items(map(process_object, processes))
    yield '], "unreadable": ['
    yield from _items(map(unreadable_object, unreadable))
    yield '], "groups": ['
    yield from _items(map(group_object, groups))
    if failures is not None:
        from vmad.export.failures_json import failures_object  # noqa: PLC0415

        yield f'], "limit_failures": {json.dumps(failures_object(failures))}}}\n'
    else:
        yield "]}\n"


def _items(things: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What stands between the brackets of a list."""
    left, before = iter(things), ""
    while some := list(islice(left, CHUNK)):
        yield before + json.dumps(some)[1:-1]
        before = ", "


def _head(
    evidence: Evidence,
    kernel: KernelInfo,
    max_map_count: int | None,
    took_seconds: float,
    judged_as: KernelInfo | None,
    *,
    phases: Mapping[Phase, float] | None,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "evidence": evidence.value,
        "took_seconds": round(took_seconds, 6),
        "phases": phases_object(phases or {}),
        "kernel": kernel_object(kernel, judged_as),
        "max_map_count": max_map_count,
    }


def _times(**times: float | None) -> dict[str, float]:
    """Unix seconds; what is not known is absent."""
    return {name: round(time, 3) for name, time in times.items() if time is not None}


def _limit(origin: LimitOrigin | None, cost: VmaCost | None) -> dict[str, Any]:
    """What cannot be told (by a capture, in a guest) is absent."""
    known: dict[str, Any] = {}
    if origin is not None:
        known["max_map_count_origin"] = origin_object(origin)
    if cost is not None:
        known["vma_cost"] = vma_cost_object(cost)
    return known
