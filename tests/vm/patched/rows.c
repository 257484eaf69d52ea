// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layouts of two or three adjacent areas, and how many VMAs the kernel makes of them.
 * Prints "NAME COUNT" for each; what to expect is in test_patched_rows.py.
 */
#include "areas.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

#define N (8 * PAGE)

static int result; /* of a row that counts in a child */

static char *at(void)
{
	return arena + (1 << 20);
}

static char *elsewhere(void)
{
	return arena + (16 << 20);
}

static int two(void)
{
	return count_vmas(at(), at() + 2 * N);
}

/*
 * Two halves, of which `second` or the first is about to have its flags changed back. As long as
 * they differ in more than access, a write gives each an anon_vma of its own.
 */
static void halves(bool second, bool touch_first, bool touch_second)
{
	map(at(), 2 * N);
	advise(at() + (second ? N : 0), N, MADV_RANDOM);
	if (touch_first)
		touch(at(), N);
	if (touch_second)
		touch(at() + N, N);
}

static int joined(bool second)
{
	advise(at() + (second ? N : 0), N, MADV_NORMAL);
	return two();
}

static int first_written_op_second(void)
{
	halves(true, true, false);
	return joined(true);
}

static int first_written_op_first(void)
{
	halves(false, true, false);
	return joined(false);
}

static int second_written_op_first(void)
{
	halves(false, false, true);
	return joined(false);
}

static int second_written_op_second(void)
{
	halves(true, false, true);
	return joined(true);
}

static int both_written_op_second(void)
{
	halves(true, true, true);
	return joined(true);
}

static int both_written_op_first(void)
{
	halves(false, true, true);
	return joined(false);
}

static int both_written_op_middle(void)
{
	map(at(), 3 * N);
	advise(at() + N, N, MADV_RANDOM);
	touch(at(), 3 * N);
	advise(at() + N, N, MADV_NORMAL);
	return count_vmas(at(), at() + 3 * N);
}

static int both_written_by_mprotect(void)
{
	halves(true, true, true);
	protect(at(), N, PROT_READ);
	advise(at() + N, N, MADV_NORMAL);
	protect(at(), N, RW);
	return two();
}

static int both_written_by_mlock(void)
{
	map(at(), 2 * N);
	must(!mlock2(at() + N, N, MLOCK_ONFAULT), "mlock2");
	touch(at(), 2 * N);
	must(!munlock(at() + N, N), "munlock");
	return two();
}

static int both_written_by_name(void)
{
	map(at(), 2 * N);
	if (prctl(0x53564d41, 0, at() + N, N, "other")) /* PR_SET_VMA, PR_SET_VMA_ANON_NAME */
		return -1;
	touch(at(), N);
	/* names are not compared when an anon_vma is looked for: a hint as well */
	advise(at() + N, N, MADV_RANDOM);
	touch(at() + N, N);
	advise(at() + N, N, MADV_NORMAL);
	must(!prctl(0x53564d41, 0, at() + N, N, NULL), "prctl");
	return two();
}

static int both_written_by_mbind(void)
{
	unsigned long nodes = 1;

	map(at(), 2 * N);
	must(!syscall(SYS_mbind, at() + N, N, 2 /* MPOL_BIND */, &nodes, 64UL, 0), "mbind");
	touch(at(), 2 * N);
	must(!syscall(SYS_mbind, at() + N, N, 0 /* MPOL_DEFAULT */, NULL, 0UL, 0), "mbind");
	return two();
}

static int hole_between_written(void)
{
	touch(map(at(), N), N);
	touch(map(at() + 2 * N, N), N);
	map(at() + N, N);
	return count_vmas(at(), at() + 3 * N);
}

static int written_moved_behind_written(void)
{
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	move(elsewhere(), N, at() + N);
	return two();
}

static int written_moved_before_written(void)
{
	touch(map(at() + N, N), N);
	touch(map(elsewhere(), N), N);
	move(elsewhere(), N, at());
	return two();
}

static int written_moved_behind_unwritten(void)
{
	map(at(), N);
	touch(map(elsewhere(), N), N);
	move(elsewhere(), N, at() + N);
	return two();
}

static int unwritten_moved_behind_written(void)
{
	touch(map(at(), N), N);
	map(elsewhere(), N);
	move(elsewhere(), N, at() + N);
	return two();
}

static int emptied_moved_behind_written(void)
{
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	advise(elsewhere(), N, MADV_DONTNEED);
	move(elsewhere(), N, at() + N);
	return two();
}

