/* SPDX-License-Identifier: GPL-2.0-only */
/* One VMA looked at: the only place that touches the kernel's structures of it. */
#ifndef VMAD_LOOK_BPF_H
#define VMAD_LOOK_BPF_H

#include "layout.bpf.h"

#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define OVERLAYFS_MAGIC 0x794c7630
#define FUSE_MAGIC 0x65735546
/* VM_UFFD_MISSING, VM_UFFD_WP; VM_UFFD_MINOR is one of those above, where depends on the release */
#define FLAGS_MAY_BE_UFFD (1ULL << 9 | 1ULL << 12 | ~0xffffffffULL)
#define FMODE_MAY_BE_BACKING (1 << 25 | 1 << 24)

/*
 * A kernel pointer as a plain number. The verifier forbids arithmetic on pointers that it tracks;
 * one stored to a map value and loaded again is a scalar to it. Cheaper than a probe read.
 */
static __always_inline u64 number_of(struct walk *walk, const void *pointer)
{
	*(volatile u64 *)&walk->laundry = (u64)pointer;
	return *(volatile u64 *)&walk->laundry;
}

static __always_inline u8 kind_by(unsigned long magic, int unlinked)
{
	if (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC)
		return KIND_SHARED_MEMORY;
	return unlinked ? KIND_FILE_DELETED : KIND_FILE;
}

/*
 * A file of overlayfs (or of FUSE with passthrough) is mapped by a file of the filesystem below.
 * maps shows the one that the user opened (file_user_path()), which may have been deleted while
 * the lower one lives on in its image. KIND_COUNT when it is not such a file.
 *
 * The mark, FMODE_BACKING, moved from bit 25 to 24 in 6.14, and 25 means something else since: so
 * either asks for a look, and the filesystem decides.
 */
static __noinline u8 kind_of_backing_file(struct backing_file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, user_path.dentry);
	unsigned long magic = BPF_CORE_READ(dentry, d_inode, i_sb, s_magic);

	if (magic != OVERLAYFS_MAGIC && magic != FUSE_MAGIC)
		return KIND_COUNT;
	return kind_by(magic, !BPF_CORE_READ(dentry, d_hash.pprev) &&
				      BPF_CORE_READ(dentry, d_parent) != dentry);
}

static __always_inline u8 kind_of_file(struct file *file)
{
	struct backing_file *backing = (void *)file;
	struct dentry *dentry = file->f_path.dentry;

	if (bpf_core_field_exists(backing->user_path) && file->f_mode & FMODE_MAY_BE_BACKING) {
		u8 kind = kind_of_backing_file(backing);

		if (kind < KIND_COUNT)
			return kind;
	}
	/*
	 * d_unlinked() is what makes maps say " (deleted)". The filesystem is the dentry's, not the
	 * inode's: before 6.8 a file of overlayfs is mapped by one with the path that the user opened
	 * and the inode of the filesystem below, often a tmpfs.
	 */
	return kind_by(dentry->d_sb->s_magic,
		       !dentry->d_hash.pprev && dentry->d_parent != dentry);
}

/* vmad/model/kinds.py has the order of the tests */
static __always_inline u8 kind_of(struct vm_area_struct *vma, u64 flags, u64 file, int anonymous)
{
	/* the verifier of 7.x wants its own test for NULL of what is followed */
	if (!anonymous) {
		struct file *mapped = vma->vm_file;

		return mapped ? kind_of_file(mapped) : KIND_SPECIAL;
	}
	if (!file) {
		struct mm_struct *mm = vma->vm_mm;

		if (!mm)
			return KIND_SPECIAL;
		/* fs/proc/task_mmu.c, as of 6.6 vma_is_initial_heap() / _stack() */
		if (vma->vm_start < mm->brk && vma->vm_end > mm->start_brk)
			return KIND_HEAP;
		if (vma->vm_start <= mm->start_stack && vma->vm_end >= mm->start_stack)
			return KIND_STACK;
	}
	if (!(flags & FLAG_ACCESS))
		return KIND_ANON_NO_ACCESS;
	return flags & FLAG_WRITE ? KIND_ANON_WRITABLE : KIND_ANON_OTHER;
}

/* State of an anon_vma that is set, into `b`; `a` is the VMA before. */
static __always_inline void look_at_anon_vma(struct vm_area_struct *vma, struct walk *walk,
					     struct seen *a, struct seen *b)
{
	struct anon_vma *anon_vma = vma->anon_vma;

	/* not empty, since anon_vma is set: one entry when next and prev are the same */
	if (vma->anon_vma_chain.next != vma->anon_vma_chain.prev) {
		b->chain = AV_CHAIN;
		return;
	}
	b->chain = AV_SINGULAR;
	if (b->anon_vma == a->anon_vma && a->chain == AV_SINGULAR) {
		/* the anon_vma of the VMA before: spare the pointer chase */
		b->exclusive = a->exclusive;
		b->unknown_exclusive = a->unknown_exclusive;
		return;
	}
	if (number_of(walk, anon_vma->root) != b->anon_vma)
		return;
	if (bpf_core_field_exists(anon_vma->num_children)) {
		b->exclusive = anon_vma->num_children <= 1; /* a root counts itself */
	} else {
		struct anon_vma___degree *old = (void *)anon_vma;

		b->exclusive = BPF_CORE_READ(old, degree) <= 1;
		b->unknown_exclusive = !b->exclusive; /* split VMAs, or children */
	}
}

/* Everything that is wanted of a VMA, into `b`; `a` is the VMA before. */
static __always_inline void look_into(struct vm_area_struct *vma, struct walk *walk,
				      struct seen *a, struct seen *b)
{
	u64 file = number_of(walk, vma->vm_file);

	b->start = vma->vm_start;
	b->end = vma->vm_end;
	b->flags = vma->vm_flags;
	b->pgoff = vma->vm_pgoff;
	b->file = file;
	b->anon_vma = number_of(walk, vma->anon_vma);
	b->shift = b->pgoff - (b->start >> settings.page_shift);
	b->anonymous = !number_of(walk, vma->vm_ops) && !(b->flags & FLAG_SHARED);
	b->uffd = b->policy = b->name = 0;
	/* the flags say whether there is one (userfaultfd_armed()): spares a cache line of most VMAs */
	if (bpf_core_field_exists(vma->vm_userfaultfd_ctx.ctx) && b->flags & FLAGS_MAY_BE_UFFD)
		b->uffd = number_of(walk, vma->vm_userfaultfd_ctx.ctx);
	if (bpf_core_field_exists(vma->vm_policy))
		b->policy = number_of(walk, vma->vm_policy);
	/* until 6.1 a union with shared.rb, which only file VMAs use */
	if (bpf_core_field_exists(vma->anon_name) && !file)
		b->name = number_of(walk, vma->anon_name);
	b->kind = kind_of(vma, b->flags, file, b->anonymous);
	b->chain = AV_NONE;
	b->exclusive = b->unknown_exclusive = 0;
	if (b->anon_vma)
		look_at_anon_vma(vma, walk, a, b);
	if (file && b->anonymous) { /* a private mapping of /dev/zero: its page offset is fixed */
		b->exclusive = !b->anon_vma;
		b->unknown_exclusive = 0;
	}
}

#endif
