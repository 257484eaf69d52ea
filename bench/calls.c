// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * What a system call takes: calls WHICH PIECES LENGTH prints nanoseconds of wall time per turn, the
 * lowest of PIECES pieces of LENGTH turns. Pieces are short, so that some run undisturbed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char *area;
static size_t page;

static void map_and_unmap(int turn)
{
	(void)turn;
	munmap(mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page);
}

static void map_write_and_unmap(int turn)
{
	char *there = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*there = turn;
	munmap(there, page);
}

static void protect(int turn)
{
	mprotect(area + page, page, turn & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
}

static void nothing(int turn)
{
	(void)turn;
	syscall(SYS_getppid);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*turn)(int);
	} calls[] = {
		{ "mmap", map_and_unmap },
		{ "written", map_write_and_unmap },
		{ "mprotect", protect },
		{ "getppid", nothing },
	};
	double lowest = 1e18;

	if (argc != 4)
		return 2;
	page = sysconf(_SC_PAGESIZE);
	area = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (strcmp(argv[1], calls[i].name))
			continue;
		for (int piece = 0; piece < atoi(argv[2]); piece++) {
			double began = now(), took;

			for (int turn = 0; turn < atoi(argv[3]); turn++)
				calls[i].turn(turn);
			took = (now() - began) / atoi(argv[3]);
			if (took < lowest)
				lowest = took;
		}
		printf("%.1f\n", lowest);
		return 0;
	}
	return 2;
}
