# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Programs run as another user with chosen capabilities (setpriv of util-linux)."""

from __future__ import annotations

#: "nobody", who owns no process of a test
NOBODY = "65534"


def as_nobody(*capabilities: str) -> list[str]:
    """A command prefix: uid 65534 with these capabilities (named as "bpf") and no others."""
    exactly = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return [
        *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
        *("--inh-caps", exactly, "--ambient-caps", exactly, "--bounding-set", exactly),
    ]
