# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A merge on the patched kernel loses no byte and no page, whatever the pages were doing.

patched/contents.c says what is compared. Needs ``vmad lab build``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.vm.patched_programs import compiled
from vmad.lab.guest.machine import MIB, Machine
from vmad.lab.run import run_streaming

PATCHED = "patched-6.12"
#: direct I/O that takes 2 ms, so that it is under way while areas merge
DISK = ("null_blk.memory_backed=1", "null_blk.irqmode=2", "null_blk.completion_nsec=2000000")
#: two areas (three in some layouts) that the series makes one
LAYOUTS = {
    "diff-op-second", "diff-op-first", "diff-op-middle", "diff-mprotect", "diff-munlock",
    "diff-mbind", "move-behind", "move-before", "move-between", "swap-halves", "heal-swapped",
    "heal-moved", "hole", "grow",
}  # fmt: skip
#: states in which the pages are the process's own and stay where they are
QUIET = {"plain", "swapped", "was-shared"}
#: states in which a page is somebody else's too, so that areas must stay apart
SHARED = {"shared", "rewritten"}

SCRIPT = """
set -e
echo 1 >/proc/sys/vm/unprivileged_userfaultfd
# areas of several huge pages, in small ones
echo 65536 >/proc/sys/vm/anon_vma_merge_max_pages
if [ "$2" = zram ]; then
    swapoff -a
    echo 256M >/sys/block/zram0/disksize
    mkswap /dev/zram0 >/dev/null
    swapon /dev/zram0
fi
exec "$1" 7
"""


def lines(swap: str, program: Path) -> list[list[str]]:
    """What contents.c says in a guest with swap on a disk or in zram."""
    stdout, stderr = bytearray(), bytearray()
    ending = run_streaming(
        PATCHED,
        ["sh", "-c", SCRIPT, "sh", str(program), swap],
        machine=Machine(1536 * MIB, 2, swap=256 * MIB, numa=2, extra_parameters=DISK),
        timeout=2400,
        out_dir=None,
        stdin=b"",
        stdout=stdout.extend,
        stderr=stderr.extend,
    )
    text = stdout.decode()
    assert ending.status == 0, text[-400:] + stderr.decode()
    return [line.split() for line in text.splitlines()]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled("contents.c", tmp_path_factory.mktemp("contents"))


@pytest.mark.parametrize("swap", ["disk", "zram"])
def test_every_byte_and_page_survives_a_merge(swap: str, program: Path) -> None:
    """contents.c ends at the first that does not; here: everything ran, and merged where it may."""
    done = lines(swap, program)
    assert {layout for layout, *_ in done} == LAYOUTS
    assert all(rest[-1] == "ok" for rest in done)
    apart: Counter[str] = Counter()
    joined: Counter[str] = Counter()
    for layout, state, _, vmas, _ in done:
        (joined if vmas == "1" else apart)[f"{layout} {state}"] += 1
    quiet = {f"{layout} {state}" for layout in LAYOUTS for state in QUIET}
    assert quiet & apart.keys() == set()
    shared = {f"{layout} {state}" for layout in LAYOUTS - {"hole", "grow"} for state in SHARED}
    assert shared & joined.keys() == set()
