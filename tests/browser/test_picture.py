# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture in a browser: looked at, pointed at, zoomed, lit up, walked through."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.pages import PageContent, large_table, small_table
from tests.browser.picture import VIEW, Picture, wait_until
from tests.unit.web.serving import serving
from vmad.errors import ProcessGone

#: rows of the small table: of the pieces that were written apart, of the guards
PIECE, GUARD = 700, 2001


def test_every_vma_is_in_the_picture(address: str, open_page: OpenPage) -> None:
    picture = Picture(open_page(f"{address}/explain/4711"))

    assert picture.ask("view.map.count") == len(small_table().rows)
    assert picture.ask("view.map.regions.map(({ label }) => label)") == [
        "program and heap",
        "anonymous memory",
        "stack",
    ]
    # all of it at once: nothing to scroll to
    assert picture.ask("view.frame.scrollHeight <= view.frame.clientHeight + 1")
    rows = small_table().rows
    at = picture.ask(f"[view.map.begin[{PIECE}], view.map.end[{PIECE}]]")
    assert [one * 4096 for one in at] == [int(rows["start"][PIECE]), int(rows["end"][PIECE])]


def test_reasons_have_colours_and_guards_a_texture(address: str, open_page: OpenPage) -> None:
    picture = Picture(open_page(f"{address}/explain/4711"))
    picture.ask("view.zoom(4)")

    piece, guard, between = (picture.colour_of(row) for row in (PIECE, GUARD, GUARD + 1))
    assert len({piece, guard, between}) == 3


