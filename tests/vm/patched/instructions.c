// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of a guest that counts: instructions per system call, by rdtsc under QEMU's -icount shift=0,
 * where one instruction is one tick. instructions.py boots it; the switch is on the command line.
 */
#include "areas.h"

#include <sys/mount.h>
#include <sys/reboot.h>

#define ROUNDS 2000
#define REPEAT 9
#define N (4 * PAGE)

static uint64_t ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static char *place(int which)
{
	return arena + (1 + which) * (2UL << 20) + PAGE;
}

/* An area with room on both sides: nothing it could merge with. */
static char *lonely(int which)
{
	return map(place(which), N);
}

static void mremap_written(void)
{
	move(place(0), N, place(1));
	move(place(1), N, place(0));
}

static void mprotect_whole(void)
{
	protect(place(0), N, PROT_READ);
	protect(place(0), N, RW);
}

static void mprotect_part(void)
{
	protect(place(0) + PAGE, PAGE, PROT_READ);
	protect(place(0) + PAGE, PAGE, RW);
}

static void mmap_touch_munmap(void)
{
	touch(map(place(2), N), N);
	must(!munmap(place(2), N), "munmap");
}

static void mmap_munmap(void)
{
	map(place(2), N);
	must(!munmap(place(2), N), "munmap");
}

/* beside a written area with other flags: an attempt that is refused */
static void mmap_refused(void)
{
	map_flags(place(0) + N, N, PROT_READ, 0);
	must(!munmap(place(0) + N, N), "munmap");
}

/* beside a written area: stock merges as well */
static void mmap_merged(void)
{
	map(place(0) + N, N);
	must(!munmap(place(0) + N, N), "munmap");
}

static void madvise_toggle(void)
{
	advise(place(0), N, MADV_RANDOM);
	advise(place(0), N, MADV_NORMAL);
}

static void heap(void)
{
	char *end = sbrk(4 * PAGE);

	must(end != (void *)-1, "brk");
	sbrk(-4 * (long)PAGE);
}

static const struct work {
	const char *name;
	void (*once)(void);
} works[] = {
	{ "mremap", mremap_written },
	{ "mprotect", mprotect_whole },
	{ "mprotect-part", mprotect_part },
	{ "mmap", mmap_munmap },
	{ "mmap-touch", mmap_touch_munmap },
	{ "mmap-refused", mmap_refused },
	{ "mmap-merged", mmap_merged },
	{ "madvise", madvise_toggle },
	{ "brk", heap },
};

int main(void)
{
	const char *mask = getenv("merge_switch");

	if (getpid() == 1) {
		must(!mount("proc", "/proc", "proc", 0, NULL), "mount /proc");
		if (mask)
			set_switch(atol(mask));
	}
	new_arena();
	/* holes instead of the arena's PROT_NONE, so that a neighbour is one that a work makes */
	must(!munmap(arena, 64UL << 20), "munmap");
	touch(lonely(0), N);
	for (int r = 0; r < REPEAT; r++)
		for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++) {
			uint64_t before;

			for (int k = 0; k < 50; k++)
				works[i].once(); /* caches, page tables */
			before = ticks();
			for (int k = 0; k < ROUNDS; k++)
				works[i].once();
			printf("count %s %llu\n", works[i].name,
			       (unsigned long long)(ticks() - before) / ROUNDS);
		}
	printf("done\n");
	fflush(stdout);
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
