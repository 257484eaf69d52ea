/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * asks SOCKET SECONDS PER_SECOND: a client of redis that asks at fixed times, whether or not the last
 * answer came in time, so that a server that stands still is late for all that were due meanwhile.
 * Says the 50th, 99th and 99.9th of a hundred and the longest delay, in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int compare(const void *one, const void *other)
{
	double difference = *(const double *)one - *(const double *)other;

	return (difference > 0) - (difference < 0);
}

static void ask(int server, const char *what)
{
	char answer[256];
	size_t got = 0;
	ssize_t more;

	if (write(server, what, strlen(what)) < 0)
		exit(1);
	do {
		more = read(server, answer + got, sizeof(answer) - got);
		if (more <= 0)
			exit(1);
		got += more;
	} while (answer[got - 1] != '\n' || (answer[0] == '$' && got < 8));
}

int main(int argc, char **argv)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	double every, began, *delays;
	int server = socket(AF_UNIX, SOCK_STREAM, 0), count, i;

	if (argc != 4)
		return 2;
	strncpy(name.sun_path, argv[1], sizeof(name.sun_path) - 1);
	if (connect(server, (struct sockaddr *)&name, sizeof(name)) < 0) {
		perror(argv[1]);
		return 1;
	}
	count = atof(argv[2]) * atof(argv[3]);
	every = 1e6 / atof(argv[3]);
	delays = calloc(count, sizeof(*delays));
	ask(server, "SET key 0123456789\r\n");
	began = microseconds();
	for (i = 0; i < count; i++) {
		double due = began + i * every, now = microseconds();

		if (now < due) {
			struct timespec rest = {0, (long)((due - now) * 1e3)};

			nanosleep(&rest, NULL);
		}
		ask(server, "GET key\r\n");
		delays[i] = microseconds() - due;
	}
	qsort(delays, count, sizeof(*delays), compare);
	printf("%.1f %.1f %.1f %.1f\n", delays[count / 2], delays[(int)(count * .99)],
	       delays[(int)(count * .999)], delays[count - 1]);
	return 0;
}
