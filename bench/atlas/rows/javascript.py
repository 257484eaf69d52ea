# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""JavaScript: Node, Deno, Bun under the same loads."""

from __future__ import annotations

from bench.atlas.row import Needs, Row


def _row(name: str, program: str, load: str, *argv: str) -> Row:
    needs = Needs.NODE if argv[0] == "node" else Needs.NPM
    return Row(name, "JavaScript", program, load, argv, needs, version=(argv[0], "--version"))


_NODE = ("node", "--max-old-space-size=4000", "{loads}/heap.js")
_DENO = (
    "{build}/npm/node_modules/@deno/linux-x64-glibc/deno",
    "run",
    "-A",
    "--v8-flags=--max-old-space-size=4000",
    "{loads}/heap.js",
)
_BUN = ("{build}/npm/node_modules/@oven/bun-linux-x64/bin/bun", "{loads}/heap.js")

ROWS = (
    _row("node-heap-256", "Node", "live heap of 256 MiB", *_NODE, "heap", "256"),
    _row("node-heap-1024", "Node", "live heap of 1,024 MiB", *_NODE, "heap", "1024"),
    _row("node-buffers", "Node", "1,000 buffers of 1 MiB", *_NODE, "buffers", "1000"),
    _row("node-workers", "Node", "8 workers", *_NODE, "workers", "8"),
    _row("node-wasm-100", "Node", "100 WebAssembly memories", *_NODE, "wasm", "100"),
    _row("node-wasm-1000", "Node", "1,000 WebAssembly memories", *_NODE, "wasm", "1000"),
    _row("deno-heap-256", "Deno", "live heap of 256 MiB", *_DENO, "heap", "256"),
    _row("bun-heap-256", "Bun", "live heap of 256 MiB", *_BUN, "heap", "256"),
    _row("bun-wasm-1000", "Bun", "1,000 WebAssembly memories", *_BUN, "wasm", "1000"),
)
