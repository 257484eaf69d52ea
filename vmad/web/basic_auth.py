# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Users and their bcrypt hashes: is this Authorization header one of them?"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

#: verified credentials kept, so that a scraper pays for bcrypt once and not at every scrape
_CACHE_SIZE = 64


class Users:
    """The users of one web configuration. ``hashes``: name -> bcrypt hash (``$2a/b/y$``)."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {name: value.encode("ascii") for name, value in hashes.items()}
        self._secret = secrets.token_bytes(32)
        self._verified: dict[bytes, None] = {}

    def same_as(self, other: Users | None) -> bool:
        """Whether both let the same in."""
        return other is not None and self._hashes == other._hashes

    def worth_checking(self, header: str | None) -> bool:
        """Whether the header is a name and a password at all, right or wrong."""
        return _credentials(header) is not None

    def remembered(self, header: str | None) -> bool:
        """True when this header was verified before. Quick: no bcrypt.

        The cache is keyed by a MAC under a secret of this process, so a look-up's timing says
        nothing of the password.
        """
        return header is not None and self._key(header) in self._verified

    def verify(self, header: str | None) -> bool:
        """True when the header names a user with the right password. Slow, on purpose."""
        credentials = _credentials(header)
        if header is None or credentials is None:
            return False
        import bcrypt  # noqa: PLC0415 - only a configuration with users needs it

        name, password = credentials
        stored = self._hashes.get(name)
        # bcrypt uses 72 bytes and the library refuses more; the tools that made the hash cut off
        checked = bcrypt.checkpw(password[:72], stored or self._stand_in(name))
        right = checked and stored is not None
        if right:
            if len(self._verified) >= _CACHE_SIZE:
                self._verified.clear()
            self._verified[self._key(header)] = None
        return right

    def _stand_in(self, name: str) -> bytes:
        """The hash that is checked for a user who does not exist, always the same one: the time
        tells what one of the users' hashes costs, as it does for a name that exists.
        """
        digest = hmac.digest(self._secret, name.encode("utf-8", "surrogateescape"), hashlib.sha256)
        hashes = tuple(self._hashes.values())
        return hashes[int.from_bytes(digest[:8]) % len(hashes)]

    def _key(self, header: str) -> bytes:
        return hmac.digest(self._secret, header.encode("latin-1", "replace"), hashlib.sha256)


def _credentials(header: str | None) -> tuple[str, bytes] | None:
    """("Basic dTpw") -> ("u", b"p") (RFC 7617); None when it is anything else."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    if not colon or b"\0" in password:
        return None
    return name.decode("utf-8", "surrogateescape"), password
