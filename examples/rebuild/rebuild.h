/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Rebuilding a run of adjacent private anonymous VMAs, which nothing but anon_vma or page offset
 * keeps apart, as one VMA: on a stock kernel (6.8 and later), without copying a page.
 */
#ifndef REBUILD_H
#define REBUILD_H

#include <stddef.h>
#include <stdint.h>

enum rebuild_step {
	REBUILD_READ = 1,  /* /proc/self/maps: is this a run, and where are its boundaries? */
	REBUILD_SEED,      /* a fresh area whose page offset is that of the run */
	REBUILD_REGISTER,  /* userfaultfd over the fresh area and the run */
	REBUILD_ZERO,      /* pages of the run that are the zero page, given back */
	REBUILD_MOVE,      /* the pages, one VMA after the other */
	REBUILD_COMMIT,    /* mremap of the fresh area over the run */
};

struct rebuilt {
	int error;              /* errno of what failed, 0: done */
	enum rebuild_step step; /* where it failed */
	uint64_t at;            /* REBUILD_MOVE: the address of the page that the kernel refused */
	unsigned before, after; /* VMAs in the run */
};

/*
 * Rebuild [start, start + length), which must begin and end at boundaries of VMAs. Returns 0, or -1
 * with the reason in *result; then the run is as it was, byte for byte.
 *
 * All of it must be private, anonymous, readable and writable, without names, userfaultfds or
 * seals. No other thread may write to it, fork or map over it meanwhile, and the caller's own
 * stack and thread-local storage must lie elsewhere.
 *
 * EBUSY: a page is pinned, or shared with a forked child that lives. EINVAL at REBUILD_REGISTER: a
 * kernel before 6.8. EPERM there: needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1. ENOMEM:
 * fewer than ten VMAs, or no address space, to spare.
 */
int rebuild_areas(void *start, size_t length, struct rebuilt *result);

#endif
