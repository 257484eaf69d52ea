/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * cases NAME: one situation in which rebuild_areas() is called, and a line of words about it.
 *
 * Every case begins with the same eight pieces in a row, which nothing but anon_vma or page offset
 * keeps apart, and ends with the number of VMAs in their place and the number of wrong bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rebuild.h"

enum { PIECES = 8, PAGES = 4 };
static char *BASE = (char *)0x200000000000;
#define ELSEWHERE ((char *)0x280000000000)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)

static size_t page, length, all;
static struct rebuilt result;

static void must(int done, const char *what)
{
	if (!done) {
		printf("cannot %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static void map(char *at, size_t size)
{
	must(mmap(at, size, RW, ANON, -1, 0) == at, "mmap");
}

/* Pieces 0, 2, 4, 6 were written to alone, 1, 5 moved in, 3, 7 never touched. */
static void make(size_t size)
{
	static const int order[PIECES] = {0, 2, 4, 6, 1, 5, 3, 7};
	int i;

	length = size;
	all = PIECES * length;
	for (i = 0; i < PIECES; i++) {
		char *at = BASE + order[i] * length;

		if (order[i] % 4 == 1) {
			char *from = ELSEWHERE + order[i] * 2 * length;

			map(from, length);
			memset(from, order[i] + 1, length / 2);
			must(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at,
			     "mremap");
		} else {
			map(at, length);
			if (order[i] % 2 == 0)
				memset(at, order[i] + 1, length / 2);
		}
	}
}

static long wrong_bytes(void)
{
	long wrong = 0;
	size_t at;

	for (at = 0; at < all; at++) {
		int piece = at / length;
		int written = piece % 4 != 3 && at % length < length / 2;

		wrong += BASE[at] != (written ? piece + 1 : 0);
	}
	return wrong;
}

static unsigned vmas(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long low, high;
	unsigned count = 0;

	must(maps != NULL, "read maps");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &low, &high) == 2)
			count += low < (unsigned long)BASE + all && high > (unsigned long)BASE;
	fclose(maps);
	return count;
}

/* A field of the first VMA of the run in smaps; the rest of its line. */
static const char *smaps(const char *field)
{
	static char line[512];
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long low, high;
	int inside = 0;

	must(file != NULL, "read smaps");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
			inside = low == (unsigned long)BASE;
		else if (inside && !strncmp(line, field, strlen(field)))
			break;
	}
	fclose(file);
	line[strcspn(line, "\n")] = 0;
	return line + strlen(field);
}

/* kB of huge pages in all VMAs of the run: where THP are "always", pieces have them by themselves. */
static unsigned long huge_pages(void)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long low, high, size, sum = 0;
	char line[512];
	int inside = 0;

	must(file != NULL, "read smaps");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
			inside = low >= (unsigned long)BASE && low < (unsigned long)BASE + all;
		else if (inside && sscanf(line, "AnonHugePages: %lu", &size) == 1)
			sum += size;
	}
	fclose(file);
	return sum;
}

static void rebuild(void)
{
	unsigned before = vmas();

	rebuild_areas(BASE, all, &result);
	printf("%u to %u, error %s, step %d", before, vmas(),
	       result.error ? strerrorname_np(result.error) : "none", result.step);
}

/* A buffer that io_uring holds; returns 0 where there is no io_uring. */
static int pin(char *at)
{
	struct io_uring_params params = {0};
	struct iovec buffer = {at, page};
	int ring = syscall(SYS_io_uring_setup, 4, &params);

	if (ring < 0)
		return 0;
	must(!syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1), "pin");
	return 1;
}

/* MADV_COLLAPSE gives EAGAIN and the like while somebody holds one of the pages. */
static void make_huge(char *at, size_t size)
{
	int tries = 1000;

	while (madvise(at, size, 25 /* MADV_COLLAPSE */) < 0)
		must(errno != EINVAL && tries-- && !usleep(1000), "make a huge page");
}

static volatile int over;
static unsigned long rounds, lost;

/* Counts in the second half of piece 3, which nobody else has written to. */
static void *count(void *unused)
{
	volatile unsigned long *cell = (void *)(BASE + 3 * length + length / 2);

	while (!over) {
		unsigned long before = cell[0];

		cell[0] = before + 1;
		if (pwrite(*(int *)unused, (void *)cell, sizeof(*cell), 0) != sizeof(*cell))
			lost++;
		if (cell[0] != before + 1)
			lost++;
		rounds++;
	}
	return NULL;
}

