# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What was, as JSON: null is what nobody saw, and all series have the same slots."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from vmad.export.history_json import history_pieces
from vmad.timeline.selection import Selection
from vmad.timeline.timeline import Remembered, Timeline

NOW = 1_800_000_000.0
HOSTILE = "<script>\udcff\n"


def some() -> Timeline:
    timeline = Timeline()
    timeline.put_groups(NOW, ("db.service", HOSTILE), np.array([9, 3], np.int32))
    timeline.put_groups(NOW + 2, ("db.service", HOSTILE), np.array([7, -1], np.int32))
    java = Remembered(7, 40, "java", "db.service")
    timeline.put_processes(NOW + 2, (java,), np.array([7], np.int32))
    timeline.put_failures(NOW + 1, {"db.service": 5})
    timeline.put_host(NOW, limit=65_530, starts=1)
    return timeline


def told(wanted: Selection, timeline: Timeline | None = None) -> dict[str, Any]:
    pieces = history_pieces(some() if timeline is None else timeline, wanted, NOW + 2)
    thing: dict[str, Any] = json.loads("".join(pieces))
    return thing


def test_what_nobody_saw_is_null() -> None:
    thing = told(Selection(3))

    assert (thing["schema"], thing["start"], thing["step"]) == ("vmad.history/1", NOW, 1)
    assert thing["groups"] == [
        {"group": "db.service", "count": [9, None, 7], "failures": [None, 5, None]},
        {"group": "<script>\\xff\n", "count": [3, None, None]},
    ]
    assert thing["processes"] == [
        {"pid": 7, "start_time": 40, "comm": "java", "group": "db.service",
         "count": [None, None, 7]}
    ]  # fmt: skip
    assert thing["host"]["limit"] == [65_530, None, None]
    assert thing["host"]["failures"] == [None, 5, None]


def test_one_group_and_its_processes() -> None:
    thing = told(Selection(3, group="db.service"))

    assert [one["group"] for one in thing["groups"]] == ["db.service"]
    assert [one["pid"] for one in thing["processes"]] == [7]
    assert told(Selection(3, group="nobody"))["groups"] == []


def test_one_process() -> None:
    thing = told(Selection(3, pid=7))

    assert (thing["groups"], [one["comm"] for one in thing["processes"]]) == ([], ["java"])
    assert told(Selection(3, pid=8))["processes"] == []


def test_all_series_have_the_same_slots_at_every_span() -> None:
    for span in (1, 300, 7200, 86_400):
        thing = told(Selection(span))
        lengths = {len(values) for values in thing["host"].values() if values}
        lengths |= {len(one["count"]) for one in (*thing["groups"], *thing["processes"])}
        assert lengths == {thing["slots"]}, span
        assert thing["slots"] * thing["step"] >= span


def test_nothing_is_remembered_yet() -> None:
    thing = told(Selection(), Timeline())

    assert (thing["groups"], thing["processes"], thing["host"]["count"]) == ([], [], [])
