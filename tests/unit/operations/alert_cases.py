# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Stories of hosts, told as series, and whether an alert fires at their end.

Values are in promtool's notation: ``10+5x20`` is 10, then 20 steps of 5; ``_x5`` is nothing for
five steps. A step is a minute, or what the case says. Stories start at 0 s, so that a time stamp
of 0 means their beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LIMIT = 65_530


@dataclass(frozen=True, slots=True)
class Case:
    """``series`` are metrics of one host by selector; ``after`` and ``step`` are minutes."""

    alert: str
    story: str
    fires: bool
    after: int
    series: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    step: int = 1


def _group(
    ratio: str,
    areas: str = "",
    highwater: str = "",
    *,
    seconds: str = "",
    limit: str = "",
    marked_at: str = "",
) -> dict[str, str]:
    """The series of one group, and the limit."""
    found = {
        'vmad_group_limit_ratio{group="db"}': ratio,
        'vmad_group_memory_map_areas_max{group="db"}': areas,
        'vmad_group_memory_map_areas_highwater{group="db"}': highwater,
        'vmad_group_memory_map_areas_highwater_timestamp_seconds{group="db"}': marked_at,
        'vmad_group_seconds_to_limit{group="db"}': seconds,
        "vmad_memory_map_areas_limit": limit or f"{LIMIT}x2000",
    }
    return {name: values for name, values in found.items() if values}


def _recoverable(stock: int, relaxed: int, ratio: str, minutes: int) -> dict[str, str]:
    """A group of 40,000 VMAs, so many of which would vanish."""
    recoverable = 'vmad_group_recoverable_areas{group="db", rules="%s"}'
    return {
        'vmad_group_memory_map_areas{group="db"}': f"40000x{minutes}",
        'vmad_group_limit_ratio{group="db"}': f"{ratio}x{minutes}",
        recoverable % "stock": f"{stock}x{minutes}",
        recoverable % "relaxed": f"{relaxed}x{minutes}",
    }


def _rebuild(saved: int, minutes: int) -> dict[str, str]:
    name = 'vmad_group_recoverable_areas{group="db", rules="rebuild"}'
    return {name: f"{saved}x{minutes}"}


_DB = {"group": "db"}
_FAILED = 'vmad_limit_failures_total{group="db", call="mmap", error="ENOMEM"}'
_KERNEL = {"source": "kernel"}
_CONFIGURED = 'vmad_scan_interval_seconds{kind="configured"}'
_EFFECTIVE = 'vmad_scan_interval_seconds{kind="effective"}'

