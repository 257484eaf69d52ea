# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Signals reach the main thread whichever thread the kernel gives them to."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, threading
from vmad.daemon.signals import Signals

other = threading.Thread(target=lambda: threading.Event().wait(), daemon=True)
other.start()
signals = Signals()
signals.take((signal.SIGHUP, signal.SIGTERM))
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGTERM))  # of this thread alone
os.kill(os.getpid(), signal.SIGHUP)
came = set()
while signal.SIGHUP not in came:
    came |= signals.wait(None)
print(sorted(came), sorted(signals.wait(0)))
threading.Thread(target=signals.send, args=(signal.SIGTERM,)).start()
print(sorted(signals.wait(None)))
for _ in range(100_000):
    signals.send(signal.SIGHUP)
print(sorted(signals.wait(None)))
"""


def test_signal_that_another_thread_gets_comes_out_of_wait_once() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines() == ["[1] []", "[15]", "[1]"]
