# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""JavaScript engines: V8's heap, WebAssembly memories in it."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="v8-heap",
        text="Spread the work over more processes with smaller heaps (cluster, "
        "--max-old-space-size), or raise the limit: V8's heap is pages of 256 KiB at random "
        "addresses, 4.4 VMAs for each MiB of live objects, which reach 65,530 at some 15 GiB. They "
        "are no pairs: no kernel merges them. Buffers outside of the heap cost nothing of that.",
        whose=Whose.OPERATOR,
        programs=(Program.V8, Program.NODE, Program.DENO),
        without=(Program.CHROMIUM,),
        patterns=(P.BLOCKS_APART,),
        proof=Measured(
            3601,
            1097,
            "a live heap of 256 MiB in place of 1,024 MiB, Node 20",
            ("node-heap-1024", "node-heap-256"),
        ),
        cost="More processes, which share nothing.",
        check="VMAs with no pair below become fewer.",
        source="V8 src/heap, kRegularPageSize; docs/atlas.md",
    ),
    Advice(
        name="bun-instead",
        text="Where that is a choice, run the program with Bun: JavaScriptCore keeps its heap in "
        "few areas.",
        whose=Whose.PROGRAMMER,
        programs=(Program.NODE, Program.DENO),
        patterns=(P.BLOCKS_APART,),
        proof=Measured(
            1097,
            60,
            "the same program, a live heap of 256 MiB, Node 20 and Bun 1.4",
            ("node-heap-256", "bun-heap-256"),
        ),
        cost="Another runtime, not in all compatible.",
        check="VMAs with no pair below become fewer.",
        source="docs/atlas.md",
    ),
    Advice(
        name="chromium-limit",
        text="Raise the limit: a renderer's heaps (V8, PartitionAlloc) are many pieces by design.",
        whose=Whose.OPERATOR,
        programs=(Program.CHROMIUM,),
        patterns=(P.BLOCKS_APART, P.OPENED_RESERVE, P.ALLOCATOR_GUARDS, P.ACCESS_SWITCHED, P.CODE),
        proof=Documented(0.3),
        cost="Kernel memory for each VMA that is made.",
        check="`vmad explain PID` shows the new limit.",
        source="docs/atlas.md",
    ),
    Advice(
        name="v8-wasm",
        text="Keep fewer WebAssembly memories alive at a time, one instance for many requests, or "
        "pool them: each has 10 GiB reserved behind it, two VMAs. Guard regions are no way out: "
        "they need page tables, 20 MB for each 10 GiB.",
        whose=Whose.PROGRAMMER,
        programs=(Program.V8, Program.NODE, Program.DENO),
        patterns=(P.WASM_RESERVATIONS,),
        proof=Measured(
            4112,
            494,
            "100 instances in place of 1,000, Node 20",
            ("node-wasm-1000", "node-wasm-100"),
        ),
        cost="Instances have to be reset or shared.",
        check="No-access VMAs of gigabytes become fewer.",
        source="V8 src/objects/backing-store.cc; docs/atlas.md",
    ),
)
