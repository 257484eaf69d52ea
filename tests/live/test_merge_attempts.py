# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Attempts to merge on a stock kernel: one call, one attempt by the right outcome and reason.

merge_steps.c makes each call; what BPF counts of that process in between is held against what the
kernel's source says of the layout.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.kernel_walks import KERNEL
from tests.live.layouts import MEMORY_TAGS
from tests.live.merge_watches import FORBIDDEN, WATCHES
from vmad.config.schema import Config, ScanConfig
from vmad.daemon.merge_attempts import merge_attempts_counter
from vmad.doctor.evidence import merge_attempts_finding
from vmad.model.kernel import KernelInfo
from vmad.sources.bpf.merge_attempts import RESULTS, KernelMergeAttempts, is_counting

Counts = dict[tuple[str, str], int]

#: 6.16 (879bca0a2c4f): a written VMA may join an unwritten one as well
SYMMETRIC = KERNEL.version >= (6, 16)
MERGED = ("merged", "stock")
CHAIN, FLAGS, NAME = (("refused", why) for why in ("anon_vma_chain", "vm_flags", "anon_vma_name"))
POLICY, FILE = ("refused", "mempolicy"), ("refused", "vm_file")
ANON_VMA_OFF, PGOFF_OFF = ("refused", "anon_vma_off"), ("refused", "vm_pgoff_off")
NEW_RULE = {MERGED: 1} if SYMMETRIC else {CHAIN: 1}

#: step of merge_steps.c -> attempts
EXPECTED: dict[str, Counts] = {
    "mmap_far_from_all": {},
    "mmap_behind_its_like": {MERGED: 1},
    "mmap_into_a_hole": {MERGED: 2},
    "mmap_into_a_hole_of_one_anon_vma": {MERGED: 2},
    "mmap_into_a_hole_of_two_anon_vmas": {MERGED: 1, ANON_VMA_OFF: 1},
    "mmap_behind_other_access": {FLAGS: 1},
    "mmap_behind_dev_zero": {FLAGS if MEMORY_TAGS else FILE: 1},  # flags are compared first
    "mmap_of_a_file_behind": {},
    "mmap_of_shared_memory_behind": {},
    "mmap_behind_inherited": {CHAIN: 1},
    "mprotect_of_inherited_splits": {},
    "mprotect_of_inherited_rejoins": {MERGED: 1},
    "mprotect_of_the_middle": {},
    "mprotect_of_the_beginning": {},
    "mprotect_to_its_like": {MERGED: 1},
    "madvise_beside_other_anon_vma": {ANON_VMA_OFF: 1},
    "madvise_of_written_behind_unwritten": NEW_RULE,
    "madvise_of_unwritten_behind_written": {MERGED: 1},
    "madvise_of_written_before_unwritten": NEW_RULE,
    "madvise_beside_shared_by_fork": {("refused", "anon_vma_shared"): 1},
    "munlock_of_a_half": {MERGED: 1},
    "mremap_behind_written": {ANON_VMA_OFF: 1},
    "mremap_behind_unwritten": {PGOFF_OFF: 1},
    "mremap_behind_the_same_anon_vma": {PGOFF_OFF: 1},
    "mremap_behind_itself": {("refused", "unsupported"): 1},
    "mremap_behind_shared_by_fork": {("refused", "vm_pgoff_shared"): 1},
    "mremap_grows": {MERGED: 1},
    "brk_grows": {MERGED: 1},
    "mmap_behind_a_policy": {POLICY: 1},
    "madvise_beside_a_policy": {POLICY: 1},
    "mbind_beside_the_same_policy": {MERGED: 1},
    "madvise_beside_the_same_policy": {ANON_VMA_OFF: 1},
    "mmap_behind_a_name": {NAME: 1},
    "mprotect_between_other_names": {NAME: 2},
    "mprotect_beside_the_same_name": {MERGED: 1},
    "prctl_names_what_lies_beside_other_access": {FLAGS: 1},
    "userfaultfd_beside_the_same": {MERGED: 1},
    "userfaultfd_beside_another": {("refused", "vm_userfaultfd_ctx"): 1},
}
#: on a kernel without CONFIG_ANON_VMA_NAME, which says so with EINVAL
WITHOUT_NAMES: dict[str, Counts] = {
    "mmap_behind_a_name": {MERGED: 1},
    "mprotect_between_other_names": {MERGED: 2},
    "prctl_names_what_lies_beside_other_access": {},
}
EINVAL = "22"


class Steps:
    """The running program; ``step`` gives the name, the errno and what was counted."""

    def __init__(self, program: Path) -> None:
        self._program = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.pid = int(self._line())

    def _line(self) -> str:
        assert self._program.stdout is not None
        return self._program.stdout.readline().decode().strip()

    def go_on(self) -> str:
        """What it says next."""
        assert self._program.stdin is not None
        self._program.stdin.write(b".")
        return self._line()

    def end(self) -> None:
        assert self._program.wait() == 0


