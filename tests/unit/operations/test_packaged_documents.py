# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the Debian package carries and prescribes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)(#[^)]*)?\)")


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_in_packaged_documents_lead_to_packaged_documents(page: Path) -> None:
    """docs/ and docs/decisions are packaged as they are (debian/rules), and nothing beside them."""
    for target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        found = (page.parent / target).resolve()
        assert found.exists(), target
        assert found.is_relative_to(DOCS), target


def test_what_commands_import_is_a_dependency_of_the_package() -> None:
    control = (ROOT / "debian" / "control").read_text(encoding="utf-8")
    depends = re.search(r"^Depends:(.*?)^(?=\S)", control, re.MULTILINE | re.DOTALL)
    assert depends is not None
    for package in ("bcrypt", "numpy", "ptrace", "yaml"):
        assert f"python3-{package}," in depends[1]
