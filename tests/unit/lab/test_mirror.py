# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which mirror is taken from what apt says that it would fetch."""

from __future__ import annotations

import pytest

from vmad.lab.apt.mirror import Mirror, mirror_among
from vmad.lab.errors import LabError


def line(base: str, suite: str) -> str:
    return f"'{base}/dists/{suite}/InRelease' some_file 0 \n"


def test_archive_and_security_are_told_apart() -> None:
    uris = line("http://mirror.example/debian", "bookworm") + line(
        "http://mirror.example/debian-security", "bookworm-security"
    )
    assert mirror_among(uris) == Mirror(
        "http://mirror.example/debian", "http://mirror.example/debian-security"
    )


def test_other_vendors_suites_named_after_debian_are_not_taken() -> None:
    uris = (
        line("https://vendor.example/linux/debian", "bookworm")
        + line("https://tool.example/apt", "bookworm-pgdg")
        + line("https://mirror.example/pub/debian", "bookworm")
        + line("https://mirror.example/pub/debian", "bookworm-updates")
    )
    assert mirror_among(uris) == Mirror("https://mirror.example/pub/debian", None)


def test_no_debian_archive_is_an_error_with_a_remedy() -> None:
    with pytest.raises(LabError, match=r"no Debian archive; add one to /etc/apt"):
        mirror_among(line("https://tool.example/apt", "nodistro"))
