# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What BPF counts of merge attempts is what the patched kernel counts itself, number by number.

The kernel counts with vm.anon_vma_merge at 8, where it merges as stock does; BPF watches the same
functions as on a stock kernel. Needs ``vmad lab build``. And the daemon on Debian's 6.12, which
counts on with no right left.
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
#: CAP_PERFMON, CAP_BPF (include/uapi/linux/capability.h)
RIGHTS = 1 << 38 | 1 << 39
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


SERVE = """
import re, signal, subprocess, sys, time, urllib.error, urllib.request

with open("/tmp/vmad.yaml", "w") as file:
    file.write("scan: {merge_attempts: bpf, interval: 1s}")
log = open("/tmp/vmad.log", "w+")
daemon = subprocess.Popen(
    [sys.executable, "-m", "vmad", "serve", "--config", "/tmp/vmad.yaml"],
    stdout=subprocess.DEVNULL, stderr=log,
)

def merged(least):
    "The newest scan's count, once it is that many."
    text = ""
    for _ in range(600):
        time.sleep(0.5)
        try:
            with urllib.request.urlopen("http://127.0.0.1:19797/metrics") as answer:
                text = answer.read().decode()
        except urllib.error.URLError:  # it is starting
            continue
        found = re.search(r'attempts_total{outcome="merged",reason="stock"} (\\S+)', text)
        if found and float(found[1]) >= least:
            return float(found[1]), text
    sys.exit("no such count in: " + text)

try:
    before, text = merged(0)
    command = ["sh", "-c", 'yes | "$1"', "sh", sys.argv[1]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    merged(before + 10)
    for reason in re.findall(r'attempts_total{outcome="refused",reason="(.*)"}', text):
        print("reason", reason)
    with open(f"/proc/{daemon.pid}/status") as file:
        print(next(line for line in file if line.startswith("CapEff")).strip())
finally:
    daemon.send_signal(signal.SIGTERM)
    print("status", daemon.wait())
    log.seek(0)
    for line in log:
        print("log", line.partition(" vmad ")[2].strip())
"""


def test_daemon_counts_on_with_no_right_left(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    subprocess.run(["cc", "-O1", "-static", "-o", str(steps), str(STEPS)], check=True)
    done = run_in_guest("6.12", ["python3", "-c", SERVE, str(steps)], timeout=600)
    assert done.status == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    assert "log merge attempts are counted by BPF (fentry)" in lines
    refused = {f"reason {reason}" for outcome, reason in RESULTS if outcome == "refused"}
    assert refused <= set(lines)
    assert any(
        line.startswith("CapEff:") and int(line.split()[1], 16) & RIGHTS == 0 for line in lines
    )
    assert "status 0" in lines
