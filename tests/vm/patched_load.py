# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m tests.vm.patched_load``: load on a kernel that watches itself.

Every phase is a guest of its own, with the series switched on and with memory pressure; the lab
fails a run when the console shows a warning, a lock problem, or a report of KASAN. Phases:

- ``shadow``: random memory calls whose every byte is known (patched/shadow.c), forks too, while
  the switch and its bound change all the time, KSM runs, and memory is compacted and swapped;
- ``contents``: patched/contents.c, every eleventh combination;
- ``stress``: stress-ng's memory stressors, with their own verification;
- ``differential``: random programs of tests/differential.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.vm.patched_programs import compiled
from vmad.lab.errors import LabError
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import run_streaming

PRESSURE = """
echo 1 >/proc/sys/vm/unprivileged_userfaultfd
echo 1 >/sys/kernel/mm/ksm/run
echo 500 >/sys/kernel/mm/ksm/pages_to_scan
(while sleep 2; do echo 1 >/proc/sys/vm/compact_memory; done) &
"""
SHADOW = (
    PRESSURE
    + """
(while :; do
    for mask in 7 3 15 1 7 6 0 2 7 4; do echo $mask >/proc/sys/vm/anon_vma_merge; sleep 0.3; done
    echo 16 >/proc/sys/vm/anon_vma_merge_max_pages; sleep 0.5
    echo 65536 >/proc/sys/vm/anon_vma_merge_max_pages
done) &
stress-ng --quiet --vm 1 --vm-bytes "$4" --vm-keep --timeout "$2" &
"$1" "$2" "$3" 3
"""
)
#: on a kernel that watches itself, a combination takes seconds
CONTENTS = PRESSURE + 'exec "$1" 7 /11\n'
STRESS = (
    PRESSURE
    + """
echo 7 >/proc/sys/vm/anon_vma_merge
seconds=$(($2 / 9))
for stressor in mremap mmap vm fork userfaultfd mmapfork madvise mlock brk; do
    stress-ng --quiet --$stressor 2 --verify --timeout $seconds --vm-bytes 96M --mremap-bytes 32M \\
        --mmap-bytes 64M --temp-path /tmp
    status=$?
    echo "$stressor $status"
    [ $status = 0 ] || exit $status
done
"""
)
DIFFERENTIAL = """
exec timeout --foreground --signal=INT --preserve-status "$2" python3 -m tests.differential.fuzz \\
    --switch 8:7 --evidence procfs --seed "$3" --workers 1 --state /tmp/fuzz/state.json
"""
#: phase -> script, program whose path is $1, MiB of memory
PHASES = {
    "shadow": (SHADOW, "shadow.c", 1024),
    "contents": (CONTENTS, "contents.c", 1536),
    "stress": (STRESS, "shadow.c", 1024),
    "differential": (DIFFERENTIAL, "shadow.c", 1536),
}
DISK = ("null_blk.memory_backed=1", "null_blk.irqmode=2", "null_blk.completion_nsec=2000000")
#: a debug kernel needs long to boot, and longer to end
SLACK_SECONDS = 600


def phase(name: str, kernel: str, *, seconds: int, seed: int, directory: Path, out: Path) -> str:
    """Run one phase; returns what it printed. Raises ``LabError`` with the console's report."""
    script, source, memory = PHASES[name]
    program = compiled(source, directory)
    said = bytearray()
    ending = run_streaming(
        kernel,
        ["sh", "-c", script, "sh", str(program), str(seconds), str(seed), f"{memory // 2}M"],
        machine=Machine(memory * MIB, 2, swap=768 * MIB, numa=2, extra_parameters=DISK),
        timeout=seconds + SLACK_SECONDS,
        out_dir=out,
        stdin=b"",
        stdout=said.extend,
        stderr=said.extend,
    )
    text = said.decode(errors="replace")
    if ending.status != 0:
        raise LabError(f"{name} ended with status {ending.status}", "see below", console=text)
    return text


def main() -> int:
    """Run the phases, and print how each ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="patched-6.12-debug")
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--seconds", type=int, default=450, help="of each phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/patched-load"))
    arguments = parser.parse_args()
    bad = 0
    for name in arguments.phases.split(","):
        began = time.monotonic()
        with TemporaryDirectory() as directory:
            try:
                text = phase(
                    name,
                    arguments.kernel,
                    seconds=arguments.seconds,
                    seed=arguments.seed,
                    directory=Path(directory),
                    out=arguments.out,
                )
                how = "clean"
            except LabError as error:
                text, how = error.console, f"FAILED: {error}"
                bad += 1
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / f"{name}.txt").write_text(text)
        print(f"{name}: {how}, {time.monotonic() - began:.0f} s\n{text[-1500:]}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
