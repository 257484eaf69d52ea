# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The pages in a browser: sorted, filtered, on a phone, without scripts, by a screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.pages import KERNEL, PageContent, small_table
from tests.browser.picture import Picture
from tests.unit.sample import HOSTILE, hostile_snapshot
from vmad.export.picture.document import map_document
from vmad.export.picture.picture import picture_of
from vmad.scan.explain import explain

GROUP = "/history?group=system.slice%2Fworker%40039.service"
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 3, "has_touch": True}


def groups(page: Page) -> list[str]:
    heads = page.locator("table.sortable").first.locator("tbody tr:visible th")
    return list(heads.all_inner_texts())


def test_columns_sort_both_ways(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    column = page.locator("table.sortable").first.locator("thead th", has_text="All VMAs")
    cells = "table.sortable >> nth=0 >> tbody tr td:nth-child(7) data"
    column.get_by_role("button").click()
    assert column.get_attribute("aria-sort") == "descending"
    down = [int(one) for one in page.locator(cells).evaluate_all("all => all.map(o => o.value)")]
    column.get_by_role("button").click()
    up = [int(one) for one in page.locator(cells).evaluate_all("all => all.map(o => o.value)")]

    assert column.get_attribute("aria-sort") == "ascending"
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    page.locator("table.sortable").first.get_by_role("button", name="Group").click()
    assert groups(page) == sorted(groups(page), key=str.lower)


def test_filter_shows_what_has_the_name_folded_groups_too(
    address: str, open_page: OpenPage
) -> None:
    page = open_page(address)
    field = page.get_by_role("searchbox")
    everything = page.locator("table.sortable tbody tr:visible").count()
    field.fill("worker@03")

    visible = page.locator("table.sortable tbody tr:visible th").all_inner_texts()
    assert visible
    assert all("worker@03" in one for one in visible)
    assert "rows" in page.locator(".filter").inner_text()
    field.fill("")
    assert page.locator("table.sortable tbody tr:visible").count() == everything


def test_names_lead_to_the_page_of_the_process(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    page.locator(".card a").first.click()

    page.wait_for_url("**/explain/*")
    Picture(page)
    page.locator(".back a").click()
    page.wait_for_url(f"{address}/")


@pytest.mark.parametrize("path", ["/", "/explain/4711", "/history", GROUP])
def test_on_a_phone_nothing_sticks_out(address: str, open_page: OpenPage, path: str) -> None:
    page = open_page(f"{address}{path}", **PHONE)
    page.locator("main").wait_for()
    if path.startswith("/explain"):
        Picture(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    text = page.locator("main").inner_text()
    if "history" not in path:
        for wanted in ("High-water", "Growth"):
            assert wanted in text
    if path == "/":
        for heading in ("High-water", "Growth", "Time to limit"):
            assert page.locator("thead th", has_text=heading).first.is_visible(), heading


def test_on_a_phone_a_tap_chooses_a_vma(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explain/4711", **PHONE)
    picture = Picture(page)
    picture.frame.scroll_into_view_if_needed()
    page.touchscreen.tap(*picture.middle_of(700))

    page.locator(".picture-told strong").wait_for()
    assert abs(picture.chosen - 700) < 20


@pytest.mark.parametrize("path", ["/", "/explain/4711", GROUP])
def test_without_scripts_all_of_the_text_is_there(
    address: str, open_page: OpenPage, path: str
) -> None:
    page = open_page(f"{address}{path}", java_script_enabled=False)
    text = page.locator("main").inner_text()

    assert page.locator("canvas").count() == 0
    if path == "/":
        assert "High-water" in text
        assert page.locator("table a").count() > 5
        assert page.locator("svg.sparkline").first.is_visible()
    elif path == GROUP:
        assert "failed at the limit, 1,404 calls" in text
        assert "vmad was not running, for 15 min" in text
        assert page.locator(".plot .counts").count() >= 2
    else:
        assert "needs JavaScript" in text
        assert "pairs kept apart by anon_vma_differs: 1,500 VMAs" in text
        assert "What would vanish" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/explain/4711", "/history?span=86400", GROUP])
def test_nothing_serious_for_those_who_do_not_see(
    address: str, open_page: OpenPage, path: str, scheme: str
) -> None:
    page = open_page(f"{address}{path}", color_scheme=scheme, bypass_csp=True)
    if path.startswith("/explain"):
        picture = Picture(page)
        picture.ask("view.choose(700)")
        page.locator(".picture-legend button").first.click()

    assert serious(page) == []


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with where it is."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html']}"
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_file_is_whole_by_itself(open_page: OpenPage, tmp_path: Path) -> None:
    explanation = explain(small_table(), KERNEL, 65530)
    path = tmp_path / "map.html"
    path.write_text(map_document(picture_of(explanation), "redis-server", ["in words"]))
    page = open_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    picture = Picture(page)

    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert picture.ask("view.map.count") == len(small_table().rows)
    page.get_by_text("In words", exact=True).click()
    assert page.locator("pre").inner_text() == "in words"


def test_hostile_names_stay_text(content: PageContent, address: str, open_page: OpenPage) -> None:
    content.table = small_table(HOSTILE)
    content.snapshot = hostile_snapshot()
    for path in ("/", "/explain/4711"):
        page = open_page(f"{address}{path}")
        assert "<script>alert" in page.locator("body").inner_text()
    Picture(page)
