/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * content PIECES PAGES THREADS SEED: a target of which every byte is known, and that never rests.
 *
 * PIECES areas of PAGES pages lie in a row. Each belongs to one thread, which writes, has the kernel
 * write, looks, has the kernel read, moves out and home, replaces, unmaps, empties, protects and forks,
 * in an order that SEED draws, and knows what stands in every page of its pieces.
 *
 * Says its pid, then answers each line: calls of all threads, pages that were looked at, what was wrong,
 * children that found something wrong, VMAs in the row, VMAs in all, files open.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const BASE = (char *)0x200000000000;
static char *const ELSEWHERE = (char *)0x280000000000;
enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE };
/* actions of a hundred that are of a kind, in the order of act() */
enum { STORE = 20, RECEIVE = 40, LOOK = 58, SEND = 76, MOVE = 82, REPLACE = 92, UNMAP = 94, EMPTY = 97,
       PROTECT = 99 };

struct worker {
	pthread_t thread;
	unsigned number;
	uint64_t random;
	int file;              /* through which the kernel reads and writes */
	uint64_t *page_buffer; /* outside of the row */
	volatile unsigned long calls, looks, wrong, wrong_children;
};

static size_t page, length;
static unsigned pieces, pages, threads;
static uint32_t *content; /* of each page: 0 for zeros, else what its words are made of */

static void must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

static uint64_t pick(struct worker *self, uint64_t bound)
{
	self->random ^= self->random << 13;
	self->random ^= self->random >> 7;
	self->random ^= self->random << 17;
	return self->random % bound;
}

static uint64_t word(uint32_t what, size_t index)
{
	return what ? (what + index) * 0x9e3779b97f4a7c15 : 0;
}

static int is(const uint64_t *at, uint32_t what)
{
	size_t i;

	for (i = 0; i < page / 8; i++)
		if (at[i] != word(what, i))
			return 0;
	return 1;
}

static void fill(uint64_t *at, uint32_t what)
{
	size_t i;

	for (i = 0; i < page / 8; i++)
		at[i] = word(what, i);
}

static void map(char *at)
{
	must(mmap(at, length, RW, ANON, -1, 0) == at, "mmap");
}

static void move(char *from, char *to)
{
	must(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
}

/* All that the thread has, in a child, which shares every page of the process while it lives. */
static void look_in_child(struct worker *self)
{
	unsigned piece, i;
	int status;
	pid_t child = fork();

	must(child >= 0, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (piece = self->number; piece < pieces; piece += threads)
			for (i = 0; i < pages; i++)
				if (!is((void *)(BASE + piece * length + i * page),
					content[piece * pages + i]))
					_exit(1);
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child, "waitpid");
	self->wrong_children += status != 0;
}

static void act(struct worker *self)
{
	unsigned piece = pick(self, (pieces - self->number + threads - 1) / threads) * threads + self->number;
	unsigned index = pick(self, pages), what = pick(self, UINT32_MAX) + 1, how = pick(self, 100);
	char *place = BASE + piece * length, *at = place + index * page;
	char *elsewhere = ELSEWHERE + (piece * 2 + 1) * length;
	uint32_t *known = &content[piece * pages + index];

	if (how < STORE) {
		fill((void *)at, *known = what);
	} else if (how < RECEIVE) {
		fill(self->page_buffer, *known = what);
		must(pwrite(self->file, self->page_buffer, page, 0) == (ssize_t)page, "pwrite");
		self->wrong += pread(self->file, at, page, 0) != (ssize_t)page;
	} else if (how < LOOK) {
		self->wrong += !is((void *)at, *known);
		self->looks++;
	} else if (how < SEND) {
		self->wrong += pwrite(self->file, at, page, 0) != (ssize_t)page;
		must(pread(self->file, self->page_buffer, page, 0) == (ssize_t)page, "pread");
		self->wrong += !is(self->page_buffer, *known);
		self->looks++;
	} else if (how < MOVE) {
		move(place, elsewhere);
		self->wrong += !is((void *)(elsewhere + index * page), *known);
		self->looks++;
		move(elsewhere, place);
	} else if (how < REPLACE) { /* a VMA of its own again */
		map(elsewhere);
		memset(known - index, 0, pages * sizeof(*known));
		fill((void *)(elsewhere + index * page), *known = what);
		move(elsewhere, place);
	} else if (how < UNMAP) {
		must(!munmap(place, length), "munmap");
		memset(known - index, 0, pages * sizeof(*known));
		map(place);
	} else if (how < EMPTY) {
		must(!madvise(at, page, MADV_DONTNEED), "madvise");
		*known = 0;
	} else if (how < PROTECT) {
		must(!mprotect(at, page, PROT_READ), "mprotect");
		self->wrong += !is((void *)at, *known);
		must(!mprotect(at, page, RW), "mprotect");
	} else if (!pick(self, 200)) {
		look_in_child(self);
	}
	self->calls++;
}

static void *work(void *self)
{
	for (;;)
		act(self);
	return NULL;
}

static int count_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	must(folder != NULL, "open /proc/self/fd");
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void answer(const struct worker *workers)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long low, high, sums[4] = {0};
	int row = 0, total = 0;
	char line[512];
	unsigned i;

	must(maps != NULL, "open /proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		total++;
		if (sscanf(line, "%lx-%lx", &low, &high) == 2)
			row += low < (uintptr_t)BASE + pieces * length && high > (uintptr_t)BASE;
	}
	fclose(maps);
	for (i = 0; i < threads; i++) {
		sums[0] += workers[i].calls;
		sums[1] += workers[i].looks;
		sums[2] += workers[i].wrong;
		sums[3] += workers[i].wrong_children;
	}
	printf("%lu %lu %lu %lu %d %d %d\n", sums[0], sums[1], sums[2], sums[3], row, total, count_files());
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct worker *workers;
	char line[64];
	unsigned i;

	must(argc == 5, "arguments");
	pieces = atoi(argv[1]);
	pages = atoi(argv[2]);
	threads = atoi(argv[3]);
	page = sysconf(_SC_PAGESIZE);
	length = pages * page;
	content = calloc((size_t)pieces * pages, sizeof(*content));
	workers = calloc(threads, sizeof(*workers));
	must(content && workers, "calloc");
	for (i = 0; i < pieces; i++)
		map(BASE + i * length);
	for (i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].random = (atoll(argv[4]) * 64 + i + 1) * 0x9e3779b97f4a7c15;
		workers[i].file = memfd_create("through the kernel", MFD_CLOEXEC);
		workers[i].page_buffer = malloc(page);
		must(workers[i].file >= 0 && workers[i].page_buffer, "memfd_create");
		must(!pthread_create(&workers[i].thread, NULL, work, &workers[i]), "pthread_create");
	}
	printf("%d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		answer(workers);
	return 0;
}
