# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The runbook: a complete section for whatever may wake somebody; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmad.advice.catalogue import ADVICE
from vmad.cli.main import COMMANDS
from vmad.export.metrics.catalogue import BY_NAME
from vmad.model.kinds import KIND_NAMES
from vmad.operations.rule_files import GROUPS
from vmad.operations.rules import Alert
from vmad.operations.runbook import MARKER, whole
from vmad.rules.catalogue import CATALOGUE
from vmad.rules.vma_cost import TYPICAL

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "runbook.md").read_text()
ALERTS = [rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)]


def _slug(heading: str) -> str:
    """The anchor that Markdown viewers make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _sections() -> dict[str, str]:
    """Text by heading of the second level."""
    found = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)
    return dict(zip((title.strip("`") for title in found[1::2]), found[2::2], strict=True))


def _anchors() -> set[str]:
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    return {_slug(each) for each in headings} | set(re.findall(r'<a id="([^"]+)"></a>', TEXT))


def test_the_generated_part_is_up_to_date() -> None:
    assert whole(TEXT) == TEXT


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alerts_url_leads_to_its_section(alert: Alert) -> None:
    url = alert.written("runbook.md")["annotations"]["runbook_url"]

    assert url.split("#")[1] in _anchors()
    assert alert.name in _anchors(), "dashboards link to the name as it is"


@pytest.mark.parametrize("name", [*(a.name for a in ALERTS), *CATALOGUE, *KIND_NAMES.values()])
def test_a_section_tells_everything_that_one_needs_at_night(name: str) -> None:
    section = _sections()[name]

    assert f'<a id="{name}"></a>' in section
    for part in ("Means", "Confirm", "Now", "Worked"):
        assert f"**{part}.**" in section
    assert "**For good.**" in section


def test_each_piece_of_advice_stands_there_once() -> None:
    assert len({each.anchor for each in ADVICE.values()}) == len(ADVICE)
    for each in ADVICE.values():
        assert TEXT.count(f'<a id="{each.anchor}"></a>{each.text} [{each.source}]') == 1
        assert TEXT.count(each.text) == 1
        assert f"[{each.in_short}](#{each.anchor})" in TEXT


def test_no_section_is_about_something_that_does_not_exist() -> None:
    known = {alert.name for alert in ALERTS} | CATALOGUE.keys() | set(KIND_NAMES.values())
    known |= {"The first five minutes", "Make room"}

    assert _sections().keys() == known


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", TEXT)

    assert len(targets) > 20
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in _anchors(), target
        else:
            assert (DOCS / target).exists(), target


def test_the_cost_of_a_higher_limit_is_what_explain_says() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) MiB \| (\d+) MiB \|$", TEXT, re.MULTILINE)

    assert len(rows) == 3
    for limit, filled, written in rows:
        number = int(limit.replace(",", ""))
        assert f"{number * TYPICAL.each / 2**20:.0f}" == filled
        assert f"{number * (TYPICAL.written or 0) / 2**20:.0f}" == written


def test_metrics_and_commands_exist() -> None:
    named = set(re.findall(r"\bvmad_[a-z_]+\b", TEXT))
    assert named <= BY_NAME.keys()
    assert set(re.findall(r"`vmad ([a-z-]+)", TEXT)) <= COMMANDS.keys()


def test_the_written_part_stays_as_it_is() -> None:
    written = TEXT[: TEXT.index(MARKER)]

    assert whole(written + MARKER + "old") == TEXT
