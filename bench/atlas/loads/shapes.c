// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * One shape of memory a run: shapes NAME N MODE. Prints READY when it stands, and waits for its
 * standard input to end. A shape is what some program does, without the program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 */
#endif

#include "by_hand.h"

/* stacks as coroutines have them, one mmap each: mprotect, guard (region) */
static void coroutines(void)
{
	const size_t size = 128 << 10;

	for (long i = 0; i < number; i++) {
		char *stack = writable(size);

		if (is("mprotect") && mprotect(stack, page, PROT_NONE))
			failed("mprotect");
		if (is("guard") && madvise(stack, page, MADV_GUARD_INSTALL))
			failed("madvise");
		stack[size - 1] = 1;
	}
}

static pthread_barrier_t started;

static void *thread(void *argument)
{
	pthread_barrier_wait(&started);
	pause();
	return argument;
}

static void threads(void)
{
	pthread_t id;

	pthread_barrier_init(&started, NULL, (unsigned int)number + 1);
	for (long i = 0; i < number; i++)
		if (pthread_create(&id, NULL, thread, NULL))
			failed("pthread_create");
	pthread_barrier_wait(&started);
}

static void *fill_arenas(void *argument)
{
	for (long i = 0; i < number * 63; i++) { /* blocks of 1 MiB, some 63 a heap */
		char *block = malloc(1 << 20);

		if (!block)
			failed("malloc");
		block[0] = 1;
	}
	pthread_barrier_wait(&started);
	pause();
	return argument;
}

/* N heaps of 64 MiB in each of MODE threads, as a cache of fixed slabs fills them */
static void arenas(void)
{
	long workers = atol(mode);
	pthread_t id;

	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	pthread_barrier_init(&started, NULL, (unsigned int)workers + 1);
	for (long i = 0; i < workers; i++)
		pthread_create(&id, NULL, fill_arenas, NULL);
	pthread_barrier_wait(&started);
}

/* every fourth page of one heap is given back: unmap, dontneed */
static void holes(void)
{
	char *heap = writable((size_t)number * 4 * page);

	memset(heap, 1, (size_t)number * 4 * page);
	for (long i = 0; i < number; i++) {
		char *hole = heap + (i * 4 + 1) * (long)page;

		if (is("unmap") ? munmap(hole, page) : madvise(hole, page, MADV_DONTNEED))
			failed("hole");
	}
}

/* every second page: access, advice, dontfork, lock; the mode says alternate, whole or undone */
static void every_second(int (*change)(char *, size_t, int))
{
	char *pool = writable((size_t)number * 2 * page);

	memset(pool, 1, (size_t)number * 2 * page);
	if (is("whole")) {
		if (change(pool, (size_t)number * page, 1))
			failed("change");
		return;
	}
	for (long i = 0; i < number; i++)
		if (change(pool + i * 2 * (long)page, page, 1))
			failed("change");
	for (long i = 0; is("undone") && i < number; i++)
		if (change(pool + i * 2 * (long)page, page, 0))
			failed("change back");
}

static int access_of(char *at, size_t size, int on)
{
	return mprotect(at, size, on ? PROT_READ : PROT_READ | PROT_WRITE);
}

static int advice_of(char *at, size_t size, int on)
{
	return madvise(at, size, on ? MADV_RANDOM : MADV_NORMAL);
}

static int fork_of(char *at, size_t size, int on)
{
	return madvise(at, size, on ? MADV_DONTFORK : MADV_DOFORK);
}

static int lock_of(char *at, size_t size, int on)
{
	return on ? mlock(at, size) : munlock(at, size);
}

/* vectors of 160 KiB that realloc grows to 5 MiB, one after another */
static void vectors(void)
{
	for (long i = 0; i < number; i++) {
		char *vector = NULL;

		for (size_t size = 160 << 10; size <= 5 << 20; size *= 2) {
			size_t before = size > 160 << 10 ? size / 2 : 0;

			vector = realloc(vector, size);
			if (!vector)
				failed("realloc");
			memset(vector + before, 1, page);
		}
	}
}

