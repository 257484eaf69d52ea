# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Pages that say one thing: there is no such process; another site led here."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from vmad.web.pages.document import document
from vmad.web.pages.markup import Html, text


def no_process_page(pid: int, why: str, target: str | None) -> bytes:
    """Of a process that is gone or may not be read; ``why`` in a sentence."""
    query = "" if target is None else f"?target={quote(target)}"
    body = (
        f"<header><h1>Process {pid}</h1></header><main><section><h2>There is nothing to show</h2>"
        f'<p>{text(why)}.</p><p><a href="/{query}">All processes</a></p></section></main>'
    )
    return document(f"process {pid}", Html(body), query)


def detour_page(where: str) -> bytes:
    """In place of one that costs work; ``where`` is its path, with the query."""
    body = (
        "<header><h1>vmad</h1></header><main><section><h2>Another site led here</h2>"
        "<p>What this link asks for is read from a running process, which costs that process and "
        "this host a little, so that a page of another site cannot set it off by itself.</p>"
        f'<p><a href="{escape(where)}">Read it now</a></p></section></main>'
    )
    return document("vmad", Html(body))
