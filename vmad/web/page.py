# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The page at /: who is near the limit, how fast, why, and how vmad itself does."""

from __future__ import annotations

from vmad.scan.snapshot import HostSnapshot


def render_page(snapshot: HostSnapshot | None) -> bytes:
    """placeholder"""
    return b"<!doctype html>" + b" " * 4000 + b"\n"
