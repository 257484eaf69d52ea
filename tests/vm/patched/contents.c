// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a merge must not do: lose, mix up or strand a page.
 *
 * Each case makes adjacent areas with known bytes, puts their pages into some state, has the kernel
 * attempt a merge, and then uses the range in some way. Every byte is compared after each step, and
 * at last every page has to leave for swap and come back, which only works if the kernel finds
 * the page tables from the page: by its anon_vma and its index.
 *
 * contents MASK [WORD...]: prints "LAYOUT BEFORE AFTER VMAS ok" for every combination that has all WORDs;
 * a WORD /N takes every Nth combination only (an N that is prime to 14 and 10 goes through them evenly).
 * Ends at the first byte that is wrong, with status 1.
 */
#include "areas.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define MPOL_MF_MOVE_FLAG 2

static size_t n; /* bytes of one area */
static size_t parts; /* of the layout at hand */
static unsigned seed;
static const char *doing = "";
static char doing_text[256];

static char *at(void)
{
	return arena + 8 * HUGE;
}

static char *elsewhere(int which)
{
	return arena + (16 + 4 * which) * HUGE;
}

static size_t whole(void)
{
	return parts * n;
}

/* --- bytes: every word of every page is different, and depends on where it shall be in the end */

static uint64_t word(unsigned of, size_t offset)
{
	uint64_t x = (uint64_t)of << 40 ^ offset * 0x9e3779b97f4a7c15ULL;

	return x ^ x >> 29;
}

static void fill(char *place, size_t offset, size_t size)
{
	for (size_t i = 0; i < size; i += 8)
		*(uint64_t *)(place + i) = word(seed, offset + i);
}

static void check_as(const char *place, unsigned of, size_t offset, size_t size, const char *when)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t got = *(const volatile uint64_t *)(place + i);

		if (got == word(of, offset + i))
			continue;
		printf("%s WRONG %s: byte %zu is %#llx, wanted %#llx\n", doing, when, offset + i,
		       (unsigned long long)got, (unsigned long long)word(of, offset + i));
		fflush(stdout);
		_exit(1);
	}
}

static void check(const char *when)
{
	check_as(at(), seed, 0, whole(), when);
}

static void complain(const char *what)
{
	printf("%s WRONG %s\n", doing, what);
	fflush(stdout);
	_exit(1);
}

/* --- where pages are: /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst) */

#define SWAPPED (1ULL << 62)
#define PRESENT (1ULL << 63)

static size_t pages_with(const char *place, size_t size, uint64_t bit)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY); /* a parent's would show the parent */
	size_t found = 0;
	uint64_t entry;

	must(pagemap >= 0, "pagemap");
	for (size_t i = 0; i < size; i += PAGE) {
		must(pread(pagemap, &entry, 8, (uintptr_t)(place + i) / PAGE * 8) == 8, "pagemap");
		found += (entry & bit) != 0;
	}
	close(pagemap);
	return found;
}

/*
 * A fresh page waits in a batch of the CPU that made it, and cannot be reclaimed until that is drained.
 * move_pages(2) drains those of all CPUs.
 */
static void drain_batches(void)
{
	static char mine[PAGE] __attribute__((aligned(PAGE)));
	void *page = mine;
	int node = 0, status;

	mine[0] = 1;
	syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, MPOL_MF_MOVE_FLAG);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/*
 * Everything to swap; returns how many pages stayed. A page on its way to a disk is still there, and the
 * disk of a guest on a busy machine takes its time; a page that rmap does not find stays for good.
 */
static size_t page_out(char *place, size_t size)
{
	const double until = seconds() + 30;
	size_t left;

	for (int tries = 0;; tries++) {
		advise(place, size, MADV_PAGEOUT);
		left = pages_with(place, size, PRESENT);
		if (!left || seconds() > until)
			return left;
		drain_batches();
		if (tries > 50)
			usleep(1000);
	}
}

/* --- layouts: prepare() makes adjacent areas, attempt() lets the kernel try */

static void two_written(bool hint_second)
{
	map(at(), 2 * n);
	advise(at() + (hint_second ? n : 0), n, MADV_RANDOM);
	fill(at(), 0, 2 * n);
}

