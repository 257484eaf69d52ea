/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * compacted SECONDS: rebuilds a row of VMAs again and again while the kernel compacts memory, and so
 * migrates the very pages that are on their way. Ends when a move has met a page that the kernel had
 * moved and not told of (EEXIST), or after SECONDS.
 *
 * Prints: rounds, such pages, pages that were not as they had been, rounds that did not end as one VMA.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

static unsigned long met;

static long noted(long result)
{
	met += result == -CALL_EEXIST;
	return result;
}

#undef call
#define call(number, a, b, c) noted(call6(number, (long)(a), (long)(b), (long)(c), 0, 0, 0))
#include "core.h"

#define BASE ((char *)0x200000000000)
#define ELSEWHERE ((char *)0x280000000000)
enum { PIECES = 32, PAGES = 64, BULK = 128 << 20, WRITES = 10 };

static size_t page;

static char *map(char *at, size_t size, int fixed)
{
	char *got = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);

	if (got == MAP_FAILED || madvise(got, size, MADV_NOHUGEPAGE)) {
		perror("mmap");
		exit(1);
	}
	return got;
}

/* Memory with holes, which compaction closes, and so on. */
static void compact(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY), i;
	size_t at;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		char *bulk = map(NULL, BULK, 0);

		for (at = 0; at < BULK; at += page)
			bulk[at] = 1;
		for (at = 0; at < BULK; at += 2 * page)
			madvise(bulk + at, page, MADV_DONTNEED);
		for (i = 0; i < WRITES; i++)
			if (write(fd, "1", 1) != 1)
				_exit(1);
		munmap(bulk, BULK);
	}
}

/* Every other piece was written to elsewhere and moved in: VMAs of their own. */
static void make(uint64_t *cuts)
{
	size_t length = PAGES * page, i, at;

	for (i = 0; i < PIECES; i++) {
		char *place = BASE + i * length;
		char *from = map(i % 2 ? ELSEWHERE + 2 * i * length : place, length, MAP_FIXED);

		for (at = 0; at < length; at += page)
			*(size_t *)(from + at) = i * PAGES + at / page + 1;
		if (from != place)
			mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
		if (i)
			cuts[i - 1] = (uint64_t)place;
	}
}

static unsigned areas(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long low, high;
	unsigned count = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		count += sscanf(line, "%lx-%lx", &low, &high) == 2 && high > (unsigned long)BASE &&
			 low < (unsigned long)BASE + PIECES * PAGES * page;
	fclose(maps);
	return count;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 0, wrong = 0, apart = 0;
	time_t ends = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	uint64_t cuts[PIECES];
	pid_t compactor;
	size_t i;

	page = sysconf(_SC_PAGESIZE);
	compactor = fork();
	if (!compactor)
		compact();
	for (; !met && time(NULL) < ends; rounds++) {
		struct plan plan = {
			.run = (uint64_t)BASE, .end = (uint64_t)BASE + PIECES * PAGES * page, .page = page,
			.seed = (uint64_t)BASE - 2 * page, .cuts = cuts, .n_cuts = PIECES - 1,
			.prot = PROT_READ | PROT_WRITE, .pagemap = "/proc/self/pagemap", .zero_pages = ~0ULL,
		};

		make(cuts);
		if (plan_run(&plan) < 0) {
			printf("error %d in step %u\n", plan.error, plan.step);
			return 1;
		}
		apart += areas() != 1;
		for (i = 0; i < PIECES * PAGES; i++)
			wrong += *(size_t *)(BASE + i * page) != i + 1;
	}
	printf("%lu %lu %lu %lu\n", rounds, met, wrong, apart);
	kill(compactor, SIGKILL);
	waitpid(compactor, NULL, 0);
	return 0;
}