static int moved_between_written(void)
{
	touch(map(at(), N), N);
	touch(map(at() + 2 * N, N), N);
	touch(map(elsewhere(), N), N);
	move(elsewhere(), N, at() + N);
	return count_vmas(at(), at() + 3 * N);
}

static int half_moved_away_and_back(void)
{
	touch(map(at(), 2 * N), 2 * N);
	move(at() + N, N, elsewhere());
	move(elsewhere(), N, at() + N);
	return two();
}

static int both_halves_moved_in_order(void)
{
	touch(map(elsewhere(), 2 * N), 2 * N);
	move(elsewhere(), N, at());
	move(elsewhere() + N, N, at() + N);
	return two();
}

static int halves_swapped(void)
{
	touch(map(elsewhere(), 2 * N), 2 * N);
	move(elsewhere() + N, N, at());
	move(elsewhere(), N, at() + N);
	return two();
}

static int moved_before_switched_on(void)
{
	long mask = read_number(SWITCH);

	set_switch(0);
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	move(elsewhere(), N, at() + N);
	set_switch(mask);
	advise(at() + N, N, MADV_RANDOM);
	advise(at() + N, N, MADV_NORMAL);
	return two();
}

static int grown_up_to_written(void)
{
	touch(map(at(), N), N);
	touch(map(at() + 2 * N, N), N);
	must(!munmap(at() + N, N), "munmap");
	must(mremap(at(), N, 2 * N, 0) == at(), "mremap");
	return count_vmas(at(), at() + 3 * N);
}

static int grown_up_to_unwritten(void)
{
	touch(map(at(), N), N);
	map(at() + 2 * N, N);
	must(!munmap(at() + N, N), "munmap");
	must(mremap(at(), N, 2 * N, 0) == at(), "mremap");
	return count_vmas(at(), at() + 3 * N);
}

static int move_behind(void)
{
	move(elsewhere(), N, at() + N);
	return two();
}

