# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Why a BPF object did not load, told from errno and the verifier's last words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vmad.sources.bpf import refusals

LOG = """\
0: R1=ctx(off=0,imm=0) R10=fp0
; task = bpf_task_from_pid(wanted->task_pid);
calling kernel function bpf_task_from_pid is not allowed
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
verification time 77 usec
stack depth 0+0
"""


@pytest.fixture(autouse=True)
def with_btf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vmlinux").touch()
    monkeypatch.setattr(refusals, "BTF_PATH", str(tmp_path / "vmlinux"))


def test_without_btf_nothing_else_matters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(refusals, "BTF_PATH", str(tmp_path / "none"))
    cause, remedy = refusals.why_not_loaded(errno.EPERM, LOG, "6.10")
    assert cause == f"no {tmp_path}/none"
    assert "CONFIG_DEBUG_INFO_BTF" in remedy


def test_without_rights_the_rights_are_named() -> None:
    assert refusals.why_not_loaded(errno.EPERM, "", "6.10") == (
        "not permitted",
        "needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)",
    )


def test_the_verifiers_last_words_are_told_without_its_statistics() -> None:
    cause, _ = refusals.why_not_loaded(errno.EINVAL, LOG, "6.10")
    assert cause == "Invalid argument (calling kernel function bpf_task_from_pid is not allowed)"


def test_a_long_complaint_stays_one_line() -> None:
    cause, _ = refusals.why_not_loaded(errno.E2BIG, "BPF program is too large. " * 50, "6.10")
    assert "\n" not in cause
    assert len(cause) < 250


def test_a_kernel_without_the_iterator_is_not_a_mistake_of_ours() -> None:
    cause, remedy = refusals.why_not_loaded(errno.ESRCH, "", "6.10")
    assert "not in this kernel" in cause
    assert remedy == "needs Linux 6.10 or later"


@pytest.mark.parametrize(
    "word",
    [
        "program of this type cannot use helper bpf_probe_read#4",
        "unknown func bpf_probe_read_kernel#113",
    ],
)
def test_lockdown_that_hides_the_kernel_from_bpf_is_named(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.12 under lockdown=confidentiality: EINVAL rather than EPERM, and no helper to read with."""
    release = os.uname()
    monkeypatch.setattr(
        os, "uname", lambda: os.uname_result((*release[:2], "6.12.118", *release[3:]))
    )
    log = f"76: (85) call bpf_probe_read_kernel#113\n{word}\nprocessed 12 insns\n"
    assert refusals.why_not_loaded(errno.EINVAL, log, "6.10") == (
        "kernel lockdown (confidentiality) forbids BPF to read the kernel",
        "boot without kernel lockdown, or with lockdown=integrity",
    )
