/* SPDX-License-Identifier: GPL-2.0-only */
/* The cgroup of a task, by names: what there is of it when the task is gone. */
#ifndef VMAD_CGROUP_BPF_H
#define VMAD_CGROUP_BPF_H

#include "kernel.bpf.h"

#define CGROUP_PATH 512
#define CGROUP_NAME 128 /* longer names are cut */
#define CGROUP_DEPTH 12

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	const char *name;
	struct kernfs_node *parent;
};

/* 6.15 (633488947ef6): read under RCU */
struct kernfs_node___rcu {
	struct kernfs_node *__parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct___cgroups {
	struct css_set *cgroups;
};

#pragma clang attribute pop

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->parent))
		return BPF_CORE_READ(node, parent);
	return BPF_CORE_READ((struct kernfs_node___rcu *)node, __parent);
}

/*
 * Steps of a task's cgroup in the unified hierarchy, the innermost first, each ended by a NUL, into
 * path[CGROUP_PATH]; returns the bytes used. On a host without that hierarchy all are in its root,
 * which has no step.
 */
static __always_inline u32 cgroup_path(char *path, struct task_struct *task)
{
	struct kernfs_node *parent, *node =
		BPF_CORE_READ((struct task_struct___cgroups *)task, cgroups, dfl_cgrp, kn);
	u32 used = 0;
	long n;

	for (int i = 0; i < CGROUP_DEPTH; i++) {
		parent = parent_of(node);
		if (!parent || used > CGROUP_PATH - CGROUP_NAME)
			break;
		n = bpf_probe_read_kernel_str(path + used, CGROUP_NAME, BPF_CORE_READ(node, name));
		if (n <= 0 || n > CGROUP_NAME)
			break;
		used += n;
		node = parent;
	}
	return used;
}

#endif
