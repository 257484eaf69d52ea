# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What this machine's processor asks of the program that borrows threads: looked up once."""

from __future__ import annotations

import os
from functools import cache

from vmad.architecture.borrowing import Borrowing
from vmad.architecture.known import borrowing_here as looked_up
from vmad.architecture.known import needed
from vmad.architecture.system_calls import SystemCalls


@cache
def borrowing_here() -> Borrowing:
    """How threads are borrowed. Raises UnknownArchitecture where they are not."""
    return looked_up()


@cache
def calls_here() -> SystemCalls:
    """Numbers of system calls. Raises UnknownArchitecture."""
    return needed(os.uname().machine, "tracing").calls
