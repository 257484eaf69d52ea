# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What BPF counts of merge attempts is what the patched kernel counts itself, number by number.

The kernel counts with vm.anon_vma_merge at 8, where it merges as stock does; BPF watches the same
functions as on a stock kernel. Needs ``vmad lab build``.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.vm.patched_programs import compiled
from vmad.lab.run import run_in_guest
from vmad.sources.bpf.merge_attempts import RESULTS

PATCHED = "patched-6.12"
STEPS = Path(__file__).parent.parent / "live" / "merge_steps.c"
#: rows.c switches the counting off for one of its rows: here it only thinks so
LAYOUTS = """
echo 8 >/tmp/switch
unshare --mount sh -c 'mount --bind /tmp/switch /proc/sys/vm/anon_vma_merge && exec "$1" 8' sh "$1"
"""
#: workload -> command; $1, $2, $3: rows.c, merge_steps.c, shadow.c
WORKLOADS = {
    "layouts": LAYOUTS,
    "known calls": 'yes | "$2"',
    "random calls, forks": '"$3" 10 1 2',
    "programs that start": "for i in 1 2; do python3 -c 'import json, numpy'; ls -R /proc; done",
}
SCRIPT = """
import json, subprocess, sys
from vmad.model.kernel import running_kernel
from vmad.sources.bpf.merge_attempts import KernelMergeAttempts
from vmad.sources.procfs.merge_counters import read_merge_attempts

with open("/proc/sys/vm/anon_vma_merge", "w") as switch:
    switch.write("8")
attempts = KernelMergeAttempts(running_kernel())

def both():
    "Both counts at a moment when nobody attempted anything."
    while True:
        kernel, bpf = read_merge_attempts(), attempts.read()
        if read_merge_attempts() == kernel:
            return kernel, bpf

print(json.dumps(attempts.way))
for name, command in json.loads(sys.argv[1]).items():
    before = both()
    command = ["sh", "-c", command, "sh", *sys.argv[2:]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = both()
    print(json.dumps([name, *(
        {" ".join(key): n for key in now if (n := now[key] - then[key])}
        for then, now in zip(before, after)
    )]))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, int], ...]]:
    """Workload -> what the kernel counted, what BPF counted."""
    place = tmp_path_factory.mktemp("programs")
    rows, shadow = (compiled(name, place) for name in ("rows.c", "shadow.c"))
    steps = place / "steps"
    subprocess.run(["cc", "-O1", "-static", "-o", str(steps), str(STEPS)], check=True)
    programs = [str(program) for program in (rows, steps, shadow)]
    asked = ["python3", "-c", SCRIPT, json.dumps(WORKLOADS), *programs]
    done = run_in_guest(PATCHED, asked, timeout=900)
    assert done.status == 0, done.stderr.decode()
    first, *rest = (json.loads(line) for line in done.stdout.decode().splitlines() if line)
    assert first in ("fentry", "kprobe")
    return {name: counts for name, *counts in rest}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_bpf_counts_what_the_kernel_counts(
    said: dict[str, tuple[dict[str, int], ...]], workload: str
) -> None:
    kernel, bpf = said[workload]
    assert sum(kernel.values()) > 0
    assert bpf == kernel


def test_workloads_meet_every_reason_but_lack_of_memory(
    said: dict[str, tuple[dict[str, int], ...]],
) -> None:
    met = {name for kernel, _ in said.values() for name in kernel}
    ours = {" ".join(result) for result in RESULTS}
    assert met == ours - {"refused nomem"}
