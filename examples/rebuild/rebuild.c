/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* rebuild_areas(): finds out what stands there, makes the plan, and lets core.h do it. */
#define _GNU_SOURCE
#include "rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

/* the seed's distance below the run, in bytes, is charged for a moment */
#define NEAR (16ULL << 30)
#define MAX_CUTS (1U << 20)

struct area {
	uint64_t start, end;
	int prot;
	char flags[128]; /* VmFlags, without those that do not matter */
};

/* VmFlags that mmap and the kernel give by themselves, and the advice that brings the others */
static const char plain[] = " rd wr ex mr mw me ac sd gu ";
static const struct { char code[4]; uint32_t advice; } advices[] = {
	{"hg", MADV_HUGEPAGE},	{"nh", MADV_NOHUGEPAGE}, {"dd", MADV_DONTDUMP},
	{"dc", MADV_DONTFORK},	{"wf", MADV_WIPEONFORK}, {"mg", MADV_MERGEABLE},
};

static int is_plain(const char *code)
{
	char word[5] = {' ', code[0], code[1], ' ', 0};

	return strstr(plain, word) != NULL;
}

/* The areas of [start, end), their flags, and a place for the seed below. Returns an errno. */
static int read_areas(uint64_t start, uint64_t end, uint64_t page, uint64_t **cuts, unsigned *count,
		      struct area *first, uint64_t *seed)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char *line = NULL, *code;
	size_t room = 0;
	uint64_t above = start, below = 1 << 20, inode, offset, high, low;
	struct area area = {0};
	unsigned major, minor;
	int path, inside = 0, error = 0;
	char perms[5];

	if (!smaps)
		return errno;
	*count = 0;
	*seed = 0;
	while (!error && getline(&line, &room, smaps) >= 0) {
		if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &low, &high, perms, &offset, &major,
			   &minor, &inode, &path) >= 7) {
			if (low >= end)
				break;
			if (!*count && below + 3 * page <= low && low <= start)
				*seed = low - 2 * page;
			below = high;
			if (high <= start)
				continue;
			inside = 1;
			if (low != above || high > end || inode || strcmp(perms, "rw-p") ||
			    (line[path] && line[path] != '\n' && strncmp(line + path, "[heap]", 6)))
				error = EINVAL;
			if (*count && *count < MAX_CUTS)
				(*cuts)[*count - 1] = low;
			else if (*count)
				error = E2BIG;
			above = high;
			++*count;
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			area.flags[0] = 0;
			for (code = strtok(line + 8, " \n"); code; code = strtok(NULL, " \n"))
				if (!is_plain(code) && strlen(area.flags) + 4 < sizeof(area.flags))
					strcat(strcat(area.flags, code), " ");
			if (*count == 1)
				*first = area;
			else if (strcmp(first->flags, area.flags))
				error = EINVAL;
		}
	}
	if (!error && above != end)
		error = EINVAL;
	if (start - *seed > NEAR)
		*seed = 0;
	free(line);
	fclose(smaps);
	return error;
}

static int advise(struct plan *plan, char *flags)
{
	char *code;
	size_t i;

	for (code = strtok(flags, " "); code; code = strtok(NULL, " ")) {
		for (i = 0; i < sizeof(advices) / sizeof(*advices); i++)
			if (!strcmp(code, advices[i].code))
				break;
		if (i == sizeof(advices) / sizeof(*advices) || plan->n_advice == 8)
			return ENOTSUP;
		plan->advice[plan->n_advice++] = advices[i].advice;
	}
	return 0;
}

int rebuild_areas(void *start, size_t length, struct rebuilt *result)
{
	uint64_t page = sysconf(_SC_PAGESIZE), *cuts, ignored;
	struct plan plan = {.run = (uint64_t)start, .end = (uint64_t)start + length, .page = page};
	struct area first;
	struct rebuilt unwanted;

	if (!result)
		result = &unwanted;
	memset(result, 0, sizeof(*result));
	result->step = REBUILD_READ;
	/* MAP_NORESERVE: unlike the run, and so no part of it, should the kernel put it beside it */
	cuts = mmap(NULL, MAX_CUTS * sizeof(*cuts), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	result->error = cuts == MAP_FAILED ? ENOMEM : read_areas(plan.run, plan.end, page, &cuts,
								  &result->before, &first, &plan.seed);
	if (!result->error)
		result->error = advise(&plan, first.flags);
	if (result->error)
		goto out;
	result->after = result->before;
	if (result->before == 1)
		goto out;
	plan.cuts = cuts;
	plan.pagemap = "/proc/self/pagemap";
	plan.n_cuts = result->before - 1;
	plan.prot = PROT_READ | PROT_WRITE;
	plan.zero_pages = length / page;
	if (plan_run(&plan) < 0) {
		result->error = plan.error;
		result->step = (enum rebuild_step)plan.step;
		result->at = plan.at;
		goto out;
	}
	read_areas(plan.run, plan.end, page, &cuts, &result->after, &first, &ignored);
out:
	if (cuts != MAP_FAILED)
		munmap(cuts, MAX_CUTS * sizeof(*cuts));
	errno = result->error;
	return result->error ? -1 : 0;
}
