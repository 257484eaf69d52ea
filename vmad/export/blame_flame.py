# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A recording as a flame graph: one self-contained page, complete as a table without scripts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any, Final

from vmad.blame.blamed import Blamed, Maker
from vmad.export.blame_stacks import NOBODY, cause_of, paths, process_name
from vmad.export.printable import printable
from vmad.export.quantities import counted, duration, percent

#: makers in the table below the graph
ROWS: Final = 100

Node = list[Any]  #: name, VMAs, detail, children


def flame_tree(blamed: Blamed) -> Node:
    """Causes, below each the frames from the outermost on; the most VMAs first. Where children were
    followed, the processes above."""
    with_children = f" and {counted(len(blamed.children), 'child', 'children')}"
    root: Node = [process_name(blamed) + (with_children if blamed.children else ""), 0, "", {}]
    for path, maker in paths(blamed):
        root[1] += maker.vmas
        node = root
        details = [""] * bool(blamed.children) + _details(maker)
        for depth, step in enumerate(path):
            detail = details[depth] if depth < len(details) else ""
            node = node[3].setdefault(step, [step, 0, detail, {}])
            node[1] += maker.vmas
    return _listed(root)


def _listed(node: Node) -> Node:
    children = sorted((_listed(child) for child in node[3].values()), key=lambda child: -child[1])
    return [*node[:3], children]


def _details(maker: Maker) -> list[str]:
    """In step with the path: where a frame's code is."""
    if maker.origin in NOBODY:
        return []
    return ["", *(printable(f.source or f.module or "") for f in reversed(maker.stack.frames))]


def flame_policy() -> str:
    """The page's Content-Security-Policy: its own script runs, nothing is loaded."""
    return f"default-src 'none'; script-src '{_hash(_script())}'; style-src 'unsafe-inline'"


def flame_html(blamed: Blamed) -> Iterator[str]:
    """The page, in pieces."""
    script = _script()
    style = files("vmad.export").joinpath("flame.css").read_text("utf-8")
    tree = json.dumps(flame_tree(blamed), ensure_ascii=False, separators=(",", ":"))
    # nothing in a name may end the element that it is in
    tree = tree.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    title = escape(f"{process_name(blamed)}: who made its VMAs")
    yield "<!doctype html>\n<!-- SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only -->\n"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{flame_policy()}">'
    yield f"<title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>"
    yield f"<p>{escape(_summary(blamed))}</p>"
    yield (
        '<div class="bar"><div id="status" role="status"></div><label>Find <input id="search" '
        'type="search" placeholder="function, file" autocomplete="off"></label></div>'
        f'<div id="legend"></div><div id="graph" data-causes="{1 + bool(blamed.children)}"></div>'
    )
    yield f'<script type="application/json" id="tree">{tree}</script>'
    yield f"<script>{script}</script>"
    yield "<h2>The same as a table</h2><table><thead><tr>"
    yield ("<th>process" if blamed.children else "") + "<th>VMAs<th>cause<th>call<th>stack</tr>"
    yield "</thead><tbody>"
    rows = [(one, maker) for one in blamed.everybody for maker in one.makers]
    for one, maker in sorted(rows, key=lambda row: -row[1].vmas)[:ROWS]:
        yield _row(maker, process_name(one) if blamed.children else None)
    yield "</tbody></table></body></html>\n"


def _script() -> str:
    return files("vmad.export").joinpath("flame.js").read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _summary(blamed: Blamed) -> str:
    vmas = sum(one.map_count for one in blamed.everybody)
    told = percent(sum(one.told for one in blamed.everybody) / vmas) if vmas else "0 %"
    return (
        f"{counted(vmas, 'VMA')}, {told} of them made while recorded for "
        f"{duration(blamed.seconds)}. Each box is a frame, as wide as the VMAs that it made; below "
        "it what it called. The colour is the reason that keeps them apart, or what they are. A "
        "click zooms in, a second one out, Escape to the whole."
    )


def _row(maker: Maker, process: str | None) -> str:
    if maker.origin in NOBODY:
        call, stack = "", NOBODY[maker.origin]
    else:
        call = maker.call or "?"
        stack = " ← ".join(printable(frame.name) for frame in maker.stack.frames)
    of = "" if process is None else f"<td>{escape(process)}"
    cells = "".join(f"<td>{escape(cell)}" for cell in (cause_of(maker), call, stack))
    return f'<tr>{of}<td class="number">{maker.vmas:,}{cells}</tr>'
