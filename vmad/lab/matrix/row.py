# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The matrix's table: what each kernel came to, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vmad.lab.matrix.order import StepResult


@dataclass
class Row:
    """What one kernel came to: its steps' results as they came, and what ended it early."""

    kernel: str
    release: str = ""
    boot_seconds: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0  #: of this machine, for QEMU and what belongs to it
    steps: dict[str, StepResult] = field(default_factory=dict)
    error: str = ""
    console: str = ""
    said: str = ""

    def ok(self, wanted: Sequence[str]) -> bool:
        """Whether every wanted step is there and none has failed."""
        there = all(step in self.steps for step in wanted)
        return there and not self.error and not self.failed

    @property
    def failed(self) -> list[str]:
        """The steps that did not pass."""
        return [name for name, result in self.steps.items() if result.failed]


def table(rows: Sequence[Row], steps: Sequence[str]) -> str:
    """The table for people, one line per kernel and check, then the details of what failed."""
    lines = [f"{'KERNEL':<8} {'CHECK':<13} {'RESULT':<7} {'SECONDS':>7}  WHAT WAS SEEN"]
    for row in rows:
        lines.append(
            f"{row.kernel:<8} {'boot':<13} {'FAILED' if row.error else 'ok':<7} "
            f"{row.boot_seconds or 0:7.1f}  {row.release or row.error}"
        )
        for step in steps:
            result = row.steps.get(step)
            word, seconds, summary = "absent", 0.0, "it did not run"
            if result is not None:
                word = {True: "ok", False: "FAILED", None: "-"}[result.ok]
                seconds, summary = result.seconds, result.summary
            lines.append(f"{'':<8} {step:<13} {word:<7} {seconds:7.1f}  {summary}")
        load = f"{row.cpu_seconds:.0f} s of CPU time of this machine"
        lines.append(f"{'':<8} {'in all':<13} {'':<7} {row.seconds:7.1f}  {load}")
    for row in rows:
        if row.error:
            lines += ["", f"--- {row.kernel}: {row.error}", row.console]
        for step in row.failed:
            result = row.steps[step]
            lines += ["", f"--- {row.kernel} {step}: {result.summary}", result.detail]
        if (row.error or row.failed) and row.said:
            lines += ["", f"--- {row.kernel}: the end of what was printed there", row.said]
    return "\n".join(lines)
