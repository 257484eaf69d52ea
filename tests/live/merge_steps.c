// SPDX-License-Identifier: GPL-2.0-only
/*
 * Known attempts to merge, one system call each: what counters of attempts are held against.
 *
 * Each step first makes a layout in an area of its own, says "NAME\n" and waits for a byte; then
 * it does the one call that is to be counted and says "0\n" or its errno. Nothing else in this
 * process maps memory meanwhile. It runs as the child of a fork (steps about inherited memory need
 * one), in the pid namespace of its parent; the first line is its pid.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))
#define SIDE (4 * PAGE)
#define RW (PROT_READ | PROT_WRITE)
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static char *inherited, *inherited_twice; /* written before the fork, by the parent */
static char *a, *b, *c;			  /* neighbours, SIDE each, of the area of this step */
static pid_t child;

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static char *map(char *at, size_t size, int prot, int flags, int fd)
{
	char *got = mmap(at, size, prot,
			 MAP_PRIVATE | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0) | flags,
			 fd, 0);

	must(got == at, "mmap");
	return got;
}

/* Apart: with flags that differ at the first write, so that each gets an anon_vma of its own. */
static void written_apart(char *one, char *other)
{
	map(one, SIDE, RW, 0, -1);
	map(other, SIDE, RW, 0, -1);
	must(!madvise(other, SIDE, MADV_DONTDUMP), "madvise");
	memset(one, 1, SIDE);
	memset(other, 2, SIDE);
}

static void bound(char *at)
{
	unsigned long node = 1;

	must(!syscall(SYS_mbind, at, SIDE, 2 /* MPOL_BIND */, &node, 64, 0), "mbind");
}

static void name(char *at, const char *text)
{
	/* a kernel without names refuses the call that is counted, too */
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, SIDE, text);
}

static int registered(char *at, int *fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range = { (unsigned long)at, SIDE },
					.mode = UFFDIO_REGISTER_MODE_MISSING };

	if (*fd < 0) {
		*fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		must(*fd >= 0 && !ioctl(*fd, UFFDIO_API, &api), "userfaultfd");
	}
	return ioctl(*fd, UFFDIO_REGISTER, &area);
}

