# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A repeating run of VMAs in one line for a person."""

from __future__ import annotations

from vmad.export.quantities import counted, size
from vmad.model.table import perms_text
from vmad.scan.repeats import Repeat, Step
from vmad.scan.shapes import shape_of


def repeat_line(repeat: Repeat) -> str:
    """("14,998 pairs alternate rw-p / ---p, 8 KiB apart: guard pages")."""
    parts = [_what(repeat)]
    if repeat.pitch is not None:
        parts.append(f"{size(repeat.pitch)} apart")
    if repeat.runs > 1:
        parts.append(f"in {repeat.runs:,} runs")
    return f"{', '.join(parts)}: {shape_of(repeat).value}"


def _what(repeat: Repeat) -> str:
    steps = repeat.steps
    # pieces without a pair among them (files, gaps) are counted as VMAs
    number = counted(repeat.pairs, "pair") if repeat.pairs else counted(repeat.vmas, "VMA")
    if len(steps) == 1:
        return f"{number} {perms_text(steps[0].perms)} of {_sizes(steps[0])}"
    regular = repeat.pitch is not None
    return f"{number} alternate {' / '.join(_step(step, regular) for step in steps)}"


def _step(step: Step, regular: bool) -> str:
    if regular and step.smallest == step.largest:
        return f"{perms_text(step.perms)} {size(step.median)}"
    return f"{perms_text(step.perms)} ({_sizes(step)})"


def _sizes(step: Step) -> str:
    if step.smallest == step.largest:
        return size(step.median)
    return f"{size(step.smallest)} to {size(step.largest)}, mostly {size(step.median)}"
