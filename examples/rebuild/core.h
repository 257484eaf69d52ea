/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The rebuild itself, without a C library and without memory of its own but the plan and the stack.
 *
 * A fresh area is made elsewhere and the run's pages are moved into it by UFFDIO_MOVE: the kernel
 * gives each page the fresh area's anon_vma and its index there (mm/userfaultfd.c, move_pages). One
 * mremap then puts the fresh area where the run was. Until that call the run's own VMAs still stand,
 * so every failure is undone by moving the pages home.
 *
 * The fresh area is seeded: it begins as one written page below the run, is moved and then grown, so
 * that its page offset is already that of the run's place. Else the rebuilt VMA would keep an offset
 * that no later neighbour continues.
 *
 * Whoever touches a page that is on its way waits in the userfaultfd, and finds it when that is
 * closed, last of all.
 */
#ifndef REBUILD_CORE_H
#define REBUILD_CORE_H

#include "calls.h"

struct plan {
	/* the run [run, end); page size; a free page below the run with free ones around it, or 0 */
	uint64_t run, end, page, seed;
	/* where the VMA begins that ends at the run and that is to go on as it, or 0: one of two pages or
	 * more, not locked, with an anon_vma and the page offset of its place */
	uint64_t below;
	/* where VMAs of the run begin, but for the first */
	const uint64_t *cuts;
	const char *pagemap; /* "/proc/self/pagemap" */
	uint32_t n_cuts, prot, map_flags, n_advice;
	uint32_t advice[8]; /* of madvise, for the fresh area */
	uint32_t lock; /* 0: not locked, 1: mlock, 2: mlock2(MLOCK_ONFAULT) */
	/* 0: all or nothing. 1: what comes before a refused page, or was moved when the deadline passed, is
	 * rebuilt, and `end` says afterwards how far; two VMAs at least, or one that joins that below */
	uint32_t parts;
	uint64_t deadline; /* ns of CLOCK_MONOTONIC, 0: none */
	/* pages that may stop being the zero page, a frame for each; afterwards those still left */
	uint64_t zero_pages;
	/* what came of it: errno or 0, where, the page that was refused, bytes that have a new place */
	int32_t error;
	uint32_t step;
	uint64_t at, moved;
};

enum plan_step { PLAN_SEED = 2, PLAN_REGISTER, PLAN_ZERO, PLAN_MOVE, PLAN_COMMIT };

enum {
	PLAN_PATIENCE = 1000,      /* tries of a move that meets a page somebody holds for a moment */
	PLAN_YIELDS = 16,          /* of these, before it sleeps */
	PLAN_PAUSE = 20000,        /* ns */
	PLAN_ENTRIES = 128,        /* of pagemap, at once */
};
#define PAGEMAP_ALONE (1ULL << 56) /* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_SWAPPED (1ULL << 62)

/* A huge page, 2 MiB where pages have 4 KiB: it stays whole if it is congruent in both places. */
static uint64_t plan_huge(const struct plan *plan)
{
	return plan->page * (plan->page / 8);
}

static long plan_fail(struct plan *plan, enum plan_step step, long error)
{
	plan->step = step;
	plan->error = (int)-error;
	return error;
}

static int plan_late(const struct plan *plan)
{
	struct { int64_t seconds, nanoseconds; } now;

	return plan->deadline && call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &now, 0) >= 0 &&
	       now.seconds * 1000000000ULL + now.nanoseconds >= plan->deadline;
}

/* Lets others run who hold what we wait for. Yielding alone does not, for a thread of real-time. */
static void plan_pause(int tries)
{
	const struct { int64_t seconds, nanoseconds; } pause = {0, PLAN_PAUSE};

	if (tries < PLAN_YIELDS)
		call(__NR_sched_yield, 0, 0, 0);
	else
		call(__NR_nanosleep, &pause, 0, 0);
}

/* A write that changes nothing, whoever else writes: the page becomes this process's own. */
static void plan_touch(uint64_t at)
{
	__atomic_fetch_or((volatile unsigned char *)at, 0, __ATOMIC_RELAXED);
}

