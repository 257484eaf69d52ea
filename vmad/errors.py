# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The failures that vmad tells a person about: each names the thing, the cause and the remedy."""


class VmadError(Exception):
    """Base of every error that ends in one line on stderr, never in a traceback.

    ``exit_status`` is the program's exit status when the error ends a command
    (1 failed, 2 usage, 3 the target is gone or may not be read).
    """

    exit_status = 1

    def __init__(self, what: str, remedy: str | None = None) -> None:
        super().__init__(what if remedy is None else f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


#: what may end a round of work that is tried again at the next
FAILURES = (VmadError, OSError, MemoryError)


def told(error: BaseException) -> str:
    """What went wrong, in one line."""
    return "out of memory" if isinstance(error, MemoryError) else str(error)


class CannotRead(VmadError):
    """A file or interface of the kernel could not be read: permission, or an unexpected errno."""

    exit_status = 3


class StillChanging(CannotRead):
    """An address space changed during every reading of it: nothing exact can be told of it."""


class ProcessGone(VmadError):
    """The process exited, or its pid now belongs to another process."""

    exit_status = 3


class EvidenceUnavailable(VmadError):
    """A whole kind of evidence cannot be had here (no BTF, no right, no library, no object)."""


class BadConfig(VmadError):
    """The configuration is refused; the message carries file and line."""

    exit_status = 2


class BadCapture(VmadError):
    """A capture file is damaged, of another schema, or not a capture at all."""


class UsageError(VmadError):
    """The command line asks for something that cannot be meant."""

    exit_status = 2


class TargetUnavailable(VmadError):
    """Another machine (a virtual machine) that was asked for cannot be read, or no longer."""

    exit_status = 3
