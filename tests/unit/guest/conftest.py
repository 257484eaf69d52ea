# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recorded guests, served by a QMP server of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.guest.fake_qemu import FakeQemu, recorded
from vmad.model.process import ProcessId
from vmad.sources.guest.cache import FORMAT, AnchorCache
from vmad.sources.guest.kernel import Anchors, anchors_from_json
from vmad.sources.guest.source import GuestSource

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.npz"))


@dataclass
class Recorded:
    """A recorded guest behind a socket, and what was seen from inside."""

    qemu: FakeQemu
    meta: dict[str, Any]
    arrays: dict[str, Any]
    cache: AnchorCache

    @property
    def anchors(self) -> Anchors:
        return anchors_from_json(self.meta["anchors"])

    @property
    def processes(self) -> list[ProcessId]:
        return [ProcessId(*one["id"]) for one in self.meta["processes"]]

    @property
    def path(self) -> str:
        return str(self.qemu.path)

    def open(self, **options: Any) -> GuestSource:
        return GuestSource(self.path, cache=self.cache, **options)


def start(recording: Path, directory: Path) -> Recorded:
    memory, human, meta, arrays = recorded(recording)
    # what the kernel is, is known: its image is not in the recording
    known = directory / "cache"
    known.mkdir()
    anchors = {"format": FORMAT, **meta["anchors"]}
    (known / "known.json").write_text(json.dumps(anchors))
    machine = {"query-target": {"arch": meta.get("machine", "x86_64")}}
    qemu = FakeQemu(directory / "qmp", memory, human, **machine)
    return Recorded(qemu, meta, arrays, AnchorCache(known))


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def every_guest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorded]:
    """Each of the recorded guests."""
    guest = start(request.param, tmp_path)
    with guest.qemu:
        yield guest


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Recorded]:
    """The newest kernel's."""
    found = start(RECORDINGS[-1], tmp_path)
    with found.qemu:
        yield found