/* Two areas under one userfaultfd that asks for no events, one of them to be moved behind the other. */
static int two_under_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	must(uffd >= 0, "userfaultfd");
	must(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API");
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	for (int i = 0; i < 2; i++) {
		struct uffdio_register area = {
			.range = { (uintptr_t)(i ? elsewhere() : at()), N },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		must(!ioctl(uffd, UFFDIO_REGISTER, &area), "UFFDIO_REGISTER");
	}
	return uffd;
}

static int moved_without_its_userfaultfd(void)
{
	int uffd = two_under_userfaultfd();
	int count = move_behind();

	close(uffd);
	return count;
}

/* Not VMAs, but how many were labelled anew for a merge that cannot be. */
static int labelled_without_its_userfaultfd(void)
{
	int uffd = two_under_userfaultfd();
	long before = vmstat("anon_vma_merge_repointed_vmas"), after;

	move_behind();
	after = vmstat("anon_vma_merge_repointed_vmas");
	close(uffd); /* takes it from the other one too: now they may merge */
	return after - before;
}

static void child_maps_beside(void)
{
	map(at() + N, N);
	result = two();
	_exit(result);
}

static int counted_in_child(void (*work)(void))
{
	int status;
	pid_t child = fork();

	must(child >= 0, "fork");
	if (!child) {
		work();
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child && WIFEXITED(status), "a child");
	return WEXITSTATUS(status);
}

static int child_maps_beside_inherited(void)
{
	touch(map(at(), N), N);
	return counted_in_child(child_maps_beside);
}

static void child_splits(void)
{
	advise(at() + N, N, MADV_RANDOM);
	advise(at() + N, N, MADV_NORMAL);
	_exit(two());
}

static int child_splits_and_rejoins(void)
{
	touch(map(at(), 2 * N), 2 * N);
	return counted_in_child(child_splits);
}

static void child_joins_inherited(void)
{
	_exit(joined(true));
}

static int child_joins_two_inherited(void)
{
	halves(true, true, true);
	return counted_in_child(child_joins_inherited);
}

static void child_moves_inherited(void)
{
	move(elsewhere(), N, at() + N);
	_exit(two());
}

static int child_moves_inherited_behind_inherited(void)
{
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	return counted_in_child(child_moves_inherited);
}

static int with_child(int (*work)(void))
{
	int hold, count;
	pid_t child = living_child(&hold);

	count = work();
	end_child(child, hold);
	return count;
}

static int join_second(void)
{
	return joined(true);
}

static int map_beside(void)
{
	map(at() + N, N);
	return two();
}

static int parent_maps_beside_shared(void)
{
	touch(map(at(), N), N);
	return with_child(map_beside);
}

static int parent_joins_two_shared(void)
{
	halves(true, true, true);
	return with_child(join_second);
}

static int parent_moves_shared_behind_shared(void)
{
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	return with_child(move_behind);
}

static int touch_second_and_join(void)
{
	touch(at() + N, N);
	return joined(true);
}

static int touch_first_and_join(void)
{
	touch(at(), N);
	return joined(true);
}

static int own_joins_shared_first(void)
{
	halves(true, true, false);
	return with_child(touch_second_and_join);
}

static int shared_joins_own_first(void)
{
	halves(true, false, true);
	return with_child(touch_first_and_join);
}

/* What a series of 2026-11-23 did worse than stock (2026-11-29), and what it left undone. */
static int flip_part_beside_shared(void)
{
	advise(at() + N, PAGE, MADV_RANDOM);
	advise(at() + N, PAGE, MADV_NORMAL);
	advise(at() + 2 * N, N, MADV_NORMAL);
	return count_vmas(at(), at() + 3 * N);
}

/* Two halves of one area; a page of the first is for a moment as the shared area before it. */
static int part_beside_shared_and_back(void)
{
	map(at(), N);
	advise(at(), N, MADV_RANDOM);
	touch(at(), N);
	touch(map(at() + N, 2 * N), 2 * N);
	advise(at() + 2 * N, N, MADV_SEQUENTIAL);
	return with_child(flip_part_beside_shared);
}

/* The same where both halves together are more than may be looked at. */
static int part_beside_shared_within_the_bound(void)
{
	long bound = read_number(BOUND);
	int count;

	set_number(BOUND, 3 * N / PAGE / 2);
	count = part_beside_shared_and_back();
	set_number(BOUND, bound);
	return count;
}

#define TABLES 12

/* The second area has one page in each of many page tables, the rest was never written to. */
static int touch_sparsely_and_join(void)
{
	for (size_t i = 0; i < TABLES; i++)
		touch(at() + N + i * HUGE, PAGE);
	advise(at(), N, MADV_NORMAL);
	return two();
}

static int sparse_joins_shared(void)
{
	map(at(), N + TABLES * HUGE);
	advise(at(), N, MADV_RANDOM);
	touch(at(), N);
	return with_child(touch_sparsely_and_join);
}

/* Its pages are within the bound, but the entries without one are looked at as well. */
static int sparse_joins_shared_beyond_the_bound(void)
{
	long bound = read_number(BOUND);
	int count;

	set_number(BOUND, 5 * TABLES);
	count = sparse_joins_shared();
	set_number(BOUND, bound);
	return count;
}

static int use_first_page(void)
{
	long mask = read_number(SWITCH);

	advise(at() + N, PAGE, MADV_RANDOM);
	set_switch(0);
	advise(at() + 2 * N, N, MADV_NORMAL);
	set_switch(mask);
	return count_vmas(at(), at() + 3 * N);
}

/* An area at at() whose page offset is that of elsewhere(). */
static void moved_at(void)
{
	long mask = read_number(SWITCH);

	touch(map(elsewhere(), N), N);
	set_switch(0);
	move(elsewhere(), N, at());
	set_switch(mask);
}

static int rest_of_unwritten_after_switched_off(void)
{
	moved_at();
	advise(at(), N, MADV_RANDOM);
	map(at() + N, 2 * N);
	advise(at() + 2 * N, N, MADV_SEQUENTIAL);
	return with_child(use_first_page);
}

static int unwritten_beside_moved_shared(void)
{
	moved_at();
	return with_child(map_beside);
}

static void child_writes_beside(void)
{
	map(at() + N, N);
	advise(at() + N, N, MADV_RANDOM);
	touch(at() + N, N);
	_exit(joined(true));
}

static int child_joins_own_and_inherited(void)
{
	touch(map(at(), N), N);
	return counted_in_child(child_writes_beside);
}

/* How many pages an area has grown down after what came from further below has merged with it. */
static void grows_down(void)
{
	touch(map_flags(elsewhere(), N, RW, MAP_GROWSDOWN), N);
	touch(map_flags(at(), N, RW, MAP_GROWSDOWN), N);
	map_flags(elsewhere() - 64 * N, 64 * N, PROT_NONE, 0);
	munmap(elsewhere() - 64 * N, 64 * N);
	move(at(), N, elsewhere() - N);
	*(volatile char *)(elsewhere() - N - 2 * PAGE) = 1;
	_exit(2);
}

static int grown_down_after_a_merge(void)
{
	return counted_in_child(grows_down);
}

static int joined_after_child_died(void)
{
	halves(true, true, true);
	with_child(two);
	return joined(true);
}

static int moved_after_child_died(void)
{
	touch(map(at(), N), N);
	touch(map(elsewhere(), N), N);
	with_child(two);
	return move_behind();
}

static int unwritten_made_inaccessible(void)
{
	map(at(), N);
	map_flags(at() + N, N, PROT_NONE, 0);
	protect(at(), N, PROT_NONE);
	return two();
}

static int written_made_inaccessible(void)
{
	touch(map(at(), N), N);
	map_flags(at() + N, N, PROT_NONE, 0);
	protect(at(), N, PROT_NONE);
	return two();
}

static int noreserve_beside_normal(void)
{
	map(at(), N);
	map_flags(at() + N, N, RW, MAP_NORESERVE);
	return two();
}

static int no_way_back_from_hugepage(void)
{
	map(at(), 2 * N);
	advise(at() + N, N, MADV_HUGEPAGE);
	advise(at() + N, N, MADV_NOHUGEPAGE);
	return two();
}

static int stack_beside_plain(void)
{
	map(at(), N);
	map_flags(at() + N, N, RW, MAP_STACK);
	return two();
}

static void maps_mergeable(void)
{
	if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
		_exit(99);
	for (int i = 0; i < 3; i++)
		map(at() + i * N, N);
	_exit(count_vmas(at(), at() + 3 * N));
}

static int three_under_memory_merge(void)
{
	return counted_in_child(maps_mergeable);
}

static int different_access(void)
{
	touch(map(at(), 2 * N), 2 * N);
	protect(at() + N, N, PROT_READ);
	return two();
}

static int different_hint(void)
{
	halves(true, true, true);
	return two();
}

static const struct row {
	const char *name;
	int (*count)(void);
} rows[] = {
#define ROW(name) { #name, name }
	ROW(first_written_op_second),
	ROW(first_written_op_first),
	ROW(second_written_op_first),
	ROW(second_written_op_second),
	ROW(both_written_op_second),
	ROW(both_written_op_first),
	ROW(both_written_op_middle),
	ROW(both_written_by_mprotect),
	ROW(both_written_by_mlock),
	ROW(both_written_by_name),
	ROW(both_written_by_mbind),
	ROW(hole_between_written),
	ROW(written_moved_behind_written),
	ROW(written_moved_before_written),
	ROW(written_moved_behind_unwritten),
	ROW(unwritten_moved_behind_written),
	ROW(emptied_moved_behind_written),
	ROW(moved_between_written),
	ROW(half_moved_away_and_back),
	ROW(both_halves_moved_in_order),
	ROW(halves_swapped),
	ROW(moved_before_switched_on),
	ROW(grown_up_to_written),
	ROW(grown_up_to_unwritten),
	ROW(moved_without_its_userfaultfd),
	ROW(labelled_without_its_userfaultfd),
	ROW(child_maps_beside_inherited),
	ROW(child_splits_and_rejoins),
	ROW(child_joins_two_inherited),
	ROW(child_moves_inherited_behind_inherited),
	ROW(parent_maps_beside_shared),
	ROW(parent_joins_two_shared),
	ROW(parent_moves_shared_behind_shared),
	ROW(own_joins_shared_first),
	ROW(shared_joins_own_first),
	ROW(part_beside_shared_and_back),
	ROW(part_beside_shared_within_the_bound),
	ROW(sparse_joins_shared),
	ROW(sparse_joins_shared_beyond_the_bound),
	ROW(rest_of_unwritten_after_switched_off),
	ROW(unwritten_beside_moved_shared),
	ROW(child_joins_own_and_inherited),
	ROW(grown_down_after_a_merge),
	ROW(joined_after_child_died),
	ROW(moved_after_child_died),
	ROW(unwritten_made_inaccessible),
	ROW(written_made_inaccessible),
	ROW(noreserve_beside_normal),
	ROW(no_way_back_from_hugepage),
	ROW(stack_beside_plain),
	ROW(three_under_memory_merge),
	ROW(different_access),
	ROW(different_hint),
};

int main(int argc, char **argv)
{
	if (argc > 1)
		set_switch(atol(argv[1]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		new_arena();
		printf("%s %d\n", rows[i].name, rows[i].count());
		fflush(stdout);
	}
	return 0;
}
