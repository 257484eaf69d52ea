// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Memory in pieces that programs make for reasons of their own: pieces NAME N [MODE]. Prints READY
 * when it stands, and waits for its standard input to end. As shapes.c, for what is rarer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "by_hand.h"

/* every second of N pieces of so many bytes, all written or none */
static void every_second(size_t size, int written, void (*change)(char *, size_t))
{
	char *pool = writable((size_t)number * 2 * size);

	for (long i = 0; written && i < number * 2; i++)
		pool[i * (long)size] = 1;
	for (long i = 0; i < number; i++)
		change(pool + i * 2 * (long)size, size);
}

/* slices of 64 KiB that an allocator takes back by their rights */
static void take_back(char *at, size_t size)
{
	if (mprotect(at, size, PROT_NONE))
		failed("mprotect");
}

static void slices(void)
{
	every_second(64 << 10, 1, take_back);
}

/* code beside data, as compilers at run time lay them out */
static void seal_code(char *at, size_t size)
{
	if (mprotect(at, size, PROT_READ | PROT_EXEC))
		failed("mprotect");
}

static void code(void)
{
	every_second(64 << 10, 1, seal_code);
}

static void bind_here(char *at, size_t size)
{
	unsigned long node = 1;

	if (syscall(SYS_mbind, at, size, MPOL_BIND, &node, 8 * sizeof(node), 0))
		failed("mbind");
}

static void policies(void)
{
	every_second(page, 1, bind_here);
}

static int watcher;

static void watch(char *at, size_t size)
{
	struct uffdio_register wanted = {
		.range = {.start = (unsigned long)at, .len = size},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(watcher, UFFDIO_REGISTER, &wanted))
		failed("UFFDIO_REGISTER");
}

static void registered(void)
{
	struct uffdio_api api = {.api = UFFD_API};

	watcher = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (watcher < 0 || ioctl(watcher, UFFDIO_API, &api))
		failed("userfaultfd");
	every_second(page, 0, watch);
}

/* every second piece of a reserve is mapped with MAP_NORESERVE, the others without */
static void accounted(void)
{
	char *all = area((size_t)number * 2 * page, PROT_NONE, 0);

	for (long i = 0; i < number * 2; i++) {
		int flags = MAP_FIXED | (i % 2 ? MAP_NORESERVE : 0);

		if (mmap(all + i * (long)page, page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0) == MAP_FAILED)
			failed("mmap");
	}
}

/* each piece from an open of /dev/zero of its own */
static void zero(void)
{
	for (long i = 0; i < number; i++) {
		int file = open("/dev/zero", O_RDWR);
		char *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);

		if (at == MAP_FAILED)
			failed("/dev/zero");
		at[0] = 1;
		close(file);
	}
}

/* a page between two that may not be touched, as allocators that find overruns lay out blocks */
static void blocks(void)
{
	char *all = area((size_t)number * 2 * page, PROT_NONE, 0);

	for (long i = 0; i < number; i++) {
		char *block = all + i * 2 * (long)page;

		if (mprotect(block, page, PROT_READ | PROT_WRITE))
			failed("mprotect");
		block[0] = 1;
	}
}

/* WebAssembly memories that begin as an image of their module's data */
static void images(void)
{
	int image = memfd_create("image", MFD_CLOEXEC);

	if (image < 0 || ftruncate(image, 64 << 10))
		failed("memfd");
	for (long i = 0; i < number; i++) {
		char *memory = area(4UL << 30, PROT_NONE, MAP_NORESERVE);

		if (mmap(memory, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, image,
			 0) == MAP_FAILED)
			failed("image");
		if (mprotect(memory + (64 << 10), 64 << 10, PROT_READ | PROT_WRITE))
			failed("mprotect");
		memory[0] = memory[64 << 10] = 1;
	}
}

/* buffers of 128 KiB that grow to 640 KiB in turn: moved by mremap, or in room of their own */
static void buffers(void)
{
	const size_t step = 128 << 10, steps = 5;
	char **buffer = calloc((size_t)number, sizeof(*buffer));
	size_t room = is("reserved") ? steps * step : step;

	if (!buffer)
		failed("calloc");
	for (long i = 0; i < number; i++) {
		buffer[i] = writable(room);
		buffer[i][0] = 1;
	}
	for (size_t size = 2; size <= steps; size++)
		for (long i = 0; i < number; i++) {
			if (!is("reserved"))
				buffer[i] = mremap(buffer[i], (size - 1) * step, size * step,
						   MREMAP_MAYMOVE);
			if (buffer[i] == MAP_FAILED)
				failed("mremap");
			buffer[i][size * step - 1] = 1;
		}
}

int main(int count, char **words)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} all[] = {
		{"slices", slices},	  {"code", code},	{"policies", policies},
		{"registered", registered}, {"accounted", accounted}, {"zero", zero},
		{"blocks", blocks},	  {"images", images},	{"buffers", buffers},
	};
	char end;

	if (count < 3)
		return 2;
	number = atol(words[2]);
	mode = count > 3 ? words[3] : "";
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (strcmp(words[1], all[i].name))
			continue;
		all[i].make();
		if (write(1, "READY\n", 6) != 6)
			return 1;
		while (read(0, &end, 1) > 0)
			;
		_exit(0);
	}
	return 2;
}