/* The memory policy of the run, for the fresh area. Its home node (set_mempolicy_home_node) shows nowhere. */
static long plan_policy(struct plan *plan, uint64_t fresh)
{
	unsigned long nodes[16] = {0};
	int mode = 0;
	long error = call6(__NR_get_mempolicy, (long)&mode, (long)nodes, 8 * sizeof(nodes), plan->run,
			   2 /* MPOL_F_ADDR */, 0);

	if (error == -CALL_ENOSYS || (error >= 0 && !mode))
		return 0;
	if (error < 0)
		return error;
	return call6(__NR_mbind, fresh, plan->end - plan->run, mode, (long)nodes, 8 * sizeof(nodes), 0);
}

/* The fresh area, [*fresh, *fresh + length): reserved first, so that nothing else is replaced. */
static long plan_fresh(struct plan *plan, uint64_t *fresh)
{
	const long flags = CALL_MAP_PRIVATE | CALL_MAP_ANONYMOUS | plan->map_flags;
	uint64_t length = plan->end - plan->run, lead = plan->seed ? plan->run - plan->seed : 0;
	const uint64_t huge = plan_huge(plan);
	uint64_t room = lead + length + huge, head, i;
	long place, error;

	/* first, since the kernel would put the reservation into the very hole that the seed needs */
	if (plan->seed) {
		error = call6(__NR_mmap, plan->seed, plan->page, plan->prot,
			      flags | CALL_MAP_FIXED_NOREPLACE, -1, 0);
		if (error >= 0 && (uint64_t)error != plan->seed) { /* a kernel before 4.17 */
			call(__NR_munmap, error, plan->page, 0);
			error = -CALL_EINVAL;
		}
		if (error < 0)
			return plan_fail(plan, PLAN_SEED, error);
		*(volatile char *)plan->seed = 1;
	}
	place = call6(__NR_mmap, 0, room, 0, flags | CALL_MAP_NORESERVE, -1, 0);
	if (place < 0) {
		if (plan->seed)
			call(__NR_munmap, plan->seed, plan->page, 0);
		return plan_fail(plan, PLAN_SEED, place);
	}
	head = place + lead + ((plan->run - place - lead) & (huge - 1));
	*fresh = head;
	if (plan->seed)
		error = call6(__NR_mremap, plan->seed, plan->page, plan->page,
			      CALL_MREMAP_MAYMOVE | CALL_MREMAP_FIXED, head - lead, 0);
	else
		error = call6(__NR_mmap, head, length, plan->prot, flags | CALL_MAP_FIXED, -1, 0);
	if (error < 0) {
		if (plan->seed)
			call(__NR_munmap, plan->seed, plan->page, 0);
		call(__NR_munmap, place, room, 0);
		return plan_fail(plan, PLAN_SEED, error);
	}
	/* what is left of the reservation below and above */
	if (head - lead > (uint64_t)place)
		call(__NR_munmap, place, head - lead - place, 0);
	i = plan->seed ? head - lead + plan->page : head + length;
	call(__NR_munmap, i, place + room - i, 0);
	if (plan->seed) {
		call(__NR_madvise, head - lead, plan->page, CALL_MADV_DONTNEED);
		error = call6(__NR_mremap, head - lead, plan->page, lead + length, 0, 0, 0);
		if (error < 0) {
			call(__NR_munmap, head - lead, plan->page, 0);
			return plan_fail(plan, PLAN_SEED, error);
		}
		error = call(__NR_munmap, head - lead, lead, 0);
		if (error < 0) {
			call(__NR_munmap, head - lead, lead + length, 0);
			return plan_fail(plan, PLAN_SEED, error);
		}
	}
	/* mlockall(MCL_FUTURE) has locked it, and filled it */
	call(__NR_munlock, head, length, 0);
	error = call(__NR_madvise, head, length, CALL_MADV_DONTNEED);
	if (error >= 0)
		error = plan_policy(plan, head);
	for (i = 0; i < plan->n_advice && error >= 0; i++)
		error = call(__NR_madvise, head, length, plan->advice[i]);
	/* a move wants both sides locked or none; mlock itself would fill the fresh area */
	if (plan->lock && error >= 0)
		error = call(__NR_mlock2, head, length, CALL_MLOCK_ONFAULT);
	if (error < 0) {
		call(__NR_munmap, head, length, 0);
		return plan_fail(plan, PLAN_SEED, error);
	}
	return 0;
}

static long plan_register(long uffd, uint64_t start, uint64_t length)
{
	struct uffd_register range = {{start, length}, UFFD_MODE_MISSING, 0};

	return call(__NR_ioctl, uffd, UFFD_IOC_REGISTER, &range);
}

