# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What clients may cost: a share of a core, averaged, with a burst after a quiet time."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.unit.sample import crowded_snapshot, sample_snapshot
from tests.unit.web.serving import SampleContent, get, serving
from vmad.web.budget import WINDOW, Budget
from vmad.web.kept import DUE, FRESH, STAND_IN, Format, KeptExpositions

PLAIN = Format(None, False, False)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CostlyContent(SampleContent):
    """Its page takes 50 ms of CPU time on any machine, far more than to accept, read and write."""

    def page(self) -> bytes:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return super().page()


def test_a_minutes_share_may_be_spent_at_once_and_then_it_is_earned() -> None:
    clock = Clock()
    budget = Budget(0.1, clock)
    budget.spend(0.1 * WINDOW)
    assert budget.wait() == 0

    budget.spend(0.5)
    assert budget.wait() == pytest.approx(5)
    clock.now += 2
    assert budget.wait() == pytest.approx(3)
    assert budget.spent == pytest.approx(0.1 * WINDOW + 0.5)


def test_no_debt_lasts_longer_than_a_minute_and_no_rest_saves_more() -> None:
    clock = Clock()
    budget = Budget(0.1, clock)
    budget.spend(1_000)
    assert budget.wait() == pytest.approx(WINDOW)

    clock.now += 86_400
    budget.spend(0.1 * WINDOW + 0.1)
    assert budget.wait() == pytest.approx(1)


def test_pages_and_json_beyond_the_budget_are_put_off_and_scrapes_are_not() -> None:
    content = CostlyContent(sample_snapshot())
    # saved for a minute: 0.3 s for pages, six of them, and 0.72 s for the connections
    with serving(content, budget=0.02) as address:
        statuses = [get(address, "/").status for _ in range(20)]
        late = get(address, "/api/v1/scan")
        others = [get(address, path).status for path in ("/metrics", "/-/healthy", "/-/ready")]

    assert statuses[0] == 200
    assert 503 in statuses
    assert (late.status, int(late.headers["retry-after"]) >= 1) == (503, True)
    # a browser asks again by itself
    assert late.headers["refresh"] == late.headers["retry-after"]
    assert others == [200, 200, 200]


def test_many_scrapes_share_one_rendering_and_a_change_makes_another() -> None:
    content = SampleContent(crowded_snapshot(40))
    rendered = []
    plain = content.exposition.render

    def render(openmetrics: bool = False, compressed: bool = False) -> bytes:
        rendered.append(content.edition)
        return plain(openmetrics, compressed)

    content.exposition.render = render  # type: ignore[method-assign]
    with serving(content) as address:
        for _ in range(50):
            assert get(address, "/metrics").status == 200
        before = len(rendered)
        content.edition += 1
        assert get(address, "/metrics").status == 200

    assert before < 50
    assert rendered[-1] == 1


def test_a_rendering_is_made_once_for_all_who_wait_and_again_when_it_is_old() -> None:
    clock, made = Clock(), []

    async def make() -> bytes:
        await asyncio.sleep(0)
        made.append(clock.now)
        return b"metrics"

    async def several() -> None:
        kept = KeptExpositions(clock)
        assert kept.find(PLAIN, 0) is None
        assert (
            await asyncio.gather(*(kept.get(PLAIN, 0, make) for _ in range(9))) == [b"metrics"] * 9
        )
        assert (len(made), kept.find(PLAIN, 0), kept.find(PLAIN, 1)) == (1, b"metrics", None)
        clock.now += FRESH / 2
        await kept.get(PLAIN, 0, make)
        assert len(made) == 1
        clock.now += FRESH
        await kept.get(PLAIN, 0, make)
        assert len(made) == 2

    asyncio.run(several())


def test_who_comes_while_a_rendering_is_made_gets_the_one_before_unless_it_is_old() -> None:
    clock, go_on = Clock(), asyncio.Event()

    async def make() -> bytes:
        await go_on.wait()
        return b"%d" % clock.now

    async def several() -> None:
        kept = KeptExpositions(clock)
        first = asyncio.ensure_future(kept.get(PLAIN, 0, make))
        await asyncio.sleep(0)
        assert kept.find_stand_in(PLAIN) is None  # there is none before
        go_on.set()
        before = await first
        assert kept.find_stand_in(PLAIN) is None  # nobody makes one
        go_on.clear()
        clock.now += FRESH + 0.5
        second = asyncio.ensure_future(kept.get(PLAIN, 0, make))
        await asyncio.sleep(0)
        assert (kept.find(PLAIN, 0), kept.find_stand_in(PLAIN)) == (None, before)
        clock.now += STAND_IN
        assert kept.find_stand_in(PLAIN) is None
        go_on.set()
        assert await second != before
        assert kept.find_stand_in(PLAIN) is None

    asyncio.run(several())


def test_a_rendering_that_takes_long_is_not_waited_for_where_another_stands_in() -> None:
    clock, go_on = Clock(), asyncio.Event()
    go_on.set()

    async def make() -> bytes:
        await go_on.wait()
        return b"%d" % clock.now

    async def several() -> None:
        kept = KeptExpositions(clock)
        before = await kept.get(PLAIN, 0, make)
        go_on.clear()
        clock.now += FRESH
        assert await kept.get(PLAIN, 1, make) == before
        go_on.set()
        after = await kept.get(PLAIN, 1, make)
        assert (after != before, kept.find(PLAIN, 1)) == (True, after)

    asyncio.run(several())


def test_a_rendering_that_is_due_serves_while_the_next_is_made_unless_it_is_wrong() -> None:
    clock = Clock()

    async def make() -> bytes:
        return b"%d" % clock.now

    async def several() -> None:
        kept = KeptExpositions(clock)
        assert kept.find_due(PLAIN, 0) is None
        made = await kept.get(PLAIN, 0, make)
        clock.now += FRESH + DUE / 2
        assert (kept.find(PLAIN, 0), kept.find_due(PLAIN, 0)) == (None, made)
        assert kept.find_due(PLAIN, 1) is None
        clock.now += DUE
        assert kept.find_due(PLAIN, 0) is None

    asyncio.run(several())


def test_json_waits_where_little_is_left_for_scrapes() -> None:
    clock = Clock()
    budget = Budget(0.1, clock)
    assert not budget.scarce
    budget.spend(0.1 * WINDOW * 0.7)
    assert (budget.scarce, budget.wait()) == (True, 0)
    clock.now += WINDOW / 10
    assert not budget.scarce


def test_what_pages_may_not_cost_now_scrapes_may() -> None:
    clock = Clock()
    loop, pages = Budget(0.06, clock), Budget(0.02, clock)
    loop.spend(0.06 * WINDOW + 0.6)
    pages.spend(0.02 * WINDOW - 0.3)
    assert loop.wait() == pytest.approx(10)

    loop.borrow(pages)
    assert loop.wait() == pytest.approx(5)
    loop.borrow(pages)  # it has nothing left
    assert loop.wait() == pytest.approx(5)

    clock.now += 86_400
    loop.borrow(pages)  # it has all that it may save
    pages.spend(0.02 * WINDOW)
    assert pages.wait() == 0
