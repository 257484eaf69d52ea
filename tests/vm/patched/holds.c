// SPDX-License-Identifier: GPL-2.0-only
/*
 * For how long one call keeps other threads of the process out: instructions between the moment that
 * it has the mmap_lock for writing and the one that it gives it up, by the lock's tracepoints on a
 * clock that counts instructions. Who faults, maps or unmaps meanwhile waits for just that. Several
 * holds of one call: the longest. See counting.h.
 */
#include "counting.h"

#define TRACING "/sys/kernel/tracing/"
#define EVENTS TRACING "events/mmap_lock/"
#define P (480 * PAGE) /* as much as may be labelled at once, with what its page tables count */
#define MANY (4096 * PAGE)
#define SMALL (4 * PAGE)
#define SIBLINGS 30
#define TABLES 300 /* of page tables with one page each */
#define PARTS 5000

static pid_t child;
static char *sparse;
static int hold_child = -1, pinned = -1;

static char *at(void)
{
	return arena + (32UL << 20) + PAGE;
}

static char *elsewhere(void)
{
	return arena + (64UL << 20) + 2 * PAGE;
}

static void tracing(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "%s", name);
	write_file(path, text);
}

static void begin_tracing(void)
{
	char text[16];

	tracing("trace_clock", "x86-tsc");
	snprintf(text, sizeof(text), "%d", getpid());
	tracing("set_event_pid", text);
	tracing("events/mmap_lock/mmap_lock_acquire_returned/enable", "1");
	tracing("events/mmap_lock/mmap_lock_released/enable", "1");
	tracing("tracing_on", "0");
}

/* "  init-1  [000] .....  123456: mmap_lock_released: mm=... memcg_path= write=true" */
static uint64_t longest_hold(void)
{
	struct {
		char mm[32];
		uint64_t since;
	} held[4] = { 0 };
	uint64_t longest = 0;
	char line[512];
	FILE *trace = fopen(TRACING "trace", "r");

	must(trace, "trace");
	while (fgets(line, sizeof(line), trace)) {
		char *event = strstr(line, ": mmap_lock_"), *mm = strstr(line, "mm="), *stamp;
		bool taken, write = strstr(line, "write=true");
		uint64_t now;
		int i;

		if (!event || !mm)
			continue;
		taken = !strncmp(event, ": mmap_lock_acquire", 19);
		for (stamp = event; stamp[-1] >= '0' && stamp[-1] <= '9'; stamp--)
			;
		now = strtoull(stamp, NULL, 10);
		mm[strcspn(mm, " ")] = 0;
		for (i = 0; i < 3 && held[i].mm[0] && strcmp(held[i].mm, mm); i++)
			;
		snprintf(held[i].mm, sizeof(held[i].mm), "%s", mm);
		/* a reader's, or the same lock given down to readers: the hold is over */
		if (held[i].since && now - held[i].since > longest)
			longest = now - held[i].since;
		held[i].since = taken && write ? now : 0;
	}
	fclose(trace);
	return longest;
}

static void halves(size_t first, size_t second)
{
	map(at(), first + second);
	advise(at() + first, second, MADV_RANDOM);
	touch(at(), first + second);
}

static void written(void)
{
	touch(map(at(), P), P);
}

static void two_written(void)
{
	halves(P, P);
}

/* apart by access and a hint, so that each half is written to on its own */
static void two_written_one_without_access(void)
{
	halves(P, P);
	protect(at() + P, P, PROT_READ);
	advise(at() + P, P, MADV_NORMAL);
}

static void hole(void)
{
	touch(map(at(), P), P);
	touch(map(at() + 2 * P, P), P);
	must(!munmap(at() + P, P), "munmap");
}

static void move_to_come(void)
{
	touch(map(elsewhere(), P), P);
	must(!munmap(at(), P), "munmap");
}

static void move_beside_written(void)
{
	written();
	touch(map(elsewhere(), P), P);
	must(!munmap(at() + P, P), "munmap");
}

static void locked(void)
{
	written();
	must(!mlock(at(), P), "mlock");
}

/* a small area that a child shares beside one of its parent's, which alone could be re-pointed */
static void beside_shared(size_t large)
{
	touch(map(at(), SMALL), SMALL);
	advise(at(), SMALL, MADV_RANDOM);
	child = living_child(&hold_child);
	touch(map(at() - large, large), large);
}

static void beside_pinned(void)
{
	beside_shared(P);
	pinned = pin_last_page(at() - P, P);
}

static void beside_many(void)
{
	beside_shared(MANY);
}

/* the same beside one page in each of many page tables */
static void beside_sparse(void)
{
	sparse = mmap(NULL, TABLES * HUGE, RW, ANON | MAP_NORESERVE, -1, 0);
	must(sparse != MAP_FAILED, "mmap");
	map_flags(sparse, SMALL, RW, MAP_NORESERVE);
	advise(sparse, SMALL, MADV_RANDOM);
	touch(sparse, SMALL);
	child = living_child(&hold_child);
	for (size_t i = 1; i < TABLES; i++)
		touch(sparse + i * HUGE, PAGE);
}

/* pages of one area, each moved by another distance, and one beside them that is new */
static void parts_apart(void)
{
	char *from = arena + (60UL << 20), *to = arena + (2UL << 20);

	must(!munmap(arena, 94UL << 20), "munmap");
	touch(map(from, PARTS * PAGE), PARTS * PAGE);
	for (size_t i = 0; i < PARTS; i++)
		move(from + i * PAGE, PAGE, to + 2 * i * PAGE);
	map(to + PARTS * PAGE + PAGE, PAGE);
	advise(to + PARTS * PAGE + PAGE, PAGE, MADV_RANDOM);
	touch(to + PARTS * PAGE + PAGE, PAGE);
}

