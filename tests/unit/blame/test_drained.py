# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a recorder tells waits in its order, as far as there is room; what fails is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from vmad.blame.drained import Drained, Event
from vmad.errors import VmadError
from vmad.sources.bpf.blame import EventKind, ProcessEvent, Recorder, StackCopy

#: seconds after which what ought to happen has not
PATIENCE = 60.0


class Told:
    """Of a recorder what Drained asks for: ``batches`` one after another."""

    def __init__(self, *batches: list[Event]) -> None:
        self.batches = list(batches)
        self.polled_by = set[str]()

    def poll(self, seconds: float) -> list[Event]:
        self.polled_by.add(threading.current_thread().name)
        if not self.batches:
            time.sleep(seconds)
            return []
        return self.batches.pop(0)


def copies(*keys: int, size: int = 100) -> list[Event]:
    return [StackCopy(1, 1, key, (), 0, bytes(size)) for key in keys]


@pytest.fixture
def drained() -> Iterator[Callable[..., Drained]]:
    """Makes one, and ends its thread."""
    made: list[Drained] = []
    looks: list[None] = []

    def make(recorder: Told, most: int = 1 << 20, note: Any = lambda _: None) -> Drained:
        made.append(Drained(cast(Recorder, recorder), most, note, lambda: looks.append(None)))
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert looks


def keys_of(taken: Drained, many: int) -> list[int]:
    events = [taken.take(PATIENCE) for _ in range(many)]
    return [event.key for event in events if isinstance(event, StackCopy)]


def test_events_come_in_their_order_and_are_noted_before(
    drained: Callable[..., Drained],
) -> None:
    fork = ProcessEvent(EventKind.FORK, 2, 1, (7, 0, 1, 0, 0))
    noted = list[Event]()
    taken = drained(Told(copies(1, 2), [fork], copies(3)), note=noted.append)

    assert keys_of(taken, 2) == [1, 2]
    assert taken.take(PATIENCE) is fork
    assert fork in noted
    assert keys_of(taken, 1) == [3]
    assert taken.take(0) is None


def test_what_has_no_room_stays_where_it_is_until_some_was_taken(
    drained: Callable[..., Drained],
) -> None:
    recorder = Told(copies(1, 2, size=4000), copies(3), copies(4))
    taken = drained(recorder, most=4000)

    assert keys_of(taken, 1) == [1]
    assert len(recorder.batches) == 2
    assert keys_of(taken, 3) == [2, 3, 4]


def test_at_the_end_everything_that_was_told_is_there(drained: Callable[..., Drained]) -> None:
    recorder = Told(copies(1, size=4000))
    taken = drained(recorder, most=1000)
    while not len(taken):
        time.sleep(0.001)
    recorder.batches.append(copies(2))

    taken.close()
    taken.take_the_rest()

    assert keys_of(taken, 2) == [1, 2]
    assert recorder.polled_by == {"vmad-drain", threading.current_thread().name}


def test_what_goes_wrong_in_the_thread_is_told_to_whoever_takes(
    drained: Callable[..., Drained],
) -> None:
    def refuse(event: Event) -> None:
        raise VmadError("no")

    taken = drained(Told(copies(1)), note=refuse)

    with pytest.raises(VmadError, match="no"):
        taken.take(PATIENCE)
