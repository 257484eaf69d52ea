/* SPDX-License-Identifier: GPL-2.0-only */
/* Who made a system call, told so that it can be named when it is gone; and with what arguments. */
#ifndef VMAD_CALLER_BPF_H
#define VMAD_CALLER_BPF_H

#include "kernel.bpf.h"
#include "cgroup.bpf.h"

#define PID_LEVELS 32 /* MAX_PID_NS_LEVEL */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid___ns {
	struct pid_namespace *ns;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r10, di, orig_ax;
};

struct thread_info {
	unsigned int status;
};

struct task_struct___info {
	struct thread_info thread_info;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	int syscallno;
};

struct thread_info {
	unsigned long flags;
};

struct task_struct___info {
	struct thread_info thread_info;
};
#else
#error "which registers hold the arguments of a system call here?"
#endif

#pragma clang attribute pop

/* vmad/sources/bpf/failures.py, CALLER */
struct caller {
	s64 pid; /* in the reader's pid namespace */
	s64 start_time; /* clock ticks since boot */
	char comm[16]; /* of the process: its main thread */
	u32 path_used;
	u32 unused;
	char path[CGROUP_PATH]; /* steps of its cgroup, the innermost first, each ended by a NUL */
};

#if defined(__TARGET_ARCH_x86)
/* the entry code keeps them in pt_regs until the end of the call */
#define first_argument(regs) ((regs)->di)
#define fourth_argument(regs) ((regs)->r10)
#define call_number(regs) ((s64)(regs)->orig_ax)
#define IS_32_BIT(info) (BPF_CORE_READ(info, thread_info.status) & 2) /* TS_COMPAT */
#else
/* the result is in the place of the first one by then */
#define first_argument(regs) ((regs)->orig_x0)
#define fourth_argument(regs) ((regs)->regs[3])
#define call_number(regs) ((s64)(regs)->syscallno)
#define IS_32_BIT(info) (BPF_CORE_READ(info, thread_info.flags) & 1 << 22) /* TIF_32BIT */
#endif

static __always_inline s64 map_count_now(struct mm_struct *mm)
{
	if (bpf_core_field_exists(mm->map_count))
		return BPF_CORE_READ(mm, map_count);
	return BPF_CORE_READ((struct mm_struct___vma_count *)mm, vma_count);
}

/* What the process is called in that pid namespace; 0 where it is not in there. */
static __always_inline u32 pid_in_namespace(struct task_struct *leader, u32 namespace_ino)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	u32 level = BPF_CORE_READ(pid, level), nr = 0;

	for (u32 i = 0; i < PID_LEVELS && i <= level; i++) {
		struct upid *upid = (void *)((u64)pid +
					     bpf_core_field_offset(struct pid, numbers) +
					     i * bpf_core_type_size(struct upid));

		if (BPF_CORE_READ((struct upid___ns *)upid, ns, ns.inum) == namespace_ino) {
			nr = BPF_CORE_READ(upid, nr);
			break;
		}
	}
	return nr;
}

/* False: the process is in a pid namespace that the reader does not see. */
static __always_inline int know_caller(struct caller *who, struct task_struct *leader,
				       u32 namespace_ino)
{
	who->pid = pid_in_namespace(leader, namespace_ino);
	if (!who->pid)
		return 0;
	bpf_probe_read_kernel(who->comm, sizeof(who->comm), leader->comm);
	who->path_used = cgroup_path(who->path, leader);
	return 1;
}

#endif
