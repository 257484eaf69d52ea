# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the Debian package carries and prescribes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)(#[^)]*)?\)")
_ANCHOR = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")
_HEADING = re.compile(r"^#+ (.*)$|<a (?:id|name)=\"([^\"]+)\"", re.MULTILINE)
#: what the measured machine was doing belongs here, not where people look up what vmad does
MEASURED = {"bench.md", "patched-kernel.md", "reliability.md"}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_in_packaged_documents_lead_to_packaged_documents(page: Path) -> None:
    """docs/ and docs/decisions are packaged as they are (debian/rules), and nothing beside them."""
    for target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        found = (page.parent / target).resolve()
        assert found.exists(), target
        assert found.is_relative_to(DOCS), target


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: lower case, blanks as hyphens, no punctuation."""
    found = set()
    for heading, name in _HEADING.findall(page.read_text(encoding="utf-8")):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower())
        found |= {name or words.strip().replace(" ", "-")}
    return found


@pytest.mark.parametrize(
    "page", sorted({*DOCS.rglob("*.md"), ROOT / "README.md"}), ids=lambda page: page.name
)
def test_links_to_headings_lead_to_headings(page: Path) -> None:
    for target, anchor in _ANCHOR.findall(page.read_text(encoding="utf-8")):
        named = (page.parent / target).resolve() if target else page
        assert anchor in _anchors(named), f"{target}#{anchor}"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_pages_for_users_are_no_diary_of_a_machine(page: Path) -> None:
    if page.name not in MEASURED:
        assert "load average" not in page.read_text(encoding="utf-8")


def test_what_commands_import_is_a_dependency_of_the_package() -> None:
    control = (ROOT / "debian" / "control").read_text(encoding="utf-8")
    depends = re.search(r"^Depends:(.*?)^(?=\S)", control, re.MULTILINE | re.DOTALL)
    assert depends is not None
    for package in ("bcrypt", "numpy", "ptrace", "yaml"):
        assert f"python3-{package}," in depends[1]