static long plan_unregister(long uffd, uint64_t start, uint64_t length)
{
	struct uffd_range range = {start, length};

	return call(__NR_ioctl, uffd, UFFD_IOC_UNREGISTER, &range);
}

/*
 * Pages of the run that still are the zero page get a frame each. Moving them instead has been seen
 * to end in a kernel oops on 6.16.12 and 6.18.15; and giving them up by MADV_DONTNEED would lose what
 * somebody writes into one just then.
 */
static long plan_own_zero_pages(struct plan *plan, long pagemap, uint64_t from, uint64_t end)
{
	struct page_region regions[16];
	uint64_t at;
	long found, i;

	do {
		struct pm_scan scan = {
			.size = sizeof(scan), .start = from, .end = end,
			.vec = (uint64_t)regions, .vec_len = 16,
			.mask = PM_IS_PFNZERO, .wanted = PM_IS_PFNZERO,
		};

		found = call(__NR_ioctl, pagemap, PM_IOC_SCAN, &scan);
		if (found < 0)
			return plan_fail(plan, PLAN_ZERO, found);
		for (i = 0; i < found; i++)
			for (at = regions[i].start; at < regions[i].end; at += plan->page) {
				if (!plan->zero_pages)
					return plan_fail(plan, PLAN_ZERO, -CALL_EBUSY);
				plan->zero_pages--;
				plan_touch(at);
			}
		from = scan.walk_end;
	} while (found && from < end);
	return 0;
}

/*
 * The page at `at` was refused. After a fork whose child is gone, nobody shares it, but only a write
 * tells the kernel so; it and those behind it are made as if written to. By a call, since a guard region
 * looks like a page that is swapped out, and a write there would end in SIGSEGV. Returns whether another
 * try is worth it.
 */
static int plan_own_pages(struct plan *plan, long pagemap, uint64_t at, uint64_t end)
{
	uint64_t entries[PLAN_ENTRIES];
	long got, i;
	uint64_t many = (end - at) / plan->page;

	if (many > PLAN_ENTRIES)
		many = PLAN_ENTRIES;
	got = call6(__NR_pread64, pagemap, (long)entries, many * 8, at / plan->page * 8, 0, 0);
	if (got < 8)
		return 0;
	if (!(entries[0] & (PAGEMAP_ALONE | PAGEMAP_SWAPPED)))
		return 0; /* a living process maps it too */
	for (i = 0; i < got / 8; i++)
		if (entries[i] & (PAGEMAP_ALONE | PAGEMAP_SWAPPED))
			call(__NR_madvise, at + i * plan->page, plan->page, CALL_MADV_POPULATE_WRITE);
	return 1;
}

/* All pages of [from, from + length), which lies in one VMA on each side. Returns bytes still to go. */
static uint64_t plan_move(struct plan *plan, long uffd, long pagemap, uint64_t to, uint64_t from, uint64_t length,
		       long *error)
{
	uint64_t done = 0, refused_at = ~0ULL;
	int patience = PLAN_PATIENCE;

	while (done < length) {
		struct uffd_move move = {to + done, from + done, length - done, UFFD_ALLOW_SRC_HOLES, 0};
		long result = call(__NR_ioctl, uffd, UFFD_IOC_MOVE, &move);

		if (move.move > 0)
			done += move.move;
		if (result >= 0 && move.move == (int64_t)move.len)
			break;
		*error = result >= 0 || move.move > 0 ? -CALL_EAGAIN : result;
		if (*error == -CALL_EAGAIN || *error == -CALL_EINTR) {
			if (move.move > 0)
				continue;
			if (patience-- <= 0 ||
			    (pagemap >= 0 && patience < PLAN_PATIENCE - PLAN_YIELDS && plan_late(plan)))
				break;
			plan_pause(PLAN_PATIENCE - patience);
			continue;
		}
		/* 6.18 counts a page that it has moved at its second try (after EAGAIN) as not moved, and then
		 * finds it in its way. Where we move to there is nothing but what was moved. */
		if (*error == -CALL_EEXIST) {
			done += plan->page;
			continue;
		}
		if (*error != -CALL_EBUSY || from + done == refused_at || pagemap < 0)
			break;
		refused_at = from + done;
		if (!plan_own_pages(plan, pagemap, from + done, from + length))
			break;
	}
	return length - done;
}

