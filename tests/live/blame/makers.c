/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * A program whose makers of VMAs are known by name: makers WAY, WAY being
 *
 *   guards   cut_guards() protects every other page of 200
 *   child    the same in a child, whose parent made an area of 40 before
 *   exec     itself, again, as guards
 *   passing  as guards, and lets go of them before it ends
 *   made     as guards, called through code made at run time that a perf map names
 *   threads  three other threads map without pause meanwhile
 *
 * With "wait" behind it, it works on a line of stdin and ends on the next.
 */
#define _GNU_SOURCE
#include <fcntl.h>
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

static char map_name[64];

static void remove_map(void)
{
	unlink(map_name);
}

/* As V8 does with its builtins: what is made at run time lies between the program and this. */
static void map_own_code_again(void)
{
	int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (own < 0 || mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, own, page) == MAP_FAILED)
		exit(1);
	close(own);
}

/*
 * Code as run-time compilers make it, without unwind tables: a trampoline of CPython's kind, called by
 * a method of HotSpot's kind. On x86-64 with rbp used for something else; on Arm both keep x29.
 */
static void call_through_made_code(void (*function)(void))
{
#if defined(__x86_64__)
	static const unsigned char trampoline[] = {
		0x48, 0x83, 0xec, 0x08, /* sub rsp, 8 */
		0xff, 0xd1, /* call rcx */
		0x48, 0x83, 0xc4, 0x08, /* add rsp, 8 */
		0xc3, /* ret */
	};
	static const unsigned char method[] = {
		0x89, 0x84, 0x24, 0x00, 0xc0, 0xfe, 0xff, /* mov [rsp - 0x14000], eax */
		0x55, /* push rbp */
		0x48, 0x81, 0xec, 0x20, 0x01, 0x00, 0x00, /* sub rsp, 0x120 */
		0x31, 0xed, /* xor ebp, ebp */
		0x48, 0x89, 0xf9, /* mov rcx, rdi */
		0xff, 0xd6, /* call rsi */
		0x48, 0x81, 0xc4, 0x20, 0x01, 0x00, 0x00, /* add rsp, 0x120 */
		0x5d, /* pop rbp */
		0xc3, /* ret */
	};
#elif defined(__aarch64__)
	static const unsigned trampoline[] = {
		0xa9bf7bfd, /* stp x29, x30, [sp, #-16]! */
		0x910003fd, /* mov x29, sp */
		0xd63f0000, /* blr x0 */
		0xa8c17bfd, /* ldp x29, x30, [sp], #16 */
		0xd65f03c0, /* ret */
	};
	static const unsigned method[] = {
		0xa9bf7bfd, /* stp x29, x30, [sp, #-16]! */
		0x910003fd, /* mov x29, sp */
		0xd63f0020, /* blr x1 */
		0xa8c17bfd, /* ldp x29, x30, [sp], #16 */
		0xd65f03c0, /* ret */
	};
#else
#error "which code calls its first argument here?"
#endif
	char *code;
	FILE *map;

	map_own_code_again();
	code = mmap(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		exit(1);
	memcpy(code, trampoline, sizeof(trampoline));
	memcpy(code + 64, method, sizeof(method));
	__builtin___clear_cache(code, code + page);
	snprintf(map_name, sizeof(map_name), "/tmp/perf-%d.map", getpid());
	map = fopen(map_name, "w");
	if (!map || atexit(remove_map))
		exit(1);
	fprintf(map, "%lx %zx py::trampoline\n", (long)code, sizeof(trampoline));
	fprintf(map, "%lx %zx int Some.method(int)\n", (long)code + 64, sizeof(method));
	fclose(map);
	((void (*)(void (*)(void), void *))(code + 64))(function, code);
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
	} else if (!strcmp(way, "made")) {
		call_through_made_code(in_the_child);
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
