// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// herd N: N processes that exist, each with an address space of its own, until stdin ends.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int wanted = argc > 1 ? atoi(argv[1]) : 0, made = 0;
	pid_t parent = getpid();
	char byte;

	for (; made < wanted; made++) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(0);
			close(0);
			close(1);
			for (;;)
				pause();
		}
	}
	printf("%d\n", made);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