/* Pages [from, from + length) of the fresh area go to `to`, in the run, whatever it takes. */
static void plan_home(struct plan *plan, long uffd, uint64_t to, uint64_t from, uint64_t length)
{
	long error;
	uint64_t left;
	int i;

	for (i = 0; i < PLAN_PATIENCE; i++) {
		left = plan_move(plan, uffd, -1, to, from, length, &error);
		if (!left)
			return;
		from += length - left;
		to += length - left;
		length = left;
		/* somebody holds a page: it goes home with its VMA, which may cost one */
		plan_unregister(uffd, from, left);
		if (call6(__NR_mremap, from, left, left, CALL_MREMAP_MAYMOVE | CALL_MREMAP_FIXED, to, 0) >= 0)
			return;
		plan_pause(i);
	}
}

/*
 * The fresh area as what follows the VMA below: the last pages of that one are moved to just below the
 * fresh area by MREMAP_DONTUNMAP, which takes anon_vma, offset and flags along and leaves the VMA where
 * it is; they are grown by the fresh area, and go home. Returns whether it has come about; if not, all
 * is as before.
 */
static int plan_continue(struct plan *plan, long uffd, long pagemap, uint64_t *fresh)
{
	const uint64_t huge = plan_huge(plan);
	uint64_t length = plan->end - plan->run, lead = plan->page, head, room, tail;
	long place = -1, error;

	if (plan->run - plan->below <= lead)
		return 0;
	/* a huge page stays whole if it is moved as such */
	if (!(plan->run & (huge - 1)) && plan->run - plan->below > huge)
		lead = huge;
	room = lead + length + huge;
	tail = plan->run - lead;
	if (plan_register(uffd, plan->below, plan->run - plan->below) < 0)
		return 0;
	if (plan_own_zero_pages(plan, pagemap, tail, plan->run) >= 0)
		place = call6(__NR_mmap, 0, room, 0,
			      CALL_MAP_PRIVATE | CALL_MAP_ANONYMOUS | CALL_MAP_NORESERVE, -1, 0);
	if (place < 0) {
		plan_unregister(uffd, plan->below, plan->run - plan->below);
		plan->error = plan->step = 0;
		return 0;
	}
	head = place + ((tail - place) & (huge - 1));
	error = call6(__NR_mremap, tail, lead, lead,
		      CALL_MREMAP_MAYMOVE | CALL_MREMAP_FIXED | CALL_MREMAP_DONTUNMAP, head, 0);
	if (error < 0) {
		call(__NR_munmap, place, room, 0);
	} else {
		if (head > (uint64_t)place)
			call(__NR_munmap, place, head - place, 0);
		call(__NR_munmap, head + lead, place + room - head - lead, 0);
		error = call6(__NR_mremap, head, lead, lead + length, 0, 0, 0);
		plan_home(plan, uffd, tail, head, lead);
		call(__NR_munmap, head, lead, 0);
	}
	plan_unregister(uffd, plan->below, plan->run - plan->below);
	*fresh = head + lead;
	return error >= 0;
}

/* What went from [from, upto) to the fresh area goes home, each part into its own VMA. */
static void plan_undo(struct plan *plan, long uffd, uint64_t fresh, uint64_t from, uint64_t upto)
{
	uint64_t start = plan->run, end;
	uint32_t i;

	for (i = 0; start < upto; i++, start = end) {
		end = i < plan->n_cuts && plan->cuts[i] < upto ? plan->cuts[i] : upto;
		if (start >= from)
			plan_home(plan, uffd, start, fresh + (start - plan->run), end - start);
	}
}

static long plan_commit(struct plan *plan, long uffd, uint64_t fresh)
{
	const long flags = CALL_MAP_PRIVATE | CALL_MAP_ANONYMOUS | CALL_MAP_FIXED_NOREPLACE |
			   plan->map_flags;
	uint64_t length = plan->end - plan->run;
	long error = 0, place = 0;
	int i;

	plan_unregister(uffd, fresh, length); /* mremap would try to merge before it drops that */
	for (i = 0; i < PLAN_PATIENCE; i++) {
		error = call6(__NR_mremap, fresh, length, length,
			      CALL_MREMAP_MAYMOVE | CALL_MREMAP_FIXED, plan->run, 0);
		if (error >= 0)
			return 0;
		/* the kernel unmaps the run before it allocates: is there a hole now? */
		place = call6(__NR_mmap, plan->run, length, plan->prot, flags, -1, 0);
		if (place == -CALL_EEXIST)
			break; /* no: the run's VMAs stand, all can be undone */
		if (place >= 0) {
			plan_register(uffd, plan->run, length);
			plan_home(plan, uffd, plan->run, fresh, length);
			call(__NR_munmap, fresh, length, 0);
			return 0;
		}
		plan_pause(i);
	}
	return plan_fail(plan, PLAN_COMMIT, error);
}

