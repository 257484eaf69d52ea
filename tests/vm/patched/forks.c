// SPDX-License-Identifier: GPL-2.0-only
/*
 * What forks cost, in instructions: of a process with many areas, of a zygote whose areas would merge,
 * and, while its children live, walks of rmap as reclaim does them (page_idle's, which is
 * folio_referenced()'s without the rest). See counting.h.
 */
#include "counting.h"

#define AREAS 10000
#define CHILDREN 32
#define PIECES 64
#define N (4 * PAGE)

static void wait_for(pid_t child)
{
	int status;

	must(waitpid(child, &status, 0) == child && !status, "a child");
}

/* Fork, the child's end, and the wait for it: areas of one written page, between holes. */
static void fork_many(void)
{
	char *at = mmap(NULL, AREAS * 2 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	must(at != MAP_FAILED, "mmap");
	must(!munmap(at, AREAS * 2 * PAGE), "munmap");
	for (long i = 0; i < AREAS; i++)
		touch(map(at + i * 2 * PAGE, PAGE), PAGE);
	for (int r = 0; r <= REPEAT; r++) {
		uint64_t before = ticks();
		pid_t child = fork();

		must(child >= 0, "fork");
		if (!child)
			_exit(0);
		wait_for(child);
		if (r) /* the first is for slabs and page tables */
			count("fork-10000", ticks() - before);
	}
	for (long i = 0; i < AREAS; i++)
		must(!munmap(at + i * 2 * PAGE, PAGE), "munmap");
}

/* Pieces that were written to one by one while a hint kept them apart, which is taken back. */
static void pieces(char *at)
{
	for (int i = 0; i < PIECES; i++) {
		map(at + i * N, N);
		advise(at + i * N, N, i % 2 ? MADV_RANDOM : MADV_SEQUENTIAL);
		touch(at + i * N, N);
	}
	for (int i = 0; i < PIECES; i++)
		advise(at + i * N, N, MADV_NORMAL);
}

/* A child writes when it has read a byte, says so, and lives until there is nobody left to say more. */
static int told[2], done[2], over[2];
static pid_t family[CHILDREN];

static void child_life(char *at)
{
	char byte = 0;

	close(over[1]);
	must(read(told[0], &byte, 1) == 1, "read");
	for (int i = 0; i < PIECES; i++)
		touch(at + i * N, PAGE);
	must(write(done[1], &byte, 1) == 1, "write");
	_exit(read(over[0], &byte, 1) != 0);
}

static void fork_family(char *at)
{
	must(!pipe(told) && !pipe(done) && !pipe(over), "pipe");
	for (int i = 0; i < CHILDREN; i++) {
		family[i] = fork();
		must(family[i] >= 0, "fork");
		if (!family[i])
			child_life(at);
	}
}

/* One child after another, so that none takes the next one's byte. */
static void family_writes(void)
{
	char byte = 0;

	for (int i = 0; i < CHILDREN; i++) {
		must(write(told[1], &byte, 1) == 1, "write");
		must(read(done[0], &byte, 1) == 1, "read");
	}
}

static void family_ends(bool by_themselves)
{
	close(over[1]);
	for (int i = 0; i < CHILDREN; i++) {
		if (!by_themselves)
			kill(family[i], SIGKILL);
		must(waitpid(family[i], NULL, 0) == family[i], "waitpid");
	}
	close(over[0]);
	for (int i = 0; i < 2; i++) {
		close(told[i]);
		close(done[i]);
	}
}

/* One walk of rmap for each page: instructions in all, divided by the pages. */
static void walk(const char *name, const char *at, size_t size)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int idle = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	const size_t pages = size / PAGE;
	uint64_t entry[PIECES * 4], bit, before;

	must(pagemap >= 0 && idle >= 0, "pagemap and page_idle");
	write_file("/proc/sys/vm/drop_caches", "1"); /* takes pages from the batches to the LRU */
	must(pread(pagemap, entry, pages * 8, (uintptr_t)at / PAGE * 8) == (ssize_t)pages * 8, "pagemap");
	before = ticks();
	for (size_t i = 0; i < pages; i++) {
		uint64_t pfn = entry[i] & ((1ULL << 55) - 1);

		bit = 1ULL << pfn % 64;
		/* 0 where memory ends within these 64 pages: what is there was taken all the same */
		must(pwrite(idle, &bit, 8, pfn / 64 * 8) >= 0, "page_idle");
	}
	count(name, (ticks() - before) / pages);
	for (size_t i = 0; i < pages; i++) {
		uint64_t pfn = entry[i] & ((1ULL << 55) - 1);

		ssize_t got = pread(idle, &bit, 8, pfn / 64 * 8);

		must(!got || (got == 8 && bit >> pfn % 64 & 1), "a page was left out");
	}
	close(pagemap);
	close(idle);
}

static void zygote(void)
{
	char *at = arena + (2UL << 20) + PAGE;
	uint64_t before;

	pieces(at);
	before = ticks();
	fork_family(at);
	count("zygote-forks", ticks() - before);
	walk("walk-shared", at, PIECES * N);
	before = ticks();
	family_writes();
	count("zygote-writes", ticks() - before);
	walk("walk-copied", at, PIECES * N);
	before = ticks();
	family_ends(true);
	count("zygote-ends", ticks() - before);
	must(!munmap(at, PIECES * N), "munmap");
}

/* Memory of the parent alone, that comes to lie beside what its living children share. */
static void prefork(void)
{
	char *at = arena + (2UL << 20) + PAGE;
	uint64_t before;

	touch(map(at - N, N), N);
	fork_family(at - PIECES * N); /* they never write */
	before = ticks();
	pieces(at);
	count("prefork-joins", ticks() - before);
	walk("walk-joined", at, PIECES * N);
	family_ends(false);
	must(!munmap(at - N, (PIECES + 1UL) * N), "munmap");
}

int main(void)
{
	begin_counting();
	new_arena();
	must(!munmap(arena, 64UL << 20), "munmap");
	for (int r = 0; r < REPEAT; r++) {
		zygote();
		prefork();
	}
	fork_many();
	end_counting();
	return 0;
}
