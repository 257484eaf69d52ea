/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What a program sees of a guard region, beside a page without access; a line per question. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GUARD_INSTALL = 102, PAGES = 3 };

static sigjmp_buf back;
static size_t page;

static void faulted(int number, siginfo_t *how, void *unused)
{
	(void)number, (void)unused;
	siglongjmp(back, how->si_code);
}

static const char *touched(char *at)
{
	int code = sigsetjmp(back, 1);

	if (!code) {
		*at = 1;
		return "open";
	}
	return code == SEGV_ACCERR ? "ACCERR" : code == SEGV_MAPERR ? "MAPERR" : "another code";
}

static const char *read_into(char *at)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ssize_t got = read(zero, at, 1);

	close(zero);
	return got == 1 ? "read" : errno == EFAULT ? "EFAULT" : "another error";
}

static const char *touched_in_child(char *at)
{
	int status;

	fflush(stdout);
	if (!fork())
		_exit(*touched(at));
	wait(&status);
	return WEXITSTATUS(status) == 'o' ? "open" : "closed";
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO};
	char *area, *kinds[2];
	int i;

	page = sysconf(_SC_PAGESIZE);
	sigaction(SIGSEGV, &action, NULL);
	for (i = 0; i < 2; i++) {
		area = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(area, 1, PAGES * page);
		kinds[i] = area + page;
	}
	mprotect(kinds[0], page, PROT_NONE);
	if (madvise(kinds[1], page, GUARD_INSTALL)) {
		printf("no guard regions: %s\n", strerror(errno));
		return 0;
	}
	for (i = 0; i < 2; i++) {
		printf("%s, %s", touched(kinds[i]), read_into(kinds[i]));
		madvise(kinds[i], page, MADV_DONTNEED);
		printf(", emptied %s, in a child %s", touched(kinds[i]), touched_in_child(kinds[i]));
		mprotect(kinds[i], page, PROT_READ | PROT_WRITE);
		printf(", made writable %s\n", touched(kinds[i]));
	}
	return 0;
}