static void fork_child(void)
{
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static int moved(char *from, char *to)
{
	return mremap(from, SIDE, SIDE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to ? 0 : -1;
}

static int mapped(char *at)
{
	return mmap(at, SIDE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at ?
		       0 : -1;
}

/* --- layouts */

static void lay_nothing(void) {}
static void lay_a(void) { map(a, SIDE, RW, 0, -1); }
static void lay_readable(void) { map(a, SIDE, PROT_READ, 0, -1); }
static void lay_a_and_c(void) { map(a, SIDE, RW, 0, -1); map(c, SIDE, RW, 0, -1); }
static void lay_no_access_behind(void) { lay_a(); map(b, SIDE, PROT_NONE, 0, -1); }
static void lay_three(void) { map(a, 3 * SIDE, RW, 0, -1); }
static void lay_written_apart(void) { written_apart(a, b); }
static void lay_file(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	must(fd >= 0, "/dev/zero");
	map(a, SIDE, RW, 0, fd);
}
static void lay_second_written(void)
{
	lay_a();
	map(b, SIDE, RW, 0, -1);
	must(!madvise(b, SIDE, MADV_DONTDUMP), "madvise");
	memset(b, 1, SIDE);
}
static void lay_first_written(void)
{
	lay_a();
	map(b, SIDE, RW, 0, -1);
	must(!madvise(b, SIDE, MADV_DONTDUMP), "madvise");
	memset(a, 1, SIDE);
}
static void lay_locked(void)
{
	map(a, 2 * SIDE, RW, 0, -1);
	memset(a, 1, 2 * SIDE);
	must(!mlock(b, SIDE), "mlock");
}
static void lay_both_written(void) { lay_three(); memset(a, 1, 3 * SIDE); }
static void lay_hole_of_one(void)
{
	lay_both_written();
	must(!munmap(b, SIDE), "munmap");
}
static void lay_hole_of_two(void)
{
	written_apart(a, c);
	must(!madvise(c, SIDE, MADV_DODUMP), "madvise");
}
static void lay_elsewhere(void)
{
	map(a, SIDE, RW, 0, -1);
	map(c + SIDE, SIDE, RW, 0, -1);
	memset(a, 1, SIDE);
	memset(c + SIDE, 1, SIDE);
}
static void lay_elsewhere_unwritten(void)
{
	map(a, SIDE, RW, 0, -1);
	map(c + SIDE, SIDE, RW, 0, -1);
	memset(c + SIDE, 1, SIDE);
}
static void lay_shared(void) { lay_written_apart(); fork_child(); }
static void lay_hole_shared(void) { lay_hole_of_one(); fork_child(); }
static void lay_policy(void) { lay_a(); bound(a); map(b, SIDE, RW, 0, -1); }
static void lay_policies_written(void)
{
	map(a, SIDE, RW, 0, -1);
	bound(a);
	map(b, SIDE, RW, 0, -1);
	must(!madvise(b, SIDE, MADV_DONTDUMP), "madvise");
	bound(b);
	memset(a, 1, SIDE);
	memset(b, 1, SIDE);
}
static void lay_bound(void) { lay_a(); bound(a); }
static void lay_other_policy(void)
{
	lay_policy();
	must(!madvise(b, SIDE, MADV_DONTDUMP), "madvise");
}
static void lay_named(void) { lay_a(); name(a, "one"); }
static void lay_named_before_plain(void) { lay_named(); map(b, SIDE, PROT_READ, 0, -1); }
static void lay_same_name(void)
{
	lay_no_access_behind();
	name(a, "one");
	name(b, "one");
}
static void lay_two_named(void)
{
	lay_a_and_c();
	map(b, SIDE, PROT_NONE, 0, -1);
	name(a, "one");
	name(b, "other");
}
static int first = -1, second = -1;
static void lay_registered(void)
{
	lay_a();
	must(!registered(a, &first), "UFFDIO_REGISTER");
	map(b, SIDE, RW, 0, -1);
}
static void lay_growing(void) { must(sbrk(PAGE) != (void *)-1, "brk"); }

/* --- what is counted */

static int do_map_b(void) { return mapped(b); }
static int do_none(void) { return mprotect(b, SIDE, PROT_NONE); }
static int do_first_none(void) { return mprotect(a, SIDE, PROT_NONE); }
static int do_rw(void) { return mprotect(b, SIDE, RW); }
static int do_dump(void) { return madvise(b, SIDE, MADV_DODUMP); }
static int do_not_dump_first(void) { return madvise(a, SIDE, MADV_DONTDUMP); }
static int do_unlock(void) { return munlock(b, SIDE); }
static int do_move_behind(void) { return moved(c + SIDE, b); }
static int do_move_a_behind_c(void) { return moved(a, c + SIDE); }
static int do_grow(void) { return mremap(a, SIDE, 2 * SIDE, 0) == a ? 0 : -1; }
static int do_brk(void) { return sbrk(PAGE) == (void *)-1; }
static int do_register_same(void) { return registered(b, &first); }
static int do_register_other(void) { return registered(b, &second); }
static int do_name(void)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, b, SIDE, "one");
}
static int do_bind(void) { bound(b); return 0; }
static int do_map_behind_inherited(void) { return mapped(inherited + SIDE); }
static int do_split_inherited(void) { return mprotect(inherited_twice, SIDE, PROT_READ); }
static int do_rejoin_inherited(void) { return mprotect(inherited_twice, SIDE, RW); }
static int do_file(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return mmap(b, SIDE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0) == b ? 0 : -1;
}
static int do_shared(void)
{
	return mmap(b, SIDE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == b ? 0 :
												 -1;
}

static const struct step {
	const char *name;
	void (*lay)(void);
	int (*call)(void);
} steps[] = {
	{ "mmap_far_from_all", lay_nothing, do_map_b },
	{ "mmap_behind_its_like", lay_a, do_map_b },
	{ "mmap_into_a_hole", lay_a_and_c, do_map_b },
	{ "mmap_into_a_hole_of_one_anon_vma", lay_hole_of_one, do_map_b },
	{ "mmap_into_a_hole_of_two_anon_vmas", lay_hole_of_two, do_map_b },
	{ "mmap_behind_other_access", lay_readable, do_map_b },
	{ "mmap_behind_dev_zero", lay_file, do_map_b },
	{ "mmap_of_a_file_behind", lay_a, do_file },
	{ "mmap_of_shared_memory_behind", lay_a, do_shared },
	{ "mmap_behind_inherited", lay_nothing, do_map_behind_inherited },
	{ "mprotect_of_inherited_splits", lay_nothing, do_split_inherited },
	{ "mprotect_of_inherited_rejoins", lay_nothing, do_rejoin_inherited },
	{ "mprotect_of_the_middle", lay_three, do_none },
	{ "mprotect_of_the_beginning", lay_three, do_first_none },
	{ "mprotect_to_its_like", lay_no_access_behind, do_rw },
	{ "madvise_beside_other_anon_vma", lay_written_apart, do_dump },
	{ "madvise_of_written_behind_unwritten", lay_second_written, do_dump },
	{ "madvise_of_unwritten_behind_written", lay_first_written, do_dump },
	{ "madvise_of_written_before_unwritten", lay_first_written, do_not_dump_first },
	{ "madvise_beside_shared_by_fork", lay_shared, do_dump },
	{ "munlock_of_a_half", lay_locked, do_unlock },
	{ "mremap_behind_written", lay_elsewhere, do_move_behind },
	{ "mremap_behind_unwritten", lay_elsewhere_unwritten, do_move_behind },
	{ "mremap_behind_the_same_anon_vma", lay_hole_of_one, do_move_a_behind_c },
	{ "mremap_behind_itself", lay_both_written, do_move_a_behind_c },
	{ "mremap_behind_shared_by_fork", lay_hole_shared, do_move_a_behind_c },
	{ "mremap_grows", lay_a, do_grow },
	{ "brk_grows", lay_growing, do_brk },
	{ "mmap_behind_a_policy", lay_bound, do_map_b },
	{ "madvise_beside_a_policy", lay_other_policy, do_dump },
	{ "mbind_beside_the_same_policy", lay_policy, do_bind },
	{ "madvise_beside_the_same_policy", lay_policies_written, do_dump },
	{ "mmap_behind_a_name", lay_named, do_map_b },
	{ "mprotect_between_other_names", lay_two_named, do_rw },
	{ "mprotect_beside_the_same_name", lay_same_name, do_rw },
	{ "prctl_names_what_lies_beside_other_access", lay_named_before_plain, do_name },
	{ "userfaultfd_beside_the_same", lay_registered, do_register_same },
	{ "userfaultfd_beside_another", lay_registered, do_register_other },
};

static void say(const char *text)
{
	must(write(1, text, strlen(text)) == (ssize_t)strlen(text), "write");
}

int main(void)
{
	char text[64], byte;
	int status;
	pid_t self;

	inherited = map((char *)0x1f0000000000, SIDE, RW, 0, -1);
	inherited_twice = map((char *)0x1f0100000000, 2 * SIDE, RW, 0, -1);
	memset(inherited, 1, SIDE);
	memset(inherited_twice, 1, 2 * SIDE);
	self = fork();
	if (self) {
		waitpid(self, &status, 0);
		return !WIFEXITED(status) || WEXITSTATUS(status);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(text, sizeof(text), "%d\n", getpid());
	say(text);
	must(read(0, &byte, 1) == 1, "read");
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		a = (char *)0x200000000000 + (i << 30);
		b = a + SIDE;
		c = b + SIDE;
		steps[i].lay();
		say(steps[i].name);
		say("\n");
		must(read(0, &byte, 1) == 1, "read");
		errno = 0;
		snprintf(text, sizeof(text), "%d\n", steps[i].call() ? errno : 0);
		say(text);
		must(read(0, &byte, 1) == 1, "read");
		if (child > 0) {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
			child = 0;
		}
	}
	return 0;
}
