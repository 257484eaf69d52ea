/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A compacting heap: regions are committed and written out of order, half of them die, and the
 * survivors are moved to the bottom by mremap(MREMAP_FIXED), as collectors that move by page
 * tables do. Moved and separately faulted regions lie side by side and stay VMAs of their own.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include "end.h"

enum { SLOTS = 6000, REGION = 64 << 10 };

static char *arena;
static unsigned int owner[SLOTS]; /* 0: free, else the number that its first page holds */
static unsigned int order[SLOTS];
static unsigned int state = 12345;

static unsigned int pick(unsigned int below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % below;
}

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void *slot(unsigned int i)
{
	return arena + (size_t)i * REGION;
}

static void commit(unsigned int i, unsigned int number)
{
	must(mmap(slot(i), REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		  -1, 0) != MAP_FAILED, "mmap");
	*(unsigned int *)slot(i) = number;
	owner[i] = number;
}

static void give_back(unsigned int i)
{
	must(mmap(slot(i), REGION, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED,
	     "mmap of a hole");
	owner[i] = 0;
}

static void shuffle(void)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		order[i] = i;
	for (unsigned int i = SLOTS - 1; i; i--) {
		unsigned int j = pick(i + 1), swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
}

static void compact(void)
{
	unsigned int low = 0, high = SLOTS - 1;

	for (;;) {
		while (low < high && owner[low])
			low++;
		while (low < high && !owner[high])
			high--;
		if (low >= high)
			return;
		must(mremap(slot(high), REGION, REGION, MREMAP_MAYMOVE | MREMAP_FIXED, slot(low)) !=
		     MAP_FAILED, "mremap");
		must(*(unsigned int *)slot(low) == owner[high], "content after mremap");
		owner[low] = owner[high];
		give_back(high);
	}
}

int main(void)
{
	unsigned int number = 0, rounds = seconds_worth() / 4 + 1;

	arena = mmap(NULL, (size_t)SLOTS * REGION, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(arena != MAP_FAILED, "mmap of the arena");
	for (unsigned int round = 0; round < rounds; round++) {
		shuffle();
		for (unsigned int i = 0; i < SLOTS; i++)
			if (!owner[order[i]])
				commit(order[i], ++number);
		for (unsigned int i = 0; i < SLOTS; i++)
			if (pick(2))
				give_back(i);
		compact();
	}
	hold_at_the_end();
	printf("%u rounds, %u regions\n", rounds, number);
	return 0;
}
