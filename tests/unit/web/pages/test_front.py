# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the page at / shows, read back with a parser that knows nothing of how it was made."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.unit.sample import (
    HOSTILE,
    LIMIT,
    NOW,
    crowded_snapshot,
    empty_snapshot,
    failure_tally,
    group_of,
    hostile_snapshot,
    process,
    sample_snapshot,
    self_stats,
    snapshot_of,
)
from vmad.model.process import ProcessId
from vmad.rules.catalogue import reason
from vmad.scan.snapshot import HostSnapshot, JudgedProcess
from vmad.scan.statistics import SelfStats
from vmad.web.pages.document import page_headers
from vmad.web.pages.front import render_page
from vmad.web.pages.markup import growth

VOID = {"meta", "link", "wbr"}


class Reader(HTMLParser):
    """Tags, attributes, visible text and rows of tables; fails on tags that do not match."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts.append(data)
        if {"style", "script"} & set(self._open):
            return
        self.text += data
        if self._open and self.rows and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        """The first row whose first cell begins like this."""
        return next(row for row in self.rows if row[0].startswith(first))


def page_of(snapshot: HostSnapshot | None, stats: SelfStats | None = None) -> Reader:
    return Reader(render_page(snapshot, stats or self_stats(), NOW + 4))


def test_page_names_who_is_near_how_fast_and_until_when() -> None:
    row = page_of(sample_snapshot()).row("opensearch.service")

    shown = [cell.replace("\u202f", " ").strip() for cell in row]
    assert shown == [
        "opensearch.service",
        "61,204 93.4 %java 1712",
        "64,998",
        "+25.2 / min",
        "2 h 51 min",
        "1",
        "61,204",
        "13.5 MiB",
        "0",
        "120",
        "",
    ]


def test_page_shows_stock_and_relaxed_side_by_side_with_the_reasons_sentence() -> None:
    reader = page_of(sample_snapshot())

    row = reader.row("vm_pgoff")
    assert row[1:3] == ["21,624", "0"]
    assert reason("vm_pgoff").sentence in row[0]
    assert reader.row("All pairs")[1:3] == ["75,038", "75,038"]
    assert reader.row("VMAs recoverable")[1:3] == ["217", "33,263"]


def test_page_links_to_metrics_json_and_each_top_process() -> None:
    reader = page_of(sample_snapshot())

    links = {attributes["href"] for tag, attributes in reader.tags if tag == "a"}
    assert {"/metrics", "/api/v1/scan", "/explain/1712"} <= links


@pytest.mark.parametrize(
    "make", [sample_snapshot, empty_snapshot, crowded_snapshot, hostile_snapshot]
)
def test_page_is_well_formed_and_loads_nothing(make: Callable[[], HostSnapshot]) -> None:
    reader = page_of(make())

    policy = page_headers()["Content-Security-Policy"]
    for script in reader.scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for tag, attributes in reader.tags:
        assert "src" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag in ("a", "link"):
            assert (attributes["href"] or "").startswith(("/", "data:,"))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_hostile_names_are_shown_as_text_without_control_characters() -> None:
    page = render_page(hostile_snapshot(), self_stats(), NOW)

    assert HOSTILE.encode("utf-8", "replace") not in page
    assert page.count(b"<script") == 1
    assert b"\x1b" not in page
    assert "\u202e" not in page.decode()
    assert '<script>alert("1")</script>\\x0a\\xff' in Reader(page).text


def test_rows_have_headings_and_tables_have_captions() -> None:
    reader = page_of(sample_snapshot())

    tables = [tag for tag, _ in reader.tags if tag == "table"]
    assert len([tag for tag, _ in reader.tags if tag == "caption"]) == len(tables)
    assert all("scope" in attributes for tag, attributes in reader.tags if tag == "th")


def test_what_is_not_known_is_a_dash_not_zero() -> None:
    unread = process(9, "vault", "vault.service", None, rate=None)
    group = replace(group_of("vault.service", [unread]), kinds=None, pairs=None, recoverable=None)
    snapshot = replace(snapshot_of([unread], limit=None), groups=(group,))

    assert page_of(snapshot).row("vault.service")[1:] == ["–", "–", "–", "–", "1", *["–"] * 4, ""]


def test_undecided_recoverable_is_a_dash() -> None:
    undecided = process(
        9, "a", "a", 9, pair_counts=dict(sample_snapshot().pairs), recoverable={"stock": 4}
    )
    snapshot = replace(
        snapshot_of(
            [replace(undecided, recoverable={"stock": 4, "relaxed": None, "rebuild": None})]
        ),
    )

    assert page_of(snapshot).row("VMAs recoverable")[1:3] == ["4", "–"]


def test_before_the_first_scan_the_page_says_so_and_looks_again() -> None:
    reader = page_of(None, self_stats())

    assert "The first scan is under way" in reader.text
    assert {"http-equiv": "refresh", "content": "2"} in [
        attributes for _, attributes in reader.tags
    ]


def test_page_with_a_scan_does_not_reload_under_the_reader() -> None:
    assert not [one for _, one in page_of(sample_snapshot()).tags if "http-equiv" in one]


def test_groups_beyond_the_first_unfold() -> None:
    reader = page_of(crowded_snapshot(200))

    assert "180 more groups" in reader.text
    assert reader.row("system.slice/worker@000.service")
    assert "details" in {tag for tag, _ in reader.tags}


def test_health_gives_the_reason_why_a_source_does_not_work() -> None:
    stats = self_stats(
        sources={"kernel": "no BTF: /sys/kernel/btf/vmlinux is missing", "procfs": None},
        event_source_up=False,
        effective_interval_seconds=42.0,
        config_reload_success=False,
    )
    shown = page_of(sample_snapshot(), stats).text

    assert "no BTF: /sys/kernel/btf/vmlinux is missing" in shown
    assert "new processes are found by scanning only" in shown
    assert "42 s, stretched from 15 s" in shown
    assert "the last reload was refused" in shown
    assert "9; 1 not read: gone; 1 not read: permission" in shown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0.42, "+25.2 / min"),
        (-1.5, "−1.5 / s"),
        (2000.0, "+2,000 / s"),
        (1 / 3600, "+1 / h"),
        (1 / 86400, "+1 / day"),
        (1e-9, "steady"),
        (0.0, "steady"),
    ],
)
def test_growth_is_given_in_the_unit_that_makes_it_readable(rate: float, shown: str) -> None:
    class Text(HTMLParser):
        data = ""

        def handle_data(self, data: str) -> None:
            self.data += data

    reader = Text()
    reader.feed(growth(rate))
    assert reader.data.replace("\u202f", " ") == shown


def test_reason_leads_to_what_to_change_where_most_pairs_have_it() -> None:
    reader = page_of(sample_snapshot())

    said = reader.row("vm_pgoff")[0]
    assert "what to change in redis-server 2210, which has 21,504 pairs" in said
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert "/explain/2210#what-to-change" in links


def spoken(reader: Reader) -> str:
    return reader.text.replace("\u202f", " ")


def full(pid: int, comm: str = "java") -> JudgedProcess:
    return replace(process(pid, comm, f"{comm}.service", LIMIT + 1, rate=0.0), seconds_to_limit=0.0)


def test_the_limit_that_is_reached_comes_before_any_forecast() -> None:
    climbing = process(8, "redis", "redis.service", 50_000, rate=10.0)
    stats = self_stats(limit_failures=failure_tally())

    at = replace(full(1712), id=ProcessId(1712, 17120))

    reader = page_of(snapshot_of([at, climbing]), stats)

    said = spoken(reader)
    assert "At the limit now: java (1712), failing" in said
    assert said.index("At the limit now") < said.index("Next at the limit")
    assert reader.row("java.service")[4] == "at the limit"
    assert "redis 8" in said[said.index("Next at the limit") :]
    assert ("section", {"class": "now", "role": "alert"}) in reader.tags


def test_many_at_the_limit_are_counted() -> None:
    reader = page_of(snapshot_of([full(pid) for pid in range(1, 6)]), self_stats())

    assert "At the limit now: java (1); java (2); java (3) and 2 more" in spoken(reader)
    assert "None was seen to fail" in reader.text


def test_nobody_at_the_limit_is_no_headline() -> None:
    assert "At the limit now" not in page_of(sample_snapshot()).text


def test_the_age_of_counts_and_walks_is_in_sight_of_the_headline() -> None:
    reader = page_of(sample_snapshot())

    header = reader.text[: reader.text.index("Nearest to the limit")]
    assert "counted 2026-09-21 14:13:21 UTC, 2 s ago" in header
    assert "walked 2026-09-21 14:13:20 UTC, 4 s ago" in header


def test_growth_and_time_of_a_group_are_of_the_same_process() -> None:
    high = process(7, "keeper", "db.service", 60_000, rate=0.0)
    fast = process(8, "worker", "db.service", 50_000, rate=10.0)

    row = [cell.replace("\u202f", " ") for cell in page_of(snapshot_of([high, fast])).row("db")]

    assert row[1] == "60,000 91.6 %keeper 7"
    assert (row[3], row[4]) == ("+10 / sworker 8", "25 min 53 s")