def test_pointing_at_a_vma_tells_all_of_it(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explain/4711")
    picture = Picture(page)
    picture.ask("view.zoom(6)")
    picture.ask(f"view.choose({GUARD})")
    page.mouse.move(*picture.middle_of(GUARD))
    tip = page.locator(".picture-tip")
    tip.wait_for()
    said = tip.inner_text()

    row = small_table().rows[GUARD]
    assert f"0x{int(row['start']):x} – 0x{int(row['end']):x}" in said
    assert "8 KiB" in said
    assert "blocked: vm_flags:access" in said
    assert "rd wr" in said or "---p" in said
    assert said.count("8 KiB") == 3  # its own size and its neighbours'
    page.mouse.move(2, 2)
    tip.wait_for(state="hidden")


def test_zoom_by_buttons_wheel_and_double_click_and_back(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explain/4711")
    picture = Picture(page)
    scales = [picture.scale]
    page.get_by_role("button", name="zoom in").click()
    scales.append(picture.scale)
    where = picture.middle_of(PIECE)
    page.mouse.move(*where)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    wait_until(page, f"{VIEW}.layout.scale > {scales[-1] * 1.01}")
    scales.append(picture.scale)
    page.mouse.dblclick(*where)
    scales.append(picture.scale)
    assert scales == sorted(set(scales))
    # what was pointed at is still in sight
    assert picture.ask("view.hovered") == -1 or abs(picture.ask("view.hovered") - PIECE) < 200

    page.get_by_role("button", name="zoom out").click()
    assert picture.scale < scales[-1]
    page.get_by_role("button", name="all of it").click()
    assert picture.scale == scales[0]


def test_zoomed_in_as_far_as_it_goes_single_vmas_have_their_words(
    address: str, open_page: OpenPage
) -> None:
    picture = Picture(open_page(f"{address}/explain/4711"))
    picture.ask("view.zoom(1000)")

    roomy = picture.ask("view.layout.roomy(view.frame.scrollTop, view.frame.clientHeight).length")
    assert 10 < roomy < 400


@pytest.mark.parametrize("vmas", [4_000, 200_000])
def test_scrolled_is_the_same_as_drawn_anew(
    content: PageContent, address: str, open_page: OpenPage, vmas: int
) -> None:
    content.table = large_table(vmas)
    picture = Picture(open_page(f"{address}/explain/4711"))
    picture.ask("view.zoom(3)")
    for place in (311, 340, 290, 2000, 1990.5):
        picture.ask(f"view.frame.scrollTop = {place}")
        picture.ask("view.paint()")
    scrolled = picture.pixels()
    picture.ask("(view.painter.painted = null, view.paint())")

    assert picture.pixels() == scrolled


def test_click_on_a_cause_lights_its_pairs(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explain/4711")
    picture = Picture(page)
    picture.ask("view.zoom(4)")
    before = [picture.colour_of(row) for row in (PIECE, GUARD)]
    cause = page.locator(".picture-legend button", has_text="anon_vma_differs")
    cause.click()

    assert cause.get_attribute("aria-pressed") == "true"
    assert "1,500" in cause.inner_text()
    assert "got an anon_vma of its own" in page.locator(".picture-note").inner_text()
    after = [picture.colour_of(row) for row in (PIECE, GUARD)]
    assert after[0] == before[0]
    assert sum(after[1]) > sum(before[1]) + 60  # it fades into a white ground
    page.get_by_role("button", name="next of these").click()
    first = picture.chosen
    page.get_by_role("button", name="next of these").click()
    assert picture.chosen == first + 1
    cause.click()
    assert [picture.colour_of(row) for row in (PIECE, GUARD)] == before


def test_button_beside_a_cause_in_the_text_lights_it_too(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explain/4711")
    picture = Picture(page)
    page.locator("label", has_text="kind").click()
    assert page.locator(".picture-legend").inner_text().count("anonymous, writable") == 1
    page.locator(".causes li", has_text="vm_flags:access").get_by_role("button").click()

    lit = page.locator(".picture-legend button[aria-pressed='true']")
    assert "vm_flags:access" in lit.inner_text()
    assert picture.ask("document.activeElement === view.frame")


def test_keyboard_alone_is_enough(address: str, open_page: OpenPage) -> None:
    page = open_page(f"{address}/explain/4711")
    picture = Picture(page)
    for _ in range(60):
        page.keyboard.press("Tab")
        if picture.ask("document.activeElement === view.frame"):
            break
    else:
        pytest.fail("Tab does not lead to the picture")
    page.keyboard.press("End")
    assert picture.chosen == len(small_table().rows) - 1
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert picture.chosen == 1
    assert "heap" in page.locator(".picture-told").inner_text()
    page.keyboard.press("ArrowDown")
    below = picture.chosen
    assert below > 1
    page.keyboard.press("ArrowUp")
    assert picture.chosen < below
    page.keyboard.press("n")
    assert picture.ask("view.isLit(view.chosen)")
    before = picture.scale
    page.keyboard.press("+")
    assert picture.scale > before
    # the cause's button is reached by Tab, pressed by Space
    for _ in range(12):
        page.keyboard.press("Tab")
        if picture.ask("document.activeElement.closest('.picture-legend') !== null"):
            break
    page.keyboard.press("Space")
    assert page.locator(".picture-legend button[aria-pressed='true']").count() == 1
    picture.frame.focus()
    page.keyboard.press("Escape")
    assert picture.chosen == -1
    assert page.locator(".picture-legend button[aria-pressed='true']").count() == 0
    page.keyboard.press("0")
    assert picture.scale == pytest.approx(picture.ask("view.fitted"))


def test_dark_where_the_system_is(address: str, open_page: OpenPage) -> None:
    light, dark = (
        Picture(open_page(f"{address}/explain/4711", color_scheme=scheme))
        for scheme in ("light", "dark")
    )
    corner = "[...view.base.getContext('2d').getImageData(900, 30, 1, 1).data].slice(0, 3)"
    assert sum(light.ask(corner)) > 3 * 230
    assert sum(dark.ask(corner)) < 3 * 60
    dark.page.emulate_media(color_scheme="light")
    # drawn anew in a frame of its own, some time after the system has changed
    bright = f"((view) => {corner}.reduce((sum, part) => sum + part, 0))({VIEW}) > 3 * 230"
    wait_until(dark.page, bright)
    assert sum(dark.ask(corner)) > 3 * 230


def test_process_that_ends_meanwhile_leaves_words(
    content: PageContent, address: str, open_page: OpenPage
) -> None:
    content.gone = True
    page = open_page(f"{address}/explain/4711", complains=True)
    status = page.locator(".picture-status")
    wait_until(page, "document.querySelector('.picture-status').textContent.includes('no')")

    assert status.inner_text() == "There is no picture: process 4711 is gone"
    assert "pairs kept apart by" in page.locator("main").inner_text()


def test_process_that_is_gone_has_a_page_that_says_so(
    content: PageContent, address: str, open_page: OpenPage
) -> None:
    def gone(pid: int, viewer: object) -> bytes:
        raise ProcessGone(f"process {pid} is gone")

    content.process_page = gone  # type: ignore[method-assign]
    page = open_page(f"{address}/explain/4711", complains=True)

    assert "process 4711 is gone" in page.locator("main").inner_text()
    page.get_by_role("link", name="All processes", exact=True).click()
    assert "Who" in page.locator("main").inner_text()


def test_without_addresses_the_picture_tells_sizes_and_places_in_regions(
    content: PageContent, open_page: OpenPage
) -> None:
    with serving(content) as where:
        page = open_page(f"http://{where}/explain/4711")
        picture = Picture(page)
        picture.ask(f"view.choose({GUARD})")
        said = page.locator(".picture-told").inner_text()

    assert "0x" not in said
    assert "into its region" in said
    assert "vmad map 4711" in page.locator("main").inner_text()
