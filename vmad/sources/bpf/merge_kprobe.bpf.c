// SPDX-License-Identifier: GPL-2.0-only
/* The merge functions watched by kprobes: kernels without CONFIG_FUNCTION_TRACER. */
#include "kernel.bpf.h"

#define READ(pointer, field) BPF_CORE_READ(pointer, field)

#include "merge.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long ax, si, di;
};
#define FIRST(ctx) ((ctx)->di)
#define SECOND(ctx) ((ctx)->si)
#define RESULT(ctx) ((ctx)->ax)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
};
#define FIRST(ctx) ((ctx)->regs[0])
#define SECOND(ctx) ((ctx)->regs[1])
#define RESULT(ctx) ((ctx)->regs[0])
#else
#error "which registers hold the arguments of a function here?"
#endif
#pragma clang attribute pop

SEC("kprobe/vma_modify")
int vmad_modify_in(struct pt_regs *ctx)
{
	return merge_begins((void *)FIRST(ctx), 1);
}

SEC("kretprobe/vma_modify")
int vmad_modify_out(struct pt_regs *ctx)
{
	struct pending *range = what_began();

	if (!range)
		return 0;
	return merge_ends((void *)range->vmg, range, RESULT(ctx), SLOT_MODIFY);
}

SEC("kprobe/vma_merge_new_range")
int vmad_range_in(struct pt_regs *ctx)
{
	return merge_begins((void *)FIRST(ctx), 0);
}

SEC("kretprobe/vma_merge_new_range")
int vmad_range_out(struct pt_regs *ctx)
{
	struct pending *range = what_began();

	if (!range)
		return 0;
	return merge_ends((void *)range->vmg, range, RESULT(ctx), SLOT_NEW_RANGE);
}

SEC("kprobe/copy_vma")
int vmad_copy_in(struct pt_regs *ctx)
{
	struct vm_area_struct *vma = NULL;

	bpf_probe_read_kernel(&vma, sizeof(vma), (void *)FIRST(ctx));
	return move_begins(vma, SECOND(ctx));
}

char LICENSE[] SEC("license") = "GPL";
