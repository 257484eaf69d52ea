# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture as one file of HTML that needs nothing from elsewhere, and its parts for a page."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmad.export.picture.picture import Picture

#: in this order: what a file uses, those before it say
_SCRIPTS = (
    "decode.js", "layout.js", "paint.js", "telling.js",
    "legend.js", "view.js", "pointer.js", "start.js",
)  # fmt: skip


@cache
def picture_script() -> str:
    """What draws, for a <script>: it looks for elements of the class "picture"."""
    parts = (_asset(name).partition("\n")[2] for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{"".join(parts)}}})();\n'


@cache
def picture_style() -> str:
    """Rules for a <style>; colours of the page (--ink, --sheet, …) are taken from around it."""
    return _asset("picture.css")


@cache
def script_source() -> str:
    """The script's hash as a Content-Security-Policy names it."""
    digest = hashlib.sha256(picture_script().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _asset(name: str) -> str:
    return files("vmad.export.picture").joinpath(name).read_text(encoding="utf-8")


def map_document(picture: Picture, title: str, lines: Sequence[str]) -> str:
    """A page with the picture inside; ``lines`` say the same in words."""
    packed = base64.b64encode(zlib.compress(picture.encoded(), 9)).decode()
    policy = f"default-src 'none'; script-src {script_source()}; style-src 'unsafe-inline'"
    text = escape("\n".join(lines))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; img-src data:">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title>"
        f"<style>{_asset('document.css')}{picture_style()}</style></head><body>"
        f"<header><h1>{escape(title)}</h1></header><main>"
        '<section class="picture" aria-label="the address space">'
        "<noscript><p>The picture needs JavaScript; all of it in words is below.</p></noscript>"
        f'<script type="application/octet-stream">{packed}</script></section>'
        f'<details class="words" open><summary>In words</summary><pre>{text}</pre></details></main>'
        f"<script>{picture_script()}</script></body></html>\n"
    )
