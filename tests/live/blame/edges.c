/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Random calls on areas of its own, and who made each boundary: edges SEED AREAS CALLS
 *
 * Waits for a line on stdin, works, prints one line for each boundary inside its areas that is there at
 * the end ("ADDRESS CALL BEGAN ENDED": hexadecimal, the call's name, ns since boot before and
 * after it) and waits again. The truth is what /proc/self/maps says after each call: a boundary is
 * made by the call after which it is there and before which it was not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGES 48
#define GAP 16 /* unmapped pages between two areas */
#define PR_SET_VMA 0x53564d41

struct made {
	const char *call; /* NULL: no VMA begins here */
	uint64_t began, ended;
};

static uintptr_t page;
static uint64_t state;

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

/* Which pages of [area, area + PAGES) a VMA begins at; without a call that makes any. */
static void look(uintptr_t area, char *starts)
{
	static char text[1 << 22];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t got;

	if (fd < 0)
		abort();
	while ((got = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += got;
	close(fd);
	text[size] = 0;
	memset(starts, 0, PAGES);
	for (char *line = text; line && *line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (!*line)
			break;
		uintptr_t start = strtoull(line, NULL, 16);

		if (start >= area && start < area + PAGES * page)
			starts[(start - area) / page] = 1;
	}
}

static const char *one_call(uintptr_t area)
{
	static const int access[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE };
	uint32_t first = below(PAGES), size = 1 + below(8), to;
	char *at;

	if (first + size > PAGES)
		size = PAGES - first;
	at = (char *)area + first * page;
	switch (below(16)) {
	case 0:
	case 1:
	case 2:
		mmap(at, size * page, access[below(4)], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return "mmap";
	case 3:
		mmap(at, size * page, access[below(4)], MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return "mmap";
	case 4:
	case 5:
		munmap(at, size * page);
		return "munmap";
	case 6:
	case 7:
	case 8:
	case 9:
		/* one that meets a hole has changed what is below it */
		mprotect(at, size * page, access[below(4)]);
		return "mprotect";
	case 10:
		madvise(at, size * page, below(2) ? MADV_DONTFORK : MADV_DOFORK);
		return "madvise";
	case 11:
		madvise(at, size * page, below(2) ? MADV_DONTDUMP : MADV_DODUMP);
		return "madvise";
	case 12:
		prctl(PR_SET_VMA, 0, at, size * page, below(2) ? "one" : "other");
		return "prctl";
	case 13:
		/* of several VMAs, too: Linux 6.17 moves them with what is between them */
		to = below(PAGES);
		if (to + size > PAGES)
			to = PAGES - size;
		mremap(at, size * page, size * page, MREMAP_MAYMOVE | MREMAP_FIXED, area + to * page);
		return "mremap";
	case 14:
		/* in place, or it fails: what moved elsewhere would leave the area */
		mremap(at, page, (1 + below(3)) * page, 0);
		return "mremap";
	default:
		mremap(at, size * page, page, 0);
		return "mremap";
	}
}

/* A page that can be written to, without a fault: the kernel reads into it. */
static void touch(uintptr_t area)
{
	static int zero = -1;

	if (zero < 0)
		zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (read(zero, (char *)area + below(PAGES) * page, 1) < 0)
		return;
}

int main(int argc, char **argv)
{
	int areas, calls;
	struct made *made;
	uintptr_t base;
	char line[16];

	if (argc != 4)
		return 2;
	state = strtoull(argv[1], NULL, 10) * 2 + 1;
	areas = atoi(argv[2]);
	calls = atoi(argv[3]);
	page = sysconf(_SC_PAGESIZE);
	made = calloc((size_t)areas * PAGES, sizeof(*made));
	/* where nobody else maps anything */
	base = 0x200000000000;
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (!made || !fgets(line, sizeof(line), stdin))
		return 1;
	for (int i = 0; i < areas; i++) {
		uintptr_t area = base + (uintptr_t)i * (PAGES + GAP) * page;
		struct made *mine = made + (size_t)i * PAGES;
		char starts[PAGES];

		for (int j = 0; j < calls; j++) {
			uint64_t began = now(), ended;
			const char *call = one_call(area);

			ended = now();
			if (below(2))
				touch(area);
			look(area, starts);
			for (int k = 0; k < PAGES; k++) {
				if (!starts[k])
					mine[k].call = NULL;
				else if (!mine[k].call)
					mine[k] = (struct made){ call, began, ended };
			}
		}
	}
	for (int i = 0; i < areas; i++)
		for (int k = 0; k < PAGES; k++) {
			struct made *one = made + (size_t)i * PAGES + k;

			if (one->call)
				printf("%lx %s %lu %lu\n", base + ((uintptr_t)i * (PAGES + GAP) + k) * page,
				       one->call, one->began, one->ended);
		}
	printf("end\n");
	fflush(stdout);
	return !fgets(line, sizeof(line), stdin);
}
