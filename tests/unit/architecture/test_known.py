# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Architectures: told apart by name, refused in one line, and their numbers are the kernel's."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import fields

import pytest

from vmad.architecture.known import UnknownArchitecture, architecture_of, needed, running
from vmad.architecture.system_calls import SystemCalls


@pytest.mark.parametrize(
    ("machine", "debian"),
    [("x86_64", "amd64"), ("i686", "amd64"), ("aarch64", "arm64"), ("armv8l", "arm64")],
)
def test_a_machine_is_known_by_what_uname_says(machine: str, debian: str) -> None:
    found = architecture_of(machine)

    assert found is not None
    assert found.debian == debian


def test_another_machine_is_refused_in_one_line_that_says_what_works() -> None:
    assert architecture_of("riscv64") is None
    with pytest.raises(UnknownArchitecture) as refused:
        needed("riscv64", "probing")
    assert str(refused.value) == (
        "probing works on x86-64 and 64-bit Arm, this is riscv64; "
        "reading (scan, explain, serve, capture) works there"
    )


def test_system_calls_are_those_of_this_machines_headers() -> None:
    here = running()
    assert here is not None
    names = [field.name for field in fields(SystemCalls)]
    text = "#include <sys/syscall.h>\n" + "".join(f"{name}=__NR_{name}\n" for name in names)
    made = subprocess.run(
        ["clang", "-E", "-P", "-x", "c", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    defined = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)\b", made)}

    # headers may be older than the newest calls
    assert {"madvise", "kcmp", "userfaultfd"} <= set(defined)
    assert {name: getattr(here.calls, name) for name in defined} == defined


def test_this_machines_page_size_is_one_that_its_architecture_has() -> None:
    here = running()
    assert here is not None
    assert os.sysconf("SC_PAGE_SIZE").bit_length() - 1 in here.page_shifts
