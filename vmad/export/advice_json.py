# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Patterns, programs and advice of one process as JSON, beside the rest of vmad.explain/1."""

from __future__ import annotations

from typing import Any

from vmad.advice.atlas import KnownRow
from vmad.advice.pattern import TEXTS
from vmad.advice.record import Advice, Measured
from vmad.advice.select import Chosen
from vmad.export.printable import utf8
from vmad.model.program import Recognised
from vmad.scan.explain import Explanation


def advice_object(explanation: Explanation) -> dict[str, Any]:
    """ "patterns" (most VMAs first), "programs", "advice" (best first) and "advice_not_chosen"."""
    selection = explanation.selection
    return {
        "patterns": [
            {
                "pattern": count.pattern.value,
                "title": TEXTS[count.pattern].title,
                "sentence": TEXTS[count.pattern].sentence,
                "vmas": count.vmas,
                "reasons": dict(count.reasons),
            }
            for count in explanation.patterns.counts
        ],
        "programs": [_program(program) for program in explanation.programs],
        "files_reached": None if explanation.traits is None else not explanation.traits.unreachable,
        "advice": [_chosen(chosen) for chosen in selection.best],
        "advice_not_chosen": {other.advice.name: other.why for other in selection.others},
        "like": _like(explanation.like),
    }


def _like(row: KnownRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"row": row.name, "program": row.program, "load": row.load, "vmas": row.vmas}


def _program(program: Recognised) -> dict[str, Any]:
    version = program.version
    return {
        "program": program.program.value,
        "version": None if version is None else ".".join(map(str, version)),
        "by": utf8(program.by),
    }


def _chosen(chosen: Chosen) -> dict[str, Any]:
    advice = chosen.advice
    return {
        "name": advice.name,
        "text": advice.text,
        "whose": advice.whose.value,
        "for": [program.value for program in advice.programs],
        "pattern": chosen.pattern.pattern.value,
        "why": chosen.why,
        "measured": _measured(advice),
        "proof": str(advice.proof),
        "cost": advice.cost,
        "check": advice.check,
        "source": advice.source,
    }


def _measured(advice: Advice) -> dict[str, Any] | None:
    proof = advice.proof
    if not isinstance(proof, Measured):
        return None
    return {"before": proof.before, "after": proof.after, "like": proof.like}
