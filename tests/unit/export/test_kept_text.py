# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is kept of one exposition for the next is never old."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.registry import Collector

from tests.unit.sample import crowded_snapshot, sample_snapshot, self_stats
from vmad.export import kept_text
from vmad.export.metrics.exposition import Exposition
from vmad.scan.snapshot import HostSnapshot


def after(
    before: HostSnapshot, now: HostSnapshot, openmetrics: bool, target: str | None = None
) -> bytes:
    """The second exposition, made of the first."""
    first = Exposition(STATS, before, target)
    first.render(openmetrics)
    second = Exposition(LATER, now, target)
    second.prepare(first)
    return second.render(openmetrics)


def plain(text: bytes) -> list[bytes]:
    """Without what the process says of itself, which moves meanwhile."""
    return [line for line in text.splitlines() if b"process_" not in line[:20]]


BEFORE = sample_snapshot()
STATS, LATER = self_stats(), self_stats(samples=1_000_000)
ANOTHER = {
    "nothing": BEFORE,
    "everything": crowded_snapshot(),
    "the scan": replace(BEFORE, taken_at=BEFORE.taken_at + 15, took_seconds=0.5),
    "the limit": replace(BEFORE, max_map_count=262_144),
    "groups": replace(BEFORE, groups=(replace(BEFORE.groups[0], high_water=1), *BEFORE.groups[1:])),
    "no groups": replace(BEFORE, groups=()),
    "processes": replace(BEFORE, processes=BEFORE.processes[1:]),
    "the worst": replace(BEFORE, top=BEFORE.top[:1]),
    "unreadable ones": replace(BEFORE, unreadable=()),
    "merge attempts": replace(BEFORE, merge_attempts={("merged", "both"): 7}),
}


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("target", [None, "guest"])
@pytest.mark.parametrize("what", ANOTHER)
def test_whatever_changed_the_text_is_that_of_now(
    what: str, target: str | None, openmetrics: bool
) -> None:
    now = ANOTHER[what]
    anew = Exposition(LATER, now, target).render(openmetrics)

    assert plain(after(BEFORE, now, openmetrics, target)) == plain(anew)


def test_only_families_that_moved_are_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Exposition(STATS, BEFORE)
    first.render()
    rendered: list[str] = []
    text_of = kept_text.text_of

    def watched(collector: Collector, openmetrics: bool) -> bytes:
        rendered.extend(family.name for family in collector.collect())
        return text_of(collector, openmetrics)

    monkeypatch.setattr(kept_text, "text_of", watched)
    now = ANOTHER["the scan"]
    second = Exposition(STATS, now)
    second.prepare(first)
    second.render()

    assert rendered == ["vmad_scan_duration_seconds", "vmad_scan_last_success_timestamp_seconds"]
