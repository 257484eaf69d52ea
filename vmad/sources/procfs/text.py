# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading bytes of a large text at many positions at once, eight at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
Index = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

#: bytes that a buffer must keep free before and after the text: gathers reach that far
PAD = 128

_KEEP_LAST = np.array(  # [width]: mask that keeps the last `width` of a word's eight characters
    [0] + [(1 << 64) - (1 << 8 * (8 - width)) for width in range(1, 9)], np.uint64
)


def number_of(text: bytes) -> np.uint64:
    """Up to eight bytes as the little-endian word that a gather yields."""
    return np.uint64(int.from_bytes(text, "little"))


def hex8(word: U64) -> U64:
    """Eight lower-case hex characters in a word, the first one lowest, as a number; NUL is 0."""
    digit = word >> np.uint64(6)
    digit &= np.uint64(0x0101010101010101)
    digit *= np.uint64(9)
    digit += word & np.uint64(0x0F0F0F0F0F0F0F0F)
    # the lower neighbour is the more significant digit: join by twos, fours, eights
    for shift, mask in ((4, 0x00FF00FF00FF00FF), (8, 0x0000FFFF0000FFFF), (16, 0xFFFFFFFF)):
        high = digit << np.uint64(shift)
        digit >>= np.uint64(2 * shift)
        digit |= high
        digit &= np.uint64(mask)
    return digit


class Text:
    """A padded buffer that is read at arbitrary byte positions.

    ``buffer`` is uint8; positions are indices into it; PAD bytes must exist around what is read.
    """

    def __init__(self, buffer: Bytes) -> None:
        self.bytes = buffer
        self._words = np.ndarray((len(buffer) - 7,), "<u8", buffer, strides=(1,))

    def words(self, at: Index) -> U64:
        """The eight bytes at each position, the first one lowest."""
        return self._words[at]

    def records(self, at: Index, size: int) -> Bytes:
        """The ``size`` bytes at each position, shape (len(at), size).

        One gather of a whole record costs NumPy as much as one of a word.
        """
        shape = (len(self.bytes) - size + 1,)
        every: npt.NDArray[np.void] = np.ndarray(shape, f"V{size}", self.bytes, strides=(1,))
        return every[at].view(np.uint8).reshape(len(at), size)

    def starts_with(self, at: Index, text: bytes, words: U64 | None = None) -> Bools:
        """Whether ``text`` (of any length) is at each position; ``words`` are those at ``at``."""
        if words is None:
            words = self._words[at]
        mask = np.uint64((1 << 8 * min(len(text), 8)) - 1)
        result: Bools = (words & mask) == number_of(text[:8])
        if len(text) > 8 and result.any():
            hits = np.flatnonzero(result)
            result[hits] = self.starts_with(at[hits] + 8, text[8:])
        return result

    def hexadecimal(self, end: Index, width: Index) -> U64:
        """The number whose last digit is before ``end``; ``width`` 1..16 lower-case digits."""
        low = hex8(self._words[end - 8] & _KEEP_LAST[np.minimum(width, 8)])
        if not (width > 8).any():
            return low
        high = hex8(self._words[end - 16] & _KEEP_LAST[np.maximum(width, 8) - 8])
        return low | high << np.uint64(32)

    def width_until(self, at: Index, byte: int, widths: tuple[int, ...]) -> Index:
        """How many characters lie before the first ``byte``, tried in the order given; 0: none."""
        result = np.zeros(len(at), np.intp)
        left = np.arange(len(at))
        for width in widths:
            hit = self.bytes[at[left] + width] == byte
            result[left[hit]] = width
            left = left[~hit]
            if not len(left):
                break
        return result
