// SPDX-License-Identifier: GPL-2.0-only
/* The merge functions watched by fentry and fexit: kernels with CONFIG_FUNCTION_TRACER. */
#include "kernel.bpf.h"

/* the verifier knows the type of what it hands over, so fields are loaded without a call */
#define READ(pointer, field) ((pointer)->field)

#include "merge.bpf.h"

SEC("fentry/vma_modify")
int vmad_modify_in(u64 *ctx)
{
	return merge_begins((void *)ctx[0], 1);
}

SEC("fexit/vma_modify")
int vmad_modify_out(u64 *ctx)
{
	struct pending *range = what_began();
	u64 result = 0;

	if (!range || range->vmg != ctx[0] || bpf_get_func_ret(ctx, &result))
		return 0;
	return merge_ends((void *)ctx[0], range, result, SLOT_MODIFY);
}

SEC("fentry/vma_merge_new_range")
int vmad_range_in(u64 *ctx)
{
	return merge_begins((void *)ctx[0], 0);
}

SEC("fexit/vma_merge_new_range")
int vmad_range_out(u64 *ctx)
{
	struct pending *range = what_began();
	u64 result = 0;

	if (!range || range->vmg != ctx[0] || bpf_get_func_ret(ctx, &result))
		return 0;
	return merge_ends((void *)ctx[0], range, result, SLOT_NEW_RANGE);
}

SEC("fentry/copy_vma")
int vmad_copy_in(u64 *ctx)
{
	struct vm_area_struct *vma = NULL;
	u64 where = 0;

	/* a pointer to a pointer is no type that the verifier of 6.12 hands over */
	if (bpf_get_func_arg(ctx, 0, &where))
		return 0;
	bpf_probe_read_kernel(&vma, sizeof(vma), (void *)where);
	return move_begins(vma, ctx[1]);
}

char LICENSE[] SEC("license") = "GPL";
