# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A slice of the siege that holds on any machine: nothing is lost, nothing is unbounded."""

from __future__ import annotations

import re
import urllib.request

import pytest

from tests.e2e.daemons import wait_for
from tests.siege.scenarios import OURS, Besiegers, besiege, storm
from tests.siege.subjects import Subject, herd, vmad

SECONDS = 5.0
#: a budget that scans keep to on a slow machine too, so that only clients could stretch it
CONFIG = "scan: {interval: 5s, budget: 50%}\n"


#: honest scrapers may by chance have the lane of a storm, and are lost then (vmad.web.lanes)
SCENARIOS = [one for one in OURS if one is not storm]


@pytest.mark.parametrize("besiegers", SCENARIOS, ids=lambda one: one.__name__)
def test_honest_scrapers_are_all_answered_and_scans_go_on(besiegers: Besiegers) -> None:
    with vmad(CONFIG) as subject:
        before = subject.resident
        outcome = besiege(subject, besiegers, SECONDS)

    assert outcome.answered > 0
    assert outcome.lost == 0, outcome.honest.statuses
    assert outcome.interval == 5
    assert outcome.resident - before < 50 * 2**20


def test_processes_by_the_thousand_are_all_seen() -> None:
    with herd(2_000) as number, vmad(CONFIG + "export: {max_groups: 1000}\n") as subject:
        number_of_herd = wait_for("a scan that sees them", lambda: _seen(subject))

    assert number == 2_000
    assert number_of_herd == 2_001


def _seen(subject: Subject) -> float | None:
    with urllib.request.urlopen(f"http://{subject.address}/metrics", timeout=30) as reply:
        text = reply.read().decode()
    found = re.search(r'^vmad_group_processes\{group="comm/herd"\} (\S+)$', text, re.M)
    return float(found[1]) if found else None
