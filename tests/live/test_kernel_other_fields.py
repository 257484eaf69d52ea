# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernels whose structures have other fields, as far as this kernel can stand for them.

The programs get a field under a name that no kernel knows, so that CO-RE finds it missing, as it is
on other releases and configurations.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.kernel_walks import KERNEL, WALKS, open_kernel_source
from tests.live.renamed_fields import renamed_programs
from tests.live.zygote import ForkedTarget
from vmad.errors import EvidenceUnavailable
from vmad.model import facts as f
from vmad.model.process import ProcessId, ProcessSummary
from vmad.model.verdict import Verdict
from vmad.rules.relaxed import RelaxedRules
from vmad.sources.bpf import census, queued, source, task_vma

pytestmark = pytest.mark.bpf

#: what is missing -> names in the programs' types, and their replacements
MISSING = {
    "names of anonymous VMAs (5.15)": {"anon_name": "gone1", "anon_vma_name": "gone2"},
    "NUMA": {"vm_policy": "gone1", "nodes": "gone2", "home_node": "gone3", "w": "gone4"},
    "home nodes (5.16)": {"home_node": "gone1"},
    "userfaultfd": {"vm_userfaultfd_ctx": "gone1"},
    "mm_lock_seq (6.3)": {"mm_lock_seq": "gone1"},
    "files behind files (6.7)": {"user_path": "gone1"},
    "map_count (a later name)": {"map_count": "gone1", "vma_count": "map_count"},
    # num_active_vmas stands for degree: one VMA is one, two halves are two
    "num_children (5.17)": {"num_children": "gone1", "degree": "num_active_vmas"},
}


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("missing", MISSING)
def test_the_rest_is_seen_without(
    missing: str, walk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed_programs(MISSING[missing], Path(source.__file__).parent, tmp_path)
    for module in (census, queued, task_vma):
        monkeypatch.setattr(module, "HERE", tmp_path)
    if walk == "lockless" and missing.startswith("mm_lock_seq"):
        with pytest.raises(EvidenceUnavailable):
            open_kernel_source(walk)
        return
    here = open_kernel_source(walk)
    with ForkedTarget() as target:
        made = [target.build(name) for name in ("moved_beside_faulted", "access_differs")]
        process = ProcessId(target.pid, target.start_time)
        rows = here.census()
        (row,) = rows[rows["pid"] == target.pid]
        (counted,) = here.summarise([process])
        table = here.table(process)
    here.close()
    assert isinstance(counted, ProcessSummary)
    assert row["map_count"] == counted.map_count == counted.vmas == len(table.rows)
    assert table.consistent
    if missing.startswith("mm_lock_seq") or KERNEL.version < (6, 4):
        assert row["lock_seq"] == -1
    facts = [int(table.rows["facts"][table.rows["start"] == one.boundary][0]) for one in made]
    known = f.A_EXCLUSIVE | f.B_EXCLUSIVE | f.UNKNOWN_EXCLUSIVE
    assert facts[0] & known == f.A_EXCLUSIVE | f.B_EXCLUSIVE
    # children and split VMAs in one number: what is more than one is not known to be exclusive
    degree = missing.startswith("num_children")
    assert facts[1] & known == (f.UNKNOWN_EXCLUSIVE if degree else f.A_EXCLUSIVE | f.B_EXCLUSIVE)
    assert facts[0] & ~known & f.PGOFF
    rules = RelaxedRules(KERNEL)
    undecided = [rules.judge(value).verdict is Verdict.UNKNOWN for value, _ in counted.facts]
    assert (counted.recoverable["relaxed"] is None) == any(undecided)
