# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One process as JSON, schema vmad.explain/1: every pair with its verdicts and reasons.

60,000 pairs share a handful of facts values: what depends on the facts is put into JSON once, the
rest of a pair is six numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vmad.export.advice_json import advice_object
from vmad.export.failures_json import failure_object
from vmad.export.other_limits_text import bound_object
from vmad.export.printable import utf8
from vmad.export.scan_json import kernel_object, kinds_object, origin_object, vma_cost_object
from vmad.model.facts import flags_differing
from vmad.model.flags import canonical_codes
from vmad.model.table import perms_text
from vmad.model.verdict import Judgement, Verdict
from vmad.rules.judged_pairs import PairCase
from vmad.scan.explain import Explanation, cause_counts
from vmad.scan.growth import Growth
from vmad.scan.headroom import thresholds
from vmad.scan.host_limits import HostLimits, advice_on_limit

SCHEMA = "vmad.explain/1"
#: pairs per piece of text that is handed on
CHUNK = 4096

#: pages of one pair's sides, by the boundary: {"a": {"present": …}, "b": {…}}
PairPages = Mapping[int, Mapping[str, Mapping[str, int | None]]]


def explain_json(
    explanation: Explanation,
    pages: PairPages | None = None,
    growth: Growth | None = None,
    limits: HostLimits | None = None,
    *,
    pairs: bool = True,
) -> Iterator[str]:
    """The object in pieces, one pair per line; ``growth`` is there when it was watched.

    Addresses stand in "pairs" alone, which is absent without ``pairs``.
    """
    things = explain_head(explanation)
    if limits is not None:
        things |= limits_object(explanation, limits)
    if growth is not None:
        things["growth"] = {
            "seconds": round(growth.seconds, 6),
            "before": growth.before,
            "after": growth.after,
        }
    head = json.dumps(things)
    tail = json.dumps({"recoverable": dict(explanation.recoverable)})
    if not pairs:
        yield f"{head[:-1]}, {tail[1:]}\n"
        return
    yield f'{head[:-1]}, "pairs": ['
    separator = ""
    for chunk in _chunks(explanation, pages or {}):
        yield separator + ",\n".join(chunk)
        separator = ",\n"
    yield f"], {tail[1:]}\n"


def explain_head(explanation: Explanation) -> dict[str, Any]:
    """All of the object but "pairs" and "recoverable"."""
    table = explanation.table
    return {
        "schema": SCHEMA,
        "pid": table.id.pid,
        "start_time": table.id.start_time,
        "comm": utf8(table.comm),
        "kernel": kernel_object(explanation.kernel, explanation.judged_as),
        "evidence": table.evidence.value,
        "consistent": bool(table.consistent),
        "map_count": table.map_count,
        "max_map_count": explanation.max_map_count,
        "kinds": kinds_object(explanation.kinds),
        "causes": dict(cause_counts(explanation.causes)),
        **advice_object(explanation),
    }


def limits_object(explanation: Explanation, limits: HostLimits) -> dict[str, Any]:
    """What to set the limit to, and what is known of limits beside the address space.

    What cannot be told (by a capture, in a guest) is absent.
    """
    advice = advice_on_limit(
        explanation.map_count, explanation.max_map_count, explanation.kernel, limits
    )
    things: dict[str, Any] = {}
    if explanation.max_map_count:
        steps = thresholds(explanation.kernel, explanation.max_map_count)
        things["fails_from"] = [asdict(step) for step in steps]
    if advice is not None:
        things["limit_advice"] = asdict(advice)
    if limits.cost is not None:
        things["vma_cost"] = vma_cost_object(limits.cost)
    if limits.origin is not None:
        things["max_map_count_origin"] = origin_object(limits.origin)
    if limits.failures is not None:
        things["limit_failures"] = [failure_object(failure) for failure in limits.failures]
    if limits.others is not None:
        things["other_limits"] = [bound_object(bound) for bound in limits.others]
    return things


def judgement_object(judgement: Judgement) -> dict[str, Any]:
    """A verdict; "direction" only where it says something: which side must be operated on."""
    document: dict[str, Any] = {
        "verdict": judgement.verdict.value,
        "reasons": list(judgement.reasons),
    }
    if judgement.verdict is Verdict.MERGEABLE and judgement.direction is not None:
        document["direction"] = judgement.direction.value
    return document


def differing_codes(facts: int, machine: str) -> list[str]:
    """Codes of the flags that differ between the two VMAs, as smaps of that machine has them."""
    differing = flags_differing(facts)
    return [code for bit, code in sorted(canonical_codes(machine).items()) if differing >> bit & 1]


def _of_case(case: PairCase, machine: str) -> str:
    document = {
        "stock": judgement_object(case.stock),
        "relaxed": judgement_object(case.relaxed),
        "flags_differ": differing_codes(case.facts, machine),
    }
    return json.dumps(document)[1:]


def _chunks(explanation: Explanation, pages: PairPages) -> Iterator[Sequence[str]]:
    rows, upper = explanation.table.rows, explanation.pairs.upper
    of_case = [_of_case(case, explanation.kernel.machine) for case in explanation.pairs.cases]
    perms = [perms_text(bits) for bits in range(16)]
    for first in range(0, len(upper), CHUNK):
        b = rows[upper[first : first + CHUNK]]
        a = rows[upper[first : first + CHUNK] - 1]
        columns = (a["start"], b["start"], b["end"], a["perms"], b["perms"])
        chunk = []
        for start, boundary, end, a_perms, b_perms, case in zip(
            *(column.tolist() for column in columns),
            explanation.pairs.case[first : first + CHUNK].tolist(),
            strict=True,
        ):
            text = (
                f'{{"boundary": "0x{boundary:x}", '
                f'"a": {{"start": "0x{start:x}", "end": "0x{boundary:x}", '
                f'"perms": "{perms[a_perms]}"}}, '
                f'"b": {{"start": "0x{boundary:x}", "end": "0x{end:x}", '
                f'"perms": "{perms[b_perms]}"}}, '
            )
            if boundary in pages:
                text += f'"pages": {json.dumps(pages[boundary])}, '
            chunk.append(text + of_case[case])
        yield chunk
