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
#elif defined(__aarch64__)
/* x30 leads into rt_sigreturn. No landing pad: the area is none of BTI's (PROT_BTI was not asked for). */
#define ENTRY(visit)                     \
	__asm__(".text\n"                \
		"	mov x19, x30\n"    \
		"	bl " #visit "\n"   \
		"	mov sp, x0\n"      \
		"	ret x19\n");
#else
#error "rebuilding works on x86-64 and 64-bit Arm"
#endif

#endif
