/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The open-coded VMA iterator: 6.7 (4ac454682158); in syscall programs from 6.10.
 *
 * It took mmap_lock for reading until it was destroyed, and failed with -EBUSY where the lock was
 * contended. From bee9ef4a40a2 (2026, backported: 6.12.117, 6.18.44, 7.0.13) it takes the lock of
 * each VMA instead, hands out a copy, holds nothing between two, and leaves out, without a word,
 * a VMA that is locked for writing just then: so its walks are checked (chunk.bpf.h).
 */
#ifndef VMAD_ITERATOR_BPF_H
#define VMAD_ITERATOR_BPF_H

#include "kernel.bpf.h"

struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;
int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, u64 addr) __ksym;
struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

#endif
