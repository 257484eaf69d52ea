// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Threads that allocate and free blocks of 16 bytes to 4 MiB at random, a fixed number of times
 * in all: allocate THREADS MIB. READY when all have done theirs; their blocks are kept.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS 512

static pthread_barrier_t done;
static size_t share; /* bytes that a thread holds at most */
static long times;

static unsigned int next(unsigned int *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void *work(void *argument)
{
	static const int shifts[] = {4, 6, 8, 10, 12, 15, 17, 18, 20, 21};
	unsigned int state = (unsigned int)(long)argument;
	char *blocks[SLOTS] = {0};
	size_t sizes[SLOTS] = {0}, held = 0;

	for (long i = 0; i < times; i++) {
		unsigned int slot = next(&state) % SLOTS;
		size_t size = (size_t)1 << shifts[next(&state) % 10];

		size += next(&state) % size;
		free(blocks[slot]);
		held -= sizes[slot];
		blocks[slot] = NULL;
		sizes[slot] = 0;
		if (held + size > share)
			continue;
		blocks[slot] = malloc(size);
		if (!blocks[slot])
			exit(1);
		for (size_t at = 0; at < size; at += 4096)
			blocks[slot][at] = 1;
		sizes[slot] = size;
		held += size;
	}
	pthread_barrier_wait(&done);
	pause();
	return argument;
}

int main(int count, char **words)
{
	long threads = count > 2 ? atol(words[1]) : 0;
	pthread_t id;
	char end;

	if (threads < 1)
		return 2;
	share = ((size_t)atol(words[2]) << 20) / (size_t)threads;
	times = 160000 / threads;
	pthread_barrier_init(&done, NULL, (unsigned int)threads + 1);
	for (long i = 0; i < threads; i++)
		if (pthread_create(&id, NULL, work, (void *)(i + 1)))
			return 1;
	pthread_barrier_wait(&done);
	if (write(1, "READY\n", 6) != 6)
		return 1;
	while (read(0, &end, 1) > 0)
		;
	_exit(0);
}
