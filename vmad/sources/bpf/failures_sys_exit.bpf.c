// SPDX-License-Identifier: GPL-2.0-only
/* Every system call of the host watched where it returns: for kernels without fexit. */
#include "failures.bpf.h"
#include "call_numbers.bpf.h"

SEC("tp_btf/sys_exit")
int vmad_sys_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	s64 result = ctx[1], number;
	u32 call;

	/* nearly all leave here */
	if (result != -ENOMEM && result != -EAGAIN) {
		if (is_error(result) || (u64)result < 4096)
			return 0;
		/* a size that was read, an address that was mapped, or the end of the heap */
		if (call_number(regs) != NR_BRK || is_32_bit())
			return 0;
		return brk_returned(regs, result);
	}
	number = call_number(regs);
	call = call_of(number);
	if (call >= CALLS || is_32_bit())
		return 0;
	return call_returned(call, regs, result);
}

char LICENSE[] SEC("license") = "GPL";
