# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a person is told of limits: far from this one, near it, at it, and after a failure."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.unit.explain.tables import Area, table_of
from vmad.export.explain_text import Context, explain_text
from vmad.export.style import Style
from vmad.model.failures import LimitFailure
from vmad.model.kernel import KernelInfo
from vmad.model.other_limits import HostUse, OtherUse, ProcessUse
from vmad.model.process import ProcessId
from vmad.rules.limit_origin import limit_origin
from vmad.rules.other_limits import Bound, other_bounds
from vmad.rules.vma_cost import TYPICAL
from vmad.scan.explain import Explanation, explain
from vmad.scan.growth import Watched
from vmad.scan.host_limits import HostLimits

LIMIT = 100
CALM: tuple[Bound, ...] = ()
HELD = other_bounds(OtherUse(ProcessUse(4711, {"AS": 1 << 29}, size=1 << 21), HostUse()))
FAILURE = LimitFailure(
    ProcessId(4711, 1), "redis-server", "g", "mmap", "ENOMEM", 12, 1.8e9, 101, LIMIT
)


def explained(vmas: int) -> Explanation:
    areas = [Area(gap=4096) for _ in range(vmas)]
    table = replace(table_of(areas), map_count=vmas)
    return explain(table, KernelInfo("6.12.0", page_shift=12), LIMIT)


def told(vmas: int, context: Context) -> list[str]:
    return explain_text(explained(vmas), Style(), context)


def test_what_no_call_has_failed_since_is_said() -> None:
    limits = HostLimits(others=CALM, failures=(), watched_since=1_790_000_000.0)
    text = "\n".join(told(90, Context(limits=limits)))

    assert re.search(r"has failed at the limit since 2026-09-2\d \d\d:\d\d:\d\d; before", text)


def test_nothing_is_said_of_calls_that_nobody_watches() -> None:
    limits = HostLimits(others=CALM, failures=(), watched_since=None)
    assert "failed" not in "\n".join(told(90, Context(limits=limits)))


def test_far_from_the_limit_the_first_line_names_another() -> None:
    first, *rest = told(10, Context(limits=HostLimits(others=HELD)))
    assert first == (
        "redis-server (pid 4711) has 10 of 100 VMAs (10.0 %), 90 to spare: if its calls fail, it "
        "is not this limit but maybe RLIMIT_AS (2 MiB of 512 MiB)."
    )
    assert any("prlimit --pid 4711 --as=N" in line for line in rest)


def test_far_from_every_limit_is_told_too() -> None:
    first = told(10, Context(limits=HostLimits(others=CALM)))[0]
    assert first.endswith("it is not this limit, and no other one is near.")


def test_where_other_limits_cannot_be_read_none_is_excluded() -> None:
    assert told(10, Context())[0].endswith("if its calls fail, it is not this limit.")


def test_near_the_limit_it_may_be_this_one() -> None:
    first, *rest = told(90, Context(limits=HostLimits(others=HELD)))
    assert first.endswith("90 of 100 VMAs (90.0 %), 10 to spare.")
    assert "What fails first:" in rest
    assert not any("RLIMIT_AS" in line for line in rest)


def test_a_process_that_failed_here_is_not_told_that_it_is_another_limit() -> None:
    limits = HostLimits(others=HELD, failures=(FAILURE,))
    first, second, *rest = told(10, Context(limits=limits))
    assert "not this limit" not in first
    assert second.startswith("It has failed at the limit: mmap ENOMEM 12 times; last at 2027-")
    # between two looks it stood at the limit: what is seen now tells no need
    assert "how many it needs is unknown" in " ".join(" ".join(rest).split())


def test_a_mark_at_the_limit_is_not_far_either() -> None:
    first = told(10, Context(watched=Watched(101, 0.0, None), limits=HostLimits(others=HELD)))[0]
    assert "not this limit" not in first


def test_errors_read_as_the_log_has_them() -> None:
    text = "\n".join(told(99, Context()))
    assert '"Resource temporarily unavailable"' in text
    assert "ulimit -u" in text
    (threads,) = [line for line in text.splitlines() if "new threads" in line]
    assert threads.split() == ["new", "threads:", "EAGAIN", "from", "99", "fails", "now"]


def test_at_the_limit_steps_stand_in_place_of_a_need() -> None:
    limits = HostLimits(TYPICAL, limit_origin(LIMIT, None))
    text = " ".join(line.strip() for line in told(101, Context(limits=limits)))
    assert "101 VMAs are all that 100 allows: how many it needs is unknown." in text
    assert "to 262,144 and look again; if it stands there too, to 1,048,576." in text
    assert "vm.max_map_count is 100: not the kernel's default of 65,530" in text


def test_near_the_limit_but_below_it_the_need_is_known() -> None:
    text = "\n".join(told(90, Context(limits=HostLimits(TYPICAL))))
    assert "1.5 times 90" in text
    assert "unknown" not in text.partition("Evidence")[0].partition("The limit")[2]


def test_a_mark_that_was_cut_off_counts_as_well() -> None:
    context = Context(watched=Watched(101, 0.0, None), limits=HostLimits(TYPICAL))
    assert "how many it needs is unknown" in "\n".join(told(60, context))
