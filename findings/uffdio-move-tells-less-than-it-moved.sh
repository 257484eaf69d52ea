#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# UFFDIO_MOVE tells of fewer bytes than it has moved, when it has met a page that is being migrated.
#
# Seen:     Linux 6.18.15 (Debian's linux-image-6.18.15+deb13-cloud-amd64, 6.18.15-1~bpo13+1) in QEMU,
#           two nodes of memory; 6.18.44 does the same while memory is compacted. A process moves 2,048
#           pages there and back while move_pages(2) migrates them. Within some tens of rounds a call
#           gives EAGAIN and, in `move`, a number of bytes; behind these, pages have moved as well:
#           their old places are empty. The call for what is left, as the manual has it, then fails with
#           EEXIST, for every such page anew. 6.12.118 and 7.3.4 did not do it in a minute.
# Expected: `move` is the number of bytes moved (ioctl_userfaultfd(2)), so that one can go on from there.
# Why:      since 6.18 pages are moved in batches, and the error of a first try (EAGAIN) is kept while
#           the second, which succeeds, returns a length: it is not added (mm/userfaultfd.c, move_pages).
# Way out:  where nothing else can be in the destination, EEXIST means moved: go on with the next page.
#
# Needs what debian.sh and boot.sh need.
set -eu
. "$(dirname "$0")/debian.sh"
. "$(dirname "$0")/boot.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >init.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* of Linux 6.8, which older headers do not have */
struct move { uint64_t dst, src, len, mode; int64_t move; };
#define MOVE _IOWR(0xAA, 0x05, struct move)
#define FEATURE_MOVE (1 << 16)
enum { PAGE = 4096, PAGES = 2048, PATIENCE = 60 };

static int uffd;

static char *area(size_t size, int prot)
{
	char *at = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(at, size, MADV_NOHUGEPAGE);
	return at;
}

/* The kernel moves the pages to the other node and back, for ever: move_pages(2). */
static void migrate(const char *a, const char *b)
{
	static void *pages[2 * PAGES];
	static int nodes[2 * PAGES], status[2 * PAGES];
	int i, node;

	for (i = 0; i < 2 * PAGES; i++)
		pages[i] = (void *)(i < PAGES ? a + i * PAGE : b + (i - PAGES) * PAGE);
	for (node = 1;; node = !node) {
		for (i = 0; i < 2 * PAGES; i++)
			nodes[i] = node;
		syscall(SYS_move_pages, getppid(), 2L * PAGES, pages, nodes, status, MPOL_MF_MOVE);
	}
}

static void watch(char *at)
{
	struct uffdio_register range = {{(uintptr_t)at, PAGES * PAGE}, UFFDIO_REGISTER_MODE_MISSING, 0};

	ioctl(uffd, UFFDIO_REGISTER, &range);
}

/* Pages from `at` on that are there, without a look at them. */
static size_t there(const char *at, const char *end)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;
	size_t count = 0;

	for (; at < end; at += PAGE, count++)
		if (pread(fd, &entry, 8, (uintptr_t)at / PAGE * 8) != 8 || !(entry >> 62))
			break;
	close(fd);
	return count;
}

/* Returns whether a call has moved more than it said. */
static int move_all(char *to, char *from)
{
	size_t done = 0, more;

	while (done < PAGES * PAGE) {
		struct move move = {(uintptr_t)to + done, (uintptr_t)from + done, PAGES * PAGE - done, 0, 0};
		int failed = ioctl(uffd, MOVE, &move);

		if (move.move > 0)
			done += move.move;
		if (!failed)
			break;
		if (errno != EAGAIN)
			return 0;
		more = there(to + done, to + PAGES * PAGE);
		if (!more)
			continue;
		move = (struct move){(uintptr_t)to + done, (uintptr_t)from + done, PAGES * PAGE - done, 0, 0};
		failed = ioctl(uffd, MOVE, &move);
		printf("SEEN pages were moved that the call has not told of\n");
		printf("SEEN the next call, from where it told: %s\n", failed ? strerror(errno) : "done");
		return 1;
	}
	return 0;
}

int main(void)
{
	char *a = area(PAGES * PAGE, PROT_READ | PROT_WRITE), *b, *other;
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_MOVE};
	time_t ends;
	size_t i;

	mount("proc", "/proc", "proc", 0, NULL);
	area(PAGE, PROT_NONE);
	b = area(PAGES * PAGE, PROT_READ | PROT_WRITE);
	for (i = 0; i < PAGES; i++)
		a[i * PAGE] = 1;
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		munmap(a, PAGES * PAGE); /* these pages are the parent's alone */
		migrate(a, b);
	}
	sleep(1);
	for (i = 0; i < PAGES; i++)
		a[i * PAGE] = 2;
	uffd = syscall(SYS_userfaultfd, 0);
	ioctl(uffd, UFFDIO_API, &api);
	watch(a);
	watch(b);
	ends = time(NULL) + PATIENCE;
	while (time(NULL) < ends && !move_all(b, a)) {
		other = a;
		a = b;
		b = other;
	}
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
C
memory=memory-backend-ram,size=256M,id
boot_debian_kernel 6.18.15+deb13-cloud-amd64 6.18.15-1~bpo13+1 -smp 2 \
	-object "$memory=low" -numa node,memdev=low,cpus=0 -object "$memory=high" -numa node,memdev=high,cpus=1 >seen
cat seen
cat >expected <<'TEXT'
pages were moved that the call has not told of
the next call, from where it told: File exists
TEXT
cmp seen expected
