#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# UFFDIO_MOVE refuses pages as shared long after the only other process is gone, and pagemap denies it.
#
# Seen:     Linux 6.18.15 (Debian's linux-image-6.18.15+deb13-cloud-amd64, 6.18.15-1~bpo13+1) in QEMU;
#           6.12.118 and 6.18.44 do the same. A process writes to a page, forks a child that ends at
#           once, and waits for it. /proc/self/pagemap says that the page is exclusively mapped (bit
#           56), and nobody else has it. UFFDIO_MOVE answers EBUSY, for ever. One more write to the
#           page, which copies nothing, and the same call succeeds.
# Expected: EBUSY as long as the child lives, success once it is gone (ioctl_userfaultfd(2): "could not
#           be moved as they are pinned or shared"); or at least a bit in pagemap that says the same.
# Why:      bit 56 counts mappings. MOVE asks for PageAnonExclusive, which fork takes away for good
#           and only a write fault gives back (mm/userfaultfd.c; mm/memory.c, wp_can_reuse_anon_folio).
# Way out:  an atomic `or 0` on each such page before it is moved.
#
# Needs what debian.sh and boot.sh need.
set -eu
. "$(dirname "$0")/debian.sh"
. "$(dirname "$0")/boot.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >init.c <<'C'
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* of Linux 6.8, which older headers do not have */
struct move { uint64_t dst, src, len, mode; int64_t move; };
#define MOVE _IOWR(0xAA, 0x05, struct move)
#define FEATURE_MOVE (1 << 16)

static char *page(int prot)
{
	return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void look(const char *when, char *at)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, 8, (uintptr_t)at / 4096 * 8) == 8)
		printf("SEEN %s: exclusively mapped %d\n", when, (int)(entry >> 56 & 1));
	close(fd);
}

int main(void)
{
	char *from = page(PROT_READ | PROT_WRITE), *to;
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_MOVE};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct move move = {.len = 4096};
	int uffd;

	mount("proc", "/proc", "proc", 0, NULL);
	*from = 1;
	if (!fork())
		_exit(0);
	wait(NULL);
	page(PROT_NONE); /* else the two would be neighbours, and one VMA */
	to = page(PROT_READ | PROT_WRITE);
	uffd = syscall(SYS_userfaultfd, 0);
	ioctl(uffd, UFFDIO_API, &api);
	range.range.start = move.dst = (uintptr_t)to;
	range.range.len = 4096;
	ioctl(uffd, UFFDIO_REGISTER, &range);
	move.src = (uintptr_t)from;

	look("the child is dead", from);
	printf("SEEN move: %s\n", ioctl(uffd, MOVE, &move) ? strerror(errno) : "done");
	*(volatile char *)from = 1;
	look("one more write", from);
	printf("SEEN move: %s\n", ioctl(uffd, MOVE, &move) ? strerror(errno) : "done");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
C
boot_debian_kernel 6.18.15+deb13-cloud-amd64 6.18.15-1~bpo13+1 >seen
cat seen
cat >expected <<'TEXT'
the child is dead: exclusively mapped 1
move: Device or resource busy
one more write: exclusively mapped 1
move: done
TEXT
cmp seen expected
