// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random memory calls, and a shadow that knows what every page has to hold.
 *
 * shadow SECONDS [SEED [WORKERS]]: each worker plays with an arena of its own and compares every byte now
 * and then; so does every child that it forks, which then goes on playing with what it inherited.
 * Ends at once, with status 1, when a byte is wrong. Prints how much was done.
 */
#include "areas.h"

#include <signal.h>
#include <sys/uio.h>
#include <time.h>

#define PAGES 768
#define CHILDREN 3

static struct page {
	uint32_t stamp; /* 0: zeroes */
	bool mapped, writable;
} shadow[PAGES];

static char *base;
static uint64_t state;
static uint32_t stamps;
static unsigned long done, checked;
static int depth;
static pid_t children[CHILDREN];

static uint32_t pick(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

static char *page_at(int page) { return base + page * PAGE; }

static uint64_t word(uint32_t stamp, int i)
{
	return stamp ? (uint64_t)stamp * 0x9e3779b97f4a7c15ULL + i : 0;
}

static void check_page(const char *place, int page, const char *when)
{
	for (int i = 0; i < 512; i++) {
		uint64_t got = ((const volatile uint64_t *)place)[i];

		if (got == word(shadow[page].stamp, i))
			continue;
		printf("WRONG %s: page %d word %d is %#lx, wanted %#lx (depth %d, call %lu)\n", when, page,
		       i, (unsigned long)got, (unsigned long)word(shadow[page].stamp, i), depth, done);
		fflush(stdout);
		abort();
	}
	checked++;
}

static void check_all(const char *when)
{
	for (int page = 0; page < PAGES; page++)
		if (shadow[page].mapped)
			check_page(page_at(page), page, when);
}

/* Part of the arena: [*first, *first + *count), often the same few borders, so that areas meet. */
static void some(int *first, int *count)
{
	static const int sizes[] = { 1, 2, 4, 8, 8, 16, 16, 32, 64, 512 };

	*count = sizes[pick(pick(8) ? 9 : 10)];
	*first = pick((PAGES - *count) / (*count < 8 ? 4 : *count) + 1) * (*count < 8 ? 4 : *count);
}

static bool all_mapped(int first, int count)
{
	for (int i = first; i < first + count; i++)
		if (!shadow[i].mapped)
			return false;
	return true;
}

static void set(int first, int count, struct page value)
{
	for (int i = first; i < first + count; i++)
		shadow[i] = value;
}

static void do_map(int first, int count)
{
	map(page_at(first), count * PAGE);
	set(first, count, (struct page){ 0, true, true });
}

static void do_unmap(int first, int count)
{
	must(!munmap(page_at(first), count * PAGE), "munmap");
	set(first, count, (struct page){ 0, false, false });
}

static void do_write(int first, int count)
{
	for (int i = first; i < first + count; i++) {
		if (!shadow[i].mapped || !shadow[i].writable)
			continue;
		shadow[i].stamp = ++stamps;
		for (int j = 0; j < 512; j++)
			((volatile uint64_t *)page_at(i))[j] = word(shadow[i].stamp, j);
	}
}

static void do_move(int first, int count)
{
	static struct page moved[PAGES];
	int to = pick(PAGES - count + 1);

	if (pick(4))
		to &= ~7;
	if (to + count > PAGES || (to < first + count && first < to + count))
		return;
	do_unmap(to, count);
	if (mremap(page_at(first), count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   page_at(to)) == MAP_FAILED) {
		must(errno == EFAULT || errno == ENOMEM, "mremap"); /* more than one VMA, or a hole */
		return;
	}
	memcpy(moved, &shadow[first], count * sizeof(*moved));
	set(first, count, (struct page){ 0, false, false });
	memcpy(&shadow[to], moved, count * sizeof(*moved));
}

static void do_protect(int first, int count)
{
	bool writable = pick(3);

	if (!all_mapped(first, count))
		return;
	protect(page_at(first), count * PAGE, writable ? RW : PROT_READ);
	for (int i = first; i < first + count; i++)
		shadow[i].writable = writable;
}

static void do_advise(int first, int count)
{
	static const int advices[] = {
		MADV_RANDOM, MADV_NORMAL, MADV_RANDOM, MADV_NORMAL, MADV_NORMAL, 21 /* PAGEOUT */,
		21, 20 /* COLD */, MADV_WILLNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, 25 /* COLLAPSE */,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_DONTNEED, MADV_DONTDUMP, MADV_DODUMP,
	};
	int advice = advices[pick(sizeof(advices) / sizeof(*advices))];

	if (advice == MADV_DONTNEED) {
		/* it must do all or nothing, so that the shadow knows */
		if (!all_mapped(first, count) || munlock(page_at(first), count * PAGE))
			return;
		advise(page_at(first), count * PAGE, advice);
	} else {
		(void)!madvise(page_at(first), count * PAGE, advice);
		return;
	}
	for (int i = first; i < first + count; i++)
		shadow[i].stamp = 0;
}

static void do_lock(int first, int count)
{
	if (!all_mapped(first, count))
		return;
	if (pick(2))
		(void)!mlock2(page_at(first), count * PAGE, MLOCK_ONFAULT);
	else
		(void)!munlock(page_at(first), count * PAGE);
}

static void do_bind(int first, int count)
{
	unsigned long nodes = 1 + pick(2);
	bool bind = !pick(3);

	syscall(SYS_mbind, page_at(first), count * PAGE, bind ? 2 : 0, bind ? &nodes : NULL,
		bind ? 64UL : 0UL, pick(2) ? 2 /* MOVE */ : 0);
}

static void do_migrate(int first, int count)
{
	void *pages[512];
	int nodes[512], status[512], node = pick(2);

	for (int i = 0; i < count; i++) {
		pages[i] = page_at(first + i);
		nodes[i] = node;
	}
	syscall(SYS_move_pages, 0, (unsigned long)count, pages, nodes, status, 2);
}

static void do_grow(int first, int count)
{
	int more = 8;

	if (first + count + more > PAGES)
		return;
	do_unmap(first + count, more);
	if (mremap(page_at(first), count * PAGE, (count + more) * PAGE, 0) == MAP_FAILED)
		return;
	set(first + count, more, (struct page){ 0, true, shadow[first].writable });
}

static void do_read_remotely(int first, int count)
{
	static char copy[512 * PAGE];
	struct iovec here = { copy, count * PAGE }, there = { page_at(first), count * PAGE };

	if (!all_mapped(first, count))
		return;
	must(process_vm_readv(getppid(), &here, 1, &here, 0, 0) <= 0, "reading nothing");
	must(process_vm_readv(getpid(), &here, 1, &there, 1, 0) == count * (ssize_t)PAGE,
	     "process_vm_readv");
	for (int i = 0; i < count; i++)
		check_page(copy + i * PAGE, first + i, "read from outside");
}

static void play(long calls, time_t until);

static void do_fork(void)
{
	int slot = pick(CHILDREN), status;

	if (children[slot]) {
		must(waitpid(children[slot], &status, 0) == children[slot], "waitpid");
		children[slot] = 0;
		if (status) {
			printf("a child ended with %#x\n", status);
			exit(1);
		}
	}
	if (depth == 3)
		return;
	children[slot] = fork();
	if (children[slot] < 0) {
		children[slot] = 0;
		return; /* out of memory for the moment */
	}
	if (children[slot])
		return;
	memset(children, 0, sizeof(children));
	depth++;
	state ^= (uint64_t)getpid() << 20;
	check_all("in a fresh child");
	play(30 + pick(200), time(NULL) + 20);
	check_all("before a child ends");
	_exit(0);
}

static void end_children(void)
{
	int status;

	for (int slot = 0; slot < CHILDREN; slot++)
		if (children[slot]) {
			must(waitpid(children[slot], &status, 0) == children[slot], "waitpid");
			children[slot] = 0;
			if (status) {
				printf("a child ended with %#x\n", status);
				exit(1);
			}
		}
}

static void play(long calls, time_t until)
{
	for (; calls && time(NULL) < until; calls--, done++) {
		int first, count;

		some(&first, &count);
		switch (pick(24)) {
		case 0: case 1: case 2: do_map(first, count); break;
		case 3: if (!pick(3)) do_unmap(first, count); break;
		case 4: case 5: case 6: case 7: do_write(first, count); break;
		case 8: case 9: case 10: case 11: do_move(first, count); break;
		case 12: do_protect(first, count); break;
		case 13: case 14: case 15: case 16: do_advise(first, count); break;
		case 17: do_lock(first, count); break;
		case 18: do_bind(first, count); break;
		case 19: do_migrate(first, count); break;
		case 20: do_grow(first, count); break;
		case 21: do_read_remotely(first, count); break;
		case 22: if (!pick(6)) do_fork(); break;
		case 23: if (!pick(8)) check_all("now and then"); break;
		}
	}
	end_children();
	check_all("at the end");
}

int main(int argc, char **argv)
{
	long seconds = argc > 1 ? atol(argv[1]) : 10;
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	int workers = argc > 3 ? atoi(argv[3]) : 1, status, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int worker = 0; worker < workers; worker++) {
		if (fork())
			continue;
		state = 88172645463325252ULL ^ (seed * 1000 + worker) * 0x9e3779b97f4a7c15ULL;
		new_arena();
		base = arena;
		must(!munmap(base, PAGES * PAGE), "munmap");
		play(-1, time(NULL) + seconds);
		printf("seed %lu worker %d: %lu calls, %lu pages compared\n", seed, worker, done, checked);
		return 0;
	}
	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}
