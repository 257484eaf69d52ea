// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions per system call: see counting.h.
 */
#include "counting.h"

#define ROUNDS 2000
#define N (4 * PAGE)

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

/*
 * A written area that a child shares, and before it a large one that is exclusive, so that only the
 * large one could be re-pointed: its last page is pinned, or it has more pages than may be looked at.
 * What is toggled is the small one, of which stock sees at once that it cannot merge.
 */
#define PINNED_PAGES 480
#define MANY_PAGES 4096

static char *shared_at(int which)
{
	return arena + (32UL << 20) + which * (20UL << 20);
}

static void toggle_shared(int which)
{
	advise(shared_at(which), N, MADV_RANDOM);
	advise(shared_at(which), N, MADV_NORMAL);
}

static void refused_pinned(void)
{
	toggle_shared(0);
}

static void refused_many(void)
{
	toggle_shared(1);
}

static void refused_setup(void)
{
	static const long pages[] = { PINNED_PAGES, MANY_PAGES };
	int hold;

	for (int i = 0; i < 2; i++) {
		touch(map(shared_at(i), N), N);
		advise(shared_at(i), N, MADV_SEQUENTIAL); /* nothing mapped beside joins it */
	}
	living_child(&hold);
	for (int i = 0; i < 2; i++) {
		char *large = map(shared_at(i) - pages[i] * PAGE, pages[i] * PAGE);

		touch(large, pages[i] * PAGE); /* on an anon_vma of its own */
	}
	pin_last_page(shared_at(0) - PINNED_PAGES * PAGE, PINNED_PAGES * PAGE);
}

static void count_rounds(const char *name, void (*once)(void))
{
	uint64_t before = ticks();

	for (int k = 0; k < ROUNDS; k++)
		once();
	count(name, (ticks() - before) / ROUNDS);
}

/* Of the first time alone there is one figure, of the later ones as many as of all others. */
static void count_refused(const char *name, const char *first, void (*once)(void))
{
	uint64_t before = ticks();

	once();
	count(first, ticks() - before);
	for (int r = 0; r < REPEAT; r++)
		count_rounds(name, once);
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
	begin_counting();
	new_arena();
	/* holes instead of the arena's PROT_NONE, so that a neighbour is one that a work makes */
	must(!munmap(arena, 64UL << 20), "munmap");
	touch(lonely(0), N);
	for (int r = 0; r < REPEAT; r++)
		for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++) {
			for (int k = 0; k < 50; k++)
				works[i].once(); /* caches, page tables */
			count_rounds(works[i].name, works[i].once);
		}
	refused_setup();
	count_refused("refused-pinned", "refused-pinned-first", refused_pinned);
	count_refused("refused-many", "refused-many-first", refused_many);
	end_counting();
	return 0;
}
