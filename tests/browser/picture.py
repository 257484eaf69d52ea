# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a person sees of the picture: asked of the page by what it shows, pixels included."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

VIEW = "document.querySelector('.picture')?.view"


def wait_until(page: Page, expression: str) -> None:
    """Until this is true in the page, looked at once a frame; needs no eval, which pages forbid."""
    page.evaluate(
        "() => new Promise((done) => { const look = () => "
        f"({expression}) ? done() : requestAnimationFrame(look); look(); }})"
    )


class Picture:
    """The picture of a page that is open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        wait_until(page, f"{VIEW}?.painter.painted")
        self.frame = page.locator(".picture-frame")
        self.settle()

    def settle(self) -> None:
        """Until what was asked for is drawn; a page hears of being scrolled a frame later."""
        drawn = f"Math.round({VIEW}.frame.scrollTop * devicePixelRatio)"
        wait_until(self.page, f"!{VIEW}.drawing && {VIEW}.painter.painted.above === {drawn}")

    def ask(self, expression: str) -> Any:
        """Of ``view``."""
        self.settle()
        return self.page.evaluate(f"() => {{ const view = {VIEW}; return {expression}; }}")

    @property
    def scale(self) -> float:
        """Pixels per unit of width."""
        return float(self.ask("view.layout.scale"))

    @property
    def chosen(self) -> int:
        """The VMA that is chosen, -1: none."""
        return int(self.ask("view.chosen"))

    def middle_of(self, vma: int) -> tuple[float, float]:
        """Where in the window a VMA is drawn, once it is brought into sight."""
        self.frame.scroll_into_view_if_needed()
        self.ask(
            f"(([piece]) => {{ const {{ frame }} = view; const above = piece.y - frame.scrollTop; "
            "if (above < 0 || above + 40 > frame.clientHeight) "
            f"frame.scrollTop = piece.y - frame.clientHeight / 2; }})(view.layout.pieces({vma}))"
        )
        self.settle()
        piece = self.ask(
            f"(([piece]) => ({{ x: piece.x + piece.width / 2, "
            f"y: piece.y - view.frame.scrollTop + view.layout.lineHeight / 2 }}))"
            f"(view.layout.pieces({vma}))"
        )
        box = self.frame.bounding_box()
        assert box is not None
        return box["x"] + piece["x"], box["y"] + piece["y"]

    def colour_of(self, vma: int) -> tuple[int, int, int]:
        """Of the pixel in the middle of a VMA (the frame's clip is the canvas)."""
        x, y = self.middle_of(vma)
        box = self.frame.bounding_box()
        assert box is not None
        x, y = x - box["x"], y - box["y"]
        red, green, blue, _ = self.ask(
            f"[...view.base.getContext('2d').getImageData({x}, {y}, 1, 1).data]"
        )
        return red, green, blue

    def pixels(self) -> int:
        """A digest of all of the canvas."""
        sum_of = "({ data }) => data.reduce((sum, byte) => (sum * 31 + byte) | 0, 0)"
        all_of = "0, 0, view.base.width, view.base.height"
        return int(self.ask(f"({sum_of})(view.base.getContext('2d').getImageData({all_of}))"))
