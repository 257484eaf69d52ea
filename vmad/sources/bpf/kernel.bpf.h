/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types that the programs read, with only the fields that they read.
 *
 * CO-RE matches them by name against the running kernel's BTF at load time, so neither a
 * generated vmlinux.h nor kernel headers are needed to build. A "___suffix" is a flavour: the
 * same kernel type as another release or configuration has it.
 */
#ifndef VMAD_KERNEL_BPF_H
#define VMAD_KERNEL_BPF_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;

enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9 };
enum { BPF_F_MMAPABLE = 1 << 10 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

/*
 * An address that the compiler cannot tell: it keeps it in a register, or on the stack, instead of
 * making it anew wherever it is used, which is four instructions of 64-bit Arm for a map's value.
 */
#define KEPT(address)                                                                              \
	({                                                                                         \
		typeof(address) kept = (address);                                                  \
		asm volatile("" : "+r"(kept));                                                     \
		kept;                                                                              \
	})

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next, *prev;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct hlist_bl_node {
	struct hlist_bl_node *next, **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct path {
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	struct path f_path;
	struct inode *f_inode;
};

/* overlayfs: what the user opened; 6.8 (def3ae83da02), before in f_path */
struct backing_file {
	struct file file;
	struct path user_path;
};

struct anon_vma {
	struct anon_vma *root;
	unsigned long num_children;
};

/* 5.15 and 5.17 without the backport of 2555283eb40d: children and VMAs in one number */
struct anon_vma___degree {
	unsigned int degree;
};

struct anon_vma_name {
	char name[0];
};

struct userfaultfd_ctx;

struct vm_userfaultfd_ctx {
	struct userfaultfd_ctx *ctx;
};

typedef struct {
	unsigned long bits[1];
} nodemask_t;

struct mempolicy {
	unsigned short mode;
	unsigned short flags;
	nodemask_t nodes;
	int home_node; /* 5.17, c6018b4b2549 */
	union {
		nodemask_t user_nodemask;
	} w;
};

typedef struct {
	s64 counter;
} atomic64_t;

typedef atomic64_t atomic_long_t;

struct rw_semaphore {
	atomic_long_t count;
};

/* the tree of an address space's VMAs: 6.1 (d4af56c5c7c6); lib/maple_tree.c */
struct maple_tree {
	void *ma_root;
};

struct maple_node;

struct maple_range_64 {
	struct maple_pnode *parent;
	unsigned long pivot[15];
	void *slot[16];
};

struct maple_arange_64 {
	struct maple_pnode *parent;
	unsigned long pivot[9];
	void *slot[10];
};

enum maple_type {
	maple_dense,
	maple_leaf_64,
	maple_range_64,
	maple_arange_64,
};

typedef struct {
	int counter;
} atomic_t;

struct mm_struct {
	struct maple_tree mm_mt;
	atomic_t mm_users;
	int map_count;
	struct rw_semaphore mmap_lock;
	unsigned long total_vm;
	unsigned long start_brk, brk, start_stack;
};

/* proposed rename of map_count (Kalesh Singh's series, 2025) */
struct mm_struct___vma_count {
	int vma_count;
};

/* 6.4 (5e31275cc997): an int; from 6.14 (eb449bd96954) a seqcount */
struct mm_struct___seq_int {
	int mm_lock_seq;
};

struct seqcount {
	unsigned int sequence;
};

typedef struct seqcount seqcount_t;

struct mm_struct___seqcount {
	seqcount_t mm_lock_seq;
};

struct vm_operations_struct;

struct vm_area_struct {
	unsigned long vm_start, vm_end;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	struct list_head anon_vma_chain;
	struct anon_vma *anon_vma;
	const struct vm_operations_struct *vm_ops;
	unsigned long vm_pgoff;
	struct file *vm_file;
	struct mempolicy *vm_policy;
	struct vm_userfaultfd_ctx vm_userfaultfd_ctx;
	struct anon_vma_name *anon_name;
};

/* 6.12: what is asked of vma_modify() and vma_merge_new_range() */
struct vma_merge_struct {
	struct vm_area_struct *prev;
	struct vm_area_struct *middle;
	struct vm_area_struct *next;
	unsigned long start, end;
	unsigned long pgoff;
	unsigned long vm_flags;
	struct file *file;
	struct anon_vma *anon_vma;
	struct mempolicy *policy;
	struct vm_userfaultfd_ctx uffd_ctx;
	struct anon_vma_name *anon_name;
	struct vm_area_struct *copied_from; /* by mremap; 7.0 and late 6.18.y */
};

/* the earlier names of middle and vm_flags */
struct vma_merge_struct___6_12 {
	struct vm_area_struct *vma;
	unsigned long flags;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	u64 start_boottime;
	struct pid *thread_pid;
	char comm[16];
};

struct seq_file {
	void *private;
};

/* where the task_vma iterator stands; kernel/bpf/task_iter.c */
struct bpf_iter_seq_task_vma_info {
	unsigned long prev_vm_end;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};

#pragma clang attribute pop

/* open-coded VMA iterator, 6.7 (4ac454682158) */
struct bpf_iter_task_vma {
	u64 opaque[1];
} __attribute__((aligned(8)));

#endif
