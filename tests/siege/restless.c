// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// restless N: a process of N VMAs that maps and unmaps without a pause, until stdin ends. Prints N
// once they are there.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long number = argc > 1 ? atol(argv[1]) : 0, size = sysconf(_SC_PAGESIZE);
	struct pollfd end = { .fd = 0, .events = POLLIN };
	char *range = mmap(NULL, number * size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	// every other page may not be touched: as many VMAs as pages
	for (long page = 1; range != MAP_FAILED && page < number; page += 2)
		mprotect(range + page * size, size, PROT_NONE);
	printf("%ld\n", number);
	fflush(stdout);
	while (poll(&end, 1, 0) == 0)
		for (int times = 0; times < 1000; times++)
			munmap(mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size);
	return 0;
}
