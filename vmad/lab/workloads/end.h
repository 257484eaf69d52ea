/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The size and the end of a workload: "I am done, look at me" (compare/inside.py). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How much to do: so many seconds' worth, on two cores without KVM. */
static inline unsigned int seconds_worth(void)
{
	const char *text = getenv("VMAD_LAB_SECONDS");

	return text ? atoi(text) : 20;
}

/* Stand still until the lab has looked at the address space as it is now. */
static inline void hold_at_the_end(void)
{
	const char *mark = getenv("VMAD_LAB_END");
	struct timespec pause = { 0, 10 * 1000 * 1000 };
	FILE *file;

	if (!mark)
		return;
	file = fopen(mark, "w");
	if (!file)
		return;
	fclose(file);
	while (!access(mark, F_OK))
		nanosleep(&pause, NULL);
}
