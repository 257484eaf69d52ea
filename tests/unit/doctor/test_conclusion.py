# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the doctor concludes from what it found, and which remedy it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmad.doctor.rights import bpf_remedy, file_remedy, missing_for_bpf
from vmad.errors import EvidenceUnavailable
from vmad.model.findings import Finding, conclude
from vmad.model.kernel import KernelInfo

KERNEL = Finding("BPF open-coded", "", True, "works", None, 40, 40)
NO_KERNEL = Finding("BPF open-coded", "", False, "refused", "needs CAP_BPF")
ALL_MAPS = Finding("/proc/PID/maps", "", True, "works", None, 40, 40)
OWN_MAPS = Finding("/proc/PID/maps", "", True, "refused for 39", "needs CAP_SYS_PTRACE", 1, 40)
CLOSED_MAPS = Finding("/proc/PID/maps", "", True, "refused for 1", None, 39, 40)
NO_MAPS = Finding("/proc/PID/maps", "", False, "refused for 40", "needs CAP_SYS_PTRACE", 0, 40)


def test_kernel_evidence_is_enough() -> None:
    found = conclude(KERNEL, NO_MAPS)

    assert found.text == "Kernel evidence works: exact verdicts for every process."
    assert (found.exact, found.everybody) == (True, True)


def test_processes_hidden_from_bpf_are_named_in_the_first_line() -> None:
    found = conclude(KERNEL, ALL_MAPS, ("init (pid 1)",))

    assert "every process but init (pid 1)" in found.text
    assert found.everybody


@pytest.mark.parametrize(
    ("maps", "says", "everybody"),
    [
        (ALL_MAPS, "for every process", True),
        (OWN_MAPS, "for 1 of 40 processes", False),
        (CLOSED_MAPS, "39 of 40 processes (the others are closed whatever the rights)", True),
        (NO_MAPS, "No evidence can be had here", False),
    ],
)
def test_without_kernel_evidence_procfs_decides_and_the_remedy_is_named(
    maps: Finding, says: str, everybody: bool
) -> None:
    found = conclude(NO_KERNEL, maps)

    assert says in found.text
    assert "needs CAP_BPF (try sudo)" in found.text
    assert (found.exact, found.everybody) == (False, everybody)


def test_root_is_not_told_to_use_sudo() -> None:
    assert "sudo" not in conclude(NO_KERNEL, ALL_MAPS, root=True).text


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        ((), ("CAP_BPF", "CAP_PERFMON")),
        (("CAP_BPF",), ("CAP_PERFMON",)),
        (("CAP_PERFMON", "CAP_BPF"), ()),
        (("CAP_SYS_ADMIN",), ()),
    ],
)
def test_bpf_takes_two_capabilities_or_sys_admin(
    held: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    assert missing_for_bpf(held) == missing


def proc_with(tmp_path: Path, capabilities: int, uid_map: str = "0 0 4294967295") -> str:
    """A directory with what is read of /proc/self."""
    self_path = tmp_path / "self"
    self_path.mkdir()
    (self_path / "status").write_text(f"CapEff:\t{capabilities:016x}\nSeccomp:\t2\n")
    (self_path / "uid_map").write_text(uid_map)
    return str(tmp_path)


ADMIN, READ, PERFMON = 1 << 21, 1 << 2, 1 << 38


@pytest.mark.parametrize(
    ("file", "release", "held", "remedy"),
    [
        ("maps", "6.12.1", 0, "needs CAP_SYS_PTRACE"),
        ("maps", "6.12.1", PERFMON, "needs CAP_SYS_PTRACE"),
        ("maps", "6.16.0", 0, "needs CAP_SYS_PTRACE or CAP_PERFMON"),
        ("maps", "6.16.0", PERFMON, None),
        ("pagemap", "6.16.0", PERFMON, "needs CAP_DAC_READ_SEARCH"),
        ("pagemap", "6.16.0", PERFMON | READ, None),
    ],
)
def test_remedy_names_only_what_is_missing(
    tmp_path: Path, file: str, release: str, held: int, remedy: str | None
) -> None:
    assert (
        file_remedy(file, KernelInfo(release, page_shift=12), proc_with(tmp_path, held)) == remedy
    )


REFUSED = EvidenceUnavailable("BPF: census.bpf.o does not load: not permitted", "needs CAP_BPF")


def test_in_a_user_namespace_capabilities_are_not_the_remedy(tmp_path: Path) -> None:
    proc = proc_with(tmp_path, ADMIN, "0 1000 1")

    assert "user namespace" in str(bpf_remedy(REFUSED, proc))
    assert "user namespace" in str(file_remedy("maps", KernelInfo("6.16.0", page_shift=12), proc))


def test_refusal_in_spite_of_all_rights_is_laid_to_seccomp(tmp_path: Path) -> None:
    assert "seccomp" in str(bpf_remedy(REFUSED, proc_with(tmp_path, ADMIN)))


def test_no_security_module_is_suspected_while_other_programs_load(tmp_path: Path) -> None:
    proc = proc_with(tmp_path, ADMIN)
    remedy = str(bpf_remedy(REFUSED, proc, others_load=True))

    assert "loads none that enters its functions" in remedy
    assert "security module" not in remedy
    assert "seccomp" not in remedy
