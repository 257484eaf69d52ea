// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// LD_PRELOAD: what may break under a program while it runs. SIGUSR2 takes the capabilities of the
// thread that gets it, SIGUSR1 gives them back; SIGURG takes every descriptor of BPF, /dev/null is in
// its place; while the first byte of the file $VMAD_TEST_BREAKS
// is not 0, bpf(2) is refused.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const volatile char *refused;
static long (*real_syscall)(long, ...);

static void change_capabilities(int number)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int kept = errno;

	if (!real_syscall(SYS_capget, &head, data)) {
		for (int i = 0; i < 2; i++)
			data[i].effective = number == SIGUSR1 ? data[i].permitted : 0;
		real_syscall(SYS_capset, &head, data);
	}
	errno = kept;
}

static void take_bpf(int number)
{
	int kept = errno, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char link[32], target[32];

	(void)number;
	for (int fd = 3; fd < 1024; fd++) {
		char *end = link + sizeof(link) - 1;
		int digits = fd;

		*end = 0;
		do
			*--end = '0' + digits % 10;
		while (digits /= 10);
		end -= sizeof("/proc/self/fd/") - 1;
		__builtin_memcpy(end, "/proc/self/fd/", sizeof("/proc/self/fd/") - 1);
		ssize_t length = readlink(end, target, sizeof(target));

		if (length > 14 && !__builtin_memcmp(target, "anon_inode:", 11) &&
		    (!__builtin_memcmp(target + 11, "bpf", 3) || !__builtin_memcmp(target + 11, "[bpf", 4)))
			dup3(null, fd, O_CLOEXEC);
	}
	close(null);
	errno = kept;
}

extern void *dlsym(void *handle, const char *name);

__attribute__((constructor)) static void prepare(void)
{
	struct sigaction action = { .sa_handler = change_capabilities, .sa_flags = SA_RESTART };
	const char *path = getenv("VMAD_TEST_BREAKS");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	real_syscall = dlsym((void *)-1L /* RTLD_NEXT */, "syscall");
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	action.sa_handler = take_bpf;
	sigaction(SIGURG, &action, NULL);
	if (file < 0)
		return;
	void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);

	if (page != MAP_FAILED)
		refused = page;
	close(file);
}

long syscall(long number, ...)
{
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_bpf && refused && *refused) {
		errno = EPERM;
		return -1;
	}
	return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
