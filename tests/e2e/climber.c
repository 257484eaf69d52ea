// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Has as many areas as each number on its input says, and answers how many it has. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MOST (1 << 20)
static void *areas[MOST];

int main(void)
{
	long wanted, made = 0;

	while (scanf("%ld", &wanted) == 1) {
		while (made < wanted && made < MOST) {
			/* neighbours with other rights do not merge */
			void *at = mmap(NULL, 4096, made & 1 ? PROT_NONE : PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (at == MAP_FAILED)
				break;
			areas[made++] = at;
		}
		while (made > wanted)
			munmap(areas[--made], 4096);
		printf("%ld\n", made);
		fflush(stdout);
	}
	return 0;
}
