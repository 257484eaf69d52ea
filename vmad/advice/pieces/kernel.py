# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the kernel can do about it: merging later, a series of patches, a newer release."""

from __future__ import annotations

from vmad.advice.conditions import kernel_before
from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose

_LIFTED = (P.MOVED, P.WRITTEN_APART)

PIECES = (
    Advice(
        name="latent-nothing",
        text="Nothing needs to change: the kernel merges them the next time that mprotect, "
        "madvise, mlock or mremap is called on one of them. `vmad heal PID --apply` makes it try "
        "at once.",
        whose=Whose.OPERATOR,
        patterns=(P.LATENT,),
        proof=Documented(0.5),
        cost="Nothing.",
        check="`vmad heal PID` counts no latent pair any more.",
        source="mm/vma.c, vma_modify_flags; before 6.12 mm/mmap.c, vma_merge",
    ),
    Advice(
        name="latent-toggle",
        text="Make the kernel try at once, in the program: madvise(MADV_RANDOM), then "
        "madvise(MADV_NORMAL), over exactly the whole VMA.",
        whose=Whose.PROGRAMMER,
        patterns=(P.LATENT,),
        proof=Documented(0.4),
        cost="Two system calls for each VMA; read-ahead is off in between.",
        check="`vmad explain PID` counts fewer latent pairs.",
        source="mm/madvise.c, madvise_update_vma; madvise(2)",
    ),
    Advice(
        name="kernel-6.16",
        text="Upgrade to kernel 6.16 or later: there an operation on either side merges the two.",
        whose=Whose.OPERATOR,
        patterns=(P.LATENT,),
        reasons=("latent_one_sided",),
        proof=Documented(0.6),
        cost="A reboot.",
        check="No pair is `latent_one_sided` any more.",
        source="commit 879bca0a2c4f (6.16)",
        tests=(kernel_before((6, 16)),),
    ),
    Advice(
        name="rebuild",
        text="Join them without a restart, on Linux 6.8 and later: `vmad heal PID --rebuild` makes "
        "one VMA of each run of them and copies no page. They come back as fast as the program "
        "makes them.",
        whose=Whose.OPERATOR,
        patterns=_LIFTED,
        proof=Measured(
            692,
            24,
            "a reserve of 2,000 pieces written at random, Linux 6.18",
            ("reserve-random", "reserve-rebuilt"),
        ),
        cost="The program stands still for some milliseconds at a time.",
        check="`vmad heal PID --rebuild` finds nothing left.",
        source="docs/rebuild.md; UFFDIO_MOVE, commit adef440691ba (6.8)",
        recovers="rebuild",
    ),
    Advice(
        name="patched-kernel",
        text="Run a kernel with the anon_vma series: it merges these VMAs when the memory of at "
        "least one side is not shared with another process.",
        whose=Whose.KERNEL,
        patterns=_LIFTED,
        proof=Documented(
            0.89,
            "200 vectors grown by realloc: 223 to 24 as CRIU restores them, which leaves what the "
            "series would",
        ),
        cost="A kernel of one's own.",
        check="`vmad explain PID` counts nothing as recoverable on the patched kernel.",
        source="J. Matena, RFC v3, linux-mm 2022-05-16, message 20220516125405.1675-1",
        recovers="relaxed",
    ),
    Advice(
        name="ksm-6.18",
        text="Use kernel 6.18 or later with prctl(PR_SET_MEMORY_MERGE): from 6.4 to 6.16 every "
        "new mapping gets its flag only after the attempt to merge.",
        whose=Whose.OPERATOR,
        patterns=(P.ADVISED,),
        reasons=("vm_flags:mg",),
        proof=Documented(0.6),
        cost="A reboot.",
        check="No pair has the reason `vm_flags:mg` any more.",
        source="mm/mmap.c, ksm_add_vma; linux-kernel, May 2025",
        tests=(kernel_before((6, 18)),),
    ),
    Advice(
        name="account-6.12",
        text="Upgrade to kernel 6.12 or later: there memory that was never written loses its "
        "accounting flag again when it is made unwritable.",
        whose=Whose.OPERATOR,
        patterns=(P.ACCOUNTED,),
        reasons=("vm_flags:ac",),
        proof=Documented(0.5),
        cost="A reboot.",
        check="Pairs with `vm_flags:ac` become fewer.",
        source="mm/mprotect.c, mprotect_fixup, 6.12",
        tests=(kernel_before((6, 12)),),
    ),
    Advice(
        name="see-more",
        text="Let vmad see the kernel's own structures: CAP_BPF and CAP_PERFMON on a kernel with "
        "BTF. `vmad doctor` says what is missing here.",
        whose=Whose.OPERATOR,
        patterns=(P.UNDECIDED,),
        proof=Documented(0.9),
        cost="Two capabilities.",
        check="`vmad explain PID` says: evidence from the kernel.",
        source="capabilities(7)",
    ),
    Advice(
        name="see-one-process",
        text="Read one process by `vmad explain PID`: without BPF it reads smaps and numa_maps, "
        "which show its flags and most of its memory policies.",
        whose=Whose.OPERATOR,
        patterns=(P.UNDECIDED,),
        reasons=("vm_flags_unknown", "mempolicy_unknown"),
        proof=Documented(0.5),
        cost="Reading smaps takes the target's mmap_lock.",
        check="Fewer pairs are undecided.",
        source="proc_pid_smaps(5), proc_pid_numa_maps(5)",
    ),
    Advice(
        name="look-again",
        text="Look again: pairs that were just being changed are read whole the next time.",
        whose=Whose.OPERATOR,
        patterns=(P.UNDECIDED,),
        reasons=("anon_vma_unknown",),
        proof=Documented(0.2),
        cost="Nothing.",
        check="No pair is `anon_vma_unknown` any more.",
        source="Documentation/filesystems/proc.rst: maps is consistent only within one read",
    ),
)
