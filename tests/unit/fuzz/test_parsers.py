# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The parsers and what fuzzing them has found: seeds, findings, and damage done to them."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.make_seeds import seeds
from tests.fuzz.parsers import PARSERS, seeds_of

DAMAGES = 60


@pytest.mark.parametrize("name", PARSERS)
def test_every_kept_input_ends_in_an_answer_or_an_error_of_ours(name: str) -> None:
    kept = seeds_of(name)

    assert kept
    for content in kept:
        PARSERS[name](content)


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_inputs_end_so_too(name: str) -> None:
    draw = random.Random(name)
    kept = seeds_of(name)
    for _ in range(DAMAGES):
        content = bytearray(draw.choice(kept))
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(content) + 1)
            match draw.randrange(4):
                case 0:
                    content[at : at + 1] = bytes([draw.randrange(256)])
                case 1:
                    del content[at : at + draw.randint(1, 16)]
                case 2:
                    content[at:at] = draw.choice(kept)[: draw.randint(1, 64)]
                case _:
                    content[at : at + 4] = draw.choice((b"\xff" * 4, bytes(4), b"\0\0\0\x80"))
        PARSERS[name](bytes(content))


def test_every_parser_has_seeds() -> None:
    assert seeds().keys() == PARSERS.keys()
