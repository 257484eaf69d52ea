// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Makes one call of a process that has a given number of VMAs, and says what it returned.
 *
 * failing_calls CALL VMAS [WAIT]: prints "PID ERRNO" (brk and pthread_create: as libc would say it) once
 * the call was made, and waits for the end of standard input before it goes. VMAS 0: as few as it
 * has; the calls of the second half fail whatever the limit. With WAIT it prints a line once it has
 * its VMAS and makes the call when a byte comes in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define WRITABLE (PROT_READ | PROT_WRITE)

static size_t page;
static char *area; /* nine pages, written to, with nothing beside them */
static char *const far = (char *)0x260000000000;

static int vmas(void)
{
	static char text[1 << 16];
	int fd = open("/proc/self/maps", O_RDONLY), lines = 0, vsyscall = 0;
	ssize_t n;

	while ((n = read(fd, text, sizeof(text) - 1)) > 0) {
		text[n] = 0;
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
		if (strstr(text, "[vsyscall]"))
			vsyscall = 1; /* listed, and not counted */
	}
	close(fd);
	return lines - vsyscall;
}

static char *const filled = (char *)0x300000000000;
static char *filled_to;

static void fill(int wanted)
{
	filled_to = filled;
	for (int have = vmas(); have < wanted; have++, filled_to += 2 * page) {
		if (mmap(filled_to, page, PROT_READ, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
		    filled_to) {
			perror("mmap");
			exit(1);
		}
	}
}

static void *thread(void *argument)
{
	return argument;
}

static int mapped(void *result)
{
	return result == MAP_FAILED ? errno : 0;
}

static int done(long result)
{
	return result == -1 ? errno : 0;
}

static int limited(int resource, size_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	return setrlimit(resource, &limit);
}

static int call(const char *name)
{
	char *middle = area + 4 * page;
	unsigned long nodes = 1, heap, grown;
	unsigned long aio = 0;
	pthread_t other;
	void *there;
	int result, segment;

#define IS(what) (!strcmp(name, what))
	if (IS("mmap"))
		return mapped(mmap(NULL, page, PROT_READ, ANONYMOUS, -1, 0));
	if (IS("up and down")) /* all that was filled goes again */
		return done(munmap(filled, filled_to - filled));
	if (IS("a thousand of mmap")) {
		for (int i = 1; i < 1000; i++)
			mmap(NULL, page, PROT_READ, ANONYMOUS, -1, 0);
		return mapped(mmap(NULL, page, PROT_READ, ANONYMOUS, -1, 0));
	}
	if (IS("mmap_inside"))
		return mapped(mmap(middle, page, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0));
	if (IS("munmap_middle"))
		return done(munmap(middle, page));
	if (IS("mprotect_middle"))
		return done(mprotect(middle, page, PROT_READ));
	if (IS("mprotect_end"))
		return done(mprotect(area, page, PROT_READ));
	if (IS("pkey_mprotect_middle"))
		return done(syscall(SYS_pkey_mprotect, middle, page, PROT_READ, -1));
	if (IS("mremap_move"))
		return mapped(mremap(area, 9 * page, 99 * page, MREMAP_MAYMOVE));
	if (IS("mremap_fixed"))
		return mapped(mremap(area, 9 * page, 9 * page, MREMAP_MAYMOVE | MREMAP_FIXED, far));
	if (IS("mremap_dontunmap"))
		return mapped(mremap(area, 9 * page, 9 * page,
				     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, far));
	if (IS("mremap_shrink"))
		return mapped(mremap(area, 9 * page, 4 * page, 0));
	if (IS("brk")) {
		heap = syscall(SYS_brk, 0);
		grown = syscall(SYS_brk, heap + 64 * page);
		return grown == heap ? ENOMEM : 0;
	}
	if (IS("madvise_middle"))
		return done(madvise(middle, page, MADV_DONTFORK));
	if (IS("mlock_middle"))
		return done(mlock(middle, page));
	if (IS("mlock2_middle"))
		return done(syscall(SYS_mlock2, middle, page, 0));
	if (IS("munlock_middle")) /* all of it was locked before */
		return done(munlock(middle, page));
	if (IS("mbind_middle"))
		return done(syscall(SYS_mbind, middle, page, 2, &nodes, 2, 0));
	if (IS("home_node_middle")) /* all of it has a policy */
		return done(syscall(SYS_set_mempolicy_home_node, middle, page, 0, 0));
	if (IS("mseal_middle"))
		return done(syscall(SYS_mseal, middle, page, 0));
	if (IS("name_middle"))
		return done(prctl(PR_SET_VMA, 0, middle, page, "name"));
	if (IS("shmat")) {
		segment = shmget(IPC_PRIVATE, page, IPC_CREAT | 0600);
		there = shmat(segment, NULL, 0);
		result = there == (void *)-1 ? errno : 0;
		shmctl(segment, IPC_RMID, NULL);
		return result;
	}
	if (IS("io_setup"))
		return done(syscall(SYS_io_setup, 1, &aio));
	if (IS("pthread_create")) {
		result = pthread_create(&other, NULL, thread, NULL);
		if (!result)
			pthread_join(other, NULL);
		return result;
	}

	/* --- no matter how many VMAs there are */
	if (IS("mmap of too much"))
		return mapped(mmap(NULL, 1UL << 60, PROT_READ, ANONYMOUS, -1, 0));
	if (IS("mmap beyond RLIMIT_AS"))
		return limited(RLIMIT_AS, 1) ? -1 :
					       mapped(mmap(NULL, page, PROT_READ, ANONYMOUS, -1, 0));
	if (IS("brk beyond RLIMIT_DATA")) {
		heap = syscall(SYS_brk, 0);
		return limited(RLIMIT_DATA, 1) || (unsigned long)syscall(SYS_brk, heap + page) == heap ?
			       ENOMEM :
			       0;
	}
	if (IS("mprotect of a hole"))
		return done(mprotect(area + 8 * page, 2 * page, PROT_READ));
	if (IS("munlock of a hole"))
		return done(munlock(far, page));
	if (IS("madvise of a hole"))
		return done(madvise(far, page, MADV_DONTFORK));
	return -1;
}

int main(int argc, char **argv)
{
	char byte;
	int result;

	if (argc < 3)
		return 2;
	page = sysconf(_SC_PAGESIZE);
	area = mmap((char *)0x200000000000, 9 * page, WRITABLE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	memset(area, 1, 9 * page);
	if (!strcmp(argv[1], "mremap_move")) /* it cannot grow where it is */
		mmap(area + 9 * page, page, PROT_NONE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (!strcmp(argv[1], "munlock_middle") && mlock(area, 9 * page))
		return 1;
	if (!strcmp(argv[1], "home_node_middle")) {
		unsigned long nodes = 1;

		if (syscall(SYS_mbind, area, 9 * page, 2, &nodes, 2, 0))
			return 1;
	}
	fill(atoi(argv[2]));
	if (argc > 3) {
		dprintf(1, "ready\n");
		if (read(0, &byte, 1) != 1)
			return 1;
	}
	result = call(argv[1]);
	dprintf(1, "%d %d\n", getpid(), result);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
