# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is shown is of this second, and made once for all who look."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest

from tests.unit.sample import NOW, process, sample_snapshot, self_stats, snapshot_of
from tests.unit.scan.hosts import Imagined, ImaginedHost
from tests.unit.timeline.made_up import lively
from vmad.daemon import documents
from vmad.daemon.content import DaemonContent
from vmad.errors import TargetUnavailable
from vmad.scan.snapshot import HostSnapshot
from vmad.sources.source import Source
from vmad.timeline.selection import Selection
from vmad.web.pages.front import render_page


def no_source() -> Source:
    raise TargetUnavailable("there is none")


class Recounts:
    """What a scanner would say to those who ask for newer counts."""

    def __init__(self, *snapshots: HostSnapshot) -> None:
        self.left = list(snapshots)

    def __call__(self) -> HostSnapshot | None:
        return self.left.pop(0) if self.left else None


def counting(count: int, at: float = NOW) -> HostSnapshot:
    return replace(snapshot_of([process(7, "db", "db.service", count)]), counted_at=at)


def value(metrics: bytes, name: str) -> float:
    (line,) = [one for one in metrics.decode().splitlines() if one.startswith(f"{name}{{")]
    return float(line.split()[-1])


def test_page_metrics_and_json_show_the_counts_of_this_second() -> None:
    content = DaemonContent(
        self_stats, no_source, recount=Recounts(counting(200, NOW + 1), counting(300, NOW + 2))
    )
    content.show(counting(100))

    found = value(content.metrics(False, False), "vmad_group_memory_map_areas_max")
    assert found == 200
    assert b'<data value="300">' in content.page()
    assert value(content.metrics(False, False), "vmad_group_memory_map_areas_max") == 300


def test_json_says_when_it_was_counted() -> None:
    content = DaemonContent(
        self_stats,
        lambda: ImaginedHost([Imagined(7)]),
        recount=Recounts(counting(200, NOW + 7)),
    )
    content.show(counting(100))
    pieces = content.scan_json()
    assert pieces is not None
    document = json.loads("".join(pieces))

    assert document["processes"][0]["map_count"] == 200
    assert (document["taken_at"], document["counted_at"]) == (NOW, NOW + 7)
    assert document["groups"][0]["worst_pid"] == 7


def test_an_older_scan_is_not_laid_over_a_newer_one() -> None:
    content = DaemonContent(self_stats, no_source, recount=Recounts(counting(100)))
    content.show(replace(counting(900), taken_at=NOW + 30))

    assert value(content.metrics(False, False), "vmad_group_memory_map_areas_max") == 900


def test_nothing_is_recounted_before_the_first_scan_or_after_the_machine_went() -> None:
    content = DaemonContent(self_stats, no_source, recount=Recounts(counting(100), counting(200)))
    assert b"under way" in content.page()

    content.show(counting(100))
    content.forget("it is gone")
    assert b"it is gone" in content.page()
    assert b"vmad_group" not in content.metrics(False, False)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Grows by one with each page that is rendered."""
    made: list[float] = []
    render = render_page

    def counted(*words: object, **more: object) -> bytes:
        made.append(0.0)
        return render(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(documents, "render_page", counted)
    monkeypatch.setattr("vmad.daemon.content.PAGE_SERVES", 3600.0)
    return made


def test_a_hundred_viewers_are_one_page(rendered: list[float]) -> None:
    content = DaemonContent(self_stats, no_source)
    content.show(sample_snapshot())
    pages: list[bytes] = []
    viewers = [threading.Thread(target=lambda: pages.append(content.page())) for _ in range(100)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()

    assert len(rendered) == 1
    assert len(pages) == 100
    assert len(set(pages)) == 1


def test_a_newer_count_is_another_page(rendered: list[float]) -> None:
    content = DaemonContent(self_stats, no_source, recount=Recounts(counting(100)))
    content.show(counting(100))
    content.page()
    content.page()
    content.show(replace(counting(200), taken_at=NOW + 15))

    assert b'<data value="200">' in content.page()
    assert len(rendered) == 2


def test_history_is_told_with_and_without_a_scan() -> None:
    host = sample_snapshot()
    content = DaemonContent(self_stats, no_source, timeline=lambda: lively(host, time.time()))
    assert b"Counts" in content.history_page(Selection(86_400))
    content.show(host)

    assert b"More of it" in content.page()
    document = json.loads("".join(content.history_json(Selection(300))))
    assert document["schema"] == "vmad.history/1"
    nothing = DaemonContent(self_stats, no_source)
    assert json.loads("".join(nothing.history_json(Selection())))["groups"] == []
