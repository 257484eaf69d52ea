# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
""".NET and Mono."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="dotnet-gc",
        text="Size the limit for it, or give the GC a bound (DOTNET_GCHeapHardLimit): it makes its "
        "reserve writable piece by piece, and pieces written apart never merge on a stock kernel. "
        "Expect tens of thousands of VMAs for heaps of hundreds of GB.",
        whose=Whose.OPERATOR,
        programs=(Program.DOTNET,),
        patterns=(P.WRITTEN_APART, P.OPENED_RESERVE),
        proof=Documented(0.4),
        cost="Kernel memory for each VMA that is made.",
        check="Pairs with `anon_vma_differs` become fewer.",
        source="dotnet/runtime #97316, #90230",
    ),
    Advice(
        name="dotnet-wx",
        text="Set DOTNET_EnableWriteXorExecute=0: it ends the double mapping of compiled code.",
        whose=Whose.OPERATOR,
        programs=(Program.DOTNET,),
        since=(6,),
        patterns=(P.CODE, P.OBJECT_IN_PIECES),
        proof=Documented(0.7),
        cost="A hardening measure is lost.",
        check="VMAs of the doublemapper object become fewer.",
        source="dotnet/runtime #97316, PR #54954",
    ),
    Advice(
        name="mono-to-dotnet",
        text="Run it with .NET where that is a choice: Mono's SGen maps its blocks one by one.",
        whose=Whose.OPERATOR,
        programs=(Program.MONO,),
        patterns=(P.BLOCKS_APART, P.ACCESS_SWITCHED),
        proof=Measured(
            1315,
            1046,
            "200 threads that allocate, Mono 6.8 and .NET Core 3.1",
            ("mono-threads", "dotnet-threads"),
        ),
        cost="Another runtime.",
        check="VMAs with no pair below become fewer.",
        source="docs/atlas.md",
    ),
)
