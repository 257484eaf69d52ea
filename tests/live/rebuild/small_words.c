/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A 32-bit program with a row of eight VMAs that a rebuild would make one. Without a C library. */

enum { PAGE = 4096, PIECE = 4 * PAGE, PIECES = 8, BASE = 0x20000000, ELSEWHERE = 0x30000000 };
enum { WRITE = 4, PAUSE = 29, MREMAP = 163, MMAP2 = 192 };

static long call(long number, long a, long b, long c, long d, long e)
{
	long result;

	__asm__ volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return result;
}

void _start(void)
{
	long i;

	for (i = 0; i < PIECES; i++) {
		long place = BASE + i * PIECE, from = i % 2 ? ELSEWHERE + 2 * i * PIECE : place;

		call(MMAP2, from, PIECE, 3, 0x32, -1);
		*(volatile char *)from = 1;
		if (i % 2)
			call(MREMAP, from, PIECE, PIECE, 3, place);
	}
	call(WRITE, 1, (long)"ready\n", 6, 0, 0);
	for (;;)
		call(PAUSE, 0, 0, 0, 0, 0);
}
