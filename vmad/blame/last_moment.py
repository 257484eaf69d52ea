# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A child of ours held for a moment where it ends, while its address space is still there.

By ptrace(2), from a thread of its own, since requests must come from the thread that attached. If
vmad is killed, the child goes on as if nothing had been.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Final

_CONT, _DETACH, _SEIZE, _LISTEN = 7, 17, 0x4206, 0x4208
_TRACE_EXIT: Final = 0x40
_EVENT_EXIT, _EVENT_STOP = 6, 128
#: __WALL: the child is not told of by SIGCHLD alone
_ALL: Final = 0x40000000
_STOPS: Final = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class LastMoment:
    """Watches child ``pid`` from construction on.

    ``reached`` is set at its end, or when it cannot be watched; it ends once ``let_go`` is called.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = (ctypes.c_long, *(ctypes.c_void_p,) * 3)
        self._libc.ptrace.restype = ctypes.c_long
        self._watching = threading.Event()
        self._released = threading.Event()
        self.held = False  #: whether it is held at its end now
        self.reached = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="vmad-last", daemon=True)
        self._thread.start()
        self._watching.wait()

    def let_go(self) -> None:
        """Let it end, now or whenever it does."""
        self._released.set()
        if self.held:
            self._thread.join()

    def join(self) -> None:
        """Wait until it has ended, as far as it is watched."""
        self._thread.join()

    def _request(self, request: int, data: int = 0) -> bool:
        return bool(self._libc.ptrace(request, self._pid, None, data) == 0)

    def _watch(self) -> None:
        seized = self._request(_SEIZE, _TRACE_EXIT)
        self._watching.set()
        while seized:
            try:
                _, status = os.waitpid(self._pid, _ALL)
            except ChildProcessError:
                break
            if not os.WIFSTOPPED(status):
                break
            event, number = status >> 16, os.WSTOPSIG(status)
            if event == _EVENT_EXIT:
                self.held = True
                self.reached.set()
                self._released.wait()
                self._request(_DETACH)
                self.held = False
                break
            if event == _EVENT_STOP:
                self._request(_LISTEN if number in _STOPS else _CONT)
            else:
                self._request(_CONT, number)
        self.reached.set()