def counted(attempts: KernelMergeAttempts, steps: Steps) -> dict[str, tuple[str, Counts]]:
    """Errno and attempts of every step."""
    found: dict[str, tuple[str, Counts]] = {}
    while step := steps.go_on():
        before = attempts.read()
        number = steps.go_on()
        after = attempts.read()
        found[step] = number, {key: n for key in after if (n := after[key] - before[key])}
    steps.end()
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("steps") / "merge_steps"
    source = Path(__file__).parent / "merge_steps.c"
    subprocess.run(["cc", "-O1", "-Wall", "-static", "-o", str(made), str(source)], check=True)
    return made


@pytest.fixture(scope="module", params=WATCHES or [None])
def found(request: pytest.FixtureRequest, program: Path) -> Iterator[dict[str, tuple[str, Counts]]]:
    steps = Steps(program)
    attempts = KernelMergeAttempts(KERNEL, steps.pid, (request.param,))
    assert attempts.way == request.param
    yield counted(attempts, steps)
    attempts.close()


@pytest.mark.watches
def test_whether_it_is_on_can_be_told() -> None:
    """Before the fixture below has it on."""
    assert is_counting() is False
    assert merge_attempts_finding(KERNEL).detail == f"works by {WATCHES[0]}, and is off"
    attempts = KernelMergeAttempts(KERNEL)
    assert is_counting() is True
    assert merge_attempts_finding(KERNEL).detail == f"works by {WATCHES[0]}, and is on"
    attempts.close()
    assert is_counting() is False


@pytest.mark.watches
@pytest.mark.parametrize("step", EXPECTED)
def test_call_is_counted_by_outcome_and_reason(
    found: dict[str, tuple[str, Counts]], step: str
) -> None:
    expected = EXPECTED | {}
    named, _ = found["prctl_names_what_lies_beside_other_access"]
    if named == EINVAL:
        expected |= WITHOUT_NAMES
    number, attempts = found[step]
    assert attempts == expected[step]
    assert number == (named if step.startswith("prctl") else "0")


@pytest.mark.watches
def test_every_step_of_the_program_is_known(found: dict[str, tuple[str, Counts]]) -> None:
    assert list(found) == list(EXPECTED)


@pytest.mark.watches
def test_all_processes_are_counted_unless_one_is_named(program: Path) -> None:
    attempts, steps = KernelMergeAttempts(KERNEL), Steps(program)
    mine = sum((sum(counts.values()) for _, counts in counted(attempts, steps).values()), 0)
    assert mine >= sum(sum(counts.values()) for counts in EXPECTED.values()) - 1
    attempts.close()


def test_doctor_says_whether_it_can_be_had() -> None:
    found = merge_attempts_finding(KERNEL)
    assert found.works == bool(WATCHES)
    if not WATCHES:
        assert FORBIDDEN in f"{found.detail}; {found.remedy}"
        assert found.remedy is not None
    patched = merge_attempts_finding(replace(KERNEL, patched=True, merge_switch=0))
    assert patched.works is None
    assert "this kernel counts them itself" in patched.detail


def asked_for(kernel: KernelInfo, how: str) -> object:
    scan = replace(ScanConfig(), merge_attempts=how)
    return merge_attempts_counter(replace(Config(), scan=scan), kernel)


def test_daemon_counts_only_when_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert asked_for(KERNEL, "vmstat") is None
    assert caplog.records == []


def test_patched_kernel_is_left_to_count_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert asked_for(replace(KERNEL, patched=True, merge_switch=0), "bpf") is None
    assert "this kernel counts them itself" in caplog.text


def test_daemon_that_is_asked_counts_or_says_in_one_line_why_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    read = asked_for(replace(KERNEL, patched=False), "bpf")
    (line,) = [record.getMessage() for record in caplog.records]
    if WATCHES:
        assert callable(read)
        assert set(read()) == set(RESULTS)
        assert line == f"merge attempts are counted by BPF ({WATCHES[0]})"
    else:
        assert read is None
        assert line.startswith("scan.merge_attempts: bpf cannot be had, nothing is counted: ")
        assert FORBIDDEN in line
        assert "\n" not in line


def test_without_rights_one_line_says_what_is_missing() -> None:
    script = """
from vmad.daemon.rights import give_up_all_but
from vmad.errors import EvidenceUnavailable
from vmad.model.kernel import running_kernel
from vmad.sources.bpf.merge_attempts import KernelMergeAttempts
give_up_all_but(())
try:
    KernelMergeAttempts(running_kernel())
except EvidenceUnavailable as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (line,) = ran.stdout.splitlines()
    assert line.startswith("merge attempts: ")
    if KERNEL.version >= (6, 12):
        assert "not permitted" in line
        assert line.endswith("needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)")
    else:
        assert line.endswith("needs Linux 6.12 or later")
