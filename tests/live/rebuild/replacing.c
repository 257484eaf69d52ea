/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * replacing PIECES: a target whose threads put new areas in the place of others all the time, and fork.
 *
 * PIECES areas of two pages lie in a row. Two threads replace them in turn by new ones, of which they
 * know the content, without ever touching what lies there; a third forks, and the children look. What is
 * on its way while they run is lost. A fourth computes, with numbers that stay in its vector registers.
 *
 * Says its pid, then answers each line: areas replaced, children that looked, areas, children and
 * sums that were wrong, VMAs in all, files open. All areas are looked at while the threads wait.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const BASE = (char *)0x200000000000;
static char *const ELSEWHERE = (char *)0x280000000000;
enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, THREADS = 2 };

static size_t length;
static int pieces;
static uint64_t *content;
static volatile unsigned long replaced[THREADS], children, wrong_children, wrong_sums;
/* a register of floating-point numbers, as asm() calls it */
#ifdef __aarch64__
#define FLOATING "+w"
#else
#define FLOATING "+x"
#endif
/* whoever wants all of them comes first: threads that replace never pause */
static pthread_rwlock_t looking = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static DIR *files;

static void must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

/* The same in both pages, so that a half that is lost shows. */
static int wrong(int piece)
{
	const uint64_t *at = (void *)(BASE + piece * length);

	return at[0] != content[piece] || at[length / 16] != content[piece];
}

static void replace(int piece, uint64_t what)
{
	char *there = ELSEWHERE + piece * 2 * length, *place = BASE + piece * length;
	uint64_t *at = (void *)there;

	must(mmap(there, length, RW, ANON, -1, 0) == there, "mmap");
	at[0] = at[length / 16] = what;
	content[piece] = what;
	must(mremap(there, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place, "mremap");
}

static void *replaces(void *number)
{
	const long mine = (long)number;
	uint64_t what = mine;
	int piece = mine;

	for (;; piece = (piece + THREADS) % pieces) {
		pthread_rwlock_rdlock(&looking);
		replace(piece, what += THREADS);
		pthread_rwlock_unlock(&looking);
		replaced[mine]++;
	}
	return NULL;
}

/* A child has its own copy of what the parent had at that moment, of its own array too. */
static void *forks(void *unused)
{
	for (;; children++) {
		pid_t child;
		int status, i;

		pthread_rwlock_wrlock(&looking);
		child = fork();
		pthread_rwlock_unlock(&looking);
		must(child >= 0, "fork");
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (i = 0; i < pieces; i++)
				if (wrong(i))
					_exit(1);
			_exit(0);
		}
		must(waitpid(child, &status, 0) == child, "waitpid");
		wrong_children += status != 0;
		usleep(20000);
	}
	return unused;
}

/* Rounding is a part of it, so that the mode of rounding is. */
static void *computes(void *unused)
{
	static volatile double first; /* in memory, which keeps what registers may lose */

	for (;;) {
		double sum = 0, term = 1;
		int i;

		for (i = 0; i < 1000000; i++) {
			sum += term *= 1.0000001;
			__asm__ volatile("" : FLOATING(sum), FLOATING(term));
		}
		if (!first)
			first = sum;
		wrong_sums += sum != first;
	}
	return unused;
}

static void answer(void)
{
	unsigned long bad = wrong_children + wrong_sums;
	int vmas = 0, open = 0, i, c;
	FILE *maps;

	pthread_rwlock_wrlock(&looking);
	for (i = 0; i < pieces; i++)
		bad += wrong(i);
	maps = fopen("/proc/self/maps", "re");
	while ((c = fgetc(maps)) != EOF)
		vmas += c == '\n';
	fclose(maps);
	pthread_rwlock_unlock(&looking);
	rewinddir(files);
	while (readdir(files))
		open++;
	printf("%lu %lu %lu %d %d\n", replaced[0] + replaced[1], children, bad, vmas, open);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[64];
	long i;

	must(argc == 2, "arguments");
	pieces = atoi(argv[1]);
	length = 2 * sysconf(_SC_PAGESIZE);
	content = calloc(pieces, sizeof(*content));
	files = opendir("/proc/self/fd");
	must(content && files, "prepare");
	for (i = 0; i < pieces; i++)
		replace(i, i + 1);
	for (i = 0; i < THREADS; i++)
		must(!pthread_create(&thread, NULL, replaces, (void *)i), "pthread_create");
	must(!pthread_create(&thread, NULL, forks, NULL), "pthread_create");
	must(!pthread_create(&thread, NULL, computes, NULL), "pthread_create");
	printf("%d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		answer();
	return 0;
}
