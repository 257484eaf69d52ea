# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A snapshot of an imagined host, whole and consistent, for tests of whatever renders one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields

from vmad.model.failures import FailureTally, LimitFailure
from vmad.model.kernel import KernelInfo
from vmad.model.kinds import KIND_COUNT
from vmad.model.process import Evidence, ProcessId, Unread, Unreadable
from vmad.model.verdict import PairKey
from vmad.rules.marked import LEAST
from vmad.scan.phases import Phase, PhaseCost
from vmad.scan.snapshot import GroupStats, HostSnapshot, JudgedProcess
from vmad.scan.statistics import DaemonStats, MachineStats, ScanCounts, SelfStats

NOW = 1_790_000_000.0
LIMIT = 65530

GUARDS = (
    (("stock", "blocked", "vm_flags:access"), 1),
    (("relaxed", "blocked", "vm_flags:access"), 1),
)
MOVED = ((("stock", "blocked", "vm_pgoff"), 1), (("relaxed", "mergeable", "latent"), 1))
FAULTED = ((("stock", "blocked", "anon_vma_differs"), 1), (("relaxed", "mergeable", "latent"), 1))
FORKED = (
    (("stock", "blocked", "anon_vma_shared"), 1),
    (("relaxed", "blocked", "anon_vma_shared"), 1),
)
LATENT = (
    (("stock", "mergeable", "latent_one_sided"), 1),
    (("relaxed", "mergeable", "latent_one_sided"), 1),
)
UNSEEN = (
    (("stock", "unknown", "anon_vma_unknown"), 1),
    (("relaxed", "unknown", "anon_vma_unknown"), 1),
)


def pairs(*counts: tuple[tuple[tuple[tuple[str, str, str], int], ...], int]) -> dict[PairKey, int]:
    """Pairs of some sorts: ``pairs((GUARDS, 10), (MOVED, 3))``; both rules count every pair."""
    result: Counter[PairKey] = Counter()
    for sort, number in counts:
        for key, weight in sort:
            result[PairKey(*key)] += weight * number
    return dict(result)


