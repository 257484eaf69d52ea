/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Random calls on areas of its own, and who made each boundary: edges SEED AREAS CALLS
 *
 * Waits for a line on stdin, makes CALLS calls in each area, writes to stdout one struct found for
 * each boundary inside its areas that is there at the end, and ends after the next line. The truth
 * is what the kernel says of the area after each call: a boundary is made by the call after which
 * it is there and before which it was not; one that moved down because a stack grew has the maker
 * that it had.
 *
 * One area in 32 is for stacks (MAP_GROWSDOWN), and one lies in the heap (brk). The areas stay.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGES 48
#define GAP 16 /* unmapped pages between two areas */
#define STACK_GAP 512 /* a stack keeps a distance: stack_guard_gap, 256 pages */
#define BASE 0x200000000000UL /* where nobody else maps anything */
#define STACKS_BASE 0x300000000000UL
#define PR_SET_VMA 0x53564d41

/* tests/live/blame/boundaries.py has the same order */
enum { NONE, MMAP, MUNMAP, MPROTECT, MREMAP, BRK, MADVISE, MLOCK2, MUNLOCK, SHMAT, PRCTL };

struct found {
	uint64_t address, began, ended; /* ns since boot, before and after the call */
	uint32_t call, unused;
};

struct made {
	uint32_t call; /* NONE: no VMA begins here */
	uint64_t began, ended;
};

enum kind { PLAIN, FOR_STACKS, IN_HEAP };

/* PROCMAP_QUERY (6.11): struct procmap_query of linux/fs.h, which older headers do not have */
struct procmap_query {
	uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size,
		vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};

#define COVERING_OR_NEXT 0x10
#define QUERY _IOWR('f', 17, struct procmap_query)

static uintptr_t page;
static uint64_t state;
static int maps, executable, segment;

