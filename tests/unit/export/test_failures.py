# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Failures at the limit as text and JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.unit.sample import HOSTILE, NOW, failure_tally
from vmad.export.failures_json import failures_document, failures_object, tally_of
from vmad.export.failures_text import failures_text
from vmad.export.style import Style
from vmad.web.pages.failures import MOST_SHOWN, SHOWN, failures_section

PLAIN = Style(False)


def test_the_text_names_the_last_ones() -> None:
    head, columns, first, second = failures_text(failure_tally(), PLAIN)

    assert head.startswith("1,204 calls of 2 groups failed at the limit since ")
    assert columns.split() == ["TIME", "PID", "COMMAND", "GROUP", "CALL", "ERROR", "TIMES", "VMAS"]
    assert first.split()[2:] == [
        "1712", "java", "opensearch.service", "mmap", "ENOMEM", "1,203", "65,531"
    ]  # fmt: skip
    assert second.split()[2:6] == ["4000", "job", "comm/job", "madvise"]


def test_the_text_says_so_when_nothing_failed() -> None:
    (line,) = failures_text(failure_tally(totals={}, last=()), PLAIN)

    assert line.startswith("No call was seen to fail at the limit since ")
    assert line.endswith("when the daemon started.")


def test_what_nobody_watched_is_not_said_to_be_well() -> None:
    never = failure_tally(totals={}, last=(), watched_since=None)
    late = failure_tally(totals={}, last=(), watched_since=NOW - 60)
    some = failure_tally(watched_since=NOW - 60)

    (line,) = failures_text(never, PLAIN)
    assert "as none has now (scan.failures)" in line
    (line,) = failures_text(late, PLAIN)
    assert "Calls are watched since " in line
    assert failures_text(some, PLAIN)[-1].startswith("Calls are watched since ")
    for tally in (never, late):
        assert tally_of(json.loads(json.dumps(failures_document(tally)))) == tally


def test_lost_ones_are_told() -> None:
    assert failures_text(failure_tally(lost=7), PLAIN)[-1] == "7 failures more found no room."


def test_json_leaves_zeros_out_and_comes_back_as_it_was() -> None:
    tally = failure_tally()
    document = json.loads(json.dumps(failures_document(tally)))

    assert document["schema"] == "vmad.failures/1"
    assert document["last"][0]["call"] == "mmap"
    back = tally_of(document)
    assert back == replace(tally, totals={key: n for key, n in tally.totals.items() if n})


def test_names_that_others_chose_steer_nothing() -> None:
    hostile = replace(failure_tally().last[0], comm=HOSTILE, group=HOSTILE)
    tally = failure_tally(last=(hostile,), totals={(HOSTILE, "mmap", "ENOMEM"): 1})

    assert not re.search(r"[\x00-\x1f\x7f\u202e]", "".join(failures_text(tally, PLAIN)))
    assert "<script" not in failures_section(tally)
    json.dumps(failures_object(tally)).encode("utf-8")


@pytest.mark.parametrize("tally", [None, failure_tally(totals={}, last=())])
def test_the_page_has_no_section_where_nothing_failed(tally: object) -> None:
    assert failures_section(tally) == ""  # type: ignore[arg-type]


def test_the_page_lists_them_newest_first() -> None:
    section = failures_section(failure_tally())

    assert section.index("java") < section.index("comm/")
    assert "1,203" in section
    assert "ENOMEM" in section


def test_page_shows_the_newest_and_folds_those_before_them() -> None:
    one = failure_tally().last[0]
    last = tuple(replace(one, count=1000 + number) for number in range(30))

    newest, _, earlier = failures_section(failure_tally(last=last)).partition("<details>")

    assert [1000 + number for number in range(30) if f"{1000 + number:,}" in newest] == [
        *range(1000, 1000 + SHOWN)
    ]
    assert "15 earlier" in earlier
    assert f"{1000 + MOST_SHOWN - 1:,}" in earlier
    assert f"{1000 + MOST_SHOWN:,}" not in earlier
