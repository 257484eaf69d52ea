# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Metrics of the last scan: what it saw, and how."""

from __future__ import annotations

from vmad.export.metrics.metric import Labelled, Metric, Section
from vmad.model.process import Unread
from vmad.scan.snapshot import HostSnapshot


def _unreadable(host: HostSnapshot) -> Labelled:
    for reason in Unread:
        yield (reason.value,), sum(process.why is reason for process in host.unreadable)


SCAN: Section[HostSnapshot] = Section(
    "This scan",
    "What the last complete scan saw, and how.",
    (),
    (
        Metric("vmad_scan_duration_seconds", "gauge", (), "seconds",
               lambda host: host.took_seconds,
               "Wall time that reading and judging took in the last scan.",
               "Grows with the VMAs that changed; compare with vmad_scan_interval_seconds."),
        Metric("vmad_groups_folded", "gauge", (), "groups",
               lambda host: host.groups_folded,
               "Groups beyond the cap, counted under other.",
               "Above 0: raise the cap or match groups more coarsely in the configuration."),
        Metric("vmad_scan_last_success_timestamp_seconds", "gauge", (), "Unix seconds",
               lambda host: host.taken_at,
               "When the last complete scan ended.",
               "`time() - x` is the age of everything above but counts and growth; alert when it "
               "is beyond a few intervals."),
        Metric("vmad_counts_last_success_timestamp_seconds", "gauge", (), "Unix seconds",
               lambda host: host.counted_at,
               "When the VMAs of all processes were counted last; counts, high-water marks, growth "
               "and times to the limit are of then.",
               "`time() - x` is about scan.sample_interval (1s) where the kernel counts for vmad, "
               "else the age of the last scan."),
        Metric("vmad_processes_read", "gauge", (), "processes",
               lambda host: sum(process.walked_at is not None for process in host.processes),
               "Processes whose VMAs the last scan knows.",
               "The coverage, together with vmad_processes_unreadable."),
        Metric("vmad_processes_unreadable", "gauge", ("reason",), "processes",
               _unreadable,
               "Processes that could not be read in the last scan, by why; every reason always "
               "has a sample.",
               "permission: see `vmad doctor`; stuck or busy: the target holds its mmap_lock; "
               "changing: it maps and unmaps all the time, and its last exact reading stands."),
        Metric("vmad_evidence_info", "info", ("evidence", "walk"), "",
               lambda host: [((host.evidence.value, host.walk), 1)],
               "How the facts were got: kernel (BPF) or procfs, and the way of walking.",
               "procfs leaves pairs unknown; `vmad doctor` says what is missing for kernel."),
        Metric("vmad_kernel_info", "info", ("release", "patched"), "",
               lambda host: [((host.kernel.release, str(host.kernel.patched).lower()), 1)],
               "The kernel that was judged, and whether it carries the anon_vma series.",
               "Join with pairs and recoverable VMAs to compare releases."),
    ),
)  # fmt: skip
