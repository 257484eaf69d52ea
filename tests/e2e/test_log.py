# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The log tells of a program that climbs to the limit, on stderr and in a real journal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.daemons import Daemon, wait_for
from vmad.daemon.messages import AT_LIMIT, BURST, FAILED, NEAR_LIMIT

PROGRAM = Path(__file__).with_name("climber.c")
LIMIT = int(Path("/proc/sys/vm/max_map_count").read_text())
#: one scan an hour: what is told comes from counts
CONFIG = (
    "scan: {interval: 1h, sample_interval: 100ms, budget: 100%, failures: always, bursts: always}\n"
)

pytestmark = pytest.mark.bpf


class Climber:
    """The program; ``to`` has so many areas, of its own, when it returns."""

    def __init__(self, program: Path) -> None:
        self._program = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._program.pid

    def to(self, number: int) -> int:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{number}\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._program.wait()
        for pipe in (self._program.stdin, self._program.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("program") / "vmad-climber"
    subprocess.run(["cc", "-O1", "-static", "-o", str(made), str(PROGRAM)], check=True)
    return made


def share(of: float) -> int:
    return int(LIMIT * of)


def test_each_threshold_and_the_first_failure_have_a_line(tmp_path: Path, program: Path) -> None:
    with Daemon(tmp_path, CONFIG).ready() as daemon, Climber(program) as climber:
        who = rf"vmad-climber \(pid {climber.pid}, comm/vmad-climber\)"
        run = f"vmad explain {climber.pid}"
        # counted on the way or at its end
        for ratio, percent in ((0.81, "8[01]"), (0.91, "9[01]"), (0.96, "9[56]")):
            climber.to(share(ratio))
            daemon.logged(rf"{who} has [\d,]+ of [\d,]+ VMAs \({percent}\.\d %\).*; {run}")
        made = climber.to(2 * LIMIT)
        assert made < LIMIT + 2
        daemon.logged(rf"at the limit: {who}: mmap failed with ENOMEM at .*; {run}")
        daemon.logged(rf"at the limit: {who} has [\d,]+ of .* \(100\.0 %\).* threads fail; {run}")

        # down a little and up again is no news, far down and up again is
        climber.to(share(0.97))
        climber.to(share(0.998))
        climber.to(share(0.5))
        before = daemon.value("vmad_samples_total") or 0
        daemon.wait_for_value("vmad_samples_total", lambda samples: samples >= before + 3)
        climber.to(share(0.82))
        first = re.compile(rf"{who} has [\d,]+ of [\d,]+ VMAs \(8[0-2]\.")
        wait_for("a second line", lambda: len(first.findall(daemon.log)) == 2)
        assert len(re.findall(rf"{who} has .* threads fail", daemon.log)) == 1


def test_a_burst_between_two_counts_has_a_line(tmp_path: Path, program: Path) -> None:
    config = CONFIG.replace("100ms", "15s")
    with Daemon(tmp_path, config).ready() as daemon:
        daemon.logged("highest counts are kept by BPF")
        with Climber(program) as climber:
            # right after a count: the next one is far away, and tells of it
            before = daemon.value("vmad_samples_total") or 0
            daemon.wait_for_value("vmad_samples_total", lambda samples: samples > before)
            climber.to(share(0.95))
            climber.to(10)
            daemon.logged(rf"burst: vmad-climber \(pid {climber.pid}, .* had .*; vmad scan")
            assert f"pid {climber.pid}, comm/vmad-climber) has" not in daemon.log


#: a journal of its own, in a mount namespace; then the daemon, its stderr going there
_JOURNAL = r"""
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitIntervalSec=0\n' \
    >/run/systemd/journald.conf.d/test.conf
/lib/systemd/systemd-journald &
journald=$!
trap 'kill $journald' EXIT
while ! [ -S /run/systemd/journal/socket ] || ! [ -S /run/systemd/journal/stdout ]; do
	sleep 0.1
done
# what systemd tells a service whose stderr goes to the journal
# shellcheck disable=SC2016
systemd-cat -t vmad sh -c \
	'export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2); exec "$@"' sh "$@" &
daemon=$!
read -r _ || true # which fails where the input ends
kill $daemon
wait $daemon || true
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    """Where a real journald keeps what a daemon tells it."""
    config = tmp_path / "vmad.yml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "vmad", "serve", "--config", str(config)]
    inside = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _JOURNAL, "sh", *command,
         "--web.listen-address", "127.0.0.1:0"],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert inside.stdin is not None
    try:
        yield Path(f"/proc/{inside.pid}/root/run/log/journal")
    finally:
        inside.stdin.close()  # its end of input is the end
        assert inside.wait() == 0  # and it takes the daemon along


def entries(journal: Path, *matches: str) -> list[dict[str, Any]]:
    """What journalctl finds there."""
    ran = subprocess.run(
        ["journalctl", "--directory", str(journal), "-o", "json", "--no-pager", *matches],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.mounts
def test_a_real_journal_finds_what_happened_by_its_fields(journal: Path, program: Path) -> None:
    wait_for("the first scan", lambda: "first scan complete" in str(entries(journal)))
    with Climber(program) as climber:
        pid = f"VMAD_PID={climber.pid}"
        climber.to(share(0.81))
        (near,) = wait_for("80 %", lambda: entries(journal, pid, f"MESSAGE_ID={NEAR_LIMIT.id}"))
        climber.to(2 * LIMIT)
        (full,) = wait_for("100 %", lambda: entries(journal, pid, f"MESSAGE_ID={AT_LIMIT.id}"))
        (failed,) = wait_for("failure", lambda: entries(journal, pid, f"MESSAGE_ID={FAILED.id}"))

    assert (near["VMAD_EVENT"], near["VMAD_PERCENT"], near["PRIORITY"]) == ("near-limit", "80", "4")
    assert near["VMAD_GROUP"] == "comm/vmad-climber"
    assert near["VMAD_COMMAND"] == f"vmad explain {climber.pid}"
    assert share(0.8) <= int(near["VMAD_AREAS"]) < share(0.82)
    assert near["MESSAGE"].startswith(f"vmad-climber (pid {climber.pid}, ")
    assert (near["SYSLOG_IDENTIFIER"], near["_TRANSPORT"]) == ("vmad", "journal")
    assert (full["VMAD_PERCENT"], full["PRIORITY"]) == ("100", "3")
    assert (failed["VMAD_CALL"], failed["VMAD_ERROR"]) == ("mmap", "ENOMEM")
    assert failed["VMAD_LIMIT"] == str(LIMIT)
    assert entries(journal, pid, f"MESSAGE_ID={BURST.id}") == []
