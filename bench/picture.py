# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m bench.picture``: how soon and how smoothly Chromium draws an address space.

The server is vmad's own, the process made up (tests/browser/pages.py), so that what is measured is
the page: from the request to the first picture, and the frames that Chromium's own tracing counts
while the picture is panned and zoomed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench.machine import load_average
from tests.browser.pages import PageContent, large_table
from tests.browser.picture import VIEW, wait_until
from tests.unit.web.serving import get, serving
from vmad.web.viewer import Viewer

#: seconds of panning and of zooming
SECONDS = 3.0
#: what Chromium's tracing calls a frame that came to be seen
_SHOWN = "AnimationFrame::Presentation"
#: … and the script's part in it
_SCRIPT = "FireAnimationFrame"
_PAN = """(seconds) => new Promise((done) => {
  const { frame } = document.querySelector('.picture').view;
  const start = performance.now();
  const step = (now) => {
    frame.scrollTop += 9;
    now - start < seconds * 1000 ? requestAnimationFrame(step) : done();
  };
  requestAnimationFrame(step);
})"""
_ZOOM = """(seconds) => new Promise((done) => {
  const view = document.querySelector('.picture').view;
  const start = performance.now();
  const step = (now) => {
    view.zoom(Math.floor((now - start) / 750) % 2 ? 1 / 1.03 : 1.03);
    now - start < seconds * 1000 ? requestAnimationFrame(step) : done();
  };
  requestAnimationFrame(step);
})"""


def main() -> int:
    """Print one table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmas", type=int, nargs="*", default=[65_000, 1_000_000])
    parser.add_argument("--times", type=int, default=5, help="pages opened for each")
    arguments = parser.parse_args()
    # other work on the machine disturbs less
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    chromium = shutil.which("chromium")
    if chromium is None:
        print("bench.picture: chromium is missing (make setup-test)", file=sys.stderr)
        return 1
    print(f"load average {load_average()}")
    print("| VMAs | bytes a VMA | first picture | panned | zoomed |")
    print("|---|---|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for vmas in arguments.vmas:
            print("|", " | ".join(_row(browser, vmas, arguments.times)), "|", flush=True)
        browser.close()
    print(f"load average {load_average()}")
    return 0


def _row(browser: Browser, vmas: int, times: int) -> Iterator[str]:
    content = PageContent(large_table(vmas))
    page_bytes = content.process_page(4711, _Trusted())  # made once: the walk is not measured here
    map_bytes = content.process_map(4711, _Trusted())
    content.process_page = lambda pid, viewer: page_bytes  # type: ignore[method-assign]
    content.process_map = lambda pid, viewer: map_bytes  # type: ignore[method-assign]
    yield f"{vmas:,}"
    with serving(content) as address:
        plain = get(address, "/api/v1/map/4711")
        packed = get(address, "/api/v1/map/4711", {"Accept-Encoding": "gzip"})
        yield f"{len(plain.body) / vmas:.2f} ({len(packed.body) / vmas:.2f} compressed)"
        firsts = []
        for _ in range(times):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://{address}/explain/4711", wait_until="commit")
            wait_until(page, f"{VIEW}?.painter.painted")
            firsts.append(float(page.evaluate("performance.now()")))
            if len(firsts) < times:
                page.close()
        yield f"{statistics.median(firsts):,.0f} ms ({min(firsts):,.0f} to {max(firsts):,.0f})"
        page.evaluate(f"{VIEW}.zoom(4)")
        yield _frames(browser, page, _PAN)
        page.evaluate(f"{VIEW}.fit()")
        yield _frames(browser, page, _ZOOM)
        page.close()


class _Trusted(Viewer):
    trusted = True


def _frames(browser: Browser, page: Page, action: str) -> str:
    """Frames a second that Chromium showed meanwhile, and what the script took for each."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "trace.json"
        categories = ["devtools.timeline", "devtools.timeline.frame"]
        browser.start_tracing(page=page, path=path, categories=categories)
        page.evaluate(action, SECONDS)
        browser.stop_tracing()
        events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    drawn = sorted(one["ts"] / 1e6 for one in events if one["name"] == _SHOWN)
    if len(drawn) < 2:
        return "no frame"
    between = [after - before for before, after in pairwise(drawn)]
    rate = (len(drawn) - 1) / (drawn[-1] - drawn[0])
    slowest = sorted(between)[int(len(between) * 0.95)]
    work = sum(one.get("tdur", 0) for one in events if one["name"] == _SCRIPT) / len(drawn)
    return (
        f"{rate:.0f} frames/s, 95 % within {slowest * 1e3:.0f} ms; {work / 1e3:.1f} ms of CPU each"
    )


if __name__ == "__main__":
    sys.exit(main())
