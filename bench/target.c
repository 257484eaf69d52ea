// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A process with many VMAs, which can time its own mmap+munmap.
 *
 *   target VMAS          pages of one anonymous mapping, every other one without write access;
 *   target VMAS touch    the same, each page written before
 *
 * Prints "ready". Then each line "SECONDS PAUSE" on its standard input makes it map and unmap one
 * page for so long, PAUSE microseconds apart (0: at once), and print one line of JSON: how long one
 * mmap+munmap took, in nanoseconds; those in which the kernel gave the core to another process are
 * only in mean_all. It ends with its standard input, or with its parent.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MOST 2000000

static uint32_t took[MOST];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void make(long vmas, int touch)
{
	long page = sysconf(_SC_PAGESIZE), number;
	char *base;

	base = mmap(NULL, vmas * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		die("mmap");
	/* khugepaged and huge pages would make the two halves of the benchmark differ */
	madvise(base, vmas * page, MADV_NOHUGEPAGE);
	if (touch)
		memset(base, 1, vmas * page);
	for (number = 0; number < vmas; number += 2)
		if (mprotect(base + number * page, page, PROT_READ))
			die("mprotect (vm.max_map_count?)");
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static long preempted(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static void measure(double seconds, long pause)
{
	uint64_t end = now() + (uint64_t)(seconds * 1e9), before, after, sum = 0, sum_all = 0;
	long page = sysconf(_SC_PAGESIZE), switches;
	struct timespec nap = { 0, pause * 1000 };
	size_t n = 0, lost = 0;
	void *at;

	do {
		if (pause)
			nanosleep(&nap, NULL);
		switches = preempted();
		before = now();
		at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED || munmap(at, page))
			die("mmap+munmap");
		after = now();
		sum_all += after - before;
		if (preempted() != switches) {
			/* another process had the core meanwhile: that is not the lock's doing */
			lost++;
			continue;
		}
		took[n] = after - before > UINT32_MAX ? UINT32_MAX : (uint32_t)(after - before);
		sum += took[n++];
	} while (after < end && n < MOST);
	if (!n)
		die("preempted in every mmap+munmap");
	qsort(took, n, sizeof(took[0]), ascending);
	printf("{\"n\": %zu, \"mean\": %.1f, \"mean_all\": %.1f, \"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u, "
	       "\"preempted\": %zu}\n",
	       n, (double)sum / n, (double)sum_all / (n + lost), took[n / 2], took[n * 99 / 100], took[n * 999 / 1000],
	       took[n - 1], lost);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[100];
	double seconds;
	long pause;

	if (argc < 2)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1000);
	memset(took, 0, sizeof(took));
	make(atol(argv[1]), argc > 2);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%lf %ld", &seconds, &pause) == 2)
			measure(seconds, pause);
	return 0;
}
