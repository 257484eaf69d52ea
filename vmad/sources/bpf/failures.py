# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Calls that failed because of vm.max_map_count, counted by BPF as they return.

What is seen and what is not: docs/limit-failures.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vmad.errors import EvidenceUnavailable
from vmad.model.failures import FailedCalls
from vmad.model.kernel import KernelInfo
from vmad.rules.at_limit import limit_era_of
from vmad.sources.bpf.attachment import Attachment
from vmad.sources.bpf.bpf_object import BpfObject
from vmad.sources.bpf.caller import CALLER, caller_of, settings, watchable
from vmad.sources.bpf.calls import CALLS
from vmad.sources.bpf.libbpf import loaded_programs
from vmad.sources.time_namespace import booted_at

HERE = Path(__file__).parent

#: thresholds, in the order of its forms -> rows of vmad/rules/at_limit.py, the lowest counts
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "mmap": ("mmap",),
    "munmap": ("munmap_middle", "munmap_end"),
    "mprotect": ("mprotect_middle",),
    "pkey_mprotect": ("mprotect_middle",),
    "mremap": ("mremap_move", "mremap_shrink"),
    "brk": ("brk",),
    "madvise": ("madvise_middle",),
    "mlock": ("mlock_middle",),
    "mlock2": ("mlock_middle",),
    "munlock": ("mlock_middle",),
    # what a range gets here may cut its VMA as mprotect does (split_vma)
    "mbind": ("mprotect_middle",),
    "set_mempolicy_home_node": ("mprotect_middle",),
    "mseal": ("mseal_middle",),
    "shmat": ("shmat",),
    # maps its ring (fs/aio.c, aio_setup_ring)
    "io_setup": ("mmap",),
    # PR_SET_VMA_ANON_NAME
    "prctl": ("mprotect_middle",),
    "mmap, MAP_FIXED": ("mmap_inside",),
    "mremap, MREMAP_FIXED or MREMAP_DONTUNMAP": ("mremap_fixed", "mremap_dontunmap"),
}
_ERRORS: Final = {11: "EAGAIN", 12: "ENOMEM"}
ROWS: Final = 1024
#: a row that nobody added to in so long is taken out, for others; what it said is known here
IDLE_SECONDS: Final = 60.0

#: struct control
CONTROL: Final = np.dtype(
    [
        ("from", "<i4", (32,)),
        ("max_map_count", "<i4"),
        ("unused", "<u4"),
        ("recorded", "<u8"),
        ("lost", "<u8"),
    ]
)
#: struct failure_key
KEY: Final = np.dtype(
    [("start_boottime", "<u8"), ("tgid", "<u4"), ("call", "<u2"), ("error", "<u2")]
)
#: struct failure
FAILURE: Final = np.dtype(
    [
        ("count", "<u8"),
        ("last", "<u8"),
        ("map_count", "<i8"),
        ("max_map_count", "<i8"),
        ("who", CALLER),
    ]
)

#: how the calls are watched -> object; the cheaper first
WAYS: Final = {"fexit": "failures_fexit.bpf.o", "sys_exit": "failures_sys_exit.bpf.o"}


