# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Debian's Chromium, driven by Playwright, and a server with pages of processes to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.pages import PageContent
from tests.unit.web.serving import serving

#: milliseconds for what a browser does at once, on a machine that does much else
PATIENCE = 60_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is missing: make setup-test installs it"
    # Chromium's own sandbox does not start as root
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield one
        one.close()


@pytest.fixture
def content() -> PageContent:
    """What the server shows; a test may change it."""
    return PageContent()


@pytest.fixture
def address(content: PageContent) -> Iterator[str]:
    """Where it is served, with addresses."""
    with serving(content, anybody="addresses") as where:
        yield f"http://{where}"


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens a page with these settings of a context; none may complain on its console."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def opened(url: str, *, complains: bool = False, **settings: object) -> Page:
            context = browser.new_context(
                **{"viewport": {"width": 1280, "height": 900}, **settings}
            )
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            if not complains:
                page.on("console", lambda said: complaints.append(said.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("dialog", lambda dialog: complaints.append(dialog.message))
            page.goto(url)
            return page

        yield opened
    # that tests look at pixels is no fault of a page's
    assert [said for said in complaints if "willReadFrequently" not in said] == []
