/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * mover PIECES [PAGES [near | huge]]: a target that notices what is done to it. Says its pid, then answers each line.
 *
 * PIECES areas of PAGES pages lie in a row, half of each written to; every other one was moved in, so
 * that they are VMAs of their own. Three threads work there all the while: one reads what was written,
 * one adds and checks its sums, one lets the kernel write (pipes) and reads it back.
 *
 * near: where the kernel maps next, and not far from everything. huge: with huge pages.
 *
 *   spoil   put copies in the place of every other piece, which are VMAs of their own once more
 *   fork    a child that lives, and shares all pages
 *   fill    VMAs without access until the kernel gives no more, and back by "empty"
 *   filter  a seccomp filter, which allows everything
 *   share   a process that shares the address space
 *   drop    the rights of root
 *   other   whatever: only the answer
 *
 * SIGUSR1 is handled, with a good deal of stack.
 *
 * Answer: rounds of each thread, what was wrong, VMAs in the row, VMAs in all, files open.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *BASE = (char *)0x200000000000;
#define ELSEWHERE ((char *)0x280000000000)

static size_t page, length;
static int pieces, huge;
/* whoever spoils comes first: the others never pause */
static pthread_rwlock_t moving = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static volatile unsigned long rounds[3], wrong;

static void must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

/* Page 0 of a piece is only read, page 1 holds sums, page 2 is written by the kernel. */
static unsigned char written(int piece, size_t offset)
{
	return (piece * 31 + offset * 7 + 1) & 255;
}

static void make(void)
{
	int i;
	size_t at;

	for (i = 0; i < pieces; i++) {
		char *place = BASE + i * length, *from = i % 2 ? ELSEWHERE + i * 2 * length : place;

		must(mmap(from, length, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == from, "mmap");
		must(!huge || !madvise(from, length, MADV_HUGEPAGE), "madvise");
		for (at = 0; at < page; at++)
			from[at] = written(i, at);
		memset(from + page, 0, 2 * page);
		if (i % 2)
			must(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place,
			     "mremap");
	}
}

static void spoil(void)
{
	int i;

	pthread_rwlock_wrlock(&moving);
	for (i = 1; i < pieces; i += 2) {
		char *place = BASE + i * length, *to = ELSEWHERE + i * 2 * length;

		/* moved out and home again it would merge: it came from there */
		must(mmap(to, length, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == to, "mmap");
		memcpy(to, place, 3 * page);
		must(mremap(to, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place, "mremap");
	}
	pthread_rwlock_unlock(&moving);
}

static void *reads(void *unused)
{
	int i = 0;
	size_t at;

	for (;; i = (i + 1) % pieces) {
		pthread_rwlock_rdlock(&moving);
		for (at = 0; at < page; at++)
			wrong += (unsigned char)BASE[i * length + at] != written(i, at);
		pthread_rwlock_unlock(&moving);
		rounds[0]++;
	}
	return unused;
}

static void *adds(void *unused)
{
	unsigned long *sums = calloc(pieces, sizeof(*sums));
	int i = 0;

	for (;; i = (i + 1) % pieces) {
		volatile unsigned long *cell = (void *)(BASE + i * length + page);

		pthread_rwlock_rdlock(&moving);
		wrong += *cell != sums[i];
		*cell = ++sums[i];
		wrong += *cell != sums[i];
		pthread_rwlock_unlock(&moving);
		rounds[1]++;
	}
	return unused;
}

static void *receives(void *unused)
{
	unsigned long number = 0;
	int ends[2], i = 0;

	must(!pipe2(ends, O_CLOEXEC), "pipe");
	for (;; i = (i + 1) % pieces) {
		unsigned long *cell = (void *)(BASE + i * length + 2 * page);

		number++;
		pthread_rwlock_rdlock(&moving);
		must(write(ends[1], &number, sizeof(number)) == sizeof(number), "write");
		wrong += read(ends[0], cell, sizeof(*cell)) != sizeof(*cell) || *cell != number;
		pthread_rwlock_unlock(&moving);
		rounds[2]++;
	}
	return unused;
}

#define FILLING ((char *)0x300000000000)
static size_t filled;

static void fill(void)
{
	while (mmap(FILLING + 2 * filled * page, page, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED)
		filled++;
}

static void empty(void)
{
	must(!munmap(FILLING, 2 * filled * page), "munmap");
	filled = 0;
}

static void filter(void)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog program = {1, &allow};

	must(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new rights");
	must(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program), "seccomp");
}

static int waits(void *unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
	return !unused;
}

static void share(void)
{
	static char stack[1 << 16];

	must(clone(waits, stack + sizeof(stack), CLONE_VM, NULL) > 0, "clone");
}

static void handles(int number)
{
	volatile char deep[48 << 10];

	memset((char *)deep, number, sizeof(deep));
}

static DIR *files;

static int count_files(void)
{
	int count = 0;

	rewinddir(files);
	while (readdir(files))
		count++;
	return count;
}

static void answer(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long low, high;
	int row = 0, total = 0;
	char line[512];

	while (fgets(line, sizeof(line), maps)) {
		total++;
		if (sscanf(line, "%lx-%lx", &low, &high) == 2)
			row += low < (uintptr_t)BASE + pieces * length && high > (uintptr_t)BASE;
	}
	fclose(maps);
	printf("%lu %lu %lu %lu %d %d %d\n", rounds[0], rounds[1], rounds[2], wrong, row, total,
	       count_files());
	fflush(stdout);
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = {reads, adds, receives};
	pthread_t thread;
	char line[64];
	size_t i;

	pieces = argc > 1 ? atoi(argv[1]) : 64;
	page = sysconf(_SC_PAGESIZE);
	length = (argc > 2 ? atoi(argv[2]) : 8) * page;
	huge = argc > 3 && !strcmp(argv[3], "huge");
	if (argc > 3 && !huge) {
		BASE = mmap(NULL, pieces * length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(BASE, pieces * length);
	}
	files = opendir("/proc/self/fd");
	signal(SIGUSR1, handles);
	make();
	for (i = 0; i < 3; i++)
		must(!pthread_create(&thread, NULL, work[i], NULL), "pthread_create");
	printf("%d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "spoil\n"))
			spoil();
		if (!strcmp(line, "fill\n"))
			fill();
		if (!strcmp(line, "empty\n"))
			empty();
		if (!strcmp(line, "filter\n"))
			filter();
		if (!strcmp(line, "share\n"))
			share();
		if (!strcmp(line, "drop\n"))
			must(!setuid(65534), "setuid");
		if (!strcmp(line, "fork\n") && !fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		answer();
	}
	return 0;
}
