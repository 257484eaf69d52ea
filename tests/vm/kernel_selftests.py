# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.vm.kernel_selftests``: the kernel's own memory tests, stock against patched.

Compiles tools/testing/selftests/mm from the tree that ``vmad lab build --stock`` left, runs every
program of the list in a guest of each kernel (the patched one switched off and on), and prints a
table. Exit status 1 when a program does worse than on stock.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from vmad.lab.cache import Cache, default_cache
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import run_streaming

#: kernel, value of vm.anon_vma_merge (None: there is none), name in the table
RUNS = (("stock-6.12", None, "stock"), ("patched-6.12", 0, "off"), ("patched-6.12", 7, "on"))
#: command -> seconds that it may take without KVM. uffd-unit-tests goes by its filters: as a whole
#: it takes longer than anybody waits.
TESTS = {
    "mremap_test": 120,
    "mremap_dontunmap": 60,
    "cow": 300,
    "ksm_functional_tests": 200,
    "migration": 300,
    "split_huge_page_test": 400,
    "khugepaged": 200,
    "khugepaged -s 2": 200,
    "uffd-unit-tests -f zeropage": 200,
    "uffd-unit-tests -f move": 200,
    "uffd-unit-tests -f wp-fork": 300,
    "uffd-unit-tests -f wp-unpopulated": 200,
    "uffd-unit-tests -f sigbus": 300,
    "uffd-unit-tests -f poison": 200,
    "uffd-stress anon 20 16": 200,
    "uffd-stress shmem 20 16": 200,
    "uffd-stress hugetlb 64 16": 200,
    "pagemap_ioctl": 200,
    "madv_populate": 60,
    "mlock2-tests": 60,
    "soft-dirty": 120,
    "mseal_test": 60,
    "transhuge-stress -d 5 256": 100,
    "hugepage-mremap": 60,
    "mkdirty": 60,
    "gup_longterm": 120,
    "ksm_tests -M -p 10": 60,
    "ksm_tests -U": 60,
    "ksm_tests -Z -p 10 -z 0": 60,
}
PREPARE = """
echo 1 >/proc/sys/vm/unprivileged_userfaultfd
echo 128 >/proc/sys/vm/nr_hugepages
[ "$1" = - ] || echo "$1" >/proc/sys/vm/anon_vma_merge
cp -r "$2" /tmp/mm
cd /tmp/mm
"""
_TAP = re.compile(r"^(?P<not>not )?ok \d+(?P<rest>.*)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OTHER = re.compile(r"\.\.\.\s*(?P<word>OK|Fail|done|failed|skip)", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """What one program said; ``status`` 124 is a time-out."""

    passed: int
    failed: int
    skipped: int
    status: int

    def __str__(self) -> str:
        rest = "" if self.status == 0 else f" rc {self.status}"
        return f"{self.passed}/{self.failed}/{self.skipped}{rest}"


def result_of(text: str, status: int) -> Result:
    """Counts of a program's output: TAP, or the lines of khugepaged and the userfaultfd tests."""
    text = _COLOUR.sub("", text)
    passed = failed = skipped = 0
    taps = list(_TAP.finditer(text))
    for tap in taps:
        if re.search(r"# ?(SKIP|XFAIL)", tap["rest"], re.IGNORECASE):
            skipped += 1
        elif tap["not"]:
            failed += 1
        else:
            passed += 1
    if not taps:
        words = [found["word"].lower() for found in _OTHER.finditer(text)]
        passed = sum(word in ("ok", "done") for word in words)
        failed = sum(word in ("fail", "failed") for word in words)
        skipped = words.count("skip")
    return Result(passed, failed, skipped, status)


def compile_tests(cache: Cache) -> Path:
    """The compiled programs; made once per source tree."""
    tree = cache.root / "kernel-build" / "stock-6.12"
    made = tree / "selftests-mm"
    if not (made / ".done").exists():
        subprocess.run(["make", "-s", "headers"], cwd=tree, check=True)
        made.mkdir(exist_ok=True)
        # 6.12's khugepaged.c uses KSFT_SKIP without its header
        words = [f"KHDR_INCLUDES=-isystem {tree}/usr/include", f"OUTPUT={made}"]
        for extra in ([], ["EXTRA_CFLAGS=-DKSFT_SKIP=4", f"{made}/khugepaged"]):
            subprocess.run(
                ["make", "-k", "-s", *words, *extra],
                cwd=tree / "tools/testing/selftests/mm",
                check=False,  # what cannot be compiled here is missed by name below
                capture_output=True,
            )
        missing = {name.split()[0] for name in TESTS} - {path.name for path in made.iterdir()}
        if missing:
            sys.exit(f"not compiled: {' '.join(sorted(missing))} (needs libcap-dev, libnuma-dev)")
        (made / ".done").touch()
    return made


def run(kernel: str, mask: int | None, programs: Path, out: Path, only: str) -> dict[str, Result]:
    """Every program in one guest, each in a process group that a time-out ends."""
    out.mkdir(parents=True, exist_ok=True)
    script = PREPARE
    tests = {name: limit for name, limit in TESTS.items() if re.search(only, name)}
    for number, (name, limit) in enumerate(tests.items()):
        log = shlex.quote(f"{out.absolute()}/{number:02}.log")
        script += f"timeout -k 5 {limit} ./{name} >{log} 2>&1; echo {number} $? >&3\n"
        script += f'echo "{name}" >/dev/console\n'
    said = bytearray()
    run_streaming(
        kernel,
        [
            "sh",
            "-c",
            f"exec 3>&1\n{script}",
            "sh",
            "-" if mask is None else str(mask),
            str(programs),
        ],
        machine=Machine(2048 * MIB, 4, swap=512 * MIB, numa=2),
        timeout=3600,
        out_dir=out,
        stdin=b"",
        stdout=said.extend,
        stderr=lambda text: None,
    )
    names, found = list(tests), {}
    for line in said.decode().splitlines():
        number, status = map(int, line.split())
        text = (out / f"{number:02}.log").read_text(errors="replace")
        found[names[number]] = result_of(text, status)
    return found


def worse(stock: Result, other: Result) -> bool:
    """Whether a program does worse than on the stock kernel."""
    return other.failed > stock.failed or (other.status != 0 and stock.status == 0)


def main() -> int:
    """Run, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/selftests"))
    parser.add_argument("--runs", default="stock,off,on")
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--kernel", help="instead of patched-6.12, such as patched-6.12-debug")
    arguments = parser.parse_args()
    programs = compile_tests(default_cache())
    results: dict[str, dict[str, Result]] = {}
    for kernel, mask, name in RUNS:
        if name in arguments.runs.split(","):
            booted = arguments.kernel if arguments.kernel and mask is not None else kernel
            results[name] = run(booted, mask, programs, arguments.out / name, arguments.only)
            kept = {test: asdict(result) for test, result in results[name].items()}
            (arguments.out / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    for _, _, name in RUNS:
        kept_before = arguments.out / f"{name}.json"
        if name not in results and kept_before.exists():
            stored = json.loads(kept_before.read_text())
            results[name] = {test: Result(**values) for test, values in stored.items()}
    print(f"{'passed/failed/skipped':32}" + "".join(f"{name:>16}" for name in results))
    bad = 0
    for test in TESTS:
        row = [results[name].get(test) for name in results]
        if not any(row):
            continue
        stock = results.get("stock", {}).get(test)
        flag = any(stock and each and worse(stock, each) for each in row)
        bad += flag
        print(f"{test:32}" + "".join(f"{each!s:>16}" for each in row) + (" WORSE" if flag else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