class KernelFailures:
    """The attached programs, which count from now on.

    ``way`` (of WAYS) is how calls are watched. ``on_demand``: sys_exit, which every system call of
    the host pays for, only while some process is near the limit, as ``most_is`` is told.
    Raises EvidenceUnavailable with what is missing.
    """

    def __init__(
        self,
        kernel: KernelInfo,
        max_map_count: int | None,
        ways: Sequence[str] = tuple(WAYS),
        *,
        on_demand: bool = False,
    ) -> None:
        self._offsets = _offsets(kernel)
        problems: list[str] = []
        remedy = None
        for way in ways:
            try:
                self._object, programs = _loaded(way, settings())
                self._attachment = Attachment(
                    self._object, programs, on_demand=on_demand and way == "sys_exit"
                )
            except EvidenceUnavailable as error:
                what = error.what.removeprefix(f"BPF: {WAYS[way]} ")
                problems.append(f"{way}: {what}")
                remedy = remedy or error.remedy
                continue
            self.way = way
            break
        else:
            raise EvidenceUnavailable("failures at the limit: " + ", ".join(problems), remedy)
        try:
            memory = self._object.map_memory(".data.control", CONTROL.itemsize)
        except OSError as error:
            self._object.close()
            raise EvidenceUnavailable(f"failures at the limit: {error.strerror}") from error
        self._control = np.frombuffer(memory, CONTROL, 1)
        self._rows = self._object.hash_map("failures", KEY, FAILURE)
        self._seen: dict[bytes, tuple[int, float]] = {}  #: key -> its count, monotonic seconds
        self._recorded = 0
        self._limit = -1
        self.limit_is(max_map_count)

    @property
    def attached(self) -> bool:
        """Whether calls are watched at this moment."""
        return self._attachment.attached

    def most_is(self, map_count: int | None) -> None:
        """Some process has so many VMAs, and none has more. Raises EvidenceUnavailable."""
        self._attachment.most_is(map_count, self._limit)

    def limit_is(self, max_map_count: int | None) -> None:
        """Count against this vm.max_map_count; None: count nothing."""
        limit = 0 if max_map_count is None else max_map_count
        if limit == self._limit:
            return
        self._limit = limit
        self._control["from"][0, : len(FORMS)] = np.maximum(self._offsets + limit, 1)
        self._control["max_map_count"][0] = limit

    @property
    def lost(self) -> int:
        """Failures of which nothing but their number is known, since there was no room."""
        return int(self._control["lost"][0])

    def try_reading(self) -> None:
        """Make the system call that ``read`` makes. Raises EvidenceUnavailable."""
        self._rows.items(ROWS)

    def read(self) -> list[FailedCalls]:
        """What failed since the last time. Without news it makes no system call.

        Raises EvidenceUnavailable where a right is missing that the kernel wants for it (before
        5.18).
        """
        recorded, now = int(self._control["recorded"][0]), time.monotonic()
        if recorded == self._recorded:
            self._forget_idle(now)
            return []
        boot = booted_at()
        failed = []
        for key, row in zip(*self._rows.items(ROWS), strict=True):
            known, count = key.tobytes(), int(row["count"])
            before = self._seen.get(known, (0, 0.0))[0]
            if count != before:
                self._seen[known] = count, now
                failed.append(_failed_calls(key, row, count - before, boot))
        self._recorded = recorded
        self._forget_idle(now)
        return failed

    def _forget_idle(self, now: float) -> None:
        idle = [key for key, (_, when) in self._seen.items() if now - when > IDLE_SECONDS]
        for key in idle:
            self._rows.delete(np.frombuffer(key, KEY)[0])
            del self._seen[key]

    def close(self) -> None:
        """Detach and unload."""
        self._object.close()


def is_counting() -> bool | None:
    """Whether some process has these programs in the kernel; None where that cannot be told."""
    names = loaded_programs()
    return None if names is None else bool({"vmad_sys_exit", "vmad_munmap"} & set(names))


def _failed_calls(key: np.void, row: np.void, count: int, boot: float) -> FailedCalls:
    who, error = caller_of(row["who"]), int(key["error"])
    return FailedCalls(
        process=who.process,
        comm=who.comm,
        cgroup=who.cgroup,
        call=CALLS[int(key["call"])],
        error=_ERRORS.get(error, str(error)),
        count=count,
        last=boot + int(row["last"]) / 1e9,
        map_count=int(row["map_count"]),
        max_map_count=int(row["max_map_count"]),
    )


def _offsets(kernel: KernelInfo) -> npt.NDArray[np.int64]:
    """By form, from how many VMAs above the limit on a failure may be the limit's."""
    table, offsets_of_calls = limit_era_of(kernel.version).fails, []
    for rows in FORMS.values():
        offsets = [fails.offset for row in rows if (fails := table[row]) is not None]
        offsets_of_calls.append(min(offsets))
    return np.array(offsets_of_calls)


def _loaded(way: str, setting: bytes) -> tuple[BpfObject, list[str]]:
    """And the programs in it, in the order of attaching."""
    path = HERE / WAYS[way]
    programs, without = ["vmad_sys_exit"], []
    if way == "fexit":
        there = watchable(CALLS)
        programs = [f"vmad_{call}" for call in CALLS if call in there]
        without = [f"vmad_{call}" for call in CALLS if call not in there]
    return BpfObject(path, setting, since="5.10", without=without), programs
