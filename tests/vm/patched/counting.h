/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PID 1 of a guest that counts: instructions by rdtsc under QEMU's -icount shift=0, where one
 * instruction is one tick. instruction_counts.py boots it; the switch is on the command line.
 * "count NAME NUMBER" is one figure; the last line is "done".
 */
#ifndef COUNTING_H
#define COUNTING_H

#include "areas.h"

#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>

#define REPEAT 9

static uint64_t ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void count(const char *name, uint64_t number)
{
	printf("count %s %llu\n", name, (unsigned long long)number);
}

static void begin_counting(void)
{
	const char *mask = getenv("merge_switch");

	if (getpid() != 1)
		return;
	must(!mount("proc", "/proc", "proc", 0, NULL), "mount /proc");
	must(!mkdir("/sys", 0755) && !mount("sysfs", "/sys", "sysfs", 0, NULL), "mount /sys");
	must(!mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL), "mount debugfs");
	must(!mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL), "mount tracefs");
	if (mask)
		set_switch(atol(mask));
}

static void end_counting(void)
{
	printf("done\n");
	fflush(stdout);
	if (getpid() == 1)
		reboot(RB_AUTOBOOT);
}

/* The last page is pinned until the descriptor is closed. */
static int pin_last_page(char *at, size_t size)
{
	struct pin_longterm pin = { .addr = (uintptr_t)at + size - PAGE, .size = PAGE, .flags = 1 };
	int gup = open("/sys/kernel/debug/gup_test", O_RDWR);

	must(gup >= 0, "gup_test");
	must(!ioctl(gup, PIN_START, &pin), "pin");
	return gup;
}

#endif