static void diff_second(void) { two_written(true); }
static void diff_first(void) { two_written(false); }
static void op_second(void) { advise(at() + n, n, MADV_NORMAL); }
static void op_first(void) { advise(at(), n, MADV_NORMAL); }

static void diff_three(void)
{
	map(at(), 3 * n);
	advise(at() + n, n, MADV_RANDOM);
	fill(at(), 0, 3 * n);
}

static void diff_protect(void)
{
	two_written(true);
	protect(at(), n, PROT_READ);
	advise(at() + n, n, MADV_NORMAL);
}

static void op_protect(void) { protect(at(), n, RW); }

static void diff_mlock(void)
{
	map(at(), 2 * n);
	must(!mlock2(at() + n, n, MLOCK_ONFAULT), "mlock2");
	fill(at(), 0, 2 * n);
}

static void op_mlock(void) { must(!munlock(at() + n, n), "munlock"); }

static void diff_mbind(void)
{
	unsigned long nodes = 1;

	map(at(), 2 * n);
	must(!syscall(SYS_mbind, at() + n, n, 2, &nodes, 64UL, 0), "mbind");
	fill(at(), 0, 2 * n);
}

static void op_mbind(void)
{
	must(!syscall(SYS_mbind, at() + n, n, 0, NULL, 0UL, 0), "mbind");
}

static void move_behind(void)
{
	fill(map(at(), n), 0, n);
	fill(map(elsewhere(0), n), n, n);
}

static void op_move_behind(void) { move(elsewhere(0), n, at() + n); }

static void move_before(void)
{
	fill(map(at() + n, n), n, n);
	fill(map(elsewhere(0), n), 0, n);
}

static void op_move_before(void) { move(elsewhere(0), n, at()); }

static void move_between(void)
{
	fill(map(at(), n), 0, n);
	fill(map(at() + 2 * n, n), 2 * n, n);
	fill(map(elsewhere(0), n), n, n);
}

static void op_move_between(void) { move(elsewhere(0), n, at() + n); }

static void swap_halves(void)
{
	map(elsewhere(0), 2 * n);
	fill(elsewhere(0), n, n);
	fill(elsewhere(0) + n, 0, n);
}

static void op_swap_halves(void)
{
	move(elsewhere(0) + n, n, at());
	move(elsewhere(0), n, at() + n);
}

static void heal(void)
{
	long mask = read_number(SWITCH);

	set_switch(0);
	swap_halves();
	op_swap_halves();
	advise(at() + n, n, MADV_RANDOM);
	set_switch(mask);
}

static void heal_moved(void)
{
	long mask = read_number(SWITCH);

	set_switch(0);
	move_behind();
	op_move_behind();
	advise(at() + n, n, MADV_RANDOM);
	set_switch(mask);
}

static void hole(void)
{
	fill(map(at(), n), 0, n);
	fill(map(at() + 2 * n, n), 2 * n, n);
}

static void op_hole(void) { fill(map(at() + n, n), n, n); }

static void grow(void)
{
	hole();
	must(!munmap(at() + n, n), "munmap");
}

static void op_grow(void)
{
	must(mremap(at(), n, 2 * n, 0) == at(), "mremap");
	fill(at() + n, n, n);
}

static const struct layout {
	const char *name;
	size_t parts;
	void (*prepare)(void);
	void (*attempt)(void);
} layouts[] = {
	{ "diff-op-second", 2, diff_second, op_second },
	{ "diff-op-first", 2, diff_first, op_first },
	{ "diff-op-middle", 3, diff_three, op_second },
	{ "diff-mprotect", 2, diff_protect, op_protect },
	{ "diff-munlock", 2, diff_mlock, op_mlock },
	{ "diff-mbind", 2, diff_mbind, op_mbind },
	{ "move-behind", 2, move_behind, op_move_behind },
	{ "move-before", 2, move_before, op_move_before },
	{ "move-between", 3, move_between, op_move_between },
	{ "swap-halves", 2, swap_halves, op_swap_halves },
	{ "heal-swapped", 2, heal, op_second },
	{ "heal-moved", 2, heal_moved, op_second },
	{ "hole", 3, hole, op_hole },
	{ "grow", 3, grow, op_grow },
};

/* --- states of the pages before the attempt; finish() undoes what must not outlive it */

