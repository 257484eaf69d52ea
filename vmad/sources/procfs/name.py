# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The last column of maps, proc_pid_maps(5), as text."""

from __future__ import annotations


def path_text(name: bytes) -> str:
    """What maps prints as NAME, its escaped newlines resolved, undecodable bytes as surrogates.

    The kernel escapes nothing else (mangle_path with "\\n"), so a path that holds a literal
    backslash and 012 looks the same.
    """
    return name.replace(b"\\012", b"\n").decode(errors="surrogateescape")
