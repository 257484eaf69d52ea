# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``vmad selfcheck``: are the verdicts true on this very kernel? Ask it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack

from vmad.cli.options import add_format_option
from vmad.cli.terminal import style_of
from vmad.errors import EvidenceUnavailable
from vmad.export.legend import legend, reason_lines
from vmad.model.kernel import running_kernel
from vmad.model.verdict import Verdict
from vmad.selfcheck.check import Checked, check_all
from vmad.sources.choose import open_source
from vmad.sources.source import Source


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "selfcheck",
        help="check the rules against this kernel with real pairs",
        description="Build each condition of the catalogue in a child of its own, judge it by "
        "every evidence that works here, and ask the kernel. Takes some seconds and touches no "
        "other process. Exit status 1 on any disagreement.",
    )
    add_format_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check all and print. Returns 1 on any disagreement."""
    began = time.monotonic()
    kernel = running_kernel()
    with ExitStack() as stack:
        sources: list[Source] = []
        note = ""
        for evidence in ("kernel", "procfs"):
            try:
                source = open_source(evidence, None)
            except EvidenceUnavailable as error:
                note = f"Without kernel evidence: {error}."
                continue
            stack.callback(source.close)
            sources.append(source)
        checked = list(check_all(sources))
    names = [source.evidence.value for source in sources]
    wrong = [result for result in checked if result.wrong]
    answered = [result for result in checked if result.merged is not None]
    took = time.monotonic() - began
    if arguments.format == "json":
        print(json.dumps(_document(kernel.release, names, checked, took)))
        return 1 if wrong else 0
    width = max(len(result.name) for result in checked)
    print(
        f"{'condition':{width}}  {'kernel does':11}  "
        + "  ".join(f"{n:28}" for n in names).rstrip()
    )
    for condition in checked:
        print(_line(condition, width, names))
        for text in condition.wrong:
            print(f"{'':{width}}  DISAGREES: {text}")
    shown = {
        judgement.reasons[0]
        for result in checked
        for judgement in result.judgements.values()
        if judgement.verdict is Verdict.BLOCKED
    }
    style = style_of(sys.stdout)
    for line in legend("What the reasons mean:", reason_lines(shown, style), style):
        print(line)
    if note:
        print(note)
    print(
        f"{len(answered)} conditions asked of kernel {kernel.release} in {took:.1f} s, "
        f"{len(checked) - len(answered)} not to be had here: {len(wrong)} disagreements."
    )
    return 1 if wrong else 0


def _line(condition: Checked, width: int, names: list[str]) -> str:
    if condition.merged is None:
        return f"{condition.name:{width}}  {condition.note or 'no free hint to ask with'}"
    answer = "merges" if condition.merged else "stays apart"
    told = []
    for name in names:
        judgement = condition.judgements[name]
        blocked = judgement.verdict is Verdict.BLOCKED
        told.append(f"{judgement.reasons[0] if blocked else judgement.verdict.value:28}")
    return f"{condition.name:{width}}  {answer:11}  {'  '.join(told)}".rstrip()


def _document(
    release: str, names: list[str], checked: list[Checked], took: float
) -> dict[str, object]:
    return {
        "schema": "vmad.selfcheck/1",
        "kernel": {"release": release},
        "evidences": names,
        "took_seconds": round(took, 3),
        "conditions": [
            {
                "name": result.name,
                "merged": result.merged,
                "note": result.note,
                "disagreements": result.wrong,
                **{
                    name: {"verdict": judgement.verdict.value, "reasons": list(judgement.reasons)}
                    for name, judgement in result.judgements.items()
                },
            }
            for result in checked
        ],
        "disagreements": sum(bool(result.wrong) for result in checked),
    }
