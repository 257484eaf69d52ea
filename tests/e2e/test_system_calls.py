# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon with the rights that its unit leaves it, and under its unit's system call filter: all
that it does goes on, and what the filter is for is refused.
"""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemon, wait_for
from tests.live.targets import Target
from tests.other_users import as_nobody, open_to_everybody
from tests.system_call_filter import under_the_filter

QUICK = "scan: {interval: 1s, full_every: 2, budget: 50%}\n"
#: asks for a system call by name and prints what errno is then
ASK = """
import ctypes, sys
library = ctypes.CDLL("libseccomp.so.2")
libc = ctypes.CDLL(None, use_errno=True)
number = library.seccomp_syscall_resolve_name(sys.argv[1].encode())
assert number >= 0, sys.argv[1]
print(ctypes.get_errno() if libc.syscall(number, -1, 0, 0, 0, 0, 0) == -1 else 0)
"""


def _status(daemon: Daemon, key: str) -> set[str]:
    """What all of its threads have there."""
    tasks = Path(f"/proc/{daemon.process.pid}/task").iterdir()
    lines = (line for task in tasks for line in (task / "status").read_text().splitlines())
    return {line.split()[1] for line in lines if line.startswith(f"{key}:")}


@pytest.mark.bpf
@pytest.mark.root
def test_the_daemon_does_all_it_does_under_the_filter_and_rights_of_its_unit(
    tmp_path: Path, victim: Target
) -> None:
    open_to_everybody(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    victim.build("guard_pages", pairs=100)
    prefix = [*as_nobody("bpf", "perfmon"), *under_the_filter(tmp_path)]
    with Daemon(
        tmp_path, QUICK, prefix=prefix, environment={"STATE_DIRECTORY": str(state)}
    ).ready() as daemon:
        assert _status(daemon, "Seccomp") == {"2"}
        assert _status(daemon, "NoNewPrivs") == {"1"}
        assert _status(daemon, "CapEff") == {"0" * 16}

        metrics = daemon.get("/metrics").decode()
        for source in ("kernel", "events", "failures"):
            assert f'vmad_source_up{{source="{source}"}} ' in metrics
        assert 'vmad_source_up{source="kernel"} 1' in metrics
        assert 'vmad_source_up{source="failures"} 1' in metrics
        for path in ("/", "/api/v1/scan", f"/explain/{victim.pid}", "/history"):
            wait_for(path, lambda path=path: daemon.status(path) == 200)  # type: ignore[misc]
        daemon.configure(QUICK.replace("1s", "2s"))
        daemon.reload()
        daemon.logged("configuration")
        assert daemon.stop() == 0

    assert "Traceback" not in daemon.log
    assert "Operation not permitted" not in daemon.log
    assert {"history", "timeline"} <= {file.name for file in state.iterdir()}


def _errors(directory: Path, *calls: str) -> dict[str, int]:
    """What each call says under the filter, with arguments that make no sense."""
    program = directory / "ask.py"
    program.write_text(ASK)
    command = [*under_the_filter(directory), str(program)]
    asked = {
        call: subprocess.run([*command, call], capture_output=True, text=True, check=True)
        for call in calls
    }
    return {call: int(ran.stdout) for call, ran in asked.items()}


def test_what_the_filter_is_for_is_refused(tmp_path: Path) -> None:
    calls = (
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd"),
        *("kcmp", "perf_event_open", "mount", "pivot_root"),
    )
    assert _errors(tmp_path, *calls) == dict.fromkeys(calls, errno.EPERM)


def test_the_rest_is_left_to_the_kernel(tmp_path: Path) -> None:
    calls = ("close", "lseek", "fstat")
    assert _errors(tmp_path, *calls) == dict.fromkeys(calls, errno.EBADF)
