/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What loads that make memory by hand have in common; each is one file that includes this. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t page = 4096;
static const char *mode;
static long number;

static void failed(const char *what)
{
	perror(what);
	exit(1);
}

static int is(const char *name)
{
	return strcmp(mode, name) == 0;
}

static char *area(size_t size, int protection, int flags)
{
	char *at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (at == MAP_FAILED)
		failed("mmap");
	return at;
}

static char *writable(size_t size)
{
	return area(size, PROT_READ | PROT_WRITE, 0);
}
