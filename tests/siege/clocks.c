// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// LD_PRELOAD: this process's clocks, ahead of the machine's by what the file $VMAD_TEST_CLOCKS says
// at that moment: two numbers of nanoseconds (64 bits), for CLOCK_REALTIME and for CLOCK_BOOTTIME.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void open_offsets(void)
{
	const char *path = getenv("VMAD_TEST_CLOCKS");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (file < 0)
		return;
	void *page = mmap(NULL, 2 * sizeof(*ahead), PROT_READ, MAP_SHARED, file, 0);

	if (page != MAP_FAILED)
		ahead = page;
	close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (syscall(SYS_clock_gettime, clock, now))
		return -1;
	if (!ahead || (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME))
		return 0;
	int64_t by = ahead[clock == CLOCK_BOOTTIME];
	int64_t nanoseconds = now->tv_nsec + by % 1000000000;

	now->tv_sec += by / 1000000000;
	if (nanoseconds < 0) {
		now->tv_sec--;
		nanoseconds += 1000000000;
	} else if (nanoseconds >= 1000000000) {
		now->tv_sec++;
		nanoseconds -= 1000000000;
	}
	now->tv_nsec = nanoseconds;
	return 0;
}
