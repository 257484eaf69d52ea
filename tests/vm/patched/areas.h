/* SPDX-License-Identifier: GPL-2.0-only */
/* Areas of anonymous memory at chosen places, counted and filled: what both programs share. */
#ifndef AREAS_H
#define AREAS_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define HUGE (2UL << 20)

/* PROT_NONE memory around everything: no neighbour that could join by chance */
#define ARENA (96UL << 20)
static char *arena;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

/* A fresh arena, aligned to huge pages; the one before is given back. */
static void new_arena(void)
{
	static char *whole;

	if (whole)
		must(!munmap(whole, ARENA + HUGE), "munmap the arena");
	whole = mmap(NULL, ARENA + HUGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	must(whole != MAP_FAILED, "mmap the arena");
	arena = (char *)(((uintptr_t)whole + HUGE - 1) & ~(HUGE - 1));
}

/* Memory that nobody has written to, at this place. */
static char *map_flags(char *at, size_t size, int prot, int flags)
{
	char *got = mmap(at, size, prot, ANON | MAP_FIXED | flags, -1, 0);

	must(got == at, "mmap");
	return at;
}

static char *map(char *at, size_t size)
{
	return map_flags(at, size, RW, 0);
}

static void advise(char *at, size_t size, int advice)
{
	must(!madvise(at, size, advice), "madvise");
}

static void protect(char *at, size_t size, int prot)
{
	must(!mprotect(at, size, prot), "mprotect");
}

static void move(char *from, size_t size, char *to)
{
	must(mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
}

/* One byte of each page: the first write makes the anon_vma. */
static void touch(char *at, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		((volatile char *)at)[i] = 1;
}

/* How many VMAs there are from `from` to `to`. */
static int count_vmas(const char *from, const char *to)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];
	int found = 0;

	must(maps, "/proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2)
			found += start < (unsigned long)to && end > (unsigned long)from;
	fclose(maps);
	return found;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	must(fd >= 0, path);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static long read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	long number = -1;

	if (!file)
		return -1;
	must(fscanf(file, "%ld", &number) == 1, path);
	fclose(file);
	return number;
}

/* A counter of /proc/vmstat; 0 on a kernel without it. */
static long vmstat(const char *name)
{
	FILE *file = fopen("/proc/vmstat", "r");
	char key[128];
	long value, found = 0;

	must(file, "/proc/vmstat");
	while (fscanf(file, "%127s %ld", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	fclose(file);
	return found;
}

#define SWITCH "/proc/sys/vm/anon_vma_merge"

#define BOUND "/proc/sys/vm/anon_vma_merge_max_pages"

/* A sysctl of the series; nothing to do on a kernel without it. */
static void set_number(const char *path, long number)
{
	char text[24];

	if (access(path, F_OK))
		return;
	snprintf(text, sizeof(text), "%ld", number);
	write_file(path, text);
}

static void set_switch(long mask)
{
	set_number(SWITCH, mask);
}

/* Runs a function in a child that must end well. */
static void in_child(void (*work)(void))
{
	int status;
	pid_t child = fork();

	must(child >= 0, "fork");
	if (!child) {
		work();
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child, "waitpid");
	if (status) {
		fprintf(stderr, "a child ended with %#x\n", status);
		exit(2);
	}
}

/* GUP_TEST's long pins (mm/gup_test.c) */
struct pin_longterm {
	uint64_t addr, size;
	uint32_t flags;
};
#define PIN_START _IOW('g', 7, struct pin_longterm)
#define PIN_STOP _IO('g', 8)
#define PIN_READ _IOW('g', 9, uint64_t)

/* A child that only lives, and so shares what was written before it came. */
static pid_t living_child(int *hold)
{
	int ends[2];
	pid_t child;
	char byte;

	must(!pipe(ends), "pipe");
	child = fork();
	must(child >= 0, "fork");
	if (!child) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) != 0);
	}
	close(ends[0]);
	*hold = ends[1];
	return child;
}

static void end_child(pid_t child, int hold)
{
	int status;

	close(hold);
	must(waitpid(child, &status, 0) == child, "waitpid");
}

#endif
