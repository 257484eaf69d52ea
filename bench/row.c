/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * For LD_PRELOAD: gives a program a row of VMAs that a rebuild would make one, before it begins;
 * VMAD_BENCH_ROW="PIECES PAGES".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE ((char *)0x200000000000)
#define ELSEWHERE ((char *)0x280000000000)

__attribute__((constructor)) static void make_row(void)
{
	const char *size = getenv("VMAD_BENCH_ROW");
	unsigned pieces, pages, i;
	size_t length;

	if (!size || sscanf(size, "%u %u", &pieces, &pages) != 2)
		return;
	length = pages * sysconf(_SC_PAGESIZE);
	for (i = 0; i < pieces; i++) {
		char *place = BASE + i * length, *from = i % 2 ? ELSEWHERE + i * 2 * length : place;

		if (mmap(from, length, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != from)
			abort();
		memset(from, 1, length);
		if (i % 2 && mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) != place)
			abort();
	}
}
