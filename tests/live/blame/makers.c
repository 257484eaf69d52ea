/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A program whose makers of VMAs are known by name: makers WAY, WAY being
 *
 *   guards   cut_guards() protects every other page of 200
 *   child    the same in a child, whose parent made an area of 40 before
 *   exec     itself, again, as guards
 *   passing  as guards, and lets go of them before it ends
 *   threads  three other threads map without pause meanwhile
 *
 * With "wait" behind it, it works on a line of stdin and ends on the next.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static long page;
#define OTHERS 3

static atomic_int over, turns;
static int waits;
static char *last;

__attribute__((noinline)) static void cut_guards(int pages)
{
	char *area = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		exit(1);
	for (int i = 0; i < pages; i += 2)
		if (mprotect(area + i * page, page, PROT_NONE))
			exit(1);
	last = area;
}

__attribute__((noinline)) static void in_the_parent(void)
{
	cut_guards(40);
	atomic_signal_fence(memory_order_seq_cst);
}

__attribute__((noinline)) static void in_the_child(void)
{
	cut_guards(200);
	atomic_signal_fence(memory_order_seq_cst);
}

static void *map_without_pause(void *unused)
{
	(void)unused;
	while (!over) {
		void *at = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at != MAP_FAILED)
			munmap(at, page);
		turns++;
	}
	return NULL;
}

static void wait_for_line(void)
{
	char c = 0;

	while (waits && c != '\n')
		if (read(0, &c, 1) != 1)
			exit(3);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	pthread_t others[OTHERS];
	pid_t child;

	page = sysconf(_SC_PAGESIZE);
	waits = argc > 2;
	if (!strcmp(way, "exec")) {
		wait_for_line();
		execl(argv[0], argv[0], "guards", waits ? "wait" : NULL, NULL);
		return 1;
	}
	wait_for_line();
	if (!strcmp(way, "guards")) {
		in_the_child();
	} else if (!strcmp(way, "passing")) {
		in_the_child();
		/* for whoever looks meanwhile */
		sleep(3);
		munmap(last, 200 * page);
	} else if (!strcmp(way, "threads")) {
		for (int i = 0; i < OTHERS; i++)
			pthread_create(&others[i], NULL, map_without_pause, NULL);
		while (turns < 1000)
			sched_yield();
		for (int i = 0; i < 10; i++)
			in_the_child();
		over = 1;
		for (int i = 0; i < OTHERS; i++)
			pthread_join(others[i], NULL);
	} else if (!strcmp(way, "child")) {
		in_the_parent();
		child = fork();
		if (!child) {
			in_the_child();
			printf("%d\n", getpid());
			fflush(stdout);
			wait_for_line();
			return 0;
		}
		return waitpid(child, NULL, 0) != child;
	} else {
		return 2;
	}
	printf("%d\n", getpid());
	fflush(stdout);
	wait_for_line();
	return 0;
}
