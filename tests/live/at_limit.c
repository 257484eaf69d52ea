// SPDX-License-Identifier: GPL-2.0-only
/*
 * One call each at an exact number of VMAs near vm.max_map_count: which error it gives.
 *
 *     at_limit NAME:OFFSET ...
 *
 * For each, a child makes what the call needs, fills up to limit + OFFSET VMAs, calls, and the line
 * "NAME OFFSET ERROR" is printed, ERROR being the errno's name or "ok". Names are those of the rows
 * of vmad/rules/at_limit.py. Nearly all of the filling is done once, before the first fork.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define PAGES 9UL
#define RW (PROT_READ | PROT_WRITE)
#define AT_ONCE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)
/* left free before the first fork, for what a call needs */
#define LEFT 24
/* newer than the headers of some build hosts */
#define MSEAL 462
#define GUARD_INSTALL 102
#define MEMORY_MERGE 67
#define DONTUNMAP 4
#define PREFERRED 1

static char *const OBJECT = (char *)0x200000000000;
static char *const ALONE = (char *)0x250000000000;
static char *const TARGET = (char *)0x260000000000;
static char *next_filler = (char *)0x300000000000;
static int segment, fault_fd;
static const char *program;

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		_exit(2);
	}
}

/* the kernel's count: lines of maps without [vsyscall], which is no VMA */
static long count(void)
{
	static char text[1 << 18];
	int fd = open("/proc/self/maps", O_RDONLY);
	long lines = 0;
	ssize_t got;

	must(fd >= 0, "maps");
	while ((got = read(fd, text, sizeof(text))) > 0) {
		for (char *at = text; (at = memchr(at, '\n', text + got - at)); at++)
			lines++;
		if (memmem(text, got, "[vsyscall]", 10))
			lines--;
	}
	close(fd);
	return lines;
}

static long limit(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY);

	must(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "max_map_count");
	close(fd);
	return atol(text);
}

static void fill(long from, long to)
{
	for (; from < to; from++, next_filler += 2 * PAGE)
		must(mmap(next_filler, PAGE, RW, AT_ONCE, -1, 0) != MAP_FAILED, "filling");
}

static char *area(char *at, unsigned long pages, int access)
{
	char *made = mmap(at, pages * PAGE, access, AT_ONCE, -1, 0);

	must(made != MAP_FAILED, "an area");
	if (access == RW)
		made[0] = made[4 * PAGE] = 1; /* an anon_vma */
	return made;
}

static void *nothing(void *argument)
{
	return argument;
}

static void make_object(void)
{
	area(OBJECT, PAGES, RW);
}

static void make_object_that_cannot_grow(void)
{
	make_object();
	area(OBJECT + PAGES * PAGE, 1, PROT_NONE);
}

static void make_segment(void)
{
	segment = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	must(segment >= 0, "shmget");
}

static void make_fault_object(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	make_object();
	fault_fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	must(fault_fd >= 0 && !ioctl(fault_fd, UFFDIO_API, &api), "userfaultfd");
}

static int mapped(void *at)
{
	return at == MAP_FAILED ? errno : 0;
}

static int returned(long value)
{
	return value < 0 ? errno : 0;
}

#define MIDDLE (OBJECT + 4 * PAGE), PAGE
#define END OBJECT, (2 * PAGE)
#define WHOLE OBJECT, (PAGES * PAGE)

static int bind(char *at, unsigned long size)
{
	unsigned long nodes = 1;

	return returned(syscall(SYS_mbind, at, size, PREFERRED, &nodes, 64, 0));
}