static char *source_of(size_t offset)
{
	/* before a move the areas are not yet where they shall be */
	return pages_with(at() + offset, n, PRESENT | SWAPPED) ? at() + offset : NULL;
}

static void each_area(void (*work)(char *, size_t))
{
	char *places[] = { at(), at() + n, at() + 2 * n, elsewhere(0), elsewhere(0) + n };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (pages_with(places[i], n, PRESENT | SWAPPED) == n / PAGE)
			work(places[i], n);
}

static void nothing(void) {}

static void out(char *place, size_t size)
{
	if (page_out(place, size))
		complain("a page did not go to swap before the merge");
}

static void before_swapped(void) { each_area(out); }

/* swap entries whose page is in memory all the same, in the swap cache */
static void out_and_half_back(char *place, size_t size)
{
	out(place, size);
	for (size_t i = 0; i < size; i += 2 * PAGE)
		(void)((volatile char *)place)[i];
}

static void before_half_swapped(void) { each_area(out_and_half_back); }

static void ask_for(char *place, size_t size) { advise(place, size, MADV_WILLNEED); }

static void before_swap_cache(void)
{
	each_area(out);
	each_area(ask_for);
}

static pid_t child;
static int hold;

static void before_shared(void) { child = living_child(&hold); }
static void after_shared(void) { end_child(child, hold); }

static void before_was_shared(void)
{
	before_shared();
	after_shared();
}

/* shared, and then the parent has written: the pages are its own, the anon_vma has a child */
static void rewrite(char *place, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		*(volatile uint64_t *)(place + i) = *(volatile uint64_t *)(place + i);
}

static void before_rewritten(void)
{
	before_shared();
	each_area(rewrite);
}

static void make_huge(char *place, size_t size)
{
	advise(place, size, MADV_HUGEPAGE);
	if (size >= HUGE)
		madvise(place, size, MADV_COLLAPSE);
	advise(place, size, MADV_NORMAL);
}

static void before_huge(void) { each_area(make_huge); }

/* Pages that a device could be writing to: GUP_TEST's long pins */
static int gup = -1;

static void before_pinned(void)
{
	struct pin_longterm pin = { .size = n, .flags = 1 /* for writing */ };
	char *place = source_of(0) ? at() : source_of(n) ? at() + n : elsewhere(0);

	pin.addr = (uintptr_t)place;
	gup = open("/sys/kernel/debug/gup_test", O_RDWR);
	must(gup >= 0, "gup_test");
	must(!ioctl(gup, PIN_START, &pin), "pin");
}

/* What the pinner sees is what is there, so that no page was exchanged under it. */
static void after_pinned(void)
{
	static char seen[HUGE];
	uint64_t to = (uintptr_t)seen;
	bool found = false;

	must(!ioctl(gup, PIN_READ, &to), "read the pinned pages");
	must(!ioctl(gup, PIN_STOP), "unpin");
	close(gup);
	for (size_t i = 0; i < whole(); i += n)
		found |= !memcmp(seen, at() + i, n);
	if (!found)
		complain("pinned pages are not those that are mapped");
}

/* Pages in a pipe: a reference that outlives what happens to the mapping. */
static int pipe_ends[2];
static char *piped;

static void before_piped(void)
{
	struct iovec range;

	piped = source_of(0) ? at() : source_of(n) ? at() + n : elsewhere(0);
	range = (struct iovec){ piped, 4 * PAGE };
	must(!pipe(pipe_ends), "pipe");
	must(vmsplice(pipe_ends[1], &range, 1, 0) == (ssize_t)range.iov_len, "vmsplice");
}

static void after_piped(void)
{
	static char seen[4 * PAGE];
	bool found = false;

	must(read(pipe_ends[0], seen, sizeof(seen)) == sizeof(seen), "read the pipe");
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	for (size_t i = 0; i < whole(); i += n)
		found |= !memcmp(seen, at() + i, sizeof(seen));
	if (!found)
		complain("what went through the pipe is not what was mapped");
}

/* A thread that sends pages from node to node while the merge goes on. */
static volatile bool stop;
static pthread_t mover;

