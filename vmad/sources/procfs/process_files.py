# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Reading maps, smaps and numa_maps of one process so that they belong together."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator

from vmad.model.kernel import KernelInfo
from vmad.model.process import ProcessId
from vmad.sources.bounded import Tick
from vmad.sources.procfs.living import place_of
from vmad.sources.procfs.numa_maps import parse_numa_maps
from vmad.sources.procfs.smaps import parse_smaps
from vmad.sources.procfs.table import Evidences

_TRIES = 3
#: seconds after which nothing is read that an answer can do without: where threads of the target
#: keep its mmap_lock busy, a page of text at a time comes, and of smaps there are thousands
ENOUGH = 20.0
_CHUNK = 1 << 20


def read_evidences(
    process: ProcessId,
    *,
    is_same: Callable[[ProcessId], bool],
    kernel: KernelInfo,
    numa: bool,
    tick: Tick,
    proc: str = "/proc",
) -> Evidences:
    """Everything readable of one process; runs in a bounded worker.

    None of the files is a snapshot. smaps repeats the lines of maps, so lines and flags belong
    together; when maps, read before and after, differs, everything is read again, at last with
    ``consistent`` False. So it is too where all that takes longer than ENOUGH; smaps and numa_maps
    are missing then, if they were not read. Raises OSError when maps cannot be read or the pid was
    reused.
    """
    until = time.monotonic() + ENOUGH
    place = f"{proc}/{place_of(process.pid, proc)}"
    before = b"".join(_chunks(process, f"{place}/maps", tick))
    for attempt in range(_TRIES):
        smaps = None
        try:
            smaps = parse_smaps(_chunks(process, f"{place}/smaps", tick, until), kernel)
        except _TooLong:
            pass
        except OSError as error:
            _only_absence_or_right(error)
        policies = None
        if numa:
            try:
                text = b"".join(_chunks(process, f"{place}/numa_maps", tick, until))
                policies = parse_numa_maps(text)
            except _TooLong:
                pass
            except OSError as error:
                _only_absence_or_right(error)
        late = time.monotonic() > until
        after = before if late else b"".join(_chunks(process, f"{place}/maps", tick))
        if not is_same(process):
            raise OSError(errno.ESRCH, "its pid was reused")
        consistent = not late and before == after and (smaps is None or smaps.lines == after)
        if consistent or late or attempt == _TRIES - 1:
            if smaps is not None and not smaps.lines:
                smaps = None
            lines = after if smaps is None else smaps.lines
            return Evidences(lines, smaps, policies, numa, consistent)
        before = after
    raise AssertionError("unreachable")


class _TooLong(Exception):
    """A file was not read to its end in time."""


def _only_absence_or_right(error: OSError) -> None:
    """Go on without a file that this kernel does not have or that is not for us."""
    if error.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM):
        raise error


def _chunks(
    process: ProcessId, path: str, tick: Tick, until: float | None = None
) -> Iterator[bytes]:
    """The file as it comes; the kernel gives up to a page or more at a time.

    Raises _TooLong where it has not ended by ``until`` (time.monotonic).
    """
    tick(process)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        buffer = memoryview(bytearray(_CHUNK))
        at = 0
        while got := os.readv(fd, (buffer[at:],)):
            tick(process)
            if until is not None and time.monotonic() > until:
                raise _TooLong
            at += got
            if at > _CHUNK - (16 << 10):
                yield bytes(buffer[:at])
                at = 0
        yield bytes(buffer[:at])
    finally:
        os.close(fd)
