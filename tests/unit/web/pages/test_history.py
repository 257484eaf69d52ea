# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page of what was, of a group, a process and the host."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tests.unit.sample import HOSTILE, NOW, crowded_snapshot, sample_snapshot, self_stats
from tests.unit.timeline.made_up import lively
from tests.unit.web.pages.test_front import Reader
from vmad.timeline.selection import Selection
from vmad.timeline.timeline import Remembered, Timeline
from vmad.web.pages.front import render_page
from vmad.web.pages.history import history_link, render_history

HOST = crowded_snapshot(40)
TIMELINE = lively(HOST, NOW)


def page_of(wanted: Selection, timeline: Timeline = TIMELINE, query: str = "") -> Reader:
    return Reader(render_history(timeline, wanted, HOST, NOW, query))


def links(reader: Reader) -> set[str]:
    return {one["href"] or "" for tag, one in reader.tags if tag == "a"}


def test_a_group_with_what_happened_and_its_processes() -> None:
    reader = page_of(Selection(group="system.slice/worker@039.service"))

    assert "failed at the limit, 1," in reader.text
    assert "vmad was not running, for" in reader.text
    assert reader.row("worker-39")[0] == "worker-39 1039"
    assert "/explain/1039" in links(reader)
    assert "system.slice/worker@038" not in reader.text


def test_the_host_with_all_that_is_remembered() -> None:
    reader = page_of(Selection())

    assert len([row for row in reader.rows if row and row[0].startswith("system.slice")]) == 40
    assert "/history?group=system.slice%2Fworker%40005.service" in links(reader)
    assert "of memory" in reader.text


def test_a_process_that_has_ended_is_remembered_and_leads_nowhere() -> None:
    timeline = Timeline()
    gone = Remembered(77, 5, "job", "comm/job")
    timeline.put_processes(NOW - 60, (gone,), np.array([40_000], np.int32))

    whole = page_of(Selection(), timeline)
    assert whole.row("job")[:2] == ["job 77, ended", "40,000"]
    assert "/explain/77" not in links(whole)
    assert "job 77" in page_of(Selection(pid=77), timeline).text


@pytest.mark.parametrize(
    "wanted", [Selection(group="nobody"), Selection(pid=9), Selection(group="a", span=1)]
)
def test_of_what_is_not_remembered_it_says_so(wanted: Selection) -> None:
    assert "Nothing is remembered of this time." in page_of(wanted).text


def test_names_full_of_markup_are_text_and_lead_where_they_should() -> None:
    timeline = Timeline()
    timeline.put_groups(NOW, (HOSTILE,), np.array([9_000], np.int32))
    timeline.put_processes(NOW, (Remembered(7, 1, HOSTILE, HOSTILE),), np.array([9], np.int32))
    timeline.put_host(NOW, count=9_000)

    page = render_history(timeline, Selection(), HOST, NOW).decode()
    reader = Reader(page.encode())

    assert "<img" not in page
    assert len(reader.scripts) == 1
    assert not [c for c in page if ord(c) < 32 and c != "\n"]
    (link,) = [one for one in links(reader) if "group=" in one]
    assert parse_qs(urlsplit(unescape(link)).query)["group"] == [
        HOSTILE.encode("utf-8", "replace").decode()
    ]


def test_links_keep_the_machine_and_the_span() -> None:
    reader = page_of(Selection(86_400, group="a b"), query="?target=web-1")

    assert "/?target=web-1" in links(reader)
    assert "/history?target=web-1&group=a%20b" in links(reader)
    assert "/api/v1/history?target=web-1&group=a%20b&span=86400" in links(reader)
    assert history_link("", pid=7) == "/history?pid=7"
    assert history_link("") == "/history"


def test_the_page_of_all_has_the_last_hours_of_host_groups_and_processes() -> None:
    reader = Reader(render_page(HOST, self_stats(), NOW, timeline=TIMELINE))

    drawn = [one for tag, one in reader.tags if one.get("class") == "sparkline"]
    assert len(drawn) == 40 + 10
    assert all(one["aria-label"] for one in drawn)
    assert "Last 2 hours" in reader.text
    assert "/history?group=system.slice%2Fworker%40039.service" in links(reader)
    assert {"data-live": "5"} in [one for tag, one in reader.tags if tag == "main"]


def test_without_history_the_page_has_no_chart() -> None:
    assert "More of it" not in Reader(render_page(HOST, self_stats(), NOW)).text


def test_500_groups_are_one_page() -> None:
    groups = tuple(replace(HOST.groups[0], name=f"group-{n}") for n in range(500))
    host = replace(sample_snapshot(), groups=groups)
    page = render_page(host, self_stats(), NOW, timeline=lively(host, NOW))

    assert len(page) < 2 << 20