static void send_to(char *place, size_t size, int node)
{
	size_t count = size / PAGE;
	void **pages = calloc(count, sizeof(*pages));
	int *nodes = calloc(count, sizeof(*nodes)), *status = calloc(count, sizeof(*status));

	for (size_t i = 0; i < count; i++) {
		pages[i] = place + i * PAGE;
		nodes[i] = node;
	}
	syscall(SYS_move_pages, 0, count, pages, nodes, status, MPOL_MF_MOVE_FLAG);
	free(pages);
	free(nodes);
	free(status);
}

static void *move_about(void *unused)
{
	for (int node = 0; !stop; node ^= 1) {
		send_to(at(), 3 * n, node);
		send_to(elsewhere(0), 2 * n, node);
	}
	return unused;
}

static void before_migrating(void)
{
	stop = false;
	must(!pthread_create(&mover, NULL, move_about, NULL), "a thread");
	usleep(20000);
}

static void after_thread(void)
{
	usleep(20000);
	stop = true;
	pthread_join(mover, NULL);
}

/* A thread that pushes pages out and pulls them in while the merge goes on. */
static void *swap_about(void *unused)
{
	while (!stop) {
		madvise(at(), 3 * n, MADV_PAGEOUT);
		madvise(elsewhere(0), 2 * n, MADV_PAGEOUT);
		madvise(at(), 3 * n, MADV_WILLNEED);
	}
	return unused;
}

static void before_swapping(void)
{
	stop = false;
	must(!pthread_create(&mover, NULL, swap_about, NULL), "a thread");
	usleep(20000);
}

/*
 * A thread that writes the pages to a disk and reads them back into place, while the merge goes on.
 * Each address holds the same bytes for as long as it holds any, so that nothing may change.
 */
#define DISK "/dev/nullb0"

static char *transferred[5];
static size_t transfers;

static void *transfer(void *unused)
{
	int fd = open(DISK, O_RDWR | O_DIRECT);

	must(fd >= 0, DISK);
	while (!stop)
		for (size_t i = 0; i < transfers; i++)
			if (pwrite(fd, transferred[i], n, i * HUGE) == (ssize_t)n)
				(void)!pread(fd, transferred[i], n, i * HUGE);
	close(fd);
	return unused;
}

static void note_transfer(char *place, size_t size)
{
	(void)size;
	transferred[transfers++] = place;
}

static void before_transfer(void)
{
	stop = false;
	transfers = 0;
	each_area(note_transfer); /* what is mapped later is filled later */
	must(!pthread_create(&mover, NULL, transfer, NULL), "a thread");
	usleep(20000);
}

/* Same pages: KSM makes one of them. What is in them is restored afterwards. */
static long ksm_pages(void) { return read_number("/sys/kernel/mm/ksm/pages_sharing"); }

static void ksm_pass(void)
{
	long scans;

	write_file("/sys/kernel/mm/ksm/run", "1");
	scans = read_number("/sys/kernel/mm/ksm/full_scans");
	while (read_number("/sys/kernel/mm/ksm/full_scans") < scans + 3)
		usleep(2000);
}

static void alike(char *place, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		memset(place + i, 0x5a, PAGE);
}

static void mergeable(char *place, size_t size) { advise(place, size, MADV_MERGEABLE); }

static void before_ksm(void)
{
	each_area(alike);
	each_area(mergeable);
	ksm_pass();
	if (ksm_pages() < (long)(n / PAGE))
		complain("KSM shared nothing");
}

static void after_ksm(void)
{
	for (size_t i = 0; i < whole(); i += PAGE)
		for (size_t j = 0; j < PAGE; j++)
			if (at()[i + j] != 0x5a && !(parts == 3))
				complain("a byte changed under KSM");
	write_file("/sys/kernel/mm/ksm/run", "2");
	fill(at(), 0, whole());
}

static const struct state {
	const char *name;
	void (*before)(void);
	void (*after)(void);
} states[] = {
	{ "plain", nothing, nothing },
	{ "swapped", before_swapped, nothing },
	{ "half-swapped", before_half_swapped, nothing },
	{ "swap-cache", before_swap_cache, nothing },
	{ "swapping", before_swapping, after_thread },
	{ "shared", before_shared, after_shared },
	{ "was-shared", before_was_shared, nothing },
	{ "rewritten", before_rewritten, after_shared },
	{ "huge", before_huge, nothing },
	{ "pinned", before_pinned, after_pinned },
	{ "piped", before_piped, after_piped },
	{ "migrating", before_migrating, after_thread },
	{ "direct", before_transfer, after_thread },
	{ "ksm", before_ksm, after_ksm },
};

