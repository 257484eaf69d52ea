/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * strange uring | go | exec | spawn: targets of a rebuild that are in an odd state, or never in the same.
 *
 * Each has 16 areas of four pages in a row, kept apart by anon_vma or page offset alone, and says its pid.
 *
 *   uring   is in no system call, while a worker of io_uring waits to read from stdin into the row. When
 *           that has come, it says how many bytes there were, how many in the row are wrong, and VMAs of it
 *   go      has a thread on a stack where the Go runtime has its own; says for each line what is wrong
 *   exec    looks at everything, runs itself anew, and so on
 *   spawn   a thread starts other programs all the time, another looks at everything
 *
 * exec and spawn end with a status of their own when a byte is wrong.
 */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECES = 16, PAGES = 4, READ = 8, WRONG = 3 };
static char *const BASE = (char *)0x200000000000;
/* src/runtime/malloc.go, mallocinit */
#ifdef __aarch64__
static char *const GO = (char *)0x4000000000;
#else
static char *const GO = (char *)0xc000000000;
#endif
static size_t page, length;

static void must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

static void map(char *at, size_t size)
{
	must(mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at,
	     "mmap");
}

static void make(void)
{
	int i;

	page = sysconf(_SC_PAGESIZE);
	length = PAGES * page;
	for (i = 0; i < PIECES; i++) {
		char *at = BASE + i * length, *from = i % 2 ? at + 0x80000000000 + i * length : at;

		map(from, length);
		memset(from, i + 1, length);
		if (i % 2)
			must(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at, "mremap");
	}
}

static long wrong_from(size_t at)
{
	long wrong = 0;

	for (; at < PIECES * length; at++)
		wrong += BASE[at] != (char)(at / length + 1);
	return wrong;
}

static int vmas(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;

	while (fgets(line, sizeof(line), maps))
		count += !strncmp(line, "2000000", 7);
	fclose(maps);
	return count;
}

static void say_pid(void)
{
	printf("%d\n", getpid());
	fflush(stdout);
}

static void uring(void)
{
	struct io_uring_params how = {0};
	int ring = syscall(SYS_io_uring_setup, 4, &how);
	struct io_uring_sqe *entry;
	struct io_uring_cqe *done;
	char *asked, *answered;

	must(ring >= 0, "io_uring_setup");
	asked = mmap(NULL, how.sq_off.array + 4 * how.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		     IORING_OFF_SQ_RING);
	answered = mmap(NULL, how.cq_off.cqes + how.cq_entries * sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED,
			ring, IORING_OFF_CQ_RING);
	entry = mmap(NULL, how.sq_entries * sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		     IORING_OFF_SQES);
	must(asked != MAP_FAILED && answered != MAP_FAILED && (void *)entry != MAP_FAILED, "mmap the ring");
	*entry = (struct io_uring_sqe){.opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = 0,
				       .addr = (unsigned long)BASE, .len = READ};
	*(unsigned *)(asked + how.sq_off.array) = 0;
	atomic_store((atomic_uint *)(asked + how.sq_off.tail), 1);
	must(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1, "io_uring_enter");
	say_pid();
	while (!atomic_load((atomic_uint *)(answered + how.cq_off.tail)))
		;
	done = (void *)(answered + how.cq_off.cqes);
	printf("%d %ld %d\n", done->res, (long)!!memcmp(BASE, "received", READ) + wrong_from(READ), vmas());
	fflush(stdout);
	pause();
}

static void *sleeps(void *unused)
{
	pause();
	return unused;
}

static void go(void)
{
	pthread_attr_t how;
	pthread_t thread;
	char line[8];

	map(GO, 1 << 20);
	pthread_attr_init(&how);
	pthread_attr_setstack(&how, GO, 1 << 20);
	must(!pthread_create(&thread, &how, sleeps, NULL), "pthread_create");
	say_pid();
	while (fgets(line, sizeof(line), stdin)) {
		printf("0 %ld %d\n", wrong_from(0), vmas());
		fflush(stdout);
	}
}

static void *spawns(void *unused)
{
	char *words[] = {"true", NULL}, *none[] = {NULL};
	pid_t child;

	for (;;)
		if (!posix_spawn(&child, "/bin/true", NULL, NULL, words, none))
			waitpid(child, NULL, 0);
	return unused;
}

int main(int argc, char **argv)
{
	char *again[] = {argv[0], argv[1], "again", NULL};
	pthread_t thread;

	make();
	if (!strcmp(argv[1], "uring"))
		uring();
	if (!strcmp(argv[1], "go"))
		go();
	if (argc == 2 && strcmp(argv[1], "go"))
		say_pid();
	if (!strcmp(argv[1], "exec")) {
		usleep(100000);
		if (wrong_from(0))
			return WRONG;
		execv("/proc/self/exe", again);
		return 4;
	}
	if (!strcmp(argv[1], "spawn")) {
		must(!pthread_create(&thread, NULL, spawns, NULL), "pthread_create");
		for (;;)
			if (wrong_from(0))
				return WRONG;
	}
	return 0;
}
