# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of VMAs for the picture: as many as there is room for, the others by what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from vmad.export.printable import printable
from vmad.scan.explain import directory_of

#: bytes that names may take however few VMAs there are
LEAST_ROOM = 16 << 10


def names_within(paths: Mapping[int, str], room: int) -> tuple[tuple[str, ...], dict[int, int]]:
    """(names, row -> index into them): what is mapped most often first finds room.

    A name beyond ``room`` bytes (at least :data:`LEAST_ROOM`) becomes that of its directory,
    "/data/*", and is left out where that finds no room either. Names are printable.
    """
    left = max(room, LEAST_ROOM)
    kept = left // 4  # for directories
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for path, _ in Counter(paths.values()).most_common():
        for name, free in ((printable(path), left - kept), (printable(directory_of(path)), left)):
            size = 0 if name in taken else len(name.encode()) + 3  # quotes and a comma
            if size <= free:
                left -= size
                taken.add(name)
                shown[path] = name
                break
    indices: dict[str, int] = {}
    of_row = {
        row: indices.setdefault(shown[path], len(indices))
        for row, path in sorted(paths.items())
        if path in shown
    }
    return tuple(indices), of_row


def name_numbers(indices: Iterable[int]) -> list[int]:
    """Small numbers for a row of indices that were given out in order of appearance.

    0: the same as before; 1: the next that was not there yet; else the index and 2.
    """
    numbers, last, fresh = [], -1, 0
    for index in indices:
        if index == last:
            numbers.append(0)
        elif index == fresh:
            numbers.append(1)
            fresh += 1
        else:
            numbers.append(index + 2)
        last = index
    return numbers