/* --- what is done with the range afterwards */

static void use_fork_child_writes(void)
{
	int status;
	pid_t forked = fork();

	must(forked >= 0, "fork");
	if (!forked) {
		check("in a child");
		seed++;
		fill(at(), 0, whole());
		check("in a child that wrote");
		if (page_out(at(), whole()))
			complain("a child's page did not go to swap");
		check("in a child, back from swap");
		_exit(0);
	}
	must(waitpid(forked, &status, 0) == forked, "waitpid");
	if (status)
		_exit(1);
	check("after a child wrote");
}

static void use_fork_parent_writes(void)
{
	int ends[2], status;
	pid_t forked;
	char byte;

	must(!pipe(ends), "pipe");
	forked = fork();
	must(forked >= 0, "fork");
	if (!forked) {
		close(ends[1]);
		must(!read(ends[0], &byte, 1), "wait for the parent");
		check("in a child whose parent wrote");
		_exit(0);
	}
	close(ends[0]);
	seed++;
	fill(at(), 0, whole());
	close(ends[1]);
	must(waitpid(forked, &status, 0) == forked, "waitpid");
	if (status)
		_exit(1);
	check("after it wrote over what a child has");
}

static void use_collapse(void)
{
	advise(at(), whole(), MADV_HUGEPAGE);
	if (whole() >= HUGE)
		madvise(at(), whole(), MADV_COLLAPSE);
	check("as huge pages");
	/* split them: one page of each is given back */
	for (size_t i = 0; i < whole(); i += HUGE)
		protect(at() + i, PAGE, PROT_READ);
	check("as split huge pages");
	for (size_t i = 0; i < whole(); i += HUGE)
		protect(at() + i, PAGE, RW);
}

static void use_migrate(void)
{
	size_t count = whole() / PAGE, wrong = 0;
	void **pages = calloc(count, sizeof(*pages));
	int *status = calloc(count, sizeof(*status));

	for (size_t i = 0; i < count; i++)
		pages[i] = at() + i * PAGE;
	for (int node = 1; node >= 0; node--) {
		wrong = count;
		for (int tries = 0; wrong && tries < 20; tries++) {
			send_to(at(), whole(), node);
			must(!syscall(SYS_move_pages, 0, count, pages, NULL, status, 0), "move_pages");
			wrong = 0;
			for (size_t i = 0; i < count; i++)
				wrong += status[i] != node;
		}
		if (wrong)
			complain("pages do not move to another node");
		check("on another node");
	}
	free(pages);
	free(status);
}

static void use_remote_read(void)
{
	pid_t parent = getpid(), forked;
	int status;

	/* vfork-like: the child must not share pages, so it is made before the range is used again */
	forked = fork();
	must(forked >= 0, "fork");
	if (!forked) {
		char *copy = malloc(whole());
		struct iovec here = { copy, whole() }, there = { at(), whole() };

		must(process_vm_readv(parent, &here, 1, &there, 1, 0) == (ssize_t)whole(),
		     "process_vm_readv");
		check_as(copy, seed, 0, whole(), "as another process reads it");
		seed++;
		for (size_t i = 0; i < whole(); i += 8)
			*(uint64_t *)(copy + i) = word(seed, i);
		must(process_vm_writev(parent, &here, 1, &there, 1, 0) == (ssize_t)whole(),
		     "process_vm_writev");
		_exit(0);
	}
	must(waitpid(forked, &status, 0) == forked, "waitpid");
	if (status)
		_exit(1);
	seed++;
	check("after another process wrote it");
}

static void use_ksm(void)
{
	unsigned before = seed;

	alike(at(), whole());
	mergeable(at(), whole());
	ksm_pass();
	if (ksm_pages() < (long)(whole() / PAGE / 2))
		complain("KSM does not find the pages");
	write_file("/sys/kernel/mm/ksm/run", "2");
	seed = before;
	fill(at(), 0, whole());
	check("after KSM");
}

