# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a recorder tells, taken by a thread of its own: unwinding one stack may take longer than its
ring has room for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from vmad.sources.bpf.blame import ProcessEvent, Recorder, StackCopy

Event = StackCopy | ProcessEvent

#: seconds between two looks whether there is room
_PAUSE: Final = 0.05
#: bytes that an event takes beside the stack's
_BESIDE: Final = 512


def _size(event: Event) -> int:
    return _BESIDE + (len(event.memory) if isinstance(event, StackCopy) else 0)


class Drained:
    """Events of ``recorder`` from construction on, in their order.

    Copies of ``most`` bytes wait at most, a little more; what comes faster stays in the ring until
    that is full, and BPF counts what had no room. ``note`` is called with each event as it arrives,
    and ``meanwhile`` many times a second, from the thread; what they raise, ``take`` and
    ``take_the_rest`` raise.
    """

    def __init__(
        self,
        recorder: Recorder,
        most: int,
        note: Callable[[Event], None],
        meanwhile: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._most = most
        self._note = note
        self._meanwhile = meanwhile
        self._arrived: deque[Event] = deque()
        self._came, self._went = 0, 0  # bytes; each is counted by one thread alone
        self._news = threading.Event()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._drain, name="vmad-drain", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._arrived)

    def _drain(self) -> None:
        try:
            while not self._over.is_set():
                self._meanwhile()
                if self._came - self._went >= self._most:
                    self._over.wait(_PAUSE)
                    continue
                self._poll(_PAUSE)
        except BaseException as error:
            self._failure = error
        self._news.set()

    def _poll(self, seconds: float) -> None:
        for event in self._recorder.poll(seconds):
            self._note(event)
            self._came += _size(event)
            self._arrived.append(event)
            self._news.set()

    def take(self, seconds: float) -> Event | None:
        """The next one; None where none comes so soon."""
        if not self._arrived:
            self._news.wait(seconds)
        self._raise()
        self._news.clear()
        if not self._arrived:
            return None
        event = self._arrived.popleft()
        self._went += _size(event)
        return event

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()

    def take_the_rest(self) -> None:
        """After that: what was told until now, however much, is there to be taken."""
        self._raise()
        self._poll(0)

    def _raise(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
