# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The same workload on several kernels: VMAs over time, pairs, system calls, run time.

One boot per run, kernels in turn, so that what the host does in the meantime falls on all alike.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vmad.lab.cache import default_cache
from vmad.lab.compare.record import Order, Record, Run
from vmad.lab.compare.summary import Summary, summary_of
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import BOOT_TIMEOUT, run_streaming
from vmad.lab.workloads.shipped import Prepared, prepared

SCHEMA = "vmad.compare/1"
#: what a run may take beyond its seconds: start-up and tear-down of a workload without KVM
SLACK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs of a workload, ``repeat`` on each kernel; ``seconds`` of work each."""

    command: tuple[str, ...]
    seconds: int
    repeat: int
    kernels: tuple[str, ...]
    machine: str
    made_at: str
    runs: tuple[Run, ...]

    @property
    def workload(self) -> str:
        """The workload's name, or the command's first word."""
        return self.command[0]

    def summaries(self) -> dict[str, Summary]:
        """By kernel, in their order."""
        return {
            kernel: summary_of([run.record for run in self.runs if run.kernel == kernel])
            for kernel in self.kernels
        }

    def as_dict(self) -> dict[str, Any]:
        """The document that is written as JSON."""
        return {
            "schema": SCHEMA,
            "workload": self.workload,
            "command": " ".join(self.command),
            "seconds": self.seconds,
            "repeat": self.repeat,
            "kernels": list(self.kernels),
            "machine": self.machine,
            "made_at": self.made_at,
            "summary": {kernel: summary.as_dict() for kernel, summary in self.summaries().items()},
            "runs": [run.as_dict() for run in self.runs],
        }


def compare(
    kernels: Sequence[str],
    words: Sequence[str],
    *,
    seconds: int,
    repeat: int = 1,
    memory: int | None = None,
    cpus: int = Machine.cpus,
    told: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Run ``words`` (a shipped workload's name, or any command) ``repeat`` times on each kernel.

    A kernel may be given as ``NAME@N``: a patched one with vm.anon_vma_merge set to N from boot on.

    Raises ``LabError`` when a guest fails, or the workload ends with another status than 0.
    """
    workload = prepared(default_cache(), words, kernels)
    machine = Machine(memory=memory or workload.memory, cpus=cpus)
    runs = []
    for number in range(repeat):
        for kernel in kernels:
            record, said = _recorded(kernel, workload, machine, seconds)
            runs.append(Run(kernel, number, record, said, round(os.getloadavg()[0], 2)))
            told(
                f"{kernel}: run {number + 1} of {repeat}: peak {record.highest} VMAs, "
                f"{record.run_seconds:.1f} s"
            )
    return Comparison(
        command=tuple(words),
        seconds=seconds,
        repeat=repeat,
        kernels=tuple(kernels),
        machine=f"{machine.cpus} CPUs, {machine.memory // MIB} MiB",
        made_at=time.strftime("%Y-%m-%d %H:%M %Z"),
        runs=tuple(runs),
    )


def _recorded(
    kernel: str, workload: Prepared, machine: Machine, seconds: int
) -> tuple[Record, str]:
    """One run in a boot of its own: its record, and the end of what it printed."""
    order = Order(
        workload.argv,
        {**workload.environment, "VMAD_LAB_SECONDS": str(seconds)},
        str(workload.tree) if workload.tree else None,
    )
    stdout, stderr = bytearray(), bytearray()
    name, _, switch = kernel.partition("@")
    if switch:
        # Documentation/admin-guide/kernel-parameters.txt: sysctl.*, 5.8 and later
        parameter = f"sysctl.vm.anon_vma_merge={switch}"
        machine = replace(machine, extra_parameters=(*machine.extra_parameters, parameter))
    ending = run_streaming(
        name,
        # What the workload names below /tmp is to be seen in the guest: its words come last.
        [sys.executable, "-m", "vmad.lab.compare.inside", order.to_json(), *workload.argv],
        machine=machine,
        timeout=BOOT_TIMEOUT + seconds + SLACK_SECONDS,
        out_dir=None,
        stdin=b"",
        stdout=stdout.extend,
        stderr=stderr.extend,
    )
    said = bytes(stderr[-3000:]).decode(errors="replace").strip()
    _check(ending.status, f"the sampling of {workload.name} on {kernel}", said)
    record = Record.from_json(bytes(stdout))
    _check(record.status, f"{workload.name} on {kernel}", said)
    return record, said


def _check(status: int, what: str, said: str) -> None:
    if status != 0:
        raise LabError(
            f"{what} ended with status {status}", "what it printed follows", console=said
        )
