// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// reborn N VMAS: N processes one after the other, all of one number (clone3's set_tid, which takes
// CAP_CHECKPOINT_RESTORE), each with so many VMAs; the last one has two dozen and stays. Says the
// number at the first, and "last" at the last.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void make(int vmas)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *start = mmap(NULL, page * (size_t)vmas, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < vmas; i += 2)
		mprotect(start + page * (size_t)i, page, PROT_READ);
}

static pid_t born(pid_t *number)
{
	struct clone_args how = { .exit_signal = SIGCHLD };

	if (*number) {
		how.set_tid = (uintptr_t)number;
		how.set_tid_size = 1;
	}
	return (pid_t)syscall(SYS_clone3, &how, sizeof(how));
}

int main(int argc, char **argv)
{
	int times = argc > 2 ? atoi(argv[1]) : 0, vmas = argc > 2 ? atoi(argv[2]) : 0;
	pid_t number = 0;

	for (int i = 0; i <= times; i++) {
		if (i == times)
			usleep(50000); // start times are told in ticks of ten milliseconds
		pid_t pid = born(&number);

		if (pid < 0 && errno == EEXIST) {
			i--; // somebody else has it just now
			continue;
		}
		if (pid < 0)
			return 1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			make(i == times ? 24 : vmas);
			if (i < times)
				_exit(0);
			for (;;)
				pause();
		}
		if (!number) {
			number = pid;
			printf("%d\n", pid);
			fflush(stdout);
		}
		if (i == times) {
			printf("last\n");
			fflush(stdout);
			getchar();
			kill(pid, SIGKILL);
		}
		waitpid(pid, NULL, 0);
	}
	return 0;
}
