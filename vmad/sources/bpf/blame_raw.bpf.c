// SPDX-License-Identifier: GPL-2.0-only
/* Every system call of the host passes here while a recording lasts: kernels without fentry. */
#include "blame.bpf.h"
#include "call_numbers.bpf.h"

/* call_of() leaves out brk, which fails in a way of its own (failures.bpf.h) */
static __always_inline u32 recorded_call(s64 number)
{
	return number == NR_BRK ? CALL_BRK : call_of(number);
}

SEC("tp_btf/sys_enter")
int vmad_to_call(u64 *ctx)
{
	u32 call = recorded_call(ctx[1]);
	u64 arguments[5];

	if (call >= CALLS || is_32_bit())
		return 0;
	read_arguments(arguments, (void *)ctx[0]);
	call_begins(call, arguments);
	return 0;
}

SEC("tp_btf/sys_exit")
int vmad_of_call(u64 *ctx)
{
	if (recorded_call(call_number((struct pt_regs *)ctx[0])) < CALLS)
		call_ends((s64)ctx[1]);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
