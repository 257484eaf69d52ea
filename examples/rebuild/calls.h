/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * System calls without a C library, and the parts of the kernel's interface that older headers lack.
 * Errors come back as negative numbers, as the kernel gives them.
 */
#ifndef REBUILD_CALLS_H
#define REBUILD_CALLS_H

#include <asm/unistd.h>
#include <linux/ioctl.h>
#include <stdint.h>

#include "machine.h"

#define call(number, a, b, c) call6(number, (long)(a), (long)(b), (long)(c), 0, 0, 0)

enum {
	CALL_EINTR = 4,
	CALL_EAGAIN = 11,
	CALL_EBUSY = 16,
	CALL_EEXIST = 17,
	CALL_EINVAL = 22,
	CALL_ENOSYS = 38,
	/* include/uapi/linux/mman.h, asm-generic/mman-common.h */
	CALL_PROT_READ = 1,
	CALL_PROT_WRITE = 2,
	CALL_PROT_EXEC = 4,
	CALL_MAP_PRIVATE = 2,
	CALL_MAP_ANONYMOUS = 0x20,
	CALL_MAP_FIXED_NOREPLACE = 0x100000,
	CALL_MAP_FIXED = 0x10,
	CALL_MAP_NORESERVE = 0x4000,
	CALL_MREMAP_MAYMOVE = 1,
	CALL_MREMAP_FIXED = 2,
	CALL_MREMAP_DONTUNMAP = 4,
	CALL_MADV_DONTNEED = 4,
	CALL_MADV_POPULATE_WRITE = 23,
	CALL_MLOCK_ONFAULT = 1,
	CALL_O_CLOEXEC = 02000000,
	CALL_O_NONBLOCK = 04000,
};

/* include/uapi/linux/userfaultfd.h; UFFDIO_MOVE came with 6.8 (adef440691ba) */
struct uffd_api { uint64_t api, features, ioctls; };
struct uffd_range { uint64_t start, len; };
struct uffd_register { struct uffd_range range; uint64_t mode, ioctls; };
struct uffd_move { uint64_t dst, src, len, mode; int64_t move; };

#define UFFD_IOC_API _IOWR(0xAA, 0x3F, struct uffd_api)
#define UFFD_IOC_REGISTER _IOWR(0xAA, 0x00, struct uffd_register)
#define UFFD_IOC_UNREGISTER _IOR(0xAA, 0x01, struct uffd_range)
#define UFFD_IOC_MOVE _IOWR(0xAA, 0x05, struct uffd_move)
#define UFFD_API_VERSION 0xAA
#define UFFD_HAS_MOVE (1ULL << 16)
#define UFFD_MODE_MISSING 1ULL
#define UFFD_ALLOW_SRC_HOLES 2ULL
#define UFFD_USER_ONLY 1

/* include/uapi/linux/fs.h; PAGEMAP_SCAN came with 6.7 (52526ca7fdb9) */
struct page_region { uint64_t start, end, categories; };
struct pm_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, wanted;
};
#define PM_IOC_SCAN _IOWR('f', 16, struct pm_scan)
#define PM_IS_PFNZERO (1ULL << 5)

#endif
