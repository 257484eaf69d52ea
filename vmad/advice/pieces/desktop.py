# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Games and sanitizers, which need many VMAs by design."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="wine-limit",
        text="Raise the limit to 1,048,576, as distributions do for games: Wine keeps a view for "
        "each of the program's mappings.",
        whose=Whose.OPERATOR,
        programs=(Program.WINE,),
        patterns=(P.BLOCKS_APART, P.ACCESS_SWITCHED, P.OPENED_RESERVE, P.MANY_OBJECTS),
        proof=Documented(0.5),
        cost="Kernel memory for each VMA that is made.",
        check="`vmad explain PID` shows the new limit.",
        source="Proton #6510; Fedora 39 change, vm.max_map_count",
    ),
    Advice(
        name="sanitizer-limit",
        text="Raise the limit while testing: sanitizers map and protect their shadow in pieces, "
        "which a build without them does not.",
        whose=Whose.OPERATOR,
        programs=(Program.SANITIZER,),
        patterns=(
            P.ACCESS_SWITCHED,
            P.BLOCKS_APART,
            P.HOLES,
            P.OPENED_RESERVE,
            P.ADVISED,
            P.WASM_RESERVATIONS,
        ),
        proof=Documented(0.5),
        cost="Kernel memory for each VMA that is made.",
        check="The same program without -fsanitize has fewer.",
        source="compiler-rt lib/sanitizer_common",
    ),
)
