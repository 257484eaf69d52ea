# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Nothing that another program chose as a name reaches a terminal unescaped."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmad.export.printable import printable, shortened, text_width, utf8


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name", "plain name"),
        ("Grüße 漢字", "Grüße 漢字"),
        ("a\nb\tc", r"a\x0ab\x09c"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2028", r"\u2028"),
        (b"\xff".decode("utf-8", "surrogateescape"), r"\xff"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_a_terminal_could_act_upon_is_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown


_bytes = st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(_bytes | st.text())
def test_any_name_becomes_one_printable_line(name: str) -> None:
    assert printable(name).isprintable()


@given(_bytes | st.text())
def test_any_name_becomes_valid_unicode_for_json(name: str) -> None:
    assert json.loads(json.dumps(utf8(name), ensure_ascii=False).encode("utf-8")) == utf8(name)


def test_wide_and_combining_characters_are_measured_as_terminals_do() -> None:
    assert [text_width(text) for text in ("abc", "漢字", "e\u0301")] == [3, 4, 1]


@given(st.text("ab漢/", max_size=60), st.integers(8, 40))
def test_shortened_fits_and_keeps_the_end(text: str, columns: int) -> None:
    short = shortened(text, columns)

    assert text_width(short) <= columns
    assert short == text or (text.endswith(short[-1]) and "…" in short)
