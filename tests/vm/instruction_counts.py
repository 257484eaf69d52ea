# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.vm.instruction_counts``: instructions per system call, stock against patched.

Under QEMU's -icount with one processor, a fixed seed and a fixed clock, a guest that runs one
static program repeats to the single instruction, whatever else the machine does; its rdtsc then
counts executed instructions. The same call still takes more or fewer of them from one repetition to
the next (interrupts, what RCU frees in which of them, how full a slab is): the median of nine
repetitions of 2,000 is shown, and with --all the lowest and the highest too.

``--of forks`` counts forks, and walks of rmap while the children live (patched/forks.c);
``--of holds`` for how long one call keeps other threads from the mmap_lock (patched/holds.c).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.vm.patched_programs import compiled
from vmad.lab.cache import default_cache
from vmad.lab.guest.cpio import archive, character_device, directory, regular
from vmad.lab.guest.programs import qemu
from vmad.lab.kernels.store import kernel_named
from vmad.lab.machines import this_machine

#: kernel, value of vm.anon_vma_merge (None: there is none), name in the table
RUNS = (
    ("stock-6.12", None, "stock"),
    ("patched-6.12", 0, "off"),
    ("patched-6.12", 8, "counting"),
    ("patched-6.12", 7, "on"),
)
SECONDS = 1200


def counts(kernel: str, mask: int | None, initramfs: Path) -> dict[str, list[int]]:
    """Instructions per call by name, one figure per repetition."""
    parameters = (
        "console=ttyS0 quiet norandmaps no5lvl mitigations=off random.trust_cpu=on panic=-1"
    )
    if mask is not None:
        parameters += f" merge_switch={mask}"
    argv = [
        qemu(this_machine()),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]
    argv += ["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "1", "-m", "512M"]
    argv += ["-icount", "shift=0,sleep=off", "-seed", "1"]
    argv += ["-rtc", "base=2026-01-01,clock=vm", "-serial", "stdio"]
    argv += ["-kernel", str(kernel_named(default_cache(), kernel).image)]
    argv += ["-initrd", str(initramfs), "-append", parameters]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=True)
    found: dict[str, list[int]] = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words[:1] == ["count"]:
            found.setdefault(words[1], []).append(int(words[2]))
    if "done" not in done.stdout:
        # the end of PID 1 is a panic, and tells less than what it said before
        said = done.stdout.partition("Kernel panic")[0]
        sys.exit(f"{kernel} did not end its counting:\n{said[-2000:]}")
    return found


#: --of: what is counted, and the program in tests/vm/patched
PROGRAMS = {"calls": "instructions.c", "forks": "forks.c", "holds": "holds.c"}


def main() -> int:
    """Count and print the median of each; ratios are to stock."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/instruction-counts.json"))
    parser.add_argument("--all", action="store_true", help="the lowest and the highest too")
    parser.add_argument("--runs", nargs="+", default=[name for _, _, name in RUNS],
                        help="only these, compared with the first of them")  # fmt: skip
    parser.add_argument("--of", choices=PROGRAMS, default="calls", help="what is counted")
    arguments = parser.parse_args()
    runs = [run for run in RUNS if run[2] in arguments.runs]
    with tempfile.TemporaryDirectory() as temporary:
        program = compiled(PROGRAMS[arguments.of], Path(temporary))
        initramfs = Path(temporary) / "initramfs"
        members = [directory("dev"), directory("proc"), character_device("dev/console", 5, 1)]
        members.append(regular("init", program.read_bytes(), executable=True))
        initramfs.write_bytes(archive(members))
        found = {name: counts(kernel, mask, initramfs) for kernel, mask, name in runs}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    names = [name for _, _, name in runs]
    print(f"{'instructions':24}" + "".join(f"{name:>18}" for name in names))
    for work, first in found[names[0]].items():
        measures: list[tuple[str, Callable[[list[int]], float]]] = [("", statistics.median)]
        if arguments.all:
            measures += [(" lowest", min), (" highest", max)]
        for what, measure in measures:
            base = measure(first)
            here = [measure(found[name][work]) for name in names]
            cells = [f"{each:>10,} {each / base:7.4f}" for each in here]
            print(f"{work + what:24}" + "".join(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
