/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What depends on the processor in the code that a borrowed thread runs, besides how it calls the
 * kernel (examples/rebuild/machine.h): the first instructions.
 *
 * ENTRY(visit) calls visit() with the first argument as it came, and goes on with the stack pointer
 * that visit() returned by what lies there (vmad/architecture, Borrowing).
 */
#ifndef PAYLOAD_MACHINE_H
#define PAYLOAD_MACHINE_H

#if defined(__x86_64__)
#define ENTRY(visit)                     \
	__asm__(".text\n"                \
		"	call " #visit "\n"  \
		"	mov %rax, %rsp\n" \
		"	ret\n");
#else
#error "rebuilding works on x86-64"
#endif

#endif
