/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What a borrowed thread runs to rebuild a run of its own process: examples/rebuild/core.h, begun and
 * ended so that it does not matter whether its tracer lives.
 *
 * One piece of position-independent code without data: it is copied into an area of its own, with the
 * plan, the list of cuts and a stack behind it (vmad/probe/visit.py). It begins at its first byte with the plan
 * in the first argument.
 *
 * Afterwards it waits for a moment, so that the tracer finds it where it can be stopped. If none comes,
 * it takes the stack that was prepared beforehand (vmad/architecture): its return leads into rt_sigreturn,
 * which unmaps this area and then restores the thread.
 */
#include "machine.h"

#include "../../../examples/rebuild/core.h"

struct visit {
	struct plan plan;
	uint64_t frames; /* the stack pointer to leave with */
	uint32_t done;
	uint32_t running; /* 1 until then: the other threads wait for it to change if the tracer dies */
};

enum { WAITS = 1000, FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129, ALL = 1 << 30 };

ENTRY(visit)

/* Compilers call it for large initial values. */
__attribute__((used)) static void *memset(void *at, int value, unsigned long size)
{
	unsigned char *byte;

	for (byte = at; size--; byte++)
		*byte = value;
	return at;
}

/* Returns the stack pointer to leave with. */
__attribute__((used)) static uint64_t visit(struct visit *visit)
{
	const struct { int64_t seconds, nanoseconds; } moment = {0, 1000000};
	int i;

	if (__atomic_load_n(&visit->running, __ATOMIC_ACQUIRE)) /* else it is not whole */
		plan_run(&visit->plan);
	__atomic_store_n(&visit->running, 0, __ATOMIC_RELEASE);
	call(__NR_futex, &visit->running, FUTEX_WAKE_PRIVATE, ALL);
	__atomic_store_n(&visit->done, 1, __ATOMIC_RELEASE);
	for (i = 0; i < WAITS; i++)
		call6(__NR_futex, (long)&visit->done, FUTEX_WAIT_PRIVATE, 1, (long)&moment, 0, 0);
	return visit->frames;
}
