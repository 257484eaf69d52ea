/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rows about processes that may be gone when somebody reads them: who they were, as the reader
 * numbers processes and counts time. vmad/sources/bpf/caller.py has the settings.
 */
#ifndef VMAD_KNOWN_BPF_H
#define VMAD_KNOWN_BPF_H

#include "kernel.bpf.h"
#include "caller.bpf.h"

enum { BPF_MAP_TYPE_HASH = 1 };

#define ROWS 1024

struct settings {
	u64 ns_per_tick; /* 1e9 / sysconf(_SC_CLK_TCK) */
	u32 namespace_ino; /* the pid namespace that processes are numbered by */
	u32 unused;
	s64 boot_offset; /* ns; of the reader's time namespace, as /proc/PID/stat adds it */
};

const volatile struct settings settings SEC(".rodata.settings") = { .ns_per_tick = 10000000 };

/* False: the process is in a pid namespace that the reader does not see. */
static __always_inline int known_to_reader(struct caller *who, struct task_struct *leader,
					   u64 start_boottime)
{
	if (!know_caller(who, leader, settings.namespace_ino))
		return 0;
	who->start_time = (start_boottime + settings.boot_offset) / settings.ns_per_tick;
	return 1;
}

#endif