static void use_direct_io(void)
{
	int fd = open(DISK, O_RDWR | O_DIRECT);

	must(fd >= 0, DISK);
	must(pwrite(fd, at(), whole(), 0) == (ssize_t)whole(), "a direct write");
	memset(at(), 0, whole());
	must(pread(fd, at(), whole(), 0) == (ssize_t)whole(), "a direct read");
	close(fd);
	check("after direct I/O");
}

static void use_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = 0 };
	struct uffdio_register range = { .range = { (uintptr_t)at(), whole() } };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	static char page[PAGE] __attribute__((aligned(PAGE)));

	must(fd >= 0, "userfaultfd");
	must(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	range.mode = UFFDIO_REGISTER_MODE_MISSING;
	must(!ioctl(fd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
	advise(at() + n, PAGE, MADV_DONTNEED);
	for (size_t i = 0; i < PAGE; i += 8)
		*(uint64_t *)(page + i) = word(seed, n + i);
	struct uffdio_copy copy = { (uintptr_t)(at() + n), (uintptr_t)page, PAGE, 0, 0 };
	must(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	check("under userfaultfd");
	must(!ioctl(fd, UFFDIO_UNREGISTER, &range.range), "UFFDIO_UNREGISTER");
	close(fd);
	check("after userfaultfd");
}

static void use_split_and_move(void)
{
	char *to = elsewhere(3);

	if (count_vmas(at() + n / 2, at() + n / 2 + n) > 1)
		return; /* mremap takes one VMA at a time (up to 6.16) */
	/* the middle of the range goes for a walk, so that both edges of the join move apart */
	move(at() + n / 2, n, to);
	check_as(to, seed, n / 2, n, "moved out of the merged range");
	move(to, n, at() + n / 2);
	check("moved back");
}

static const struct use {
	const char *name;
	void (*use)(void);
} uses[] = {
	{ "none", nothing },
	{ "child-writes", use_fork_child_writes },
	{ "parent-writes", use_fork_parent_writes },
	{ "huge", use_collapse },
	{ "migrate", use_migrate },
	{ "remote", use_remote_read },
	{ "ksm", use_ksm },
	{ "direct", use_direct_io },
	{ "userfaultfd", use_userfaultfd },
	{ "move", use_split_and_move },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void one(const struct layout *layout, const struct state *state, const struct use *use)
{
	int vmas;
	size_t left;

	/* that layout may not be written to at that time */
	if (layout->attempt == op_protect &&
	    (state->before == before_rewritten || state->before == before_ksm ||
	     state->before == before_pinned))
		return;
	/* locked memory is not swapped */
	if (layout->attempt == op_mlock &&
	    (state->before == before_swapped || state->before == before_half_swapped ||
	     state->before == before_swap_cache))
		return;
	/* huge pages want areas of their size, everything else is quicker with small ones */
	n = strstr(state->name, "huge") || strstr(use->name, "huge") ? HUGE : 16 * PAGE;
	if (!strcmp(state->name, "half-swapped"))
		n = 16 * PAGE;
	parts = layout->parts;
	seed++;
	new_arena();
	snprintf(doing_text, sizeof(doing_text), "%s %s %s", layout->name, state->name, use->name);
	doing = doing_text;
	layout->prepare();
	state->before();
	layout->attempt();
	vmas = count_vmas(at(), at() + whole());
	if (strcmp(state->name, "ksm"))
		check("after the merge");
	state->after();
	check("after the state's end");
	use->use();
	left = page_out(at(), whole());
	if (left)
		complain("a page is not found from its anon_vma: it does not go to swap");
	check("back from swap");
	printf("%s %d ok\n", doing, vmas);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		set_switch(atol(argv[1]));
	for (size_t i = 0; i < COUNT(layouts); i++)
		for (size_t j = 0; j < COUNT(states); j++)
			for (size_t k = 0; k < COUNT(uses); k++) {
				size_t number = (i * COUNT(states) + j) * COUNT(uses) + k;
				bool wanted = true;
				char text[256];

				snprintf(text, sizeof(text), " %s before:%s after:%s ", layouts[i].name,
					 states[j].name, uses[k].name);
				for (int word = 2; word < argc; word++)
					wanted &= *argv[word] == '/' ?
						number % atol(argv[word] + 1) == 0 :
						strstr(text, argv[word]) != NULL;
				if (wanted)
					one(&layouts[i], &states[j], &uses[k]);
			}
	return 0;
}
