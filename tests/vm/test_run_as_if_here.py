# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A command in a guest: what it sees, what comes back, and how fast it starts."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vmad.lab.run import GuestResult, run_in_guest

# One boot for many questions; each answer is a file under --out.
QUESTIONS = """
answer() { name=$1; shift; "$@" >"$OUT/$name" 2>&1; echo $? >"$OUT/$name.status"; }
answer release uname -r
answer id id -u
answer directory pwd
answer processors nproc
answer swaps cat /proc/swaps
answer nodes cat /sys/devices/system/node/online
answer mounts cat /proc/mounts
answer loopback python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); \\
    socket.create_connection(s.getsockname()); print("up")'
answer python python3 -c 'import sys; print(sys.executable)'
answer package python3 -c 'import vmad.lab; print(vmad.lab.__file__)'
answer unsorted python3 -c '
import numpy
draw = numpy.random.default_rng(1)
numbers = [draw.integers(0, 1 << 60, 1000) * draw.integers(0, 2, 1000) for _ in range(200)]
print(sum(bool((numpy.diff(some[some.argsort()]) < 0).any()) for some in numbers))'
answer overlay sh -c 'echo x >/root/vmad-lab-test; cat /root/vmad-lab-test'
mkdir /tmp/again
answer again sh -c 'mount -t virtiofs host /tmp/again && echo x >/tmp/again/root/vmad-lab-test'
echo "to stdout"
echo "to stderr" >/dev/stderr
cat
sleep 1000 &
exit 7
"""


@dataclass(frozen=True)
class Visit:
    """What one guest answered."""

    kernel: str
    result: GuestResult
    out: Path

    def answer(self, name: str) -> str:
        return (self.out / name).read_text().strip()


@pytest.fixture(scope="module")
def visit(kernel: str, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    out = tmp_path_factory.mktemp("out")
    result = run_in_guest(
        kernel,
        ["sh", "-c", QUESTIONS],
        cpus=2,
        swap=64 << 20,
        numa=2,
        timeout=900,
        out_dir=out,
        stdin=b"from here",
        environment={"OUT": str(out)},
    )
    return Visit(kernel, result, out)


def test_the_emulated_processor_sorts_right(visit: Visit) -> None:
    """With AVX2, which QEMU 7.2 emulates wrongly, numpy leaves numbers out of order."""
    assert visit.answer("unsorted") == "0"


def test_kernel_is_the_one_asked_for(visit: Visit) -> None:
    assert visit.answer("release").startswith(f"{visit.kernel}.")


def test_exit_status_and_streams_come_back_apart(visit: Visit) -> None:
    assert visit.result.status == 7
    assert visit.result.stdout == b"to stdout\nfrom here"
    assert visit.result.stderr == b"to stderr\n"


def test_command_runs_as_root_in_the_same_directory(visit: Visit) -> None:
    assert visit.answer("id") == "0"
    assert visit.answer("directory") == os.getcwd()


def test_python_and_vmad_are_these(visit: Visit) -> None:
    # a virtual environment has its interpreter under several names
    assert Path(visit.answer("python")).parent == Path(sys.executable).parent
    assert visit.answer("package") == __import__("vmad.lab").lab.__file__


def test_machine_is_as_asked_for(visit: Visit) -> None:
    assert visit.answer("processors") == "2"
    assert visit.answer("nodes") == "0-1"
    assert "partition" in visit.answer("swaps")


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "overlay"),
        ("/proc", "proc"),
        ("/sys", "sysfs"),
        ("/dev", "devtmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/tmp", "tmpfs"),
        ("/run", "tmpfs"),
        ("/sys/kernel/tracing", "tracefs"),
        ("/sys/kernel/debug", "debugfs"),
        ("/sys/fs/bpf", "bpf"),
        ("/sys/fs/cgroup", "cgroup2"),
    ],
)
def test_mounts_of_a_running_system_are_there(visit: Visit, place: str, kind: str) -> None:
    kinds = {line.split()[1]: line.split()[2] for line in visit.answer("mounts").splitlines()}
    assert kinds[place] == kind


def test_loopback_is_up(visit: Visit) -> None:
    assert visit.answer("loopback") == "up"


def test_guest_writes_to_its_layer_and_never_to_the_host(visit: Visit) -> None:
    assert visit.answer("overlay") == "x"
    assert "Read-only file system" in visit.answer("again")
    assert not Path("/root/vmad-lab-test").exists()