static void with_others(void)
{
	volatile unsigned long *cell = (void *)(BASE + 3 * length + length / 2);
	int i, sink = memfd_create("sink", MFD_CLOEXEC);
	pthread_t thread;

	*cell = 0;
	must(!pthread_create(&thread, NULL, count, &sink), "start a thread");
	for (i = 0; i < 200; i++) {
		char *piece = BASE + 2 * length;

		while (!rounds)
			usleep(1000);
		/* a copy in the place of a piece is a VMA of its own again */
		map(ELSEWHERE, length);
		memcpy(ELSEWHERE, piece, length);
		must(mremap(ELSEWHERE, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, piece) == piece,
		     "mremap");
		must(vmas() > 1 && !rebuild_areas(BASE, all, &result), "rebuild");
		lost += result.after != 1;
	}
	over = 1;
	pthread_join(thread, NULL);
	printf("counted %s, lost %lu", *cell == rounds ? "right" : "wrong", lost);
	*cell = 0;
}

static void fill_up(unsigned spare)
{
	unsigned long limit = 0, at = 0x300000000000, used = 0;
	char line[512];
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	must(file && fscanf(file, "%lu", &limit) == 1, "read the limit");
	fclose(file);
	must(limit < 300000, "fill up to so high a limit");
	file = fopen("/proc/self/maps", "re");
	while (fgets(line, sizeof(line), file))
		used += strstr(line, "[vsyscall]") == NULL;
	fclose(file);
	for (; used + spare < limit; used++, at += 2 * page)
		must(mmap((void *)at, page, PROT_NONE, ANON | MAP_NORESERVE, -1, 0) != MAP_FAILED, "mmap");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	unsigned long kept;
	char flags[512];

	page = sysconf(_SC_PAGESIZE);
	if (!strcmp(name, "where the kernel maps")) { /* just above where its next mapping would go */
		BASE = mmap(NULL, 2 * PIECES * PAGES * page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(BASE, 2 * PIECES * PAGES * page);
	}
	/* a huge page is what a table of 8-byte entries leads to: two of them */
	make(strcmp(name, "huge") ? PAGES * page : 2 * (page / 8) * page);
	if (!strcmp(name, "plain") || !strcmp(name, "where the kernel maps")) {
		rebuild();
	} else if (!strcmp(name, "natural offset") || !strcmp(name, "something below")) {
		if (!strcmp(name, "something below"))
			must(mmap(BASE - 9 * page, 9 * page, PROT_NONE, ANON, -1, 0) != MAP_FAILED,
			     "mmap");
		rebuild();
		/* what stock does with neighbours of a VMA whose offset is natural */
		must(!munmap(BASE + 3 * length, length), "munmap");
		map(BASE + 3 * length, length);
		must(!mprotect(BASE + length, length, PROT_READ), "mprotect");
		must(!mprotect(BASE + length, length, RW), "mprotect");
		map(BASE + all, page);
		BASE[all] = 1;
		printf(", then %u", vmas());
	} else if (!strcmp(name, "flags")) {
		must(!madvise(BASE, all, MADV_DONTDUMP) && !madvise(BASE, all, MADV_NOHUGEPAGE) &&
		     !madvise(BASE, all, MADV_DONTFORK), "madvise");
		strcpy(flags, smaps("VmFlags:"));
		rebuild();
		printf(", flags %s", strcmp(flags, smaps("VmFlags:")) ? "changed" : "kept");
	} else if (!strcmp(name, "locked")) {
		must(!mlock(BASE, all), "mlock");
		rebuild();
	} else if (!strcmp(name, "unlike flags")) {
		must(!madvise(BASE + 4 * length, length, MADV_DONTDUMP), "madvise");
		rebuild();
	} else if (!strcmp(name, "hole")) {
		must(!munmap(BASE + 3 * length, length), "munmap");
		rebuild();
		map(BASE + 3 * length, length);
	} else if (!strcmp(name, "huge")) {
		must(!madvise(BASE, all, MADV_HUGEPAGE), "madvise");
		make_huge(BASE, length / 2);
		kept = huge_pages();
		rebuild();
		printf(", huge pages %s", huge_pages() < kept ? "split" : "kept");
	} else if (!strcmp(name, "pinned")) {
		if (!pin(BASE + 4 * length + page))
			printf("no io_uring; ");
		rebuild();
		printf(", at page %ld", (long)((result.at - (uintptr_t)BASE) / page));
	} else if (!strcmp(name, "at the limit")) {
		fill_up(0);
		rebuild();
	} else if (!strcmp(name, "near the limit")) {
		fill_up(10);
		rebuild();
	} else if (!strcmp(name, "without room")) {
		unsigned long address_space = 0;
		FILE *statm = fopen("/proc/self/statm", "re");
		must(statm && fscanf(statm, "%lu", &address_space) == 1, "read statm");
		fclose(statm);
		must(!syscall(SYS_prlimit64, 0, 9 /* RLIMIT_AS */,
			      &(uint64_t[2]){(address_space + 300) * page, (address_space + 300) * page},
			      NULL), "limit the address space");
		rebuild();
	} else if (!strcmp(name, "others")) {
		with_others();
	} else {
		printf("no such case\n");
		return 2;
	}
	printf(", %ld wrong bytes\n", wrong_bytes());
	return 0;
}
