# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Metrics of the few processes that are nearest to the limit, by pid."""

from __future__ import annotations

from vmad.export.metrics.metric import Metric, Section, by_label
from vmad.scan.snapshot import JudgedProcess

_TOP = ("pid", "comm", "group")

TOP: Section[JudgedProcess] = Section(
    "Top processes",
    "The few processes that are nearest to the limit, by pid. Their number is bounded, but pids "
    "come and go: leave these out of long-term storage.",
    _TOP,
    (
        Metric("vmad_top_process_memory_map_areas", "gauge", _TOP, "VMAs",
               lambda process: process.map_count,
               "VMA count of one of the processes nearest to the limit.",
               "Names the pid for `vmad explain PID`."),
        Metric("vmad_top_process_memory_map_areas_highwater", "gauge", _TOP, "VMAs",
               lambda process: process.high_water,
               "Highest VMA count that the process had since vmad watches it.",
               "A value far above the count: it works in bursts."),
        Metric("vmad_top_process_memory_map_areas_growth_per_second", "gauge", _TOP,
               "VMAs per second",
               lambda process: process.rate,
               "Growth of the process's VMA count over the last minutes.",
               "Tells the process of a group that grows from those that do not."),
        Metric("vmad_top_process_seconds_to_limit", "gauge", _TOP, "seconds",
               lambda process: process.seconds_to_limit,
               "Seconds until the process reaches the limit at its present rate, 0 at the limit; "
               "absent while it does not grow, has just started or is far away.",
               "How long there is to restart it or to raise the limit."),
        Metric("vmad_top_process_recoverable_areas", "gauge", (*_TOP, "rules"), "VMAs",
               lambda process: by_label(process.recoverable),
               "VMAs of the process that would vanish if every mergeable pair merged.",
               "A large value with rules=\"relaxed\": the patched kernel heals this process; with "
               "rules=\"rebuild\": `vmad heal PID --rebuild` does."),
    ),
)  # fmt: skip
