/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A program without names: it is entered at code that unwind tables say nobody calls (TABLES), or of which they
 * know nothing. It maps 64 pages kept apart by their access, says READY and waits for the end of its input. */
#include <sys/mman.h>
#include <unistd.h>

enum { PIECES = 64 };

#ifdef TABLES
#define TABLE(line) line "\n"
#else
#define TABLE(line)
#endif
#ifdef __x86_64__
#define CODE "xor %ebp, %ebp\nand $-16, %rsp\ncall work\nhlt\n"
#define NOBODY ".cfi_undefined rip"
#else
#define CODE "mov x29, #0\nmov x30, #0\nbl work\nbrk #0\n"
#define NOBODY ".cfi_undefined x30"
#endif

__asm__(".text\n.globl enter\nenter:\n" TABLE(".cfi_startproc") TABLE(NOBODY) CODE TABLE(".cfi_endproc"));

void work(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char byte;

	for (int piece = 0; piece < PIECES; piece++)
		if (mmap(NULL, page, piece % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
			_exit(1);
	_exit(write(1, "READY\n", 6) != 6 || read(0, &byte, 1) < 0);
}
