# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Records what vmad reads of a real guest, word by word, so that tests can read it again.

    python -m tests.unit.guest.record SOCKET CAPTURE PID... -o FILE

CAPTURE is what `vmad capture --names` saw inside of the same guest, standing still; the rows of
the PIDs go into FILE with the words. What was not read is left out, and so is what was only
searched (the image, all RAM of a 64-bit Arm guest): a recording has some tens of kilobytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from vmad.model.process import ProcessId
from vmad.sources.capture import CaptureSource
from vmad.sources.guest.cache import AnchorCache
from vmad.sources.guest.memory import U64, Look
from vmad.sources.guest.physical import PAGE, PhysicalMemory
from vmad.sources.guest.source import GuestSource

words: dict[int, bytes] = {}  #: physical address, a multiple of 8 -> its 8 bytes
#: bytes of a reading that is a search; of these only what an arm64 kernel is found by is kept
SEARCH = 1 << 20


def keep(address: int, raw: bytes) -> None:
    """Keep the words that a range touches; ``raw`` begins at ``address``, aligned to 8."""
    for at in range(0, len(raw), 8):
        words.setdefault(address + at, raw[at : at + 8])


def note_reads() -> None:
    """Stand in for the places that all reads go through."""
    words_before, word_before, read_before = Look.words, Look._word, PhysicalMemory.read

    def read(memory: PhysicalMemory, start: int, size: int) -> bytes:
        first = start & ~7
        raw = read_before(memory, first, (start + size + 7 & ~7) - first)
        if size < SEARCH:
            keep(first, raw)
        else:
            for at in range(-first % PAGE, size, PAGE):
                if raw.startswith(b"OSRELEASE=", at):
                    keep(first + at, raw[at : at + PAGE])
        return raw[start - first :][:size]

    def of_many(look: Look, addresses: U64, offsets: Sequence[int]) -> list[U64]:
        found = words_before(look, addresses, offsets)
        for offset, column in zip(offsets, found, strict=True):
            if len(addresses):
                places = look._space.physical(addresses + np.uint64(offset))
                for place, value in zip(places.tolist(), column.tolist(), strict=True):
                    keep(place, int(value).to_bytes(8, "little"))
        return found

    def of_one(look: Look, address: int) -> int:
        value = word_before(look, address)
        place = look._space.physical(np.array([address], np.uint64))[0]
        keep(int(place), value.to_bytes(8, "little"))
        return value

    patches = ((PhysicalMemory, "read", read), (Look, "words", of_many), (Look, "_word", of_one))
    for owner, name, stand_in in patches:
        setattr(owner, name, stand_in)


def main() -> None:
    """Attach by what is known of the kernel, read, and write the recording."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("capture")
    parser.add_argument("pids", nargs="+", type=int)
    parser.add_argument("-o", "--output", required=True)
    arguments = parser.parse_args()
    cache = AnchorCache()
    GuestSource(arguments.socket, cache=cache).close()  # so that the image is not read again
    note_reads()
    guest = GuestSource(arguments.socket, cache=cache)
    monitor, anchors = guest.guest.monitor, guest.guest.anchors
    guest.guest.check()  # reads the banner
    first_task = guest.guest.space.image.physical + anchors.init_task
    guest.guest.memory.read(first_task + anchors.layout["task_struct.group_leader"].offset, 8)
    meta: dict[str, Any] = {
        "anchors": anchors.as_json(),
        "machine": guest.kernel.machine,
        "mtree": monitor.human("info mtree -f"),
        "registers": monitor.human("info registers"),
        "max_map_count": guest.max_map_count,
        "hostname": guest.hostname,
        "evidence": CaptureSource(arguments.capture).evidence.value,
        "processes": [],
    }
    inside = CaptureSource(arguments.capture)
    census = guest.census()
    arrays: dict[str, Any] = {}
    for row in census[np.isin(census["pid"], arguments.pids)]:
        process = ProcessId(int(row["pid"]), int(row["start_time"]))
        seen = inside.table(process)
        guest.table(process)
        guest.cgroup_of(process)
        guest.exe_of(process)
        paths = {str(number): path for number, path in seen.paths.items()}
        meta["processes"].append({"id": process, "comm": seen.comm, "paths": paths})
        arrays[f"rows_{process.pid}"] = seen.rows
    guest.close()
    places = sorted(words)
    np.savez_compressed(
        arguments.output,
        meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
        places=np.array(places, np.uint64),
        words=np.frombuffer(b"".join(words[place] for place in places), np.uint64),
        **arrays,
    )


if __name__ == "__main__":
    main()
