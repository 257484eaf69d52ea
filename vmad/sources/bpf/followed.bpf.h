/* SPDX-License-Identifier: GPL-2.0-only */
/* Which processes are recorded: the one that the reader wants, and its children where it does. */
#ifndef VMAD_FOLLOWED_BPF_H
#define VMAD_FOLLOWED_BPF_H

#include "caller.bpf.h"
#include "recording.bpf.h"

/* Run over all tasks, once: record the one that the reader wants. */
SEC("iter/task")
int vmad_begin(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct recorded begun = {};
	u32 tgid;

	if (!task || task->pid != task->tgid ||
	    pid_in_namespace(task, settings.namespace_ino) != (u32)control.wanted)
		return 0;
	tgid = task->tgid;
	begun.pid = control.wanted;
	control.tgid = tgid;
	bpf_map_update_elem(&recorded, &tgid, &begun, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int vmad_exec(u64 *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct recorded *process = bpf_map_lookup_elem(&recorded, &tgid);

	if (!process)
		return 0;
	process->since = next_in_order();
	process->parent = 0;
	tell(EVENT_EXEC, tgid, process->since, process->pid, bpf_ktime_get_boot_ns(), 0, 0, 0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int vmad_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	u32 from = parent->tgid, to = child->tgid;
	struct recorded begun = { .parent = from };

	if (!control.follow || from == to || !bpf_map_lookup_elem(&recorded, &from))
		return 0;
	begun.since = next_in_order();
	begun.pid = pid_in_namespace(child, settings.namespace_ino);
	if (bpf_map_update_elem(&recorded, &to, &begun, BPF_ANY))
		__sync_fetch_and_add(&control.lost_events, 1);
	tell(EVENT_FORK, to, begun.since, begun.pid, bpf_ktime_get_boot_ns(), from, 0, 0);
	return 0;
}

#endif