static uint32_t below(uint32_t n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % n;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Up to the end of the area: those that were made before lie above it. */
static void read_maps(uintptr_t area, char *starts)
{
	static char text[4097];
	char *line, *end;
	size_t rest = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while ((got = read(fd, text + rest, sizeof(text) - 1 - rest)) > 0) {
		text[rest + got] = 0;
		for (line = text; (end = strchr(line, '\n')); line = end + 1) {
			uintptr_t start = strtoull(line, NULL, 16);

			if (start >= area + PAGES * page) {
				close(fd);
				return;
			}
			if (start >= area)
				starts[(start - area) / page] = 1;
		}
		rest = strlen(line);
		memmove(text, line, rest);
	}
	if (got < 0)
		abort();
	close(fd);
}

/* Which pages of [area, area + PAGES) a VMA begins at; without a call that makes any. */
static void look(uintptr_t area, char *starts)
{
	struct procmap_query query = { .size = sizeof(query), .query_flags = COVERING_OR_NEXT };

	memset(starts, 0, PAGES);
	for (query.query_addr = area; query.query_addr < area + PAGES * page;
	     query.query_addr = query.vma_end) {
		if (ioctl(maps, QUERY, &query) < 0) {
			if (errno == ENOENT)
				return;
			if (errno != ENOTTY)
				abort();
			read_maps(area, starts);
			return;
		}
		if (query.vma_start >= area && query.vma_start < area + PAGES * page)
			starts[(query.vma_start - area) / page] = 1;
	}
}

static int any_access(void)
{
	static const int access[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE };

	return access[below(4)];
}

static uint32_t one_call(uintptr_t area, enum kind kind)
{
	uint32_t first = below(PAGES), size = 1 + below(8), to;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *at;

	if (first + size > PAGES)
		size = PAGES - first;
	at = (char *)area + first * page;
	if (kind == IN_HEAP && below(3) == 0) {
		syscall(SYS_brk, at + below(2) * below(page));
		return BRK;
	}
	switch (below(kind == PLAIN ? 24 : 17)) {
	case 0:
	case 1:
	case 2:
		if (kind == FOR_STACKS)
			flags |= MAP_GROWSDOWN;
		if (kind == IN_HEAP && below(4))
			break;
		mmap(at, size * page, any_access(), flags | MAP_FIXED, -1, 0);
		return MMAP;
	case 3:
	case 4:
		munmap(at, size * page);
		return MUNMAP;
	case 5:
	case 6:
	case 7:
	case 8:
		/* one that meets a hole has changed what is below it */
		mprotect(at, size * page, any_access());
		return MPROTECT;
	case 9:
	case 10:
		madvise(at, size * page, below(2) ? MADV_DONTFORK : MADV_DOFORK);
		return MADVISE;
	case 11:
		madvise(at, size * page, below(2) ? MADV_DONTDUMP : MADV_DODUMP);
		return MADVISE;
	case 12:
		prctl(PR_SET_VMA, 0, at, size * page, below(2) ? "one" : "other");
		return PRCTL;
	case 13:
		/* in place, or it fails: what moved elsewhere would leave the area */
		mremap(at, page, (1 + below(3)) * page, 0);
		return MREMAP;
	case 14:
		mremap(at, size * page, page, 0);
		return MREMAP;
	case 15:
		mlock2(at, size * page, MLOCK_ONFAULT);
		return MLOCK2;
	case 16:
		munlock(at, size * page);
		return MUNLOCK;
	case 17:
	case 18:
		/* of several VMAs, too: Linux 6.17 moves them with what is between them */
		to = below(PAGES);
		if (to + size > PAGES)
			to = PAGES - size;
		mremap(at, size * page, size * page, MREMAP_MAYMOVE | MREMAP_FIXED, area + to * page);
		return MREMAP;
	case 19:
		mmap(at, size * page, any_access(), MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return MMAP;
	case 20:
		mmap(at, size * page, any_access(), flags | MAP_FIXED_NOREPLACE, -1, 0);
		return MMAP;
	case 21:
		mmap(at, size * page, PROT_READ, MAP_PRIVATE | MAP_FIXED, executable, below(4) * page);
		return MMAP;
	case 22:
		/* there or, where something is, elsewhere: that is let go of */
		at = mmap(at, size * page, any_access(), flags, -1, 0);
		if ((uintptr_t)at < area || (uintptr_t)at >= area + PAGES * page)
			munmap(at, size * page);
		return MMAP;
	case 23:
		if (segment >= 0 && first + 4 <= PAGES)
			shmat(segment, at, below(2) ? SHM_REMAP : 0);
		return SHMAT;
	}
	return NONE;
}

/* A page that can be written to, without a fault of this program: the kernel reads into it. */
static void touch(uintptr_t area)
{
	static int zero = -1;

	if (zero < 0)
		zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (read(zero, (char *)area + below(PAGES) * page, 1) < 0)
		return;
}

/* What grew had its maker before. */
static void grow(const char *before, const char *after, struct made *mine)
{
	struct made from = { .call = NONE };

	for (int k = PAGES - 1; k >= 0; k--) {
		if (before[k] && !after[k]) {
			from = mine[k];
			mine[k].call = NONE;
		} else if (!before[k] && after[k]) {
			mine[k] = from;
		}
	}
}

static void work(uintptr_t area, enum kind kind, int calls, struct made *mine)
{
	char starts[PAGES], after[PAGES];

	/* no stack above this area grows into it */
	if (kind == FOR_STACKS)
		mmap((char *)area + (PAGES + GAP) * page, page, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int j = 0; j < calls; j++) {
		uint64_t began = now(), ended;
		uint32_t call = one_call(area, kind);

		ended = now();
		look(area, starts);
		for (int k = 0; k < PAGES; k++) {
			if (!starts[k])
				mine[k].call = NONE;
			else if (!mine[k].call)
				mine[k] = (struct made){ call, began, ended };
		}
		if (below(2))
			continue;
		touch(area);
		if (kind != FOR_STACKS)
			continue;
		look(area, after);
		grow(starts, after, mine);
	}
}

/* Descending, so that what a call changes is the first that is mapped. */
static uintptr_t place_of(int number, int areas, enum kind *kind, uintptr_t heap)
{
	int stacks = areas / 32;

	*kind = IN_HEAP;
	if (!number)
		return heap;
	*kind = FOR_STACKS;
	if (number <= stacks)
		return STACKS_BASE + (uintptr_t)(stacks - number) * (PAGES + STACK_GAP) * page;
	*kind = PLAIN;
	return BASE + (uintptr_t)(areas - number) * (PAGES + GAP) * page;
}

int main(int argc, char **argv)
{
	static char output[1 << 16];
	struct made *made;
	uintptr_t heap;
	char line[16];
	int areas, calls;

	if (argc != 4)
		return 2;
	state = strtoull(argv[1], NULL, 10) * 2 + 1;
	areas = atoi(argv[2]);
	calls = atoi(argv[3]);
	page = sysconf(_SC_PAGESIZE);
	made = mmap(NULL, (size_t)areas * PAGES * sizeof(*made), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	executable = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	/* with one place where it stays, it can be attached after this */
	segment = shmget(IPC_PRIVATE, 4 * page, 0600);
	if (segment >= 0) {
		shmat(segment, NULL, 0);
		shmctl(segment, IPC_RMID, NULL);
	}
	if (made == MAP_FAILED || maps < 0 || executable < 0 || read(0, line, 1) != 1)
		return 1;
	/* nothing is allocated from here on */
	heap = ((uintptr_t)sbrk(0) + page - 1) & -page;
	for (int i = 0; i < areas; i++) {
		enum kind kind;
		uintptr_t area = place_of(i, areas, &kind, heap);

		work(area, kind, calls, made + (size_t)i * PAGES);
	}
	for (int i = 0; i < areas; i++) {
		enum kind kind;
		uintptr_t area = place_of(i, areas, &kind, heap);

		for (int k = 0; k < PAGES; k++) {
			struct made *one = made + (size_t)i * PAGES + k;
			struct found found = { area + k * page, one->began, one->ended, one->call, 0 };

			if (one->call)
				fwrite(&found, sizeof(found), 1, stdout);
		}
	}
	fflush(stdout);
	close(1);
	return read(0, line, 1) != 1;
}
