#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# A guard region (MADV_GUARD_INSTALL) keeps memory apart that nobody has ever written to.
#
# Seen:     Linux 6.18.15 (Debian's linux-image-6.18.15+deb13-cloud-amd64, 6.18.15-1~bpo13+1) in QEMU;
#           6.18.44 and 7.3.4 do the same. Two anonymous areas with a hole between them, nothing
#           written. When the hole is filled, the three are one VMA. With a guard region of one page
#           in each of the two beforehand, they stay two VMAs for good.
# Expected: guard regions are there to save VMAs ("do not require the use of additional VMAs",
#           madvise(2)), and memory without pages has nothing by which it could be told apart.
# Why:      installing prepares an anon_vma, as a first write does (mm/madvise.c,
#           madvise_guard_install), and two areas that got theirs apart never merge. An allocator that
#           maps stacks apart, guards them, and fills the holes later pays a VMA each after all.
# Way out:  map from one end to the other without holes, and install afterwards.
#
# Needs what debian.sh and boot.sh need.
set -eu
. "$(dirname "$0")/debian.sh"
. "$(dirname "$0")/boot.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >init.c <<'C'
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#define GUARD_INSTALL 102 /* of Linux 6.13, which older headers do not have */
#define SIZE (4 * 4096UL)

static void map(uintptr_t at)
{
	mmap((void *)at, SIZE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void fill(const char *what, uintptr_t at, int guards)
{
	FILE *maps;
	unsigned long low, high;
	int vmas = 0, failed = 0;
	char line[256];

	map(at);
	map(at + 2 * SIZE);
	if (guards)
		failed = madvise((void *)(at + 4096), 4096, GUARD_INSTALL) +
			 madvise((void *)(at + 2 * SIZE + 4096), 4096, GUARD_INSTALL);
	map(at + SIZE);
	maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &low, &high) == 2)
			vmas += low < at + 3 * SIZE && high > at;
	fclose(maps);
	printf("SEEN %s: %d VMA%s%s\n", what, vmas, vmas == 1 ? "" : "s", failed ? ", refused" : "");
}

int main(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	fill("without guard regions", 0x200000000000, 0);
	fill("with one in each area", 0x300000000000, 1);
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
C
boot_debian_kernel 6.18.15+deb13-cloud-amd64 6.18.15-1~bpo13+1 >seen
cat seen
cat >expected <<'TEXT'
without guard regions: 1 VMA
with one in each area: 2 VMAs
TEXT
cmp seen expected
