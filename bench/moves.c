/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What moving pages costs, and a row of VMAs to be moved by others.
 *
 *   moves time ROUNDS PIECES PAGES [huge]   each round: ns of a rebuild of the row (examples/rebuild),
 *                                           ns of memcpy of it into fresh memory, VMAs before and after
 *   moves join PIECES PAGES FIRST [huge] [forked | late]   rebuilds FIRST VMAs at a time, each joining those
 *                                           before, which a living child shares ("forked"), or as few as
 *                                           a deadline that has passed allows ("late"): VMAs before and
 *                                           after, pages that are not as they were, in a child as well
 *   moves serve PIECES PAGES [huge]         a row; each line on stdin makes it so again, and is answered
 *                                           with its VMAs
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../examples/rebuild/core.h"

#define BASE ((char *)0x200000000000)
#define ELSEWHERE ((char *)0x280000000000)
enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

static size_t page, length, pieces;
static int huge;

static void must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

static void touch(char *at)
{
	size_t i;

	if (huge)
		must(!madvise(at, length, MADV_HUGEPAGE), "madvise");
	for (i = 0; i < length; i += page)
		at[i] = 1;
}

/* Every other piece was written to elsewhere and moved in: VMAs of their own. */
static void make(void)
{
	size_t i;

	for (i = 0; i < pieces; i++) {
		char *place = BASE + i * length, *from = i % 2 ? ELSEWHERE + i * 2 * length : place;

		must(mmap(from, length, RW, ANON | MAP_FIXED, -1, 0) == from, "mmap");
		touch(from);
		if (i % 2)
			must(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place,
			     "mremap");
	}
}

static unsigned vmas(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long low, high;
	unsigned count = 0;
	char line[512];

	must(maps != NULL, "open /proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		count += sscanf(line, "%lx-%lx", &low, &high) == 2 && low < (unsigned long)BASE + pieces * length &&
			 high > (unsigned long)BASE;
	fclose(maps);
	return count;
}

static double nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* VMAs [from, *to) of the row, *to: how far it came; `joins` what was rebuilt below them. Nanoseconds. */
static double rebuild(size_t from, size_t *upto, int joins, int late)
{
	size_t to = *upto;
	uint64_t *cuts = malloc(pieces * sizeof(*cuts));
	struct plan plan = {
		.run = (uint64_t)BASE + from * length, .end = (uint64_t)BASE + to * length, .page = page,
		.seed = (uint64_t)BASE - 2 * page, .below = joins ? (uint64_t)BASE : 0,
		.cuts = cuts, .n_cuts = to - from - 1, .prot = RW,
		.pagemap = "/proc/self/pagemap", .zero_pages = ~0ULL, .parts = late, .deadline = late,
	};
	double began;
	size_t i;

	for (i = 1; i < to - from; i++)
		cuts[i - 1] = plan.run + i * length;
	if (huge)
		plan.advice[plan.n_advice++] = MADV_HUGEPAGE;
	began = nanoseconds();
	if (plan_run(&plan) < 0) {
		fprintf(stderr, "cannot rebuild: %s in step %u\n", strerror(plan.error), plan.step);
		exit(1);
	}
	began = nanoseconds() - began;
	*upto = (plan.end - (uint64_t)BASE) / length;
	free(cuts);
	return began;
}

static double copy(void)
{
	size_t size = pieces * length, whole = page / 8 * page; /* a huge page */
	char *fresh = mmap(NULL, size + whole, RW, ANON, -1, 0), *at;
	double began;

	must(fresh != MAP_FAILED, "mmap");
	at = (char *)(((unsigned long)fresh + whole - 1) & ~(whole - 1));
	must(!madvise(at, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE), "madvise");
	began = nanoseconds();
	memcpy(at, BASE, size);
	began = nanoseconds() - began;
	munmap(fresh, size + whole);
	return began;
}

static void fill(size_t from, size_t to)
{
	size_t at;

	for (at = from * length; at < to * length; at += page)
		*(volatile size_t *)(BASE + at) = at + 1;
}

static size_t wrong(void)
{
	size_t at, count = 0;

	for (at = 0; at < pieces * length; at += page)
		count += *(size_t *)(BASE + at) != at + 1;
	return count;
}

static void join(size_t first, int forked, int late)
{
	size_t from, to, wrong_in_child = 0;
	int ends[2], status;
	unsigned before;
	pid_t child = 0;

	make();
	fill(0, pieces);
	before = vmas();
	for (from = 0; from < pieces; from = to) {
		to = from + first < pieces ? from + first : pieces;
		if (from && forked && !child) {
			must(!pipe(ends), "pipe");
			child = fork();
			must(child >= 0, "fork");
			if (!child) { /* until the other end is closed */
				close(ends[1]);
				_exit(read(ends[0], &status, 1) != 0 || wrong());
			}
		}
		if (child)
			fill(from, to); /* these pages are ours again, those before are not */
		rebuild(from, &to, from > 0, late);
	}
	if (child) {
		close(ends[1]);
		must(waitpid(child, &status, 0) == child, "waitpid");
		wrong_in_child = status != 0;
	}
	printf("%u %u %zu\n", before, vmas(), wrong() + wrong_in_child);
}

int main(int argc, char **argv)
{
	char line[64];
	int rounds;

	must(argc >= 4, "arguments");
	page = sysconf(_SC_PAGESIZE);
	if (!strcmp(argv[1], "serve")) {
		pieces = atoi(argv[2]);
		length = atoi(argv[3]) * page;
		huge = argc > 4;
		make();
		printf("%u\n", vmas());
		fflush(stdout);
		while (fgets(line, sizeof(line), stdin)) {
			make();
			printf("%u\n", vmas());
			fflush(stdout);
		}
		return 0;
	}
	if (!strcmp(argv[1], "join")) {
		pieces = atoi(argv[2]);
		length = atoi(argv[3]) * page;
		huge = argc > 5 && !strcmp(argv[5], "huge");
		join(atoi(argv[4]), argc > 5 && !strcmp(argv[argc - 1], "forked"),
		     argc > 5 && !strcmp(argv[argc - 1], "late"));
		return 0;
	}
	pieces = atoi(argv[3]);
	length = atoi(argv[4]) * page;
	huge = argc > 5;
	for (rounds = atoi(argv[2]); rounds > 0; rounds--) {
		unsigned before;
		double moved, copied;
		size_t all = pieces;

		make();
		before = vmas();
		moved = rebuild(0, &all, 0, 0);
		copied = copy();
		printf("%.0f %.0f %u %u\n", moved, copied, before, vmas());
	}
	return 0;
}
