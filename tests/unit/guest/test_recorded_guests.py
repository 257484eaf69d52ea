# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Guests read from outside say what was seen inside: recorded words of real kernels."""

from __future__ import annotations

import numpy as np

from tests.unit.guest.conftest import Recorded
from vmad.model import facts as f
from vmad.model.facts import AnonVma
from vmad.model.process import Evidence, ProcessSummary
from vmad.model.table import Rows

#: what procfs shows exactly too: the evidence inside of a kernel that is too old for BPF
SHOWN_BY_PROCFS = ("start", "end", "perms", "kind", "pair")


def as_then(rows: Rows) -> Rows:
    """Rows as they were when the first guests were recorded, when nothing said that the page offset
    of a private /dev/zero that was never written to is fixed (facts.A_EXCLUSIVE with NONE).
    """
    rows = rows.copy()
    rows["exclusive"][rows["chain"] == AnonVma.NONE] = 0
    for bit, shift in ((f.A_EXCLUSIVE, f.A_AV_SHIFT), (f.B_EXCLUSIVE, f.B_AV_SHIFT)):
        unwritten = rows["facts"] >> np.uint64(shift) & np.uint64(f.AV_MASK) == AnonVma.NONE
        rows["facts"][unwritten] &= ~np.uint64(bit)
    return rows


def test_rows_are_those_that_were_seen_inside(every_guest: Recorded) -> None:
    source = every_guest.open()
    for process, meta in zip(every_guest.processes, every_guest.meta["processes"], strict=True):
        inside = every_guest.arrays[f"rows_{process.pid}"]
        table = source.table(process)
        exact = every_guest.meta["evidence"] == "kernel"
        rows = table.rows if "machine" in every_guest.meta else as_then(table.rows)
        for column in inside.dtype.names if exact else SHOWN_BY_PROCFS:
            differing = np.flatnonzero(inside[column] != rows[column])
            assert not len(differing), (process.pid, column, differing[:5])
        assert {str(row): path for row, path in table.paths.items()} == meta["paths"]
        assert (table.comm, table.map_count) == (meta["comm"], len(inside))
        assert table.consistent
        assert table.evidence is Evidence.KERNEL
    source.close()


def test_a_guest_tells_its_kernel_limit_and_name(every_guest: Recorded) -> None:
    source = every_guest.open()
    assert source.kernel.release == every_guest.anchors.release
    assert not source.kernel.patched
    assert source.max_map_count == every_guest.meta["max_map_count"]
    assert source.hostname == every_guest.meta["hostname"]
    assert source.health().walk == "qemu-pmemsave"
    source.close()


def test_a_summary_counts_what_the_table_has(every_guest: Recorded) -> None:
    source = every_guest.open()
    census = {int(row["pid"]): row for row in source.census()}
    for found in source.summarise(every_guest.processes):
        assert isinstance(found, ProcessSummary)
        rows = every_guest.arrays[f"rows_{found.id.pid}"]
        assert found.vmas == len(rows)
        assert found.pairs == int(rows["pair"].sum())
        assert found.map_count == census[found.id.pid]["map_count"]
        assert found.mm == census[found.id.pid]["mm"] > 0
    source.close()


def test_addresses_of_the_kernel_do_not_leave_the_source(guest: Recorded) -> None:
    source = guest.open()
    rows = source.table(guest.processes[0]).rows
    assert int(rows["anon_vma"].max()) <= len(rows)
    assert int(rows["file"].max()) <= len(rows)
    assert int(source.census()["mm"].max()) <= len(source.census())
    source.close()


def test_a_process_belongs_to_a_group_and_has_a_program(guest: Recorded) -> None:
    source = guest.open()
    process = guest.processes[0]
    assert source.cgroup_of(process) == b"0::/"
    assert (source.exe_of(process) or b"").endswith(b"/bin/python3.11")
    source.close()
