# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bursts as JSON and as text: what goes out comes back, names do no harm."""

from __future__ import annotations

import json

from vmad.export.bursts_json import bursts_document, bursts_from
from vmad.export.bursts_text import SHOWN, bursts_text
from vmad.export.style import Style
from vmad.scan.bursts import Burst

GONE = Burst("comm/job", 65_531, 1_790_000_000.125, None, 0)
ALIVE = Burst("nginx.service", 64_000, 1_789_999_000.0, 130, 3)
PLAIN = Style(False)


def test_what_goes_out_comes_back() -> None:
    assert bursts_from(json.loads(json.dumps(bursts_document([GONE, ALIVE])))) == [GONE, ALIVE]


def test_text_says_how_high_and_what_is_left() -> None:
    lines = bursts_text([GONE, ALIVE], PLAIN)

    assert lines[0].startswith("2 groups were near the limit")
    assert lines[2].split()[2:] == ["comm/job", "65,531", "–", "0"]
    assert lines[3].split()[2:] == ["nginx.service", "64,000", "130", "3"]


def test_no_burst_no_text() -> None:
    assert bursts_text([], PLAIN) == []


def test_names_of_others_do_not_reach_the_terminal_as_they_are() -> None:
    hostile = Burst("a\x1b[31mb", 65_531, 0.0, None, 0)

    assert "\x1b" not in "\n".join(bursts_text([hostile], PLAIN))


def test_a_few_are_shown_of_many() -> None:
    assert len(bursts_text([GONE] * 50, PLAIN)) == SHOWN + 2
