// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * An address space that changes without pause: `never_still WAY VMAS`.
 *
 * VMAS areas of a page, every other one read-only, and beside them, by WAY,
 *   protect  one large area whose protection goes to and fro: the number of VMAs stays the same;
 *   map      an area at the upper end that is mapped and unmapped;
 *   move     an area that goes from one end to the other and back, by a copy of it.
 * Says "ready" once it does so, and ends with its standard input.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define LARGE (256UL << 20)

static char *map(char *at, unsigned long size, int access)
{
	char *got = mmap(at, size, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (got == MAP_FAILED)
		exit(1);
	return got;
}

static void protect(char *at, unsigned long size, int access)
{
	if (mprotect(at, size, access))
		exit(1);
}

static void one_round(const char *way, char *low, char *high)
{
	int plain = PROT_READ | PROT_EXEC;

	if (!strcmp(way, "protect")) {
		protect(low, LARGE, plain);
		protect(low, LARGE, plain | PROT_WRITE);
	} else if (!strcmp(way, "map")) {
		map(high, PAGE, plain);
		munmap(high, PAGE);
	} else {
		map(low, PAGE, plain);
		munmap(high, PAGE);
		map(high, PAGE, plain);
		munmap(low, PAGE);
	}
}

int main(int count, char **arguments)
{
	int vmas = count == 3 ? atoi(arguments[2]) : 0, number;
	struct pollfd input = { .fd = 0, .events = POLLIN };
	char *areas, *low, *high;

	if (vmas < 2)
		return 2;
	areas = map((char *)0x300000000000, vmas * PAGE, PROT_READ | PROT_WRITE);
	for (number = 1; number < vmas; number += 2)
		protect(areas + number * PAGE, PAGE, PROT_READ);
	low = areas - LARGE;
	high = areas + (vmas + 1) * PAGE;
	if (!strcmp(arguments[1], "protect")) {
		map(low, LARGE, PROT_READ | PROT_WRITE | PROT_EXEC);
		memset(low, 1, LARGE);
	}
	one_round(arguments[1], low, high);
	puts("ready");
	fflush(stdout);
	while (!poll(&input, 1, 0))
		for (number = 0; number < 50; number++)
			one_round(arguments[1], low, high);
	return 0;
}
