# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page tells of bursts that are over, and only of those."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.sample import LIMIT, NOW, process, self_stats, snapshot_of
from vmad.scan.snapshot import HostSnapshot
from vmad.web.pages.front import render_page
from vmad.web.pages.markup import name, number


def _page(high_water: int, count: int | None, at: float | None = NOW - 3600) -> str:
    """A host with one group, whose processes are gone where ``count`` is None."""
    snapshot: HostSnapshot = snapshot_of([process(7, "job", "comm/job", count or 100)])
    (group,) = snapshot.groups
    group = replace(group, high_water=high_water, high_water_at=at)
    if count is None:
        group = replace(group, processes=0, map_count_sum=None, map_count_max=None, ratio=None)
    return render_page(replace(snapshot, groups=(group,)), self_stats(), NOW).decode()


def _bursts(page: str) -> str | None:
    start = page.find('<h2 id="bursts">')
    return None if start < 0 else page[start : page.index("</section>", start)]


def test_a_burst_of_a_group_that_runs_on() -> None:
    bursts = _bursts(_page(65_531, 130))

    assert bursts is not None
    assert name("comm/job") in bursts
    assert number(65_531) in bursts
    assert number(130) in bursts


def test_a_group_that_is_gone_is_not_said_to_be_unreadable() -> None:
    page = _page(65_531, None)

    assert _bursts(page) is not None
    assert "none of it runs now" in page
    assert "could not be read" not in page


def test_what_is_still_up_there_is_no_burst() -> None:
    assert _bursts(_page(65_000, round(0.85 * LIMIT))) is None


def test_a_mark_far_from_the_limit_is_no_burst() -> None:
    assert _bursts(_page(30_000, 130)) is None


def test_a_mark_longer_ago_than_marks_are_kept_is_no_burst() -> None:
    assert _bursts(_page(65_531, 130, None)) is None
