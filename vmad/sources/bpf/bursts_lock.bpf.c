// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoint of mmap_lock's release, while it is still held: exact, whatever call made VMAs.
 *
 * Kernels that name the memory cgroup in it, up to 6.12, pay too much for that. The release of a
 * reader is looked at too, since munmap goes on as one (mmap_write_downgrade()).
 */
#include "bursts.bpf.h"

SEC("tp_btf/mmap_lock_released")
int vmad_lock_released(u64 *ctx)
{
	struct mm_struct *mm = (void *)ctx[0];
	int map_count = mm->map_count;

	if (map_count < control.from)
		return 0;
	return seen_high(mm, map_count, 0);
}

char LICENSE[] SEC("license") = "GPL";
