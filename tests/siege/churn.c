// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// churn RATE: RATE processes a second that are born, touch a page and end, until stdin ends.
// Prints how many there were.
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double rate = argc > 1 ? atof(argv[1]) : 1000, began = now();
	struct pollfd end = { .fd = 0, .events = POLLIN };
	long made = 0;

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		// what the clock asks for by now, at most a tenth of a second's worth at once
		long due = (long)((now() - began) * rate) - made;

		if (due > rate / 10) {
			began += (due - rate / 10) / rate;
			due = (long)(rate / 10);
		}
		for (; due > 0; due--) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(0);
			made += pid > 0;
		}
		if (poll(&end, 1, 1) > 0)
			break;
	}
	printf("%ld\n", made);
	return 0;
}
