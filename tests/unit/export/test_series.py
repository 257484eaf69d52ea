# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How many series a host costs with the configuration that nobody wrote."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.sample import LIMIT, NOW, failure_tally, process, self_stats, snapshot_of
from vmad.config.schema import ExportConfig
from vmad.export.metrics.exposition import Exposition
from vmad.model.verdict import PairKey
from vmad.rules.catalogue import CATALOGUE
from vmad.scan.aggregate import Member
from vmad.scan.failures import USUAL
from vmad.scan.grouping import Grouping
from vmad.scan.snapshot import HostSnapshot

#: combinations of rules, verdict and reason that one group has; real ones have 4 to 14
COMBINATIONS = 16


def _many_groups(number: int) -> HostSnapshot:
    reasons = list(CATALOGUE)[: COMBINATIONS // 2]
    counts = {
        PairKey(rules, "blocked", reason): 5 for rules in ("stock", "relaxed") for reason in reasons
    }
    members = tuple(
        Member(
            process(
                100 + each, f"worker-{each}", f"worker@{each:03}.service", 121 + 300 * each,
                kinds=(40, 20, 2, 1, 1, 51, 3, 3, 3), pair_counts=counts, rate=1.0,
            ),
            each + 1,
        )
        for each in range(number)
    )  # fmt: skip
    whole = Grouping(ExportConfig().max_groups, 232).add_up(members)
    # as where each of them has a process with 1,024 VMAs
    groups = tuple(replace(group, high_water_at=NOW) for group in whole.groups)
    base = snapshot_of(())
    return HostSnapshot(
        taken_at=NOW, took_seconds=0.1, full=True, evidence=base.evidence, kernel=base.kernel,
        hostname="host", max_map_count=LIMIT, worst_ratio=whole.processes[0].ratio,
        processes=whole.processes, unreadable=(), groups=groups,
        top=whole.processes[: ExportConfig().top], kinds=whole.sums.kinds, pairs=whole.sums.pairs,
        recoverable=whole.sums.recoverable,
        walk=base.walk, groups_folded=whole.folded, phases=base.phases,
    )  # fmt: skip


def _series(snapshot: HostSnapshot) -> int:
    tally = failure_tally(
        totals={(group.name, call, "ENOMEM"): 0 for group in snapshot.groups for call in USUAL}
    )
    text = Exposition(self_stats(limit_failures=tally), snapshot).render().decode()
    return sum(not line.startswith("#") for line in text.splitlines())


def test_a_host_with_200_groups_stays_below_3000_series() -> None:
    snapshot = _many_groups(200)
    assert len(snapshot.groups[0].pairs or {}) == COMBINATIONS

    assert len(snapshot.groups) == ExportConfig().max_groups
    assert 2_000 < _series(snapshot) < 3_000


def test_the_groups_that_are_named_are_those_nearest_to_the_limit() -> None:
    names = {group.name for group in _many_groups(200).groups}

    assert names >= {f"worker@{each:03}.service" for each in range(131, 200)}
    assert "other" in names
