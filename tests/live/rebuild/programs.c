/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * programs vectors | threads | committed: what real programs do that leaves VMAs apart.
 *
 *   vectors    200 vectors, grown by realloc one after the other
 *   threads    64 threads of malloc and free
 *   committed  2,000 pieces of a reserve, made writable and written to at random
 *
 * Says "ready" and stands still; goes on with the same, checking all that it reads, once a line comes;
 * then answers each line: rounds, and what was wrong.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { VECTORS = 200, THREADS = 64, BLOCKS = 300, PIECES = 2000 };

static volatile unsigned long rounds, wrong;
static pthread_barrier_t stands, goes_on;

struct block {
	unsigned char *bytes;
	size_t size;
	unsigned char what;
};

static uint64_t pick(uint64_t *random, uint64_t bound)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % bound;
}

static void check(const struct block *block)
{
	size_t i;

	for (i = 0; i < block->size; i++)
		if (block->bytes[i] != (unsigned char)(block->what + i * 7)) {
			__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
			return;
		}
}

static void fill(struct block *block, size_t from)
{
	for (; from < block->size; from++)
		block->bytes[from] = block->what + from * 7;
}

static void grow(struct block *block, size_t size)
{
	size_t from = block->size < size ? block->size : size;

	block->bytes = realloc(block->bytes, size);
	block->size = size;
	if (!block->bytes)
		exit(1);
	fill(block, from);
}

static void stand(void)
{
	pthread_barrier_wait(&stands);
	pthread_barrier_wait(&goes_on);
}

static void *vectors(void *unused)
{
	static struct block vector[VECTORS];
	uint64_t random = 88172645463325252;
	size_t size;
	int i;

	for (size = 160 << 10; size <= 5 << 20; size *= 2)
		for (i = 0; i < VECTORS; i++) {
			vector[i].what = i;
			grow(&vector[i], size);
		}
	stand();
	for (;; rounds++) {
		i = pick(&random, VECTORS);
		check(&vector[i]);
		grow(&vector[i], (160 << 10) + pick(&random, 5 << 20));
	}
	return unused;
}

static void *allocates(void *seed)
{
	struct block block[BLOCKS] = {0};
	uint64_t random = (uint64_t)seed * 0x9e3779b97f4a7c15;
	int round = 0, i;

	for (;; round++) {
		if (round == 20 * BLOCKS)
			stand();
		i = pick(&random, BLOCKS);
		check(&block[i]);
		free(block[i].bytes);
		block[i].size = 16 << pick(&random, 12);
		block[i].bytes = malloc(block[i].size);
		block[i].what = pick(&random, 256);
		if (!block[i].bytes)
			exit(1);
		fill(&block[i], 0);
		__atomic_fetch_add(&rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *committed(void *unused)
{
	static struct block piece[PIECES];
	static int order[PIECES];
	size_t length = 16 * sysconf(_SC_PAGESIZE);
	uint64_t random = 88172645463325252;
	unsigned char *reserve = mmap(NULL, PIECES * length, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int i;

	for (i = 0; i < PIECES; i++)
		order[i] = i;
	for (i = PIECES - 1; i > 0; i--) {
		int other = pick(&random, i + 1), was = order[i];

		order[i] = order[other];
		order[other] = was;
	}
	for (i = 0; i < PIECES; i++) {
		struct block *block = &piece[order[i]];

		block->bytes = reserve + order[i] * length;
		if (reserve == MAP_FAILED || mprotect(block->bytes, length, PROT_READ | PROT_WRITE))
			exit(1);
		block->size = length;
		block->what = i;
		fill(block, 0);
	}
	stand();
	for (;; rounds++) {
		i = pick(&random, PIECES);
		check(&piece[i]);
		piece[i].what++;
		if (pick(&random, 10) == 0)
			madvise(piece[i].bytes, length, MADV_DONTNEED);
		fill(&piece[i], 0);
	}
	return unused;
}

int main(int argc, char **argv)
{
	int many = argc > 1 && !strcmp(argv[1], "threads") ? THREADS : 1;
	void *(*work)(void *) = many > 1 ? allocates : argc > 1 && *argv[1] == 'v' ? vectors : committed;
	pthread_t thread;
	char line[64];
	long i;

	pthread_barrier_init(&stands, NULL, many + 1);
	pthread_barrier_init(&goes_on, NULL, many + 1);
	for (i = 0; i < many; i++)
		if (pthread_create(&thread, NULL, work, (void *)(i + 1)))
			return 1;
	pthread_barrier_wait(&stands);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	pthread_barrier_wait(&goes_on);
	do {
		printf("%lu %lu\n", rounds, wrong);
		fflush(stdout);
	} while (fgets(line, sizeof(line), stdin));
	return 0;
}