static int watch_faults(char *at, unsigned long size)
{
	struct uffdio_register range = {
		.range = { (unsigned long)at, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return returned(ioctl(fault_fd, UFFDIO_REGISTER, &range));
}

static int call_mmap(void) { return mapped(mmap(ALONE, PAGE, PROT_READ, AT_ONCE, -1, 0)); }
static int call_mmap_merging(void)
{
	return mapped(mmap(OBJECT + PAGES * PAGE, PAGE, RW, AT_ONCE, -1, 0));
}
static int call_mmap_inside(void)
{
	return mapped(mmap(MIDDLE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}
static int call_mmap_replacing(void)
{
	return mapped(mmap(WHOLE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}
static int call_brk(void)
{
	/* the system call gives no error but the old end; libc says ENOMEM */
	return returned(sbrk(64 * PAGE) == (void *)-1 ? -1 : 0);
}
static int call_shmat(void)
{
	int error = returned(shmat(segment, NULL, 0) == (void *)-1 ? -1 : 0);

	shmctl(segment, IPC_RMID, NULL);
	return error;
}
static int call_munmap_middle(void) { return returned(munmap(MIDDLE)); }
static int call_munmap_end(void) { return returned(munmap(END)); }
static int call_mprotect_middle(void) { return returned(mprotect(MIDDLE, PROT_READ)); }
static int call_mprotect_end(void) { return returned(mprotect(END, PROT_READ)); }
static int call_mprotect_whole(void) { return returned(mprotect(WHOLE, PROT_READ)); }
static int call_mlock_middle(void) { return returned(mlock(MIDDLE)); }
static int call_mlock_end(void) { return returned(mlock(END)); }
static int call_mseal_middle(void) { return returned(syscall(MSEAL, MIDDLE, 0)); }
static int call_mseal_end(void) { return returned(syscall(MSEAL, END, 0)); }
static int call_madvise_middle(void) { return returned(madvise(MIDDLE, MADV_DONTFORK)); }
static int call_madvise_end(void) { return returned(madvise(END, MADV_DONTFORK)); }
static int call_madvise_guard(void) { return returned(madvise(MIDDLE, GUARD_INSTALL)); }
static int call_mbind_middle(void) { return bind(MIDDLE); }
static int call_mbind_end(void) { return bind(END); }
static int call_userfaultfd_middle(void) { return watch_faults(MIDDLE); }
static int call_userfaultfd_end(void) { return watch_faults(END); }
static int call_mremap_fixed(void)
{
	return mapped(mremap(WHOLE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, TARGET));
}
static int call_mremap_dontunmap(void)
{
	return mapped(
		mremap(WHOLE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, TARGET));
}
static int call_mremap_move(void)
{
	return mapped(mremap(WHOLE, 2 * PAGES * PAGE, MREMAP_MAYMOVE));
}
static int call_mremap_grow(void) { return mapped(mremap(WHOLE, 2 * PAGES * PAGE, 0)); }
static int call_mremap_shrink(void) { return mapped(mremap(WHOLE, 4 * PAGE, 0)); }
static int call_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);

	return error ? error : pthread_join(thread, NULL);
}
static int call_fork(void)
{
	pid_t child = fork();

	if (child < 0)
		return errno;
	if (!child)
		_exit(0);
	return returned(waitpid(child, NULL, 0));
}
static int call_exec(void)
{
	int status;
	pid_t child = vfork();

	if (child < 0)
		return errno;
	if (!child) {
		execl(program, program, (char *)NULL);
		_exit(errno);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}
static int call_stack_growth(void)
{
	volatile char *top = __builtin_frame_address(0);

	for (unsigned long page = 1; page < 200; page++)
		top[-(long)(page * PAGE)] = 1;
	return 0;
}
static int call_merge_any(void) { return returned(prctl(MEMORY_MERGE, 1, 0, 0, 0)); }

static const struct row {
	const char *name;
	void (*prepare)(void);
	int (*call)(void);
} rows[] = {
#define BARE(name) { #name, NULL, call_##name }
#define WITH(name, prepare) { #name, prepare, call_##name }
	BARE(mmap),
	WITH(mmap_merging, make_object),
	WITH(mmap_inside, make_object),
	WITH(mmap_replacing, make_object),
	BARE(brk),
	WITH(shmat, make_segment),
	WITH(munmap_middle, make_object),
	WITH(munmap_end, make_object),
	WITH(mprotect_middle, make_object),
	WITH(mprotect_end, make_object),
	WITH(mprotect_whole, make_object),
	WITH(mlock_middle, make_object),
	WITH(mlock_end, make_object),
	WITH(mseal_middle, make_object),
	WITH(mseal_end, make_object),
	WITH(madvise_middle, make_object),
	WITH(madvise_end, make_object),
	WITH(madvise_guard, make_object),
	WITH(mbind_middle, make_object),
	WITH(mbind_end, make_object),
	WITH(userfaultfd_middle, make_fault_object),
	WITH(userfaultfd_end, make_fault_object),
	WITH(mremap_fixed, make_object),
	WITH(mremap_dontunmap, make_object),
	WITH(mremap_move, make_object_that_cannot_grow),
	WITH(mremap_grow, make_object),
	WITH(mremap_shrink, make_object),
	BARE(thread),
	BARE(fork),
	BARE(exec),
	BARE(stack_growth),
	BARE(merge_any),
};

static const struct row *row_named(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	fprintf(stderr, "no row %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	long most = limit();
	void *volatile heap;

	program = argv[0];
	if (argc == 1)
		return 0; /* this is the program that a child executes */
	heap = malloc(1 << 16); /* the heap is there, with room for what libc needs of a thread */
	free(heap);
	fill(count(), most - LEFT);
	for (int i = 1; i < argc; i++) {
		char *colon = strchr(argv[i], ':');
		long offset = atol(colon + 1);
		int status, error;
		pid_t child;

		*colon = '\0';
		child = fork();
		must(child >= 0, "fork");
		if (!child) {
			const struct row *row = row_named(argv[i]);

			if (row->prepare)
				row->prepare();
			fill(count(), most + offset);
			must(count() == most + offset, "the count");
			error = row->call();
			printf("%s %ld %s\n", row->name, offset, error ? strerrorname_np(error) : "ok");
			fflush(stdout);
			_exit(0);
		}
		must(waitpid(child, &status, 0) == child && status == 0, argv[i]);
	}
	return 0;
}
