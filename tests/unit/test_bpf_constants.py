# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What C and Python both define for kernel evidence is the same: the compiler itself compares."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vmad.architecture.known import ARCHITECTURES
from vmad.architecture.x86_64 import X86_64
from vmad.model import facts, flags
from vmad.model.facts import AnonVma
from vmad.model.kernel import KernelInfo
from vmad.model.kernel_flags import KERNEL_FLAGS
from vmad.model.kinds import KIND_COUNT, Kind
from vmad.model.table import VMA_ROW
from vmad.rules.runs import HARD_FACTS
from vmad.sources.bpf import blame, bursts, caller, census, failures, layout, merge_attempts, source
from vmad.sources.bpf.calls import CALLS
from vmad.sources.bpf.census import BELONGING, BELONGINGS, KERNEL_CENSUS_ROW, READING
from vmad.sources.bpf.layout import ENTRY, HEADER, WANTED, Control, Status, Steady

HERE = Path(source.__file__).parent


def compile_assertions(includes: str, assertions: Mapping[str, str | int]) -> str:
    """What clang says of "left == right" for each; "" when all hold."""
    text = f'#include "{includes}"\n' + "".join(
        f'_Static_assert(({left}) == ({right}ULL), "{left} is not {right}");\n'
        for left, right in assertions.items()
    )
    ran = subprocess.run(
        ["clang", "-target", "bpf", "-D__TARGET_ARCH_x86", "-fsyntax-only", "-x", "c", "-", "-I."],
        input=text,
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return "\n".join(line for line in ran.stderr.splitlines() if "error:" in line)


def struct(name: str, dtype: np.dtype[np.void]) -> Iterator[tuple[str, int]]:
    """Size and offset of every field of a structure."""
    yield f"sizeof(struct {name})", dtype.itemsize
    assert dtype.fields is not None
    for field, (kind, offset, *_) in dtype.fields.items():
        yield f"__builtin_offsetof(struct {name}, {field})", offset
        yield f"sizeof(((struct {name} *)0)->{field})", kind.itemsize


def defines(module: ModuleType, prefix: str, names: str) -> dict[str, int]:
    return {f"{prefix}{name}": getattr(module, name) for name in names.split()}


def test_the_compiler_sees_a_difference() -> None:
    assert "FACT_FILE is not 1" in compile_assertions("walk.bpf.h", {"FACT_FILE": 1})


def test_bits_of_facts() -> None:
    names = "SPECIAL FILE UFFD NAME POLICY PGOFF CLOSE AV_SAME A_AV_SHIFT B_AV_SHIFT A_EXCLUSIVE"
    names += " B_EXCLUSIVE UNKNOWN_EXCLUSIVE FLAGS_SHIFT"
    expected = defines(facts, "FACT_", names)
    expected |= {f"AV_{state.name}": state.value for state in AnonVma}
    assert compile_assertions("walk.bpf.h", expected) == ""


def test_kinds() -> None:
    expected = {f"KIND_{kind.name}": kind.value for kind in Kind} | {"KIND_COUNT": KIND_COUNT}
    assert compile_assertions("walk.bpf.h", expected) == ""


def test_flags() -> None:
    expected = {
        "FLAG_READ": flags.VM_READ,
        "FLAG_WRITE": flags.VM_WRITE,
        "FLAG_EXEC": flags.VM_EXEC,
        "FLAG_SHARED": flags.VM_SHARED,
        "FLAG_ACCESS": flags.ACCESS,
        "FLAG_SPECIAL": flags.VM_SPECIAL,
        "FLAG_MAYREAD_BIT": flags.VM_MAYREAD.bit_length() - 1,
        "FLAG_UNNAMED": 1 << flags.HIGH_CODES["??"],
        "HIGH_FLAGS": layout.HIGH_FLAGS,
    }
    assert compile_assertions("walk.bpf.h", expected) == ""


def test_facts_that_runs_look_through_are_those_that_the_rules_do() -> None:
    low = 0xFFFF_FFFF
    kernel_can_set = facts.CLOSE * 2 - 1 | facts.AV_SAME | facts.UNKNOWN_EXCLUSIVE
    kernel_can_set |= facts.AV_MASK << facts.A_AV_SHIFT | facts.AV_MASK << facts.B_AV_SHIFT
    kernel_can_set |= facts.A_EXCLUSIVE | facts.B_EXCLUSIVE
    assert kernel_can_set <= low
    expected = {"FACTS_OF_RUNS": kernel_can_set & ~HARD_FACTS}
    assert compile_assertions("walk.bpf.h", expected) == ""


def test_structures_and_limits_of_the_walks() -> None:
    expected: dict[str, str | int] = {}
    for name, dtype in (("row", VMA_ROW), ("header", HEADER), ("entry", ENTRY)):
        expected |= struct(name, dtype)
    expected |= {f"STATUS_{status.name}": status.value for status in Status}
    expected |= {f"STEADY_{steady.name}": steady.value for steady in Steady}
    expected |= defines(layout, "", "MAX_HEADERS MAX_ENTRIES MAX_ROWS MAX_DISTINCT RULES")
    expected["RUN_KEYS"] = facts.RUN_KEYS
    expected["sizeof(struct control)"] = ctypes.sizeof(Control)
    for name, *_ in Control._fields_:
        offset = getattr(Control, name).offset
        expected[f"__builtin_offsetof(struct control, {name})"] = offset
    assert compile_assertions("walk.bpf.h", expected) == ""


@pytest.mark.parametrize(
    ("file", "name", "dtype"),
    [
        ("held.bpf.c", "wanted", WANTED),
        ("census.bpf.c", "census_row", KERNEL_CENSUS_ROW),
        ("census.bpf.c", "belonging", BELONGING),
        ("census.bpf.c", "belongings", BELONGINGS),
        ("census.bpf.c", "reading", READING),
    ],
)
def test_structures_of_one_program(file: str, name: str, dtype: np.dtype[np.void]) -> None:
    assert compile_assertions(file, dict(struct(name, dtype))) == ""


def test_limits_of_the_census() -> None:
    assert compile_assertions("census.bpf.c", defines(census, "", "CGROUP_PATH BELONGS")) == ""


def test_results_and_limits_of_counting_merge_attempts() -> None:
    expected: dict[str, str | int] = {
        f"{outcome}_{reason}".upper(): place
        for place, (outcome, reason) in enumerate(merge_attempts.RESULTS)
    }
    expected |= {"RESULTS": len(expected), "CPU_ROWS": merge_attempts.CPU_ROWS}
    expected["sizeof(struct cpu_row)"] = merge_attempts.ROW_RESULTS * 8
    expected |= struct("settings", merge_attempts.SETTINGS)
    assert compile_assertions("merge_fentry.bpf.c", expected) == ""


def test_calls_and_structures_of_counting_failures() -> None:
    expected: dict[str, str | int] = {
        f"CALL_{call.upper()}": place for place, call in enumerate(CALLS)
    }
    expected |= {"CALLS": len(CALLS), "FORMS": len(failures.FORMS)}
    expected |= {"ROWS": failures.ROWS}
    assert list(failures.FORMS)[: len(CALLS)] == list(CALLS)
    for name, dtype in {
        "settings": caller.SETTINGS,
        "control": failures.CONTROL,
        "failure_key": failures.KEY,
        "caller": caller.CALLER,
        "failure": failures.FAILURE,
    }.items():
        expected |= struct(name, dtype)
    assert compile_assertions("failures_fexit.bpf.c", expected) == ""


@pytest.mark.parametrize("file", blame.WAYS.values())
def test_structures_of_recording_who_made_boundaries(file: str) -> None:
    expected: dict[str, str | int] = {f"EVENT_{kind.name}": kind.value for kind in blame.EventKind}
    expected |= {"PROCESSES": blame.PROCESSES, "REGISTERS": X86_64.unwound_registers}
    expected |= {"CODE_WORDS": blame.CODE_WORDS}
    expected |= {f"CALL_{call.upper()}": place for place, call in enumerate(CALLS)}
    for name, dtype in {
        "settings": blame.SETTINGS,
        "control": blame.CONTROL,
        "recorded": blame.RECORDED,
        "boundary_key": blame.BOUNDARY_KEY,
        "boundary": blame.BOUNDARY,
        "event": blame.EVENT,
    }.items():
        expected |= struct(name, dtype)
    assert compile_assertions(file.replace(".o", ".c"), expected) == ""


@pytest.mark.parametrize("file", ["bursts_fexit.bpf.c", "bursts_lock.bpf.c"])
def test_structures_of_watching_bursts(file: str) -> None:
    expected: dict[str, str | int] = {"ROWS": bursts.ROWS}
    for name, dtype in {
        "settings": caller.SETTINGS,
        "control": bursts.CONTROL,
        "peak_key": bursts.KEY,
        "caller": caller.CALLER,
        "peak": bursts.PEAK,
    }.items():
        expected |= struct(name, dtype)
    assert compile_assertions(file, expected) == ""


def test_settings_are_laid_out_as_the_programs_read_them() -> None:
    tables = bytes(range(256)), bytes(reversed(range(256)))
    text = layout.settings(KernelInfo("6.18.44", page_shift=16), 0x1234, tables)
    assert text[:8] == (0x1234).to_bytes(8, "little")
    assert text[-512:] == tables[0] + tables[1]
    masks = flags.high_masks((6, 18), "x86_64")
    assert text[8:16] == flags.LOW_MASK.to_bytes(8, "little")
    high = np.frombuffer(text, "<u8", layout.HIGH_FLAGS, 16)
    bits = np.frombuffer(text, "<u4", layout.HIGH_FLAGS, 16 + high.nbytes)
    assert dict(zip(high.tolist(), bits.tolist(), strict=True)) == {0: 0} | {
        mask: flags.HIGH_CODES[code] for code, mask in masks.items()
    }
    shift_at = 16 + high.nbytes + bits.nbytes
    assert text[shift_at] == 16
    expected = {
        "sizeof(struct settings)": len(text),
        "__builtin_offsetof(struct settings, ignored_flags)": 0,
        "__builtin_offsetof(struct settings, low_mask)": 8,
        "__builtin_offsetof(struct settings, high_mask)": 16,
        "__builtin_offsetof(struct settings, high_bit)": 16 + high.nbytes,
        "__builtin_offsetof(struct settings, page_shift)": shift_at,
        "__builtin_offsetof(struct settings, merge_table)": len(text) - 512,
    }
    assert compile_assertions("walk.bpf.h", expected) == ""


def test_every_release_has_room_for_its_high_flags() -> None:
    for release in {place.since for flag in KERNEL_FLAGS for place in flag.places}:
        for architecture in ARCHITECTURES:
            assert len(flags.high_masks(release, architecture.machine)) <= layout.HIGH_FLAGS
