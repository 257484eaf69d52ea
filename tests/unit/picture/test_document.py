# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The picture as one file: whole by itself, and nothing that it was told becomes markup."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from tests.unit.explain.tables import table_of
from tests.unit.picture.reading import read_picture
from tests.unit.picture.test_picture import MIXED, explained
from vmad.cli.main import main
from vmad.export.picture.document import map_document
from vmad.export.picture.picture import picture_of

HOSTILE = "</script><script>alert(1)</script>"


def document(comm: str = "redis-server") -> str:
    explanation = explained(replace(table_of(MIXED), comm=comm))
    return map_document(picture_of(explanation), f"{comm} (pid 7)", ["words", comm])


class Scripts(HTMLParser):
    """The text of every script and the attributes of all tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def test_file_asks_for_nothing_and_lets_nothing_else_run() -> None:
    page = Scripts(document())
    policy = next(value for _, value in page.attributes if value and "default-src" in value)

    assert "default-src 'none'" in policy
    digest = hashlib.sha256(page.scripts[1].encode()).digest()
    assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not [name for name, _ in page.attributes if name == "src" or name.startswith("on")]
    assert not re.search(r"https?://|@import|url\(", document())


def test_file_holds_the_picture_and_the_words() -> None:
    page = document()
    packed = Scripts(page).scripts[0]

    head, blocks = read_picture(zlib.decompress(base64.b64decode(packed)))
    assert (head["comm"], len(blocks)) == ("redis-server", len(MIXED))
    assert "<pre>words" in page


def test_hostile_name_is_text() -> None:
    page = document(HOSTILE)

    assert len(Scripts(page).scripts) == 2
    assert "<script>alert" not in page


def test_command_writes_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "map.html"
    status = main(["map", str(os.getpid()), "--evidence", "procfs", "-o", str(path)])

    assert status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    head, blocks = read_picture(
        zlib.decompress(base64.b64decode(Scripts(path.read_text()).scripts[0]))
    )
    assert head["pid"] == os.getpid()
    assert {block.name for block in blocks} & {"[heap]", "[stack]"}
    assert main(["map", str(os.getpid()), "--evidence", "procfs", "-o", str(path)]) == 2
    assert main(["map", str(os.getpid()), "-o", str(tmp_path / "map.gif")]) == 2
