// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Targets that change under the probe: restless exec | threads | vfork.
 *
 * Each has a pair four pages above 0x200000000000 that stays apart (its access differs), says
 * "ready" once, and ends with a status of its own when something went wrong.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *echo(void *value)
{
	usleep(100);
	return value;
}

int main(int argc, char **argv)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *at = mmap((void *)0x200000000000, 8 * page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at == MAP_FAILED || mprotect(at + 4 * page, 4 * page, PROT_READ))
		return 2;
	if (argc == 2) {
		puts("ready");
		fflush(stdout);
	}
	if (!strcmp(argv[1], "exec")) {
		char *again[] = {argv[0], argv[1], "again", NULL};
		struct timespec t = {0, 20000000};

		at[0] = 1;
		if (nanosleep(&t, NULL))
			return 3;
		execv("/proc/self/exe", again);
		return 4;
	}
	if (!strcmp(argv[1], "vfork")) {
		if (!vfork())
			for (;;)
				pause();
		return 5;
	}
	for (;;) {
		pthread_t threads[20];
		void *result;
		long i;

		for (i = 0; i < 20; i++)
			if (pthread_create(&threads[i], NULL, echo, (void *)i))
				return 6;
		if (!fork())
			_exit(0);
		for (i = 0; i < 20; i++)
			if (pthread_join(threads[i], &result) || (long)result != i)
				return 7;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