/* a larger area before one that is cut into many, which all go if the first of them does */
static void siblings(void)
{
	const size_t piece = P / SIBLINGS;

	map(at() - 2 * piece, 2 * piece);
	advise(at() - 2 * piece, 2 * piece, MADV_RANDOM);
	touch(at() - 2 * piece, 2 * piece);
	touch(map(at(), P), P);
	for (int i = 1; i < SIBLINGS; i += 2)
		protect(at() + i * piece, piece, PROT_READ);
}

static char *huge(void)
{
	return (char *)(((uintptr_t)at() + HUGE) & ~(HUGE - 1));
}

/* an area that ends in the middle of a huge page, before a larger one */
static void huge_cut(void)
{
	char *cut = huge() + HUGE + HUGE / 2;

	map(huge(), 2 * HUGE);
	advise(huge(), 2 * HUGE, MADV_HUGEPAGE);
	touch(huge(), 2 * HUGE);
	map(cut, 2 * HUGE);
	advise(cut, 2 * HUGE, MADV_RANDOM);
	touch(cut, HUGE);
	advise(cut, 2 * HUGE, MADV_HUGEPAGE);
}

static void many_written(void)
{
	touch(map(at(), MANY), MANY);
}

static void call_mmap(void)
{
	map(at(), P);
}

static void call_mmap_in_hole(void)
{
	map(at() + P, P);
}

static void call_munmap(void)
{
	must(!munmap(at(), P), "munmap");
}

static void call_mprotect(void)
{
	protect(at(), P, PROT_READ);
}

static void call_mprotect_back(void)
{
	protect(at() + P, P, RW);
}

static void call_madvise_back(void)
{
	advise(at() + P, P, MADV_NORMAL);
}

static void call_munlock(void)
{
	must(!munlock(at(), P), "munlock");
}

static void call_move(void)
{
	move(elsewhere(), P, at());
}

static void call_move_behind(void)
{
	move(elsewhere(), P, at() + P);
}

static void call_advise_small(void)
{
	advise(at(), SMALL, MADV_NORMAL);
}

static void call_advise_sparse(void)
{
	advise(sparse, SMALL, MADV_NORMAL);
}

static void call_advise_part(void)
{
	advise(arena + (2UL << 20) + PARTS * PAGE + PAGE, PAGE, MADV_NORMAL);
}

static void call_advise_sibling(void)
{
	advise(at() - 2 * (P / SIBLINGS), 2 * (P / SIBLINGS), MADV_NORMAL);
}

static void call_advise_huge(void)
{
	advise(huge() + HUGE + HUGE / 2, 2 * HUGE, MADV_NORMAL);
}

static void call_fork(void)
{
	child = living_child(&hold_child);
}

static void call_mprotect_many(void)
{
	protect(at(), MANY, PROT_READ);
}

static void call_move_many(void)
{
	move(at(), MANY, elsewhere());
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*prepare)(void);
	void (*call)(void);
	int times; /* 0: as often as all */
} works[] = {
	/* nothing to merge */
	{ "mmap", nothing, call_mmap, 0 },
	{ "munmap", written, call_munmap, 0 },
	{ "mprotect", written, call_mprotect, 0 },
	{ "munlock", locked, call_munlock, 0 },
	{ "mremap", move_to_come, call_move, 0 },
	{ "fork", two_written, call_fork, 0 },
	{ "mprotect-4096", many_written, call_mprotect_many, 0 },
	{ "mremap-4096", many_written, call_move_many, 0 },
	{ "fork-4096", many_written, call_fork, 0 },
	/* merged where switched on */
	{ "mmap-into-hole", hole, call_mmap_in_hole, 0 },
	{ "mprotect-merges", two_written_one_without_access, call_mprotect_back, 0 },
	{ "madvise-merges", two_written, call_madvise_back, 0 },
	{ "mremap-merges", move_beside_written, call_move_behind, 0 },
	{ "siblings-go", siblings, call_advise_sibling, 0 },
	{ "huge-page-is-cut", huge_cut, call_advise_huge, 0 },
	/* refused */
	{ "refused-pinned", beside_pinned, call_advise_small, 0 },
	{ "refused-many", beside_many, call_advise_small, 0 },
	{ "refused-sparse", beside_sparse, call_advise_sparse, 0 },
	{ "one-of-5000-parts", parts_apart, call_advise_part, 1 },
};

int main(void)
{
	begin_counting();
	begin_tracing();
	for (int r = 0; r < REPEAT; r++)
		for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++) {
			if (works[i].times && r >= works[i].times)
				continue;
			new_arena();
			works[i].prepare();
			fclose(fopen(TRACING "trace", "w")); /* empties it */
			tracing("tracing_on", "1");
			works[i].call();
			tracing("tracing_on", "0");
			count(works[i].name, longest_hold());
			if (hold_child >= 0)
				end_child(child, hold_child);
			hold_child = -1;
			if (pinned >= 0)
				close(pinned);
			pinned = -1;
			if (sparse)
				must(!munmap(sparse, TABLES * HUGE), "munmap");
			sparse = NULL;
		}
	end_counting();
	return 0;
}