def process(
    pid: int,
    comm: str,
    group: str,
    map_count: int | None,
    *,
    kinds: tuple[int, ...] = (0,) * KIND_COUNT,
    pair_counts: Mapping[PairKey, int] | None = None,
    recoverable: Mapping[str, int | None] | None = None,
    high_water: int | None = None,
    rate: float | None = 0.0,
    limit: int | None = LIMIT,
) -> JudgedProcess:
    """One process; ratio and time to the limit follow from the count, the rate and the limit."""
    ratio = seconds = None
    if map_count is not None and limit is not None:
        ratio = map_count / limit
        seconds = (limit - map_count) / rate if rate is not None and rate > 0 else None
    return JudgedProcess(
        id=ProcessId(pid, pid * 100),
        comm=comm,
        group=group,
        map_count=map_count,
        ratio=ratio,
        high_water=high_water if high_water is not None else map_count,
        rate=rate,
        seconds_to_limit=seconds,
        kinds=kinds,
        pairs=pair_counts or {},
        recoverable=recoverable or {"stock": 0, "relaxed": 0, "rebuild": 0},
        walked_at=NOW - 2.0,
        size=map_count * 65_536 if map_count is not None else None,
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def group_of(name: str, members: Iterable[JudgedProcess]) -> GroupStats:
    """The members added up, as the scan adds them."""
    members = tuple(members)
    pair_sum: Counter[PairKey] = Counter()
    for member in members:
        pair_sum.update(member.pairs)
    counts = [member.map_count for member in members if member.map_count is not None]
    waters = [member.high_water for member in members if member.high_water is not None]
    times = [m.seconds_to_limit for m in members if m.seconds_to_limit is not None]
    rates = [member.rate for member in members if member.rate is not None]
    sizes = [member.size for member in members if member.size is not None]
    return GroupStats(
        name=name,
        processes=len(members),
        map_count_sum=sum(counts) if counts else None,
        map_count_max=max(counts, default=None),
        high_water=max(waters, default=None),
        ratio=_worst(member.ratio for member in members),
        rate=sum(rates) if rates else None,
        seconds_to_limit=min(times, default=None),
        worst=max(
            (one for one in members if one.map_count is not None),
            key=lambda one: one.map_count or 0,
            default=None,
        ),
        soonest=min(
            (one for one in members if one.seconds_to_limit is not None),
            key=lambda one: one.seconds_to_limit or 0.0,
            default=None,
        ),
        kinds=tuple(map(sum, zip(*(m.kinds for m in members), strict=True))),
        pairs=dict(pair_sum),
        recoverable=recoverable_of(members),
        size_sum=sum(sizes) if sizes else None,
        kernel_bytes=232 * sum(counts) if counts else None,
        high_water_at=NOW - 30 if waters and max(waters) >= LEAST else None,
    )


def recoverable_of(members: Iterable[JudgedProcess]) -> dict[str, int | None]:
    """Recoverable VMAs by rules; None where one member's evidence leaves pairs undecided."""
    result: dict[str, int | None] = {}
    members = tuple(members)
    for rules in ("stock", "relaxed"):
        parts = [member.recoverable[rules] for member in members]
        result[rules] = None if None in parts else sum(part for part in parts if part is not None)
    return result


def self_stats(**changes: object) -> SelfStats:
    """vmad after an hour of quiet work; keyword arguments replace fields of any of its parts."""
    counts: dict[str, object] = {
        "scans": 240,
        "full_scans": 24,
        "samples": 3600,
        "walks": 14_000,
        "vmas_walked": 1_250_000,
        "vmas_skipped": 30_000_000,
        "reads_failed": {Unread.GONE: 17, Unread.PERMISSION: 240},
    }
    machine: dict[str, object] = {
        "started_at": NOW - 3600,
        "interval_seconds": 15.0,
        "effective_interval_seconds": 15.0,
        "budget_ratio": 0.01,
        "cpu_seconds_total": 12.5,
        "walk": "open-coded",
        "sources": {"kernel": None, "procfs": None},
        "phases": {("kernel", phase): PhaseCost(0.001, True) for phase in Phase},
    }
    daemon: dict[str, object] = {
        "event_overruns_total": 1,
        "events_total": 52_311,
        "event_source_up": True,
        "config_reload_success": True,
        "config_reload_time": NOW - 3600,
        "states": {"history": None, "marks": None},
    }
    for name, value in changes.items():
        (part,) = (
            part
            for part, kind in ((counts, ScanCounts), (machine, MachineStats), (daemon, DaemonStats))
            if name in {field.name for field in fields(kind)}
        )
        part[name] = value
    return SelfStats(
        MachineStats(counts=ScanCounts(**counts), **machine),  # type: ignore[arg-type]
        DaemonStats(**daemon),  # type: ignore[arg-type]
    )


def failure_tally(**changes: object) -> FailureTally:
    """Two groups that failed at the limit, one of them after its process had ended."""
    java, job = ProcessId(1712, 17120), ProcessId(4000, 90210)
    fields: dict[str, object] = {
        "way": "fexit",
        "since": NOW - 3600,
        "watched_since": NOW - 3600,
        "totals": {
            ("opensearch.service", "mmap", "ENOMEM"): 1_203,
            ("opensearch.service", "munmap", "ENOMEM"): 0,
            ("comm/job", "madvise", "EAGAIN"): 1,
        },
        "last": (
            LimitFailure(java, "java", "opensearch.service", "mmap", "ENOMEM", 1_203, NOW - 2,
                         65_531, 65_530),
            LimitFailure(job, "job", "comm/job", "madvise", "EAGAIN", 1, NOW - 60, 65_530, 65_530),
        ),
        "lost": 0,
        **changes,
    }  # fmt: skip
    return FailureTally(**fields)  # type: ignore[arg-type]


def snapshot_of(
    processes: Iterable[JudgedProcess],
    *,
    unreadable: tuple[Unreadable, ...] = (),
    top: int = 10,
    limit: int | None = LIMIT,
    evidence: Evidence = Evidence.KERNEL,
) -> HostSnapshot:
    """A snapshot that holds these processes, grouped by their ``group``, all sums right."""
    ordered = sorted(processes, key=lambda one: -(one.ratio or 0))
    by_group: dict[str, list[JudgedProcess]] = {}
    for one in ordered:
        by_group.setdefault(one.group, []).append(one)
    groups = [group_of(name, members) for name, members in by_group.items()]
    groups.sort(key=lambda group: (group.name == "other", -(group.ratio or 0)))
    pair_sum: Counter[PairKey] = Counter()
    for one in ordered:
        pair_sum.update(one.pairs)
    return HostSnapshot(
        taken_at=NOW,
        counted_at=NOW + 1.5,
        took_seconds=0.0437,
        full=True,
        evidence=evidence,
        kernel=KernelInfo("6.1.0-56-amd64", page_shift=12),
        hostname="db7.example.net",
        max_map_count=limit,
        worst_ratio=_worst(one.ratio for one in ordered),
        processes=tuple(ordered),
        unreadable=unreadable,
        groups=tuple(groups),
        top=tuple(ordered[:top]),
        kinds=tuple(map(sum, zip((0,) * KIND_COUNT, *(p.kinds for p in ordered), strict=True))),
        pairs=dict(pair_sum),
        recoverable=recoverable_of(ordered),
        walk="open-coded",
        phases=dict.fromkeys(Phase, 0.001),
    )


def sample_processes() -> list[JudgedProcess]:
    """A search engine with guard pages, a database that moves memory, and the usual daemons."""
    ordinary = (14, 3, 2, 1, 1, 46, 0, 1, 3)
    small = [
        process(
            400 + number,
            comm,
            f"{comm}.service",
            71,
            kinds=ordinary,
            pair_counts=pairs((GUARDS, 3), (FAULTED, 1), (LATENT, 1)),
            recoverable={"stock": 1, "relaxed": 2, "rebuild": 2},
        )
        for number, comm in enumerate(("sshd", "cron", "systemd-journal", "dbus-daemon", "nginx"))
    ]
    return [
        process(
            1712,
            "java",
            "opensearch.service",
            61_204,
            kinds=(15_300, 15_012, 4, 1, 1, 2_310, 28_560, 12, 4),
            pair_counts=pairs((GUARDS, 29_998), (MOVED, 120), (FORKED, 2)),
            recoverable={"stock": 0, "relaxed": 120, "rebuild": 120},
            high_water=64_998,
            rate=0.42,
        ),
        process(
            2210,
            "redis-server",
            "redis@cache.service",
            33_871,
            kinds=(33_700, 60, 3, 1, 1, 101, 0, 2, 3),
            pair_counts=pairs((MOVED, 21_504), (FAULTED, 11_377), (LATENT, 212), (GUARDS, 60)),
            recoverable={"stock": 212, "relaxed": 33_093, "rebuild": 33_093},
            high_water=52_010,
            rate=-1.5,
        ),
        process(
            3301,
            "clickhouse-serv",
            "docker/8f2b1c0e9d11",
            12_482,
            kinds=(6_004, 5_880, 10, 1, 1, 571, 0, 12, 3),
            pair_counts=pairs((GUARDS, 11_700), (FAULTED, 40)),
            recoverable={"stock": 0, "relaxed": 40, "rebuild": 40},
            rate=0.003,
        ),
        process(
            3302,
            "clickhouse-serv",
            "docker/8f2b1c0e9d11",
            301,
            kinds=(95, 80, 2, 1, 1, 119, 0, 0, 3),
        ),
        *small,
    ]


def sample_snapshot() -> HostSnapshot:
    """A host with one process near the limit, one full of healable pairs, two unread."""
    return snapshot_of(
        sample_processes(),
        unreadable=(
            Unreadable(ProcessId(501, 50100), "vault", Unread.PERMISSION, "/proc/501/maps: denied"),
            Unreadable(ProcessId(777, 77700), "sh", Unread.GONE, "exited in the middle"),
        ),
    )


def empty_snapshot() -> HostSnapshot:
    """A scan that could read nothing at all: everything that could be absent is."""
    return snapshot_of((), limit=None)


def crowded_snapshot(groups: int = 200) -> HostSnapshot:
    """A host with many groups, all alike but in size."""
    return snapshot_of(
        process(
            1000 + number,
            f"worker-{number}",
            f"system.slice/worker@{number:03}.service",
            121 + 300 * number,
            kinds=(40 + 300 * number, 20, 2, 1, 1, 51, 0, 3, 3),
            pair_counts=pairs((GUARDS, 20), (MOVED, number), (FAULTED, 3), (LATENT, 2)),
            recoverable={"stock": 2, "relaxed": 5 + number, "rebuild": 5 + number},
            rate=number / 100,
        )
        for number in range(groups)
    )


HOSTILE = '<script>alert("1")</script>\n\udcff\\"{}\u202e\x1b[31m'


def hostile_snapshot() -> HostSnapshot:
    """Names that try to break out of labels and of HTML, two that differ in one bad byte."""
    return snapshot_of(
        [
            process(66, HOSTILE, HOSTILE, 10, pair_counts=pairs((UNSEEN, 2))),
            process(67, "\udcfe", "unit\udcfe", 11),
            process(68, "\udcfd", "unit\udcfd", 12),
            process(69, "other", "other", None),
        ],
        evidence=Evidence.PROCFS,
    )
