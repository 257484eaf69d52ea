# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The alerts on processes: before the limit, at it, and what is worth doing about it."""

from __future__ import annotations

from vmad.operations.rules import GROUP, HOST, Alert, Condition, RuleGroup

_RATIO = "vmad_group_limit_ratio"
_LIMIT = "vmad_memory_map_areas_limit"
_TO_LIMIT = f"> on ({HOST}) group_left ()"
_WORTH = Condition(_RATIO, ">", "0.5")

_FAILURES = "vmad_limit_failures_total"
_AREAS = "vmad_group_memory_map_areas"
_SIZE = "vmad_group_address_space_bytes"
_STOCK = 'vmad_group_recoverable_areas{rules="stock"}'
_REBUILD = 'vmad_group_recoverable_areas{rules="rebuild"}'
_RELAXED = 'vmad_group_recoverable_areas{rules="relaxed"}'

LIMIT = RuleGroup(
    "vmad-limit",
    "Processes on their way to vm.max_map_count. Each is about one group on one host.",
    (
        Alert(
            "VmadNearLimit",
            "warning",
            (Condition(_RATIO, ">", "0.8"),),
            "5m",
            "{{ $labels.group }} on {{ $labels.instance }} is at "
            "{{ $value | humanizePercentage }} of its VMAs",
            "A process of this group has used {{ $value | humanizePercentage }} of "
            "vm.max_map_count for 5 minutes. At the limit mmap, munmap and mprotect fail with "
            "ENOMEM and new threads with EAGAIN while memory is free.",
        ),
        Alert(
            "VmadAtLimit",
            "critical",
            # the ratio shows every burst for two minutes: at the limit a second is enough to fail
            (Condition(f"max_over_time({_RATIO}[5m])", ">", "0.95"),),
            "0s",
            "{{ $labels.group }} on {{ $labels.instance }} is out of VMAs, or about to be "
            "({{ $value | humanizePercentage }})",
            "Within the last five minutes a process of this group has used "
            "{{ $value | humanizePercentage }} of vm.max_map_count. Its next thread may fail with "
            "EAGAIN, its next allocation with ENOMEM; it may have failed and ended already.",
        ),
        Alert(
            "VmadLimitFailures",
            "critical",
            (
                Condition(f"sum by ({GROUP}) (increase({_FAILURES}[10m]))", ">", "0"),
                # a series begins with its first failure, which increase() does not see
                Condition(
                    f"sum by ({GROUP}) ({_FAILURES} unless {_FAILURES} offset 10m)",
                    ">",
                    "0",
                    joined="or",
                ),
            ),
            "0s",
            "{{ $labels.group }} on {{ $labels.instance }} has failed at vm.max_map_count",
            "System calls of its processes were refused because of vm.max_map_count in the last 10 "
            "minutes, some {{ $value | humanize }} of them, while memory was free. `vmad scan` "
            "there names the last ones.",
        ),
        Alert(
            "VmadLimitWithinAnHour",
            "critical",
            (
                Condition("vmad_group_seconds_to_limit", "<", "3600"),
                # the rate of the last minute alone would take every start-up for a march
                Condition(f"predict_linear({_AREAS}_max[10m], 3600)", _TO_LIMIT, _LIMIT),
                _WORTH,
            ),
            "2m",
            "{{ $labels.group }} on {{ $labels.instance }} reaches vm.max_map_count in "
            "{{ $value | humanizeDuration }}",
            "A process of this group is beyond half of the limit, and at its present growth it "
            "has used up the rest in {{ $value | humanizeDuration }}.",
        ),
        Alert(
            "VmadLimitWithinADay",
            "warning",
            (
                Condition(f"predict_linear({_AREAS}_max[6h], 86400)", _TO_LIMIT, _LIMIT),
                Condition(f"deriv({_AREAS}_max[1h])", ">", "0"),
                Condition(_RATIO, ">", "0.3"),
            ),
            "30m",
            "{{ $labels.group }} on {{ $labels.instance }} reaches vm.max_map_count within a day",
            "The growth of the last 6 hours takes a process of this group to "
            "{{ $value | humanize }} VMAs within 24 hours, which is beyond vm.max_map_count.",
        ),
        Alert(
            "VmadBurst",
            "warning",
            (
                Condition(f"{_AREAS}_highwater / on ({HOST}) group_left () {_LIMIT}", ">", "0.9"),
                # a mark stands for as long as its process runs: tell of it for a day
                Condition(f"time() - {_AREAS}_highwater_timestamp_seconds", "<", "86400"),
                # while it is up there VmadNearLimit tells; a group that is gone has no count
                Condition(
                    f"{_AREAS}_max / on ({HOST}) group_left () {_LIMIT}",
                    ">=",
                    "0.8",
                    joined=f"unless on ({GROUP})",
                ),
            ),
            "0s",
            "{{ $labels.group }} on {{ $labels.instance }} came to "
            "{{ $value | humanizePercentage }} of its VMAs in a burst",
            "A process of this group has been at {{ $value | humanizePercentage }} of "
            "vm.max_map_count within the last day, and none is above 80 % now: it has ended, or "
            "given its VMAs back. A graph of its count may not show it: it was sampled every "
            "second, not at scrapes.",
        ),
        Alert(
            "VmadFragmenting",
            "warning",
            (
                Condition(f"{_AREAS} / ({_AREAS} offset 1h)", ">", "1.25"),
                Condition(f"{_SIZE} / ({_SIZE} offset 1h)", "<", "1.05"),
                Condition(_RATIO, ">", "0.2"),
            ),
            "15m",
            "The memory of {{ $labels.group }} on {{ $labels.instance }} is being cut into pieces",
            "Within an hour its VMAs have become {{ $value | humanize }} times as many, while its "
            "address space has grown by less than 5 %: what was one VMA is now several.",
        ),
        Alert(
            "VmadLimitLowered",
            "warning",
            (Condition(f"max_over_time({_LIMIT}[1h])", f"> on ({HOST})", _LIMIT),),
            "1m",
            "vm.max_map_count was lowered on {{ $labels.instance }}",
            "It was {{ $value }} within the last hour and is less now. Processes keep the VMAs "
            "that they have, and fail at the next one when they are above.",
        ),
        Alert(
            "VmadHealWorthwhile",
            "info",
            (Condition(f"{_STOCK} / ignoring (rules) {_AREAS}", ">", "0.2"), _WORTH),
            "30m",
            "{{ $value | humanizePercentage }} of the VMAs of {{ $labels.group }} on "
            "{{ $labels.instance }} need not be",
            "They are latent: this kernel merges them at the next call that touches them. "
            "`vmad heal` makes those calls, without a restart. A process of the group is beyond "
            "half of its limit.",
        ),
        Alert(
            "VmadPatchedKernelWouldHelp",
            "info",
            (
                Condition(
                    f"({_RELAXED} - ignoring (rules) {_STOCK}) / ignoring (rules) {_AREAS}",
                    ">",
                    "0.2",
                ),
                _WORTH,
            ),
            "6h",
            "The patched kernel would save {{ $labels.group }} on {{ $labels.instance }} "
            "{{ $value | humanizePercentage }} of its VMAs",
            "They are kept apart by page offsets or anon_vmas alone, and a process of the group "
            "has been beyond half of its limit for 6 hours.",
        ),
        Alert(
            "VmadRebuildWorthwhile",
            "warning",
            (
                Condition(f"{_REBUILD} / ignoring (rules) {_AREAS}", ">", "0.5"),
                Condition(_RATIO, ">", "0.8"),
            ),
            "5m",
            "A rebuild would save {{ $labels.group }} on {{ $labels.instance }} "
            "{{ $value | humanizePercentage }} of its VMAs",
            "A process of the group is beyond 80 % of its limit, and most of its VMAs are kept "
            "apart by page offsets or anon_vmas alone. `vmad heal PID --rebuild` joins them on "
            "this kernel, without a restart.",
        ),
    ),
)
