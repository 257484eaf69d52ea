# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a daemon with its defaults does not load: each of these is memory for good."""

from __future__ import annotations

import hashlib
import subprocess
import sys

DEFAULTS = """
import sys
from vmad.web.without_openssl import leave_openssl_out
leave_openssl_out()
import vmad.daemon.service
print(*sorted(sys.modules))
"""

#: OpenSSL; e-mail and other servers; guests; procfs evidence; pages
ABSENT = {
    "_ssl", "_hashlib", "ssl", "email", "http.server", "prometheus_client", "tempfile", "difflib",
    "vmad.sources.guest.source", "vmad.sources.procfs.source", "vmad.web.pages.document",
    "vmad.daemon.documents", "vmad.web.basic_auth", "vmad.web.tls",
}  # fmt: skip


def loaded(statements: str) -> set[str]:
    """Modules in a fresh interpreter after these statements, which print them."""
    ran = subprocess.run(
        [sys.executable, "-c", statements], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_a_daemon_with_its_defaults_loads_nothing_that_it_does_not_need() -> None:
    modules = loaded(DEFAULTS)

    assert "asyncio" in modules
    assert modules & ABSENT == set()


def test_what_left_openssl_out_hashes_the_same_and_finds_tls_when_it_is_asked_for() -> None:
    told = loaded(
        "from vmad.web.without_openssl import leave_openssl_out\n"
        "leave_openssl_out()\n"
        "import hashlib, sys\n"
        "print(hashlib.blake2b(b'vmad', digest_size=2).hexdigest())\n"
        "print(hashlib.sha256(b'vmad').hexdigest(), '_hashlib' in sys.modules)\n"
        "import ssl\n"
        "print(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).__class__.__name__)\n"
    )

    assert told == {
        hashlib.blake2b(b"vmad", digest_size=2).hexdigest(),
        hashlib.sha256(b"vmad").hexdigest(),
        "False",
        "SSLContext",
    }
