# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The payload: built for any machine on any, and refused in one line for what is not known."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from vmad.architecture.known import ARCHITECTURES
from vmad.architecture.system_calls import SystemCalls
from vmad.probe import payload, visit
from vmad.probe.refusals import Refused

HERE = Path(payload.__file__).parent
EXAMPLE = HERE.parents[2] / "examples" / "rebuild"

#: `mov $number, %eax; syscall` and `mov x8, #number; svc #0`, as the compilers write them
CALLS = {
    "x86_64": lambda number: b"\xb8" + number.to_bytes(4, "little"),
    "aarch64": lambda number: (0xD2800008 | number << 5).to_bytes(4, "little")[:3],
}
#: how it begins: call; mov %rax, %rsp; ret, and mov x19, x30; bl; mov sp, x0; ret x19
BEGINS = {
    "x86_64": lambda code: code[:1] == b"\xe8" and code[5:9] == b"\x48\x89\xc4\xc3",
    "aarch64": lambda code: (
        code[:4] == b"\xf3\x03\x1e\xaa" and code[8:16] == b"\x1f\x00\x00\x91\x60\x02\x5f\xd6"
    ),
}


def run(*words: str, folder: Path = HERE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources, so that what is built here stays as it is."""
    shutil.copytree(EXAMPLE, tmp_path / "examples/rebuild")
    ignored = shutil.ignore_patterns("*.bin*")
    shutil.copytree(HERE, tmp_path / "vmad/probe/payload", ignore=ignored)
    return tmp_path / "vmad/probe/payload"


@pytest.mark.parametrize("machine", [known.machine for known in ARCHITECTURES])
def test_it_is_built_for_each_machine_on_this_one(copy: Path, machine: str) -> None:
    made = run("make", "--silent", f"MACHINE={machine}", folder=copy)
    assert (made.returncode, made.stderr) == (0, "")
    assert [path.name for path in copy.glob("*.bin*")] == [f"rebuild.{machine}.bin"]
    code = (copy / f"rebuild.{machine}.bin").read_bytes()

    assert BEGINS[machine](code)
    calls: SystemCalls = next(known for known in ARCHITECTURES if known.machine == machine).calls
    for number in (calls.userfaultfd, calls.mmap, calls.munmap, calls.madvise, calls.mbind):
        # the low 16 bits of what is moved lie in bits 5 to 20 on Arm, whatever the register
        assert CALLS[machine](number) in code, number


def test_make_builds_without_it() -> None:
    made = run("make", "--silent", "--no-print-directory", "MACHINE=riscv64")

    assert (made.returncode, made.stdout) == (
        0,
        "rebuilding works on x86-64 and 64-bit Arm, this is riscv64: built without it\n",
    )


def test_the_compiler_says_what_works() -> None:
    told = run("clang", "--target=riscv64-linux-gnu", "-fsyntax-only", "machine.h")
    errors = [line for line in told.stderr.splitlines() if " error: " in line]

    assert [line.partition(" error: ")[2] for line in errors] == [
        '"rebuilding works on x86-64 and 64-bit Arm"'
    ]
    for known in ARCHITECTURES:
        target = f"--target={known.machine}-linux-gnu"
        assert not run("clang", target, "-fsyntax-only", "machine.h").returncode


def test_what_a_linker_would_have_to_mend_is_not_built(copy: Path) -> None:
    with (copy / "rebuild.c").open("a") as file:
        file.write("int counter = 1;\nint count(void) { return ++counter; }\n")
    made = run("make", "--silent", folder=copy)

    assert made.returncode
    assert "rebuild.c has data, or calls something\n" in made.stderr
    assert not list(copy.glob("*.bin"))


def test_code_of_another_machine_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.uname()
    names: list[str] = []
    monkeypatch.setattr(resources, "files", lambda _: _Missing(names))
    for machine in ("x86_64", "aarch64"):
        uname = os.uname_result((*here[:4], machine))
        monkeypatch.setattr(os, "uname", lambda uname=uname: uname)
        with pytest.raises(Refused, match=f"payload/rebuild.{machine}.bin is missing; run"):
            visit.payload()
    assert names == ["rebuild.x86_64.bin", "rebuild.aarch64.bin"]


class _Missing:
    """A package without files; notes which are asked for."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def joinpath(self, name: str) -> Path:
        self._names.append(name)
        return Path("/nonexistent")
