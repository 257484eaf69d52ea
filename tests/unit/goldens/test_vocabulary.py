# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One vocabulary in all that people read, and no code without its sentence within reach."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.unit.goldens.documents import DOCUMENTS, WIDTHS
from vmad.cli.main import COMMANDS, build_parser
from vmad.operations.dashboards.files import FILES, dashboard_file
from vmad.rules.catalogue import CATALOGUE

ROOT = Path(__file__).parents[3]
#: written by people for people, or by our code for them
PAGES = sorted(
    path
    for pattern in ("README.md", "CHANGELOG.md", "docs/*.md", "examples/**/*.md", "deploy/**/*.md")
    for path in ROOT.glob(pattern)
)
#: what stays: the label's value and the JSON's key, where they stand as such
_CONTRACT = re.compile(r"""\\?"relaxed\\?"|`"?relaxed"?`""")


def visible(html: str) -> str:
    """The text of a page."""
    parts: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            parts.append(data)

    Reader().feed(html)
    return " ".join(parts)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """It and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                yield from parsers(below)


def shown(panel: Any) -> Iterator[str]:
    """What Grafana writes of a dashboard or panel: not its expressions, nor what it matches by."""
    if isinstance(panel, dict):
        for key, value in panel.items():
            if key not in ("expr", "matcher", "includeByName", "include", "definition", "query"):
                yield from shown(value)
    elif isinstance(panel, list):
        for value in panel:
            yield from shown(value)
    elif isinstance(panel, str):
        yield panel


def read_by_people() -> Iterator[tuple[str, str]]:
    """(where, text) of everything."""
    for name, made in DOCUMENTS.items():
        yield name, visible(made()) if name.endswith(".html") else made()
    for path in PAGES:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for name in COMMANDS:
        for parser in parsers(build_parser([name])):
            yield f"{parser.prog} --help", parser.format_help()
    for name in FILES:
        yield name, "\n".join(shown(json.loads(dashboard_file(name))))


TEXTS = dict(read_by_people())


@pytest.mark.parametrize("where", TEXTS)
def test_the_patched_kernel_has_one_name(where: str) -> None:
    text = _CONTRACT.sub("", TEXTS[where])
    lines = [line for line in text.splitlines() if re.search(r"\brelaxed\b", line, re.IGNORECASE)]
    assert lines == []


def words_of(text: str) -> str:
    """Without frames and line breaks, so that a sentence is found wherever it is broken."""
    return " ".join(re.sub(r"[│─┌┐└┘]|goes on", " ", text).split())


#: screens of which Enter, or scrolling, leads to the sentences
ONE_KEY_AWAY = re.compile(r"top-(list|filter|help)-|top-inside-80x24")


@pytest.mark.parametrize(
    "name",
    [name for name in DOCUMENTS if not name.endswith(".prom") and not ONE_KEY_AWAY.match(name)],
)
def test_a_reason_has_its_sentence_within_reach(name: str) -> None:
    text = words_of(TEXTS[name])
    told = {reason for reason in CATALOGUE if re.search(rf"(?<![\w:]){reason}(?![\w:])", text)}
    assert told
    assert {reason for reason in told if CATALOGUE[reason].sentence not in text} == set()


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_flag_has_its_sentence_within_reach(columns: int) -> None:
    text = words_of(TEXTS[f"pairs-{columns}.txt"])
    codes = {
        code[1:] for line in re.findall(r"upper ((?:[+-]\w+ ?)+)", text) for code in line.split()
    }
    assert codes == {"rd", "wr"}
    assert all(re.search(rf"{code} \(VM_\w+\): \w+", text) for code in codes)


@pytest.mark.parametrize("name", FILES)
def test_a_reason_on_a_dashboard_leads_to_its_sentence(name: str) -> None:
    panels = [
        panel
        for panel in every_panel(json.loads(dashboard_file(name))["panels"])
        if re.search(r"{{reason}}|\breason\b", json.dumps(panel.get("targets", "")))
        and "unreadable" not in json.dumps(panel)
    ]
    without = [panel["title"] for panel in panels if "runbook" not in json.dumps(panel).lower()]
    assert without == []


def every_panel(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those inside rows too."""
    for panel in panels:
        yield panel
        yield from every_panel(panel.get("panels", []))


@pytest.mark.parametrize("page", ["docs/metrics.md", "docs/runbook.md"])
def test_a_page_with_reasons_leads_to_their_sentences(page: str) -> None:
    assert "](reasons.md)" in TEXTS[page]