CASES = (
    Case("VmadNearLimit", "five minutes above 80 %", True, 6, _group("0.81x10"), _DB),
    Case("VmadNearLimit", "above for two minutes only", False, 6, _group("0.7x3 0.81x10")),
    Case("VmadAtLimit", "above 95 %", True, 1, _group("0.96x10"), _DB),
    Case(
        "VmadAtLimit", "a job that stood there for seconds and is gone", True, 4,
        _group("_ 1.00001x1 _x8", highwater="_ 65531x9"), _DB,
    ),
    Case(
        "VmadAtLimit", "a worker of a service that goes on", True, 4,
        _group("0.002x1 1.00001x1 0.002x8", "130x10", "130x1 65531x9"), _DB,
    ),
    Case(
        "VmadAtLimit", "it is over", False, 9,
        _group("0.002x1 1.00001x1 0.002x8", "130x10", "130x1 65531x9"),
    ),
    Case("VmadAtLimit", "94 %", False, 9, _group("0.94x10")),
    Case(
        "VmadLimitFailures", "three failures at once", True, 6,
        {_FAILED: "0x4 3x10"}, _DB,
    ),
    Case(
        "VmadLimitFailures", "a group that was born, failed and died between two scrapes", True, 3,
        {'vmad_limit_failures_total{group="db", call="brk", error="ENOMEM"}': "_x2 5x10"}, _DB,
    ),
    Case("VmadLimitFailures", "half an hour ago", False, 35, {_FAILED: "0x4 3x40"}),
    Case("VmadLimitFailures", "vmad started anew since", False, 35, {_FAILED: "3x20 0x20"}),
    Case(
        "VmadLimitWithinAnHour", "400 VMAs a minute from 40,000", True, 20,
        _group("0.61+0.006x20", "40000+400x20", seconds="3829-60x20"), _DB,
    ),
    Case(
        "VmadLimitWithinAnHour", "the same growth far from the limit", False, 20,
        _group("0.1+0.006x20", "6500+400x20", seconds="3000-60x20"),
    ),
    Case(
        "VmadLimitWithinAnHour", "one quick minute on a flat count", False, 20,
        _group("0.61x20", "40000x20", seconds="_x19 600"),
    ),
    Case(
        "VmadLimitWithinADay", "20 VMAs a minute from 40,000", True, 120,
        _group("0.61+0.0003x120", "40000+20x120"), _DB,
    ),
    Case(
        "VmadLimitWithinADay", "5 VMAs a minute: four days", False, 120,
        _group("0.61+0.0001x120", "40000+5x120"),
    ),
    Case(
        "VmadLimitWithinADay", "grew in the past, stands now", False, 200,
        _group("0.61x200", "40000+50x100 45000x100"),
    ),
    Case(
        "VmadBurst", "a mark of 64,000 between two scrapes", True, 3,
        _group("0.01x5", "700x5", "700 64000x5", marked_at="0 30x5"), _DB,
    ),
    Case(
        "VmadBurst", "a job that stood there for seconds and is gone", True, 4,
        _group("_ 1.00001x1 _x8", highwater="_ 65531x9", marked_at="_ 50x9"), _DB,
    ),
    Case(
        "VmadBurst", "a worker of a service that goes on", True, 4,
        _group("0.002x1 1.00001x1 0.002x8", "130x10", "130x1 65531x9", marked_at="_x2 110x8"), _DB,
    ),
    Case(
        "VmadBurst", "crashed there, and was started again", True, 9,
        _group("0.002x1 1.00001x3 0.002x8", "130 65531 _ 136x8", "130 65531x9",
               marked_at="_ 50x9"), _DB,
    ),
    Case(
        "VmadBurst", "told for a day, then silent", False, 1500,
        _group("0.01x110", "700x110", "700 64000x110", marked_at="0 900x110"), step=15,
    ),
    Case(
        "VmadBurst", "the same job again on the next day", True, 1500,
        _group("0.01x110", "700x110", "700 64000x110", marked_at="0 900x96 87300x13"), _DB, step=15,
    ),
    Case(
        "VmadBurst", "the count is there too: VmadNearLimit tells it", False, 3,
        _group("0.95x5", "62000x5", "64000x5", marked_at="0x5"),
    ),
    Case(
        "VmadFragmenting", "half as many again in an hour, of the same memory", True, 90,
        {'vmad_group_memory_map_areas{group="db"}': "20000+200x100",
         'vmad_group_address_space_bytes{group="db"}': "80000000000x100",
         'vmad_group_limit_ratio{group="db"}': "0.3+0.003x100"}, _DB,
    ),
    Case(
        "VmadFragmenting", "memory grows with it", False, 90,
        {'vmad_group_memory_map_areas{group="db"}': "20000+200x100",
         'vmad_group_address_space_bytes{group="db"}': "80000000000+800000000x100",
         'vmad_group_limit_ratio{group="db"}': "0.3+0.003x100"},
    ),
    Case(
        "VmadLimitLowered", "from 262,144 to 65,530", True, 12,
        {"vmad_memory_map_areas_limit": f"262144x9 {LIMIT}x20"},
    ),
    Case(
        "VmadLimitLowered", "raised", False, 12,
        {"vmad_memory_map_areas_limit": f"{LIMIT}x9 262144x20"},
    ),
    Case(
        "VmadManyAreas", "300,000 of a million", True, 20,
        {'vmad_group_memory_map_areas_max{group="db"}': "300000x30",
         "vmad_threshold_memory_map_areas": "262144x30"}, _DB,
    ),
    Case(
        "VmadManyAreas", "fewer than are too many", False, 20,
        {'vmad_group_memory_map_areas_max{group="db"}': "200000x30",
         "vmad_threshold_memory_map_areas": "262144x30"},
    ),
    Case(
        "VmadManyAreas", "the threshold is switched off", False, 20,
        {'vmad_group_memory_map_areas_max{group="db"}': "300000x30"},
    ),
    Case(
        "VmadGrowsForDays", "20,000 a day for three days", True, 4320,
        {'vmad_group_memory_map_areas_max{group="db"}': "10000+208x300",
         "vmad_threshold_memory_map_areas_per_day": "10000x300"}, _DB, step=15,
    ),
    Case(
        "VmadGrowsForDays", "5,000 a day", False, 4320,
        {'vmad_group_memory_map_areas_max{group="db"}': "10000+52x300",
         "vmad_threshold_memory_map_areas_per_day": "10000x300"}, step=15,
    ),
    Case(
        "VmadGrowsForDays", "a wave that grows by day and shrinks by night", False, 4320,
        {'vmad_group_memory_map_areas_max{group="db"}':
            "10000+1000x48 58000-1000x47 12000+1000x48 60000-1000x47 14000+1100x96",
         "vmad_threshold_memory_map_areas_per_day": "10000x300"}, step=15,
    ),
    Case(
        "VmadGrowsForDays", "a start that fills up and stays", False, 4320,
        {'vmad_group_memory_map_areas_max{group="db"}': "1000+1000x96 97000x200",
         "vmad_threshold_memory_map_areas_per_day": "10000x300"}, step=15,
    ),
    Case(
        "VmadKernelMemory", "more than allowed", True, 20,
        {'vmad_group_vma_kernel_bytes{group="db"}': "300000000x30",
         "vmad_threshold_vma_kernel_bytes": "268435456x30"}, _DB,
    ),
    Case(
        "VmadKernelMemory", "less than allowed", False, 20,
        {'vmad_group_vma_kernel_bytes{group="db"}': "200000000x30",
         "vmad_threshold_vma_kernel_bytes": "268435456x30"},
    ),
    Case("VmadHealWorthwhile", "a third", True, 40, _recoverable(14_000, 14_000, "0.6", 50), _DB),
    Case("VmadHealWorthwhile", "far from it", False, 40, _recoverable(14_000, 14_000, "0.3", 50)),
    Case("VmadHealWorthwhile", "patched only", False, 40, _recoverable(0, 14_000, "0.6", 50)),
    Case(
        "VmadPatchedKernelWouldHelp", "a third more", True, 400,
        _recoverable(1_000, 14_000, "0.6", 450), _DB,
    ),
    Case(
        "VmadPatchedKernelWouldHelp", "the stock kernel would do as well", False, 400,
        _recoverable(14_000, 14_000, "0.6", 450),
    ),
    Case(
        "VmadRebuildWorthwhile", "most of its VMAs, near the limit", True, 8,
        _recoverable(0, 0, "0.85", 20) | _rebuild(24_000, 20), _DB,
    ),
    Case(
        "VmadRebuildWorthwhile", "far from the limit", False, 8,
        _recoverable(0, 0, "0.6", 20) | _rebuild(24_000, 20),
    ),
    Case(
        "VmadRebuildWorthwhile", "a few of its VMAs", False, 8,
        _recoverable(0, 0, "0.85", 20) | _rebuild(4_000, 20),
    ),
    Case("VmadDown", "no answer", True, 6, {"up": "0x10"}),
    Case("VmadDown", "one failed scrape", False, 6, {"up": "1x4 0 1x4"}),
    Case(
        "VmadStale", "the last scan ended at the beginning", True, 7,
        {"vmad_scan_last_success_timestamp_seconds": "0x10", _EFFECTIVE: "15x10",
         _CONFIGURED: "15x10"},
    ),
    Case(
        "VmadStale", "the same age, however far the interval is stretched", True, 7,
        {"vmad_scan_last_success_timestamp_seconds": "0x10", _EFFECTIVE: "1323x10",
         _CONFIGURED: "15x10"},
    ),
    Case(
        "VmadStale", "two longest pauses apart", False, 7,
        {"vmad_scan_last_success_timestamp_seconds": "0x2 150x3 300x10", _EFFECTIVE: "150x10",
         _CONFIGURED: "15x10"},
    ),
    Case("VmadNoScan", "seven minutes after its start", True, 7, {
        "vmad_start_time_seconds": "0x10"}),
    Case(
        "VmadNoScan", "a scan is there", False, 7,
        {"vmad_start_time_seconds": "0x10", "vmad_scan_last_success_timestamp_seconds": "60x10"},
    ),
    Case(
        "VmadBlind", "half of the processes", True, 16,
        {'vmad_processes_unreadable{reason="permission"}': "50x20",
         'vmad_processes_unreadable{reason="gone"}': "0x20", "vmad_host_processes": "100x20"},
    ),
    Case(
        "VmadBlind", "short-lived ones are gone", False, 16,
        {'vmad_processes_unreadable{reason="permission"}': "0x20",
         'vmad_processes_unreadable{reason="gone"}': "50x20", "vmad_host_processes": "100x20"},
    ),
    Case("VmadEvidenceLost", "was there, is not", True, 12, {
        'vmad_source_up{source="kernel"}': "1x5 0x10"}, _KERNEL),
    Case("VmadEvidenceLost", "never was there", False, 12, {
        'vmad_source_up{source="kernel"}': "0x15"}),
    Case(
        "VmadOverBudget", "3 % of a core", True, 65,
        {"vmad_cpu_seconds_total": "0+1.8x70", "vmad_web_cpu_seconds_total": "0x70",
         "vmad_cpu_budget_ratio": "0.01x70"},
    ),
    Case(
        "VmadOverBudget", "most of it for clients", False, 65,
        {"vmad_cpu_seconds_total": "0+1.8x70", "vmad_web_cpu_seconds_total": "0+1.2x70",
         "vmad_cpu_budget_ratio": "0.01x70"},
    ),
    Case(
        "VmadOverBudget", "0.9 % of a core", False, 65,
        {"vmad_cpu_seconds_total": "0+0.54x70", "vmad_web_cpu_seconds_total": "0x70",
         "vmad_cpu_budget_ratio": "0.01x70"},
    ),
    Case(
        "VmadRefusesClients", "wrong passwords, one a second", True, 35,
        {'vmad_web_requests_refused_total{reason="login"}': "0+60x40"},
    ),
    Case(
        "VmadRefusesClients", "one now and then", False, 35,
        {'vmad_web_requests_refused_total{reason="login"}': "0+1x40"},
    ),
    Case("VmadSlowedDown", "five times", True, 62, {_EFFECTIVE: "75x70", _CONFIGURED: "15x70"}),
    Case("VmadSlowedDown", "as configured", False, 62, {_EFFECTIVE: "15x70", _CONFIGURED: "15x70"}),
    Case(
        "VmadLosingEvents", "twice a minute", True, 50,
        {"vmad_event_overruns_total": "0+2x60", "vmad_event_source_up": "1x60"},
    ),
    Case(
        "VmadLosingEvents", "a few at a start", False, 50,
        {"vmad_event_overruns_total": "0+2x5 10x60", "vmad_event_source_up": "1x60"},
    ),
    Case("VmadConfigRefused", "refused", True, 3, {
        "vmad_config_last_reload_successful": "0x5"}),
    Case("VmadConfigRefused", "accepted again", False, 8, {
        "vmad_config_last_reload_successful": "0x5 1x5"}),
    Case("VmadRestarting", "three times", True, 12, {
        "vmad_start_time_seconds": "0x3 180x3 360x3 540x5"}),
    Case("VmadRestarting", "an upgrade", False, 12, {"vmad_start_time_seconds": "0x3 180x12"}),
)  # fmt: skip
