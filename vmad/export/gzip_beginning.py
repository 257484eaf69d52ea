# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A text whose large beginning stays and whose end changes, as one gzip member.

A deflate stream that was flushed in full (Z_FULL_FLUSH, zlib.h) ends on a byte and refers to
nothing before it, so any other stream may follow: pigz puts its blocks together like this.
"""

from __future__ import annotations

import struct
import zlib

#: RFC 1952: deflate, no flags, no time, fastest, any system
HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"


class GzipBeginning:
    """The beginning of a text; :meth:`gzip_with` compresses it once, whatever comes after it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._deflated: bytes | None = None

    def compressed(self) -> bytes:
        """The beginning, deflated; done at the first call."""
        if self._deflated is None:
            # level 1: a fifth larger than level 9 on this text, at a tenth of its time
            deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._checksum = zlib.crc32(self.text)
            self._deflated = deflate.compress(self.text) + deflate.flush(zlib.Z_FULL_FLUSH)
        return self._deflated

    def gzip_with(self, end: bytes) -> bytes:
        """The whole text, one gzip member."""
        beginning = self.compressed()
        deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        trailer = struct.pack(
            "<II", zlib.crc32(end, self._checksum), (len(self.text) + len(end)) & 0xFFFF_FFFF
        )
        return HEADER + beginning + deflate.compress(end) + deflate.flush() + trailer
