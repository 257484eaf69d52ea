# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""asyncio and hashlib without OpenSSL, for a daemon that speaks no TLS: 5 MB less.

Both import it where it can be had and do without where it cannot (asyncio/base_events.py,
sslproto.py and selector_events.py; hashlib.py, whose own blake2 and sha2 serve).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

#: what takes OpenSSL in, by the extension module that is OpenSSL
_WITHOUT = {"ssl": "asyncio", "_hashlib": "hashlib"}
#: of hashlib, what has to be there: 3.11, or 3.12 and later
_OWN_HASHES = (("_blake2", "_sha256"), ("_blake2", "_sha2"))


def leave_openssl_out() -> None:
    """Import them so. What is imported already stays as it is; later imports of ssl find it."""
    for absent, user in _WITHOUT.items():
        if user in sys.modules or absent in sys.modules or not _can_do_without(user):
            continue
        sys.modules[absent] = None  # type: ignore[assignment]  # as if there were none
        try:
            importlib.import_module(user)
        finally:
            del sys.modules[absent]


def _can_do_without(user: str) -> bool:
    return user != "hashlib" or any(
        all(map(importlib.util.find_spec, modules)) for modules in _OWN_HASHES
    )
