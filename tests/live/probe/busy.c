// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A target that notices everything: eight threads in system calls, in arithmetic and under
 * signals, each checking that nothing odd ever happens to it.
 *
 *	busy PAIRS	stdout: "PID START PAGES\n" of a fork child with PAIRS latent pairs
 *
 * For every line on stdin it answers one line: rounds of each thread, complaints, signals sent and
 * handled, and a checksum of the pairs' memory. At the end of stdin it exits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* a register of floating-point numbers, as asm() calls it */
#ifdef __aarch64__
#define FLOATING "+w"
#else
#define FLOATING "+x"
#endif

enum { THREADS = 8 };
static atomic_ulong rounds[THREADS], sent, handled;
static atomic_int complaints, word;
static char first_complaint[200];
static pthread_t computing;
static int event_fd, pipe_fds[2], poll_fds[2];

static void complain(const char *where, long got)
{
	if (!atomic_fetch_add(&complaints, 1))
		snprintf(first_complaint, sizeof(first_complaint), "%s: %ld errno %d", where, got, errno);
}

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *sleeping(void *unused __attribute__((unused)))
{
	for (;; rounds[0]++) {
		struct timespec t = {0, 3000000};
		long began = now_us();
		int got = nanosleep(&t, NULL);

		if (got || now_us() - began < 3000)
			complain("nanosleep", got);
	}
	return NULL;
}

static void *waiting(void *unused __attribute__((unused)))
{
	for (;; rounds[1]++) {
		struct timespec t = {0, 4000000};
		long got = syscall(SYS_futex, &word, FUTEX_WAIT, 0, rounds[1] & 1 ? &t : NULL, NULL, 0);

		/* woken, timed out, or the word had changed: nothing else */
		if (got && errno != ETIMEDOUT && errno != EAGAIN)
			complain("futex", got);
	}
	return NULL;
}

static void *polling_events(void *unused __attribute__((unused)))
{
	int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	uint64_t value;

	epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event);
	for (;; rounds[2]++) {
		int got = epoll_wait(epoll, &event, 1, -1);

		if (got != 1)
			complain("epoll_wait", got);
		else if (read(event_fd, &value, 8) != 8)
			complain("eventfd", got);
	}
	return NULL;
}

static void *reading(void *unused __attribute__((unused)))
{
	unsigned char last = 0, byte;

	for (;; rounds[3]++) {
		long got = read(pipe_fds[0], &byte, 1);

		if (got != 1 || (unsigned char)(last + 1) != byte)
			complain("read", got);
		last = byte;
	}
	return NULL;
}

static void *computing_thread(void *unused __attribute__((unused)))
{
	sigset_t mine;

	sigemptyset(&mine);
	sigaddset(&mine, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
	for (;; rounds[4]++) {
		double x = 1.0, y = 0.0;
		uint64_t a = 88172645463325252ull, b = a;
		int i;

		for (i = 0; i < 20000; i++) {
			x = x * 1.0000001 + 0.5;
			y += x;
			a ^= a << 13, a ^= a >> 7, a ^= a << 17;
			__asm__ volatile("" : FLOATING(x), FLOATING(y), "+r"(a));
			b ^= b << 13, b ^= b >> 7, b ^= b << 17;
		}
		static double first_x, first_y;

		if (!first_x)
			first_x = x, first_y = y;
		if (a != b || x != first_x || y != first_y)
			complain("arithmetic", i);
	}
	return NULL;
}

static void *taking_signals(void *unused __attribute__((unused)))
{
	sigset_t set;
	siginfo_t info;
	int expected = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	for (;; rounds[5]++) {
		int got = sigwaitinfo(&set, &info);

		if (got != SIGRTMIN + 1 || info.si_value.sival_int != expected++)
			complain("sigwaitinfo", got);
	}
	return NULL;
}

static void *polling(void *unused __attribute__((unused)))
{
	struct pollfd fd = {.fd = poll_fds[0], .events = POLLIN};
	char byte;

	for (;; rounds[6]++) {
		int got = poll(&fd, 1, 5);

		if (got < 0 || (got == 1 && read(poll_fds[0], &byte, 1) != 1))
			complain("poll", got);
	}
	return NULL;
}

static void handler(int number __attribute__((unused)), siginfo_t *info,
		    void *context __attribute__((unused)))
{
	if (info->si_value.sival_int != (int)handled)
		complain("handler", info->si_value.sival_int);
	handled++;
}

static void *sending(void *unused __attribute__((unused)))
{
	unsigned char byte = 0;
	uint64_t one = 1;
	int value = 0;

	for (;; rounds[7]++) {
		union sigval number = {.sival_int = (int)sent};
		union sigval other = {.sival_int = value};
		struct timespec t = {0, 200000};

		if (sent - handled < 100 && !pthread_sigqueue(computing, SIGRTMIN, number))
			sent++;
		if (!sigqueue(getpid(), SIGRTMIN + 1, other))
			value++;
		byte++;
		if (write(pipe_fds[1], &byte, 1) != 1 || write(event_fd, &one, 8) != 8 ||
		    (byte % 4 == 0 && write(poll_fds[1], &byte, 1) != 1))
			complain("write", 0);
		syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
		if (nanosleep(&t, NULL))
			complain("sender's nanosleep", 0);
	}
	return NULL;
}

static uint64_t checksum(const uint64_t *at, size_t words)
{
	uint64_t sum = 14695981039346656037ull;

	while (words--)
		sum = (sum ^ *at++) * 1099511628211ull;
	return sum;
}

int main(int argc, char **argv)
{
	static void *(*const bodies[THREADS])(void *) = {
		sleeping, waiting, polling_events, reading, computing_thread, taking_signals, polling,
		sending,
	};
	long page = sysconf(_SC_PAGESIZE), pairs = argc > 1 ? atol(argv[1]) : 1, pages = pairs + 1, i;
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
	/* away from the kernel's own area: nothing else becomes a neighbour */
	char *at = mmap((void *)0x200000000000, pages * page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	sigset_t all;
	char line[64];
	pid_t child;

	for (i = 0; i < pages; i += 2)
		if (syscall(SYS_mlock2, at + i * page, page, 1))
			return perror("mlock2"), 1;
	child = fork();
	if (child) {
		/* fork does not inherit VM_LOCKED: in the child all are alike, and still apart */
		int status;

		waitpid(child, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < pages * page / 8; i++)
		((uint64_t *)at)[i] = i * 0x9e3779b97f4a7c15ull;
	event_fd = eventfd(0, 0);
	if (pipe(pipe_fds) || pipe(poll_fds))
		return 1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGRTMIN, &action, NULL);
	/* the main thread is the eighth besides those that wait: one of them is the reader of stdin */
	for (i = 0; i < THREADS; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, bodies[i], NULL);
		if (bodies[i] == computing_thread)
			computing = thread;
		if (i == 4)
			usleep(1000);
	}
	printf("%d %#lx %ld\n", getpid(), (long)at, pages);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (i = 0; i < THREADS; i++)
			printf("%lu ", rounds[i]);
		printf("%d %lu %lu %#lx %s\n", complaints, sent, handled,
		       checksum((void *)at, pages * page / 8),
		       first_complaint[0] ? first_complaint : "-");
		fflush(stdout);
	}
	return 0;
}
