/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * An allocation storm for whatever malloc is preloaded: threads that allocate, write, grow and free
 * blocks of 16 bytes to 1 MiB, each with a live set that swells and shrinks.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include "end.h"

enum { THREADS = 4, SLOTS = 4000 };

static size_t block_size(unsigned int *state)
{
	unsigned int power = 4 + rand_r(state) % 17; /* small ones as often as large ones */

	if (power > 14 && rand_r(state) % 8)
		power -= 8;
	return ((size_t)1 << power) + rand_r(state) % ((size_t)1 << power);
}

static void touch(char *block, size_t size)
{
	for (size_t at = 0; at < size; at += 4096)
		block[at] = 1;
}

static void *storm(void *argument)
{
	unsigned int state = (unsigned int)(size_t)argument + 1, live = SLOTS;
	char **blocks = calloc(SLOTS, sizeof(*blocks));
	unsigned long calls = 0;

	for (unsigned int round = 0; round < seconds_worth() * 2; round++) {
		live = SLOTS / 8 + rand_r(&state) % (SLOTS * 7 / 8);
		for (int i = 0; i < SLOTS; i++, calls++) {
			unsigned int at = rand_r(&state) % SLOTS;
			size_t size = block_size(&state);

			if (at >= live || (blocks[at] && rand_r(&state) % 2)) {
				free(blocks[at]);
				blocks[at] = NULL;
				continue;
			}
			blocks[at] = realloc(blocks[at], size);
			if (!blocks[at]) {
				perror("realloc");
				exit(1);
			}
			touch(blocks[at], size);
		}
	}
	return (void *)calls;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned long calls = 0;

	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, storm, (void *)i))
			return 1;
	for (size_t i = 0; i < THREADS; i++) {
		void *made;

		pthread_join(threads[i], &made);
		calls += (unsigned long)made;
	}
	hold_at_the_end();
	printf("%lu calls\n", calls);
	return 0;
}