/*
 * What is moved, VMA after VMA: returns where that ends, the run's beginning if nothing is to come of it.
 * `enough`: VMAs that are worth it.
 */
static uint64_t plan_move_all(struct plan *plan, long uffd, long pagemap, uint64_t fresh, uint32_t enough)
{
	uint64_t start, end, left;
	long error = 0;
	uint32_t i;

	for (i = 0, start = plan->run; start < plan->end; i++, start = end) {
		if (plan->parts && i >= enough && plan_late(plan))
			break;
		end = i < plan->n_cuts ? plan->cuts[i] : plan->end;
		left = plan_move(plan, uffd, pagemap, fresh + (start - plan->run), start, end - start, &error);
		if (left) {
			plan->at = end - left;
			plan_fail(plan, PLAN_MOVE, error);
			plan_undo(plan, uffd, fresh, start, plan->at);
			if (plan->parts && i >= enough)
				break;
			plan_undo(plan, uffd, fresh, plan->run, start);
			return plan->run;
		}
	}
	return start;
}

/*
 * Returns 0, or the negative errno that plan->error has. Nothing has changed then, unless plan->moved
 * says that a part before the page plan->at was rebuilt.
 */
static long plan_run(struct plan *plan)
{
	struct uffd_api api = {UFFD_API_VERSION, UFFD_HAS_MOVE, 0};
	const uint64_t length = plan->end - plan->run, whole = plan->end;
	uint64_t fresh = 0;
	long uffd, pagemap, error;
	int joins;

	plan->error = plan->step = 0;
	plan->at = plan->moved = 0;
	uffd = call(__NR_userfaultfd, CALL_O_CLOEXEC, 0, 0);
	if (uffd < 0)
		return plan_fail(plan, PLAN_REGISTER, uffd);
	/* without waiting, whatever somebody has mounted there */
	pagemap = call6(__NR_openat, -100, (long)plan->pagemap, CALL_O_CLOEXEC | CALL_O_NONBLOCK, 0, 0, 0);
	if (pagemap < 0) {
		plan_fail(plan, PLAN_ZERO, pagemap);
		goto close_uffd;
	}
	error = call(__NR_ioctl, uffd, UFFD_IOC_API, &api);
	if (error < 0) {
		plan_fail(plan, PLAN_REGISTER, error);
		goto close_pagemap;
	}
	joins = plan->below && plan_continue(plan, uffd, pagemap, &fresh);
	if (!joins && plan_fresh(plan, &fresh) < 0)
		goto close_pagemap;
	error = plan_register(uffd, fresh, length);
	if (error >= 0)
		error = plan_register(uffd, plan->run, length);
	if (error < 0) {
		plan_fail(plan, PLAN_REGISTER, error);
		goto unmap_fresh;
	}
	if (plan_own_zero_pages(plan, pagemap, plan->run, plan->end) < 0)
		goto unregister;
	plan->end = plan_move_all(plan, uffd, pagemap, fresh, joins ? 1 : 2);
	if (plan->end == plan->run)
		goto unregister;
	/* what has no pages is given back first, so that the one call below is still all that counts */
	if (plan->end < whole)
		error = call(__NR_munmap, fresh + (plan->end - plan->run), whole - plan->end, 0);
	if (error < 0)
		plan_fail(plan, PLAN_COMMIT, error);
	else if (plan_commit(plan, uffd, fresh) >= 0) {
		plan->moved = plan->end - plan->run;
		if (plan->lock == 1)
			call(__NR_mlock, plan->run, plan->moved, 0);
		goto close_pagemap;
	}
	plan_undo(plan, uffd, fresh, plan->run, plan->end);
unregister:
	plan->end = whole;
	plan_unregister(uffd, plan->run, length);
unmap_fresh:
	call(__NR_munmap, fresh, length, 0);
close_pagemap:
	call(__NR_close, pagemap, 0, 0);
close_uffd:
	call(__NR_close, uffd, 0, 0);
	return -plan->error;
}

#endif
