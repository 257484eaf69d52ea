# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Languages whose fibers have a stack with a guard page each."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="ruby-fibers",
        text="Keep fewer fibers alive at a time: spread them over more processes (workers of the "
        "server, prefork), or bound what runs at once (a semaphore of async). Each fiber is two "
        "VMAs, a pool keeps its stacks after they end, and RUBY_FIBER_VM_STACK_SIZE changes "
        "nothing.",
        whose=Whose.OPERATOR,
        programs=(Program.RUBY,),
        patterns=(P.COROUTINE_GUARDS,),
        proof=Measured(
            20551,
            2119,
            "1,000 fibers in place of 10,000, Ruby 3.1",
            ("ruby-fibers-10000", "ruby-fibers-1000"),
        ),
        cost="Less runs at a time in each process.",
        check="No-access VMAs follow the number of fibers.",
        source="ruby PR #4996; ruby cont.c, fiber_pool; docs/atlas.md",
    ),
    Advice(
        name="php-fibers",
        text="Keep fewer fibers alive at a time, over more worker processes: each fiber is two "
        "VMAs, and 65,530 are full at fiber 32,519. fiber.stack_size changes nothing.",
        whose=Whose.OPERATOR,
        programs=(Program.PHP,),
        patterns=(P.COROUTINE_GUARDS,),
        proof=Measured(
            20303,
            2107,
            "1,000 fibers in place of 10,000, PHP 8.2",
            ("php-fibers-10000", "php-fibers-1000"),
        ),
        cost="Less runs at a time in each process.",
        check="No-access VMAs follow the number of fibers.",
        source="PHP Zend/zend_fibers.c; revolt #65; docs/atlas.md",
    ),
    Advice(
        name="crystal-fibers",
        text="Keep fewer fibers alive at a time, over more processes: each fiber's stack is two "
        "VMAs.",
        whose=Whose.OPERATOR,
        programs=(Program.CRYSTAL,),
        patterns=(P.COROUTINE_GUARDS,),
        proof=Documented(0.9, "10,000 fibers are 20,050 VMAs, Crystal 1.6"),
        cost="Less runs at a time in each process.",
        check="No-access VMAs follow the number of fibers.",
        source="crystal #3543; docs/atlas.md",
    ),
    Advice(
        name="qemu-coroutines",
        text="Bound what a guest may have in flight (fewer queues, a smaller queue-size of its "
        "disks): each coroutine of QEMU's block layer has a stack with a guard page.",
        whose=Whose.OPERATOR,
        programs=(Program.QEMU,),
        patterns=(P.COROUTINE_GUARDS,),
        proof=Documented(0.6),
        cost="Fewer requests at a time.",
        check="No-access VMAs become fewer.",
        source="QEMU util/qemu-coroutine.c, pool size by max_map_count since 9.0",
    ),
)
