# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The frame of every page: style, scripts, what the browser may load (nothing from elsewhere)."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from vmad import __version__
from vmad.export.picture.document import picture_script, picture_style, script_source
from vmad.web.pages.markup import Html, text


def document(
    title: str, body: Html, query: str = "", *, refresh: int | None = None, picture: bool = False
) -> bytes:
    """A whole page in UTF-8. ``query`` names the machine that links are about, ``refresh`` after
    how many seconds to look again; ``picture``: it has one. All of it reads without scripts.
    """
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh is not None else ""
    style = _asset("page.css") + (picture_style() if picture else "")
    scripts = f"<script>{_tables_script()}</script>"
    scripts += f"<script>{picture_script()}</script>" if picture else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"{again}<title>{text(title)}</title><style>{style}</style></head><body>{body}"
        f'<footer><a href="/{query}">all processes</a> <a href="/metrics{query}">metrics</a> '
        f'<a href="/api/v1/scan{query}">this scan as JSON</a> '
        f'<a href="/blame">last recording</a> <a href="/-/ready{query}">ready</a> '
        f"<span>vmad {text(__version__)}</span></footer>"
        f"{scripts}</body></html>\n"
    ).encode()


@cache
def page_headers() -> dict[str, str]:
    """What the browser is told of a page: only our own scripts run, and they ask only us."""
    digest = hashlib.sha256(_tables_script().encode()).digest()
    scripts = f"{script_source()} 'sha256-{base64.b64encode(digest).decode()}'"
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; script-src {scripts}; connect-src 'self'; "
            "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        # our own links must tell that they are ours where a browser sends no Sec-Fetch-Site
        "Referrer-Policy": "same-origin",
    }


@cache
def _tables_script() -> str:
    pieces = (_asset(name).partition("\n")[2] for name in ("tables.js", "live.js", "start.js"))
    return f'(() => {{\n"use strict";\n{"".join(pieces)}}})();\n'


@cache
def _asset(name: str) -> str:
    return files("vmad.web.pages").joinpath(name).read_text(encoding="utf-8")
