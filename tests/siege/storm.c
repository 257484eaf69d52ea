// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// storm RATE SOURCE ADDRESS PORT PATH: RATE scrapes a second from the address SOURCE, whether the
// ones before are answered or not, until stdin ends. So many at a time are open (MOST); those that
// there is no room for are not sent. Prints how many were answered, and how many were asked for.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 4000
#define PATIENCE 10.0

static struct client {
	int fd;
	enum { CONNECTING, ASKED, ANSWERED, REFUSED } state;
	double since;
} clients[MOST];
static int unused[MOST], unused_count;
static char request[512];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void done(int number)
{
	close(clients[number].fd);
	clients[number].fd = -1;
	unused[unused_count++] = number;
}

static void ask(int epoll, const struct sockaddr_in *source, const struct sockaddr_in *to)
{
	struct epoll_event event = { .events = EPOLLOUT };
	int number, one = 1;

	if (!unused_count)
		return;
	number = unused[--unused_count];
	clients[number].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	clients[number].state = CONNECTING;
	clients[number].since = now();
	event.data.u32 = number;
	// the port is chosen by connect, which may use one again for another address
	setsockopt(clients[number].fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof(one));
	if (bind(clients[number].fd, (const void *)source, sizeof(*source)) ||
	    (connect(clients[number].fd, (const void *)to, sizeof(*to)) && errno != EINPROGRESS) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, clients[number].fd, &event))
		done(number);
}

// whether it goes on
static int step(int epoll, int number, long *answered)
{
	static char answer[1 << 18];
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = number };
	struct client *client = &clients[number];
	ssize_t got;

	if (client->state != CONNECTING) {
		got = recv(client->fd, answer, sizeof(answer), 0);
		if (got > 0 && client->state == ASKED)
			client->state = memcmp(answer, "HTTP/1.1 200", 12) ? REFUSED : ANSWERED;
		if (got < 0 && errno == EAGAIN)
			return 1;
		*answered += got == 0 && client->state == ANSWERED;
		return got > 0;
	}
	if (send(client->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 0;
	client->state = ASKED;
	return epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event) == 0;
}

int main(int argc, char **argv)
{
	double rate, began = now(), next_look = began + 1;
	struct sockaddr_in source = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	struct rlimit descriptors = { MOST + 16, MOST + 16 };
	struct epoll_event events[256], stdin_event = { .events = EPOLLIN, .data.u32 = MOST };
	int epoll = epoll_create1(0), ended = 0;
	long asked = 0, answered = 0;

	if (argc != 6)
		return 2;
	rate = atof(argv[1]);
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		 "Accept-Encoding: gzip\r\n\r\n", argv[5]);
	inet_pton(AF_INET, argv[2], &source.sin_addr);
	inet_pton(AF_INET, argv[3], &to.sin_addr);
	to.sin_port = htons(atoi(argv[4]));
	setrlimit(RLIMIT_NOFILE, &descriptors);
	for (int number = 0; number < MOST; number++) {
		clients[number].fd = -1;
		unused[unused_count++] = number;
	}
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &stdin_event);
	while (!ended) {
		int ready = epoll_wait(epoll, events, 256, 1);

		for (int at = 0; at < ready; at++) {
			int number = events[at].data.u32;

			if (number == MOST)
				ended = 1;
			else if (!step(epoll, number, &answered))
				done(number);
		}
		for (long due = (long)((now() - began) * rate) - asked; due > 0; due--, asked++)
			ask(epoll, &source, &to);
		if (now() > next_look) {
			next_look += 1;
			for (int number = 0; number < MOST; number++)
				if (clients[number].fd >= 0 && now() - clients[number].since > PATIENCE)
					done(number);
		}
	}
	printf("%ld %ld\n", answered, asked);
	return 0;
}
