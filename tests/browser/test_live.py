# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A page that renews itself: what a reader has sorted, filtered, unfolded and chosen stays."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.pages import PageContent

ALL = "table.sortable >> nth=0 >> tbody tr:visible td:nth-child(7) data"


def values(page: Page) -> list[int]:
    return [int(one) for one in page.locator(ALL).evaluate_all("all => all.map(o => o.value)")]


def renewed(page: Page, content: PageContent, by: int) -> None:
    """Wait until counts that grew are there."""
    before = max(values(page))
    content.grown += by
    page.wait_for_function(
        """more => Math.max(...[...document.querySelector("table.sortable tbody")
            .querySelectorAll("tr:not([hidden]) td:nth-child(7) data")]
            .map(one => Number(one.value))) >= more""",
        arg=before + by,
    )


@pytest.fixture
def content() -> PageContent:
    """Pages that are renewed every half second."""
    made = PageContent()
    made.every = 0.5
    return made


def test_numbers_are_renewed_and_the_order_stays(
    address: str, content: PageContent, open_page: OpenPage
) -> None:
    page = open_page(address)
    head = page.locator("table.sortable >> nth=0 >> thead th", has_text="All VMAs")
    head.get_by_role("button").click()
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"

    renewed(page, content, 1000)

    assert head.get_attribute("aria-sort") == "ascending"
    assert values(page) == sorted(values(page))
    # the headings are the same ones: they still sort
    head.get_by_role("button").click()
    assert values(page) == sorted(values(page), reverse=True)


def test_filter_fold_and_focus_stay(
    address: str, content: PageContent, open_page: OpenPage
) -> None:
    page = open_page(address)
    page.get_by_role("searchbox").fill("worker@03")
    page.locator("table.sortable >> nth=0 >> thead th", has_text="Growth").get_by_role(
        "button"
    ).focus()
    renewed(page, content, 10)
    names = page.locator("table.sortable >> nth=0 >> tbody tr:visible th").all_inner_texts()
    assert names
    assert all("worker@03" in one for one in names)
    assert page.evaluate("document.activeElement.textContent") == "Growth"

    page.get_by_role("searchbox").fill("")
    page.locator("main details summary").first.click()
    renewed(page, content, 10)
    assert page.locator("main details").first.get_attribute("open") is not None
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"

    link = page.locator("table.sortable >> nth=0 >> tbody a >> nth=2")
    link.focus()
    href = link.get_attribute("href")
    renewed(page, content, 10)
    assert page.evaluate("document.activeElement.getAttribute('href')") == href


def test_whoever_reads_can_stop_it(address: str, content: PageContent, open_page: OpenPage) -> None:
    page = open_page(address)
    renewed(page, content, 10)
    page.get_by_role("button", name="stop renewing this page").click()
    assert "as of" in page.locator(".renewed").inner_text()
    asked = content.asked
    page.wait_for_timeout(1500)
    assert content.asked <= asked + 1  # one may have been on its way
    page.get_by_role("button", name="renew this page again").click()
    renewed(page, content, 10)


def test_a_daemon_that_is_gone_is_said_so_and_the_numbers_stay(
    address: str, content: PageContent, open_page: OpenPage
) -> None:
    page = open_page(address, complains=True)
    renewed(page, content, 10)
    shown = values(page)
    page.route("**/*", lambda route: route.abort())

    page.locator(".renewed", has_text="vmad does not answer").wait_for()

    assert values(page) == shown


def test_too_many_viewers_are_said_so_and_asked_of_less_often(
    address: str, content: PageContent, open_page: OpenPage
) -> None:
    page = open_page(address, complains=True)
    renewed(page, content, 10)
    page.route("**/*", lambda route: route.fulfill(status=503, body="later"))

    page.locator(".renewed", has_text="too many look").wait_for()


def test_a_group_leads_to_its_history_and_its_spans(address: str, open_page: OpenPage) -> None:
    page = open_page(address)
    page.locator("table.sortable >> nth=0 >> tbody th a >> nth=0").click()
    page.wait_for_url("**/history?group=**")

    assert (
        page.locator("h1").inner_text().replace("\u200b", "") == "system.slice/worker@039.service"
    )
    assert "failed at the limit" in page.locator(".happened").inner_text()
    assert page.locator(".plot .failed").count() == 1
    box = page.locator(".plot").bounding_box()
    mark = page.locator(".plot .failed").bounding_box()
    assert box is not None
    assert mark is not None
    # twenty to twenty-eight minutes of two hours ago
    assert 0.7 < (mark["x"] - box["x"]) / box["width"] < 0.85
    page.get_by_role("link", name="24 h").click()
    page.wait_for_url("**span=86400")
    assert page.locator(".spans a[aria-current]").inner_text() == "24 h"
