# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The flame graph of a recording in a browser: boxes, colours, search, zoom, on wide and narrow."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.unit.blame.samples import WITH_CHILDREN
from vmad.export.blame_flame import flame_html

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def flame(tmp_path: Path, open_page: OpenPage) -> Page:
    """The page, as a file, on a screen as wide as a desk's."""
    place = tmp_path / "flame.html"
    place.write_text("".join(flame_html(WITH_CHILDREN)), "utf-8")
    page: Page = open_page(f"file://{place}")
    return page


def boxes(page: Page, name: str) -> list[float]:
    """The widths of those of this name, in pixels."""
    widths: list[float] = page.locator("#graph .box").evaluate_all(
        "(all, name) => all.filter((one) => one.node[0] === name)"
        ".map((one) => one.getBoundingClientRect().width)",
        name,
    )
    return widths


def test_a_box_is_as_wide_as_the_vmas_that_it_made(flame: Page) -> None:
    whole = flame.locator("#graph").bounding_box()
    assert whole is not None

    (app,) = boxes(flame, "gc</script>app (4242)")
    (worker,) = boxes(flame, "worker (4300)")

    assert app / whole["width"] == pytest.approx(12_000 / 13_040, abs=0.01)
    assert worker / whole["width"] == pytest.approx(1_010 / 13_040, abs=0.01)
    assert len(boxes(flame, "commit_region")) == 2


def test_one_cause_has_one_colour_in_every_process_which_the_legend_tells(flame: Page) -> None:
    legend = flame.locator("#legend span").all_inner_texts()
    colours = flame.locator("#graph .box").evaluate_all(
        "(all) => all.filter((one) => one.node[0] === 'anon_vma_differs')"
        ".map((one) => one.style.background)"
    )

    assert legend[0] == "anon_vma_differs 12,000"
    assert len(legend) == 4
    assert len(colours) == 2
    assert len(set(colours)) == 1


def test_a_search_finds_functions_and_files(flame: Page) -> None:
    flame.fill("#search", "libcollector")
    assert flame.inner_text("#status") == "12,000 VMAs (92.0 %) made through “libcollector”"

    flame.fill("#search", "pthread_create")
    assert flame.inner_text("#status").startswith("800 VMAs")
    assert flame.locator("#graph .found").count() == 1


def test_a_click_zooms_in_and_escape_out(flame: Page) -> None:
    (before,) = boxes(flame, "worker (4300)")
    flame.locator("#graph .box", has_text="worker (4300)").click()
    (after,) = boxes(flame, "worker (4300)")
    assert after > 5 * before

    flame.keyboard.press("Escape")
    assert boxes(flame, "worker (4300)") == [before]


def test_nothing_is_wider_than_a_phone(flame: Page) -> None:
    flame.set_viewport_size(PHONE)

    assert flame.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
