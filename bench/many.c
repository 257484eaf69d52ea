// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * many NUMBER: so many sleeping children, then "ready"; all end with it, and it with its standard
 * input.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char byte;

	if (argc != 2)
		return 2;
	for (int number = atoi(argv[1]); number > 0; number--) {
		pid_t child = fork();

		if (child < 0)
			return 1;
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	puts("ready");
	fflush(stdout);
	return read(0, &byte, 1) < 0;
}
