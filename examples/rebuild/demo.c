/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * demo [PIECES [alone | forked | forgotten]]: memory that a moving allocator leaves behind, rebuilt.
 *
 * A third of the pieces was written to before it had neighbours, a third was moved in by mremap, a
 * third was never written to. `forked`: a child that lives shares the pages, and the kernel refuses;
 * `forgotten`: the child has ended, and nothing is refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rebuild.h"

#define BASE ((char *)0x200000000000)
#define ELSEWHERE ((char *)0x280000000000)

static size_t page;

static char *map(char *at, size_t length)
{
	char *got = mmap(at, length, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (got != at) {
		perror("mmap");
		exit(1);
	}
	return got;
}

/* What stands at a byte of piece `piece`; -1: nobody has written there, so 0. */
static int written(int piece, size_t offset)
{
	if (piece % 5 == 0 && offset == 0)
		return 7;
	if (piece % 3 == 0 && offset < 8 * page)
		return (piece + 1) & 255;
	if (piece % 3 == 1 && offset >= page && offset < 4 * page)
		return (piece + 1) & 255;
	return -1;
}

static void make(int pieces, size_t length)
{
	int i;

	for (i = 0; i < pieces; i++) {
		int piece = i * 77L % pieces; /* out of order; 77 and `pieces` have no common factor */
		char *at = BASE + piece * length;

		if (piece % 3 == 0) {
			char *from = map(ELSEWHERE + piece * 3 * length, length);

			memset(from, piece + 1, 8 * page);
			if (mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at) {
				perror("mremap");
				exit(1);
			}
		} else {
			map(at, length);
			if (piece % 3 == 1)
				memset(at + page, piece + 1, 3 * page);
		}
	}
	for (i = 0; i < pieces; i++) {
		if (i % 5 == 0)
			BASE[i * length] = 7;
		if (i % 7 == 0) /* the zero page, where nothing was written */
			(void)*(volatile char *)(BASE + i * length + 9 * page);
	}
}

static long wrong_bytes(int pieces, size_t length)
{
	long wrong = 0;
	size_t offset;
	int i;

	for (i = 0; i < pieces; i++)
		for (offset = 0; offset < length; offset++) {
			int expected = written(i, offset);

			wrong += BASE[i * length + offset] != (char)(expected < 0 ? 0 : expected);
		}
	return wrong;
}

int main(int argc, char **argv)
{
	int pieces = argc > 1 ? atoi(argv[1]) : 200, status;
	const char *child = argc > 2 ? argv[2] : "alone";
	struct rebuilt result;
	size_t length;
	pid_t pid = 0;

	if (pieces < 2 || pieces % 7 == 0 || pieces % 11 == 0) {
		fprintf(stderr, "demo: PIECES must be 2 or more, and no multiple of 7 or 11\n");
		return 2;
	}
	page = sysconf(_SC_PAGESIZE);
	length = 16 * page;
	make(pieces, length);
	if (strcmp(child, "alone")) {
		pid = fork();
		if (pid == 0) {
			if (!strcmp(child, "forked"))
				pause();
			_exit(0);
		}
		if (!strcmp(child, "forgotten"))
			waitpid(pid, &status, 0);
	}
	if (rebuild_areas(BASE, pieces * length, &result) < 0)
		printf("refused in step %d at %#lx: %s; ", result.step, (unsigned long)result.at,
		       strerror(errno));
	printf("%u VMAs before, %u after, %ld wrong bytes\n", result.before, result.after,
	       wrong_bytes(pieces, length));
	if (pid > 0)
		kill(pid, SIGKILL);
	return result.error ? 1 : 0;
}
