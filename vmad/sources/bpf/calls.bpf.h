/* SPDX-License-Identifier: GPL-2.0-only */
/* The system calls that can make, cut or join VMAs. calls.py has the same order. */
#ifndef VMAD_CALLS_BPF_H
#define VMAD_CALLS_BPF_H

enum call {
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_PKEY_MPROTECT,
	CALL_MREMAP,
	CALL_BRK,
	CALL_MADVISE,
	CALL_MLOCK,
	CALL_MLOCK2,
	CALL_MUNLOCK,
	CALL_MBIND,
	CALL_SET_MEMPOLICY_HOME_NODE,
	CALL_MSEAL,
	CALL_SHMAT,
	CALL_IO_SETUP,
	CALL_PRCTL,
	CALLS
};

#endif
