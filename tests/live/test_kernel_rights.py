# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernel evidence with just the rights that it needs, and what it says without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import other_users
from tests.live.kernel_walks import WALKS
from vmad.sources.bpf.libbpf import load_library

pytestmark = pytest.mark.bpf

ROOT = Path(__file__).parents[2]

READ_ROOTS_PROCESS = (
    "from vmad.errors import VmadError\n"
    "from vmad.model.process import ProcessId\n"
    "from vmad.sources.choose import open_source\n"
    "try:\n"
    "    source = open_source('kernel', None)\n"
    "    census = source.census()\n"
    f"    (row,) = census[census['pid'] == {os.getpid()}]\n"
    "    process = ProcessId(int(row['pid']), int(row['start_time']))\n"
    "    (result,) = source.summarise([process])\n"
    "    print(source.health().walk, result.vmas == len(source.table(process).rows) > 100)\n"
    "except VmadError as error:\n"
    "    print(error)\n"
)


def as_nobody(script: str, *rights: str, **variables: str) -> str:
    """What a script prints as uid 65534 with these capabilities and no others."""
    packages = str(other_users.packages())
    ran = subprocess.run(
        [*other_users.as_nobody(*rights), "--no-new-privs", other_users.python(), "-c", script],
        env={**os.environ, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.parametrize("walk", WALKS)
def test_bpf_and_perfmon_are_enough(walk: str) -> None:
    assert as_nobody(READ_ROOTS_PROCESS, "bpf", "perfmon", VMAD_WALK=walk) == f"{walk} True\n"


def test_sys_admin_alone_is_enough() -> None:
    assert as_nobody(READ_ROOTS_PROCESS, "sys_admin") == f"{WALKS[0]} True\n"


@pytest.mark.parametrize("rights", [(), ("bpf",), ("perfmon",), ("sys_ptrace", "dac_override")])
def test_less_is_refused_in_one_line_that_names_the_rights(rights: tuple[str, ...]) -> None:
    answer = as_nobody(READ_ROOTS_PROCESS, *rights)
    assert answer.count("\n") == 1
    assert answer.startswith("BPF: ")
    assert answer.endswith("not permitted; needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)\n")


def in_a_mount_namespace(prepare: str) -> str:
    """What opening kernel evidence says after shell commands that nobody else sees."""
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-e", "-c", f'{prepare}; exec "$0" -c "$1"',
         sys.executable, READ_ROOTS_PROCESS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.mounts
def test_a_kernel_without_btf_is_named() -> None:
    assert in_a_mount_namespace("mount -t tmpfs none /sys/kernel/btf") == (
        "BPF: task_vma.bpf.o does not load: no /sys/kernel/btf/vmlinux; "
        "needs a kernel with CONFIG_DEBUG_INFO_BTF=y\n"
    )


@pytest.mark.mounts
def test_a_missing_library_is_named() -> None:
    load_library()
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8").split()
    library = next(word for word in mapped if "/libbpf.so" in word)
    assert in_a_mount_namespace(f"mount --bind /dev/null {library}") == (
        "BPF: libbpf.so.1 is not installed; install Debian's package libbpf1\n"
    )


@pytest.mark.mounts
def test_an_object_that_was_not_built_is_named(tmp_path: Path) -> None:
    directory = ROOT / "vmad/sources/bpf"
    hide = (
        f"mount -t tmpfs none {tmp_path}; cp {directory}/*.py {tmp_path}; "
        f"mount --bind {tmp_path} {directory}"
    )
    assert in_a_mount_namespace(hide) == (
        f"BPF: {directory}/task_vma.bpf.o is missing; run `make setup` to build it\n"
    )


@pytest.mark.mounts
def test_every_walk_works_here_or_says_since_when() -> None:
    for walk in ("lockless", "open-coded", "task_vma"):
        answer = in_a_mount_namespace(f"export VMAD_WALK={walk}")
        assert answer == (
            f"{walk} True\n"
            if walk in WALKS
            else f"BPF: {walk.replace('-', '_')}.bpf.o does not load: a type or function it wants "
            "is not in this kernel; needs Linux 6.10 or later\n"
        )
