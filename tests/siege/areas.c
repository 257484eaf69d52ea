// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// areas N: processes that have N VMAs between them, 60,000 each at most, until stdin ends. Prints
// how many VMAs there are.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EACH 60000

// every other page of a range may not be touched: as many VMAs as pages
static int make(long number)
{
	long size = sysconf(_SC_PAGESIZE);
	char *range = mmap(NULL, number * size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (range == MAP_FAILED)
		return -1;
	for (long page = 1; page < number; page += 2)
		if (mprotect(range + page * size, size, PROT_NONE))
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	long wanted = argc > 1 ? atol(argv[1]) : 0, made = 0;
	pid_t parent = getpid();
	int ready[2];
	char byte;

	if (pipe(ready))
		return 1;
	while (made < wanted) {
		long number = wanted - made < EACH ? wanted - made : EACH;
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent || make(number) || write(ready[1], "r", 1) != 1)
				_exit(1);
			close(0);
			close(1);
			for (;;)
				pause();
		}
		if (read(ready[0], &byte, 1) != 1)
			break;
		made += number;
	}
	printf("%ld\n", made);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
