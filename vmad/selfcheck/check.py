# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Judge every condition by every evidence, then ask the kernel, in the same process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmad.errors import VmadError
from vmad.model.process import Evidence, ProcessId
from vmad.model.verdict import Direction, Judgement, Verdict
from vmad.probe.toggle import choose_toggle
from vmad.rules.rebuild import RebuildRules
from vmad.rules.stock import StockRules
from vmad.selfcheck.calls import BASE, END, B
from vmad.selfcheck.conditions import CONDITIONS, Condition
from vmad.sources.procfs.stat import read_stat
from vmad.sources.source import Source


@dataclass(slots=True)
class Checked:
    """One condition. ``merged``: None when it could not be built or is no pair here (``note``)."""

    name: str
    judgements: dict[str, Judgement] = field(default_factory=dict)
    merged: bool | None = None
    merged_on: str = ""  #: the side whose toggle merged
    note: str = ""
    wrong: list[str] = field(default_factory=list)


class _Builder:
    """The builder program, one line and one answer at a time."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-P", "-m", "vmad.selfcheck.builder"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def ask(self, line: str) -> dict[str, Any]:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(line + "\n")
        self._program.stdin.flush()
        text = self._program.stdout.readline()
        if not text:
            raise VmadError("selfcheck: the program that builds the conditions has ended")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def close(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()


def check_all(
    sources: Sequence[Source], conditions: Sequence[Condition] = CONDITIONS
) -> Iterator[Checked]:
    """Check one condition after the other. ``sources`` are of the running kernel."""
    builder = _Builder()
    try:
        for condition in conditions:
            yield _check(builder, condition, sources)
            builder.ask("end")
    finally:
        builder.close()


def _check(builder: _Builder, condition: Condition, sources: Sequence[Source]) -> Checked:
    checked = Checked(condition.name)
    answer = builder.ask(f"build {CONDITIONS.index(condition)}")
    if "error" in answer:
        checked.note = f"not on this kernel ({answer['error']})"
        return checked
    pid = int(answer["pid"])
    flags = _judge(checked, condition, sources, ProcessId(pid, read_stat(pid).start_time))
    if flags is None:
        checked.note = "merged at once on this kernel: no pair"
    elif condition.rebuilt:
        _rebuild(checked, builder, pid)
    elif _toggle(checked, builder, pid, flags):
        _compare(checked)
        if exact := checked.judgements.get("kernel"):
            _expect(checked, condition, exact)
    return checked


def _judge(
    checked: Checked, condition: Condition, sources: Sequence[Source], process: ProcessId
) -> list[int] | None:
    """What each evidence says. Returns the flags of both VMAs, None where they are no pair."""
    flags = [0, 0]
    for source in sources:
        rows = source.table(process).rows
        rows = rows[(rows["start"] >= BASE) & (rows["start"] < END)]
        if len(rows) != 2 or rows["start"].tolist() != [BASE, B] or not rows["pair"][1]:
            return None
        facts = int(rows["facts"][1])
        checked.judgements[source.evidence.value] = _rules(condition, source).judge(facts)
        if condition.rebuilt and source.evidence is Evidence.KERNEL:
            _expect(checked, condition, StockRules(source.kernel).judge(facts))
        if rows["flags"].any():
            flags = rows["flags"].tolist()
    return flags


def _rebuild(checked: Checked, builder: _Builder, pid: int) -> None:
    answer = builder.ask("rebuild")
    if "error" in answer:
        checked.note = f"not to be rebuilt on this kernel ({answer['error']})"
        return
    checked.merged, checked.merged_on = not _begins_at(pid, B), "b"
    _compare(checked)


def _toggle(checked: Checked, builder: _Builder, pid: int, flags: list[int]) -> bool:
    """Have the kernel try to merge, first by a call on B, then by one on A; False: it failed."""
    for side, start, index in (("b", B, 1), ("a", BASE, 0)):
        toggle = choose_toggle(flags[index], flags[1 - index])
        if toggle is None:
            continue
        answer = builder.ask(f"toggle {toggle.away} {toggle.back} {start} {END - B}")
        if "error" in answer:
            checked.wrong.append(f"the toggle failed: {answer['error']}")
            return False
        checked.merged = not _begins_at(pid, B)
        if checked.merged:
            checked.merged_on = side
            break
    return True


def _rules(condition: Condition, source: Source) -> StockRules | RebuildRules:
    return (RebuildRules if condition.rebuilt else StockRules)(source.kernel)


def _expect(checked: Checked, condition: Condition, stock: Judgement) -> None:
    if condition.expects and condition.expects not in stock.reasons:
        checked.wrong.append(f"kernel evidence does not name {condition.expects}")


def _compare(checked: Checked) -> None:
    for evidence, judgement in checked.judgements.items():
        if judgement.verdict is Verdict.UNKNOWN:
            continue
        expected = judgement.verdict is Verdict.MERGEABLE
        if expected != checked.merged:
            checked.wrong.append(f"{evidence} evidence said {judgement.verdict.value}")
        # B is toggled first: a merge only by A is a merge in one direction
        elif expected and (judgement.direction is Direction.A) != (checked.merged_on == "a"):
            checked.wrong.append(f"{evidence} evidence said that the other side has to be operated")


def _begins_at(pid: int, address: int) -> bool:
    with open(f"/proc/{pid}/maps", "rb") as file:
        return any(int(line.split(b"-", 1)[0], 16) == address for line in file)
