# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Verdicts of random programs' pairs, held against what the kernel then does.

``python -m tests.differential.fuzz`` does the same for any number of programs, on all cores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.differential.executor import Executor
from tests.differential.fuzz import PROCFS_EVERY, program_of
from tests.differential.program import Program
from tests.differential.strategies import programs
from tests.differential.trial import NotReproduced, Trial
from vmad.model.kernel import running_kernel
from vmad.sources.choose import open_source

pytestmark = pytest.mark.bpf

SEED = 20
#: programs after which a reason that was not seen is not one that this kernel shows
ENOUGH = 6000

#: reason -> the release from which every configuration shows it
ALWAYS = {
    "vm_flags:access": (0, 0), "vm_flags:ac": (0, 0), "vm_flags:lo": (0, 0),
    "vm_flags:lf": (0, 0), "vm_flags:sr": (0, 0), "vm_flags:rr": (0, 0), "vm_flags:dc": (0, 0),
    "vm_flags:wf": (0, 0), "vm_flags:dd": (0, 0), "vm_flags:nr": (0, 0), "vm_flags:gd": (0, 0),
    "vm_flags:sl": (6, 10), "vm_flags:dp": (6, 11), "vm_file": (0, 0), "vm_pgoff": (0, 0),
    "vm_pgoff_shared": (0, 0), "anon_vma_differs": (0, 0), "anon_vma_shared": (0, 0),
    "anon_vma_chain_not_singular": (0, 0), "latent": (0, 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    kernel, procfs = open_source("kernel", None), open_source("procfs", None)
    with Executor() as executor:
        yield Trial(executor, kernel, procfs)
    kernel.close()
    procfs.close()


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(program=programs(), choose_a=st.integers(0, (1 << 64) - 1))
def test_no_verdict_is_against_the_kernel(trial: Trial, program: Program, choose_a: int) -> None:
    try:
        trial.answers(program, choose_a)
    except NotReproduced:
        return


def test_every_reason_is_seen_and_none_is_against_the_kernel(trial: Trial) -> None:
    wanted = {name for name, since in ALWAYS.items() if running_kernel().version[:2] >= since}
    seen: Counter[str] = Counter()
    procfs, number = trial.procfs, 0
    while wanted - seen.keys() and number < ENOUGH:
        program, choose_a = program_of(SEED, number)
        trial.procfs = procfs if number % PROCFS_EVERY == 0 else None
        number += 1
        try:
            answered = trial.answers(program, choose_a)
        except NotReproduced:
            continue
        trial.cure_pairs(program, answered)
        seen.update(each.pair.judgement.decisive for each in answered)
    trial.procfs = procfs
    print(f"{number} programs, {sum(seen.values())} pairs, procfs unknown: ", end="")
    print(f"{trial.procfs_unknown} of {trial.procfs_pairs}")

    assert wanted - seen.keys() == set()
    assert trial.procfs_unknown < trial.procfs_pairs


def test_removing_the_only_reason_lets_the_kernel_merge(trial: Trial) -> None:
    trial.procfs, procfs = None, trial.procfs
    trial.cured.clear()
    for number in range(400):
        program, choose_a = program_of(SEED + 1, number)
        try:
            trial.cure_pairs(program, trial.answers(program, choose_a))
        except NotReproduced:
            continue
    trial.procfs = procfs

    removed = set(trial.cured)
    assert {"vm_flags:access", "vm_flags:rr", "vm_flags:lo"} <= removed
    assert removed & {"anon_vma_differs", "anon_vma_shared", "anon_vma_chain_not_singular"}