/* a reserve made writable and written in pieces of 64 KiB: random, ascending, whole */
static void reserve(void)
{
	const size_t piece = 64 << 10;
	char *all = area((size_t)number * piece, PROT_NONE, 0);
	long *order = calloc((size_t)number, sizeof(*order));

	if (!order)
		failed("calloc");
	for (long i = 0; i < number; i++)
		order[i] = i;
	srandom(1);
	for (long i = number - 1; is("random") && i > 0; i--) {
		long other = random() % (i + 1), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
	if (is("whole") && mprotect(all, (size_t)number * piece, PROT_READ | PROT_WRITE))
		failed("mprotect");
	for (long i = 0; i < number; i++) {
		char *at = all + order[i] * (long)piece;

		if (!is("whole") && mprotect(at, piece, PROT_READ | PROT_WRITE))
			failed("mprotect");
		at[0] = 1;
	}
	free(order);
}

/* small memories with 4 GiB reserved behind each, as WebAssembly has them */
static void wasm(void)
{
	for (long i = 0; i < number; i++) {
		char *memory = mmap(NULL, 4UL << 30, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (memory == MAP_FAILED || mprotect(memory, 64 << 10, PROT_READ | PROT_WRITE))
			failed("memory");
		memory[0] = 1;
	}
}

/* pieces of one memory object: ascending or descending offsets */
static void memfd(void)
{
	int file = memfd_create("buffer", MFD_CLOEXEC);
	char *all = area((size_t)number * page, PROT_NONE, 0);

	if (file < 0 || ftruncate(file, number * (long)page))
		failed("memfd");
	for (long i = 0; i < number; i++) {
		off_t offset = (is("descending") ? number - 1 - i : i) * (off_t)page;

		if (mmap(all + i * (long)page, page, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, file, offset) == MAP_FAILED)
			failed("mmap");
	}
}

/* shared areas of a page: many, one */
static void segments(void)
{
	size_t size = is("one") ? (size_t)number * page : page;

	for (long i = 0; i < (is("one") ? 1 : number); i++)
		if (mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
			failed("mmap");
}

/* stacks of 64 KiB: grow (MAP_GROWSDOWN), fixed */
static void stacks(void)
{
	const size_t size = 64 << 10;
	int grows = is("grow") ? MAP_GROWSDOWN : 0;

	for (long i = 0; i < number; i++) {
		char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | grows, -1, 0);

		if (stack == MAP_FAILED)
			failed("mmap");
		stack[size - 1] = 1;
	}
}

/* contexts of aio, whose rings are mappings */
static void rings(void)
{
	for (long i = 0; i < number; i++) {
		aio_context_t context = 0;

		if (syscall(SYS_io_setup, 1, &context))
			failed("io_setup");
	}
}

/* blocks of 128 KiB at addresses of the program's own, as garbage collectors have them */
static void pages_of_heap(void)
{
	srandom(1);
	for (long i = 0; i < number; i++) {
		char *at = (char *)0x100000000000 + ((random() & 0xfffffff) << 18);
		char *block = mmap(at, 128 << 10, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (block != MAP_FAILED)
			block[0] = 1;
	}
}

/* every second page of written memory taken back: protect (PROT_NONE), dontneed */
static void purged(void)
{
	char *all = writable((size_t)number * 2 * page);

	for (long i = 0; i < number * 2; i++)
		all[i * (long)page] = 1;
	for (long i = 0; i < number; i++) {
		char *piece = all + i * 2 * (long)page;

		if (is("protect") ? mprotect(piece, page, PROT_NONE)
				  : madvise(piece, page, MADV_DONTNEED))
			failed("purge");
	}
}

/* a reserve written at random, then shared with a child that lives */
static void forked(void)
{
	mode = "random";
	reserve();
	if (fork() == 0) {
		char end;

		while (read(0, &end, 1) > 0)
			;
		_exit(0);
	}
}

static char *name_of(long i)
{
	static char name[64];

	snprintf(name, sizeof(name), "part-%06ld", i);
	return name;
}

static int file_of(long i, off_t size)
{
	int file = open(name_of(i), O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (file < 0 || ftruncate(file, size))
		failed("open");
	return file;
}

static char *mapped(int file, size_t size, off_t offset)
{
	char *at = mmap(NULL, size, PROT_READ, MAP_SHARED, file, offset);

	if (at == MAP_FAILED)
		failed("mmap");
	return at;
}

/* files in the present directory: many, one, blocks (of one), deleted, advised, advised_whole */
static void files(void)
{
	int separate = is("many") || is("deleted"), file;
	char *at;

	for (long i = 0; separate && i < number; i++) {
		file = file_of(i, page);
		mapped(file, page, 0);
		close(file);
		if (is("deleted"))
			unlink(name_of(i));
	}
	if (separate)
		return;
	file = file_of(0, number * (off_t)page * 2);
	if (is("blocks")) {
		for (long i = 0; i < number; i++) /* every second page, so that none continues another */
			mapped(file, page, i * 2 * (off_t)page);
		return;
	}
	at = mapped(file, (size_t)number * 2 * page, 0);
	for (long i = 0; is("advised") && i < number; i++)
		if (madvise(at + i * 2 * (long)page, page, MADV_RANDOM))
			failed("madvise");
	if (is("advised_whole") && madvise(at, (size_t)number * 2 * page, MADV_RANDOM))
		failed("madvise");
}

int main(int count, char **words)
{
	static const struct {
		const char *name;
		void (*make)(void);
		int (*change)(char *, size_t, int);
	} shapes[] = {
		{"coroutines", coroutines, NULL}, {"threads", threads, NULL},
		{"arenas", arenas, NULL},	  {"holes", holes, NULL},
		{"vectors", vectors, NULL},	  {"reserve", reserve, NULL},
		{"wasm", wasm, NULL},		  {"memfd", memfd, NULL},
		{"files", files, NULL},		  {"access", NULL, access_of},
		{"advice", NULL, advice_of},	  {"dontfork", NULL, fork_of},
		{"lock", NULL, lock_of},	  {"segments", segments, NULL},
		{"stacks", stacks, NULL},	  {"rings", rings, NULL},
		{"heap", pages_of_heap, NULL},	  {"purged", purged, NULL},
		{"forked", forked, NULL},
	};
	char end;

	if (count < 3)
		return 2;
	number = atol(words[2]);
	mode = count > 3 ? words[3] : "";
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		if (strcmp(words[1], shapes[i].name))
			continue;
		if (shapes[i].make)
			shapes[i].make();
		else
			every_second(shapes[i].change);
		if (write(1, "READY\n", 6) != 6)
			return 1;
		while (read(0, &end, 1) > 0)
			;
		_exit(0);
	}
	return 2;
}
