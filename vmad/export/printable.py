# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names that other programs chose, made safe to show: nothing in them may steer a terminal."""

from __future__ import annotations

import unicodedata

from vmad.model.identity import label_safe


def printable(text: str) -> str:
    """``text`` with everything that a terminal could act upon escaped, as labels have it.

    Control characters, escape sequences, bidirectional and other format characters, line
    separators and private-use code points become ``\\xNN``/``\\uNNNN``; bytes that were not UTF-8
    (held as surrogates, PEP 383) become the ``\\xNN`` of that byte.
    """
    return label_safe(text)


def utf8(text: str) -> str:
    """``text`` as valid Unicode for JSON: lone surrogates become ``\\xNN`` or ``\\uNNNN`` text."""
    if text.isascii():
        return text
    return "".join(label_safe(char) if "\ud800" <= char <= "\udfff" else char for char in text)


def text_width(text: str) -> int:
    """Terminal columns that printable ``text`` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def shortened(text: str, columns: int) -> str:
    """``text`` cut in the middle to at most ``columns``: the end of a path tells the most."""
    if text_width(text) <= columns:
        return text
    tail = columns * 2 // 3
    head = columns - tail - 1
    while text_width(text[:head]) + 1 + text_width(text[-tail:]) > columns and tail > 1:
        head, tail = max(head - 1, 0), tail - 1
    return f"{text[:head]}…{text[-tail:]}"
