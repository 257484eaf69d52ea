# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the page of a process says, and what it keeps to itself."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.explain.tables import DIFFERENT, LATENT, Area, alternating, table_of
from tests.unit.picture.test_picture import LIBRARY, MIXED
from tests.unit.sample import HOSTILE, NOW
from tests.unit.web.pages.test_front import Reader
from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId
from vmad.model.table import VmaTable
from vmad.rules.catalogue import reason
from vmad.scan.explain import explain
from vmad.scan.growth import Watched
from vmad.scan.host_limits import HostLimits
from vmad.web.pages.process import render_process
from vmad.web.pages.process_view import ProcessView

KERNEL = KernelInfo("6.12.9", "x86_64", page_shift=12)


def view_of(table: VmaTable, limit: int = 65530, **of_view: object) -> ProcessView:
    explanation = explain(table, KERNEL, limit)
    return replace(ProcessView(explanation, "db7", NOW), **of_view)  # type: ignore[arg-type]


def page_of(table: VmaTable, limit: int = 65530, **of_view: object) -> Reader:
    return Reader(render_process(view_of(table, limit, **of_view)))


def test_page_says_how_near_how_fast_and_what_fails_first() -> None:
    seen = Watched(59_990, 2.0, "redis.service", 499.5)
    reader = page_of(table_of(alternating(59_000)), 60_000, watched=seen)
    said = reader.text.replace("\u202f", " ")

    assert "59,001 of 60,000 VMAs" in said
    assert "98.3 %" in said
    assert "at the limit in 8 min 19 s" in said
    assert "redis.service" in said
    assert reader.row("new threads")[1:] == ["EAGAIN", "59,999", "998"]
    assert reader.row("mmap, brk")[2] == "60,001"


def test_page_says_why_and_what_to_change_with_the_exact_commands() -> None:
    written = [Area("rw-p", 8192, DIFFERENT) for _ in range(2000)]
    reader = page_of(table_of([Area("rw-p"), *written, *[Area("rw-p", 8192, LATENT)] * 50]), 4000)

    assert "pairs kept apart by anon_vma_differs: 2,000 VMAs" in reader.text
    assert reason("anon_vma_differs").sentence in reader.text
    assert "vmad heal 4711 --rebuild" in reader.text
    assert "vmad heal 4711 makes the kernel try" in reader.text
    assert "sysctl -w vm.max_map_count=" in reader.text
    assert reader.row("by a rebuild")[1] == "2,050"


def test_page_has_its_picture_and_all_else_without_scripts() -> None:
    reader = page_of(table_of(MIXED), query="?target=web-1")

    pictures = [one for tag, one in reader.tags if one.get("class") == "picture"]
    assert [one["data-source"] for one in pictures] == ["/api/v1/map/4711?target=web-1"]
    assert "The picture needs JavaScript" in reader.text
    assert {one["href"] for tag, one in reader.tags if tag == "a"} >= {
        "/?target=web-1",
        "/api/v1/explain/4711?target=web-1",
    }


def test_addresses_and_names_are_for_those_who_may_read_its_maps() -> None:
    table = table_of([*MIXED, *[Area("r--p", path=LIBRARY)] * 2])
    anybody = render_process(view_of(table)).decode()
    owner = render_process(view_of(table, names=True, addresses=True)).decode()

    assert "libc.so.6" not in anybody
    assert "0x" not in anybody.partition("<script>")[0]
    assert "pairs=true" not in anybody
    assert "libc.so.6" in owner.replace("<wbr>", "")
    assert "/api/v1/explain/4711?pairs=true" in owner


def test_far_from_the_limit_it_says_so_and_folds_the_rest() -> None:
    reader = page_of(table_of(MIXED), limits=HostLimits(None, None, ()))

    assert "It is far from the limit: if its calls fail, it is not this limit" in reader.text
    assert "details" in {tag for tag, _ in reader.tags}


def test_hostile_names_are_text() -> None:
    table = table_of([Area("rw-p"), *[Area("r--p", path=HOSTILE)] * 3], comm=HOSTILE)
    page = render_process(view_of(table, names=True, addresses=True))

    assert page.count(b"<script") == 2
    assert b"\x1b" not in page
    assert '<script>alert("1")</script>' in Reader(page).text


def test_process_without_vmas_and_one_whose_count_is_not_known_have_pages() -> None:
    empty = table_of([])
    assert "It has no VMA" in page_of(empty).text
    unknown = replace(table_of(MIXED), map_count=None, id=ProcessId(7, 7))
    assert "–" in page_of(unknown).text
