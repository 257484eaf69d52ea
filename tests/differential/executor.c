// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Runs programs of memory system calls, each in a fresh forked child, in well under a millisecond.
 *
 * stdin: requests, stdout: answers, all little endian as the structures below. A request is one
 * base program and any number of variants (a tail of further calls and a boundary to look at).
 * For HOLD, a child runs the base program and stays as it is until the next request, so that
 * its address space can be looked at from outside; GO_ON makes it do further calls, counts VMAs and
 * compares the arena's bytes before and after. For every variant, the base program is run
 * afresh and then the tail, and the answer says whether a VMA still starts at the boundary: each
 * in a child of its own, or one after the other in one child that unmaps its arena in between.
 *
 * Faults are made by the kernel (pread(2) into the page, write(2) from it), so that a page without
 * access or under a userfaultfd gives EFAULT instead of a signal or a stop (userfaultfds are
 * UFFD_USER_MODE_ONLY). The results of all calls are hashed: two runs of a program that do not
 * agree are told apart from a wrong verdict.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../examples/rebuild/core.h"

enum op_kind {
	OP_MMAP,      /* arg: prot | flags << 8 */
	OP_ZERO_FILE, /* private mapping of /dev/zero; arg: prot */
	OP_MUNMAP,
	OP_MPROTECT,  /* arg: prot */
	OP_MREMAP,    /* arg: flags; to: new address; extra: new length */
	OP_MADVISE,   /* arg: advice */
	OP_MLOCK,     /* arg: 0 mlock, 1 mlock2(MLOCK_ONFAULT), 2 munlock */
	OP_MBIND,     /* arg: mode; extra: node mask */
	OP_HOME_NODE, /* arg: node */
	OP_NAME,      /* arg: 0 none, else one letter */
	OP_MEMORY_MERGE, /* arg: on */
	OP_UFFD_REGISTER, /* arg: mode; extra: which of the userfaultfds */
	OP_UFFD_UNREGISTER,
	OP_UFFD_CLOSE,
	OP_FORK,      /* arg: an enum fork_kind */
	OP_WRITE,
	OP_READ,
	OP_MSEAL,
	OP_PKEY,      /* pkey_mprotect; arg: prot */
	OP_MLOCKALL,  /* arg: flags of mlockall, 0: munlockall */
	OP_SWITCH,    /* arg: vm.anon_vma_merge of a patched kernel, for the whole machine */
	/* arg: prot | lock << 8 | PARTS, LATE | VMAs of a first piece << 16; extra: flags of mmap; to: a bit
	 * per advice */
	OP_REBUILD,
	OP_COUNT,     /* VMAs of the arena: its result is minus that number, as no errno is negative */
};

/* of a rebuild: a refused page does not undo those before it; the deadline has passed already */
enum { PARTS = 1 << 12, LATE = 1 << 13 };

enum fork_kind { FORK_LIVING, FORK_DEAD, FORK_FOLLOW, FORK_FOLLOW_ORPHAN };

struct op {
	uint32_t kind, arg;
	uint64_t addr, len, to, extra;
};

enum hold { HOLD_NOT, HOLD, GO_ON };

struct request {
	uint32_t ops, variants, hold;
	uint32_t alone; /* a process for every variant: the program changes more than the arena */
};

struct variant {
	uint32_t ops, spare;
	uint64_t boundary, lower;
};

/* also what a held child says: pid, and results[] follow */
struct answer {
	int32_t pid;     /* 0: the child died */
	uint32_t hash;   /* of the results of the base program */
	uint32_t before; /* a VMA starts at the boundary before the tail; GO_ON: VMAs of the arena */
	uint32_t after;  /* and after it; bit 1: one still starts at `lower` */
	int32_t error;   /* the first errno of the tail, 0 none */
	/* GO_ON: VMAs of the runs that were left out as shared or pinned, and from bit 16 on as
	 * guarded; bit 31: bytes differ */
	uint32_t ops;
};

enum { MAX_OPS = 4096, MAX_VARIANTS = 1024, UFFDS = 3 };
#define ARENA 0x100000000000ULL /* program.py */
#define ARENA_SLACK (64ULL << 20)
enum { ARENA_PAGES = 48, PATTERN = 251, MAX_AREAS = 1024, GUARDED = 1 << 16 };
static struct op ops[MAX_OPS], tail[MAX_OPS];
static struct variant variants[MAX_VARIANTS];
static struct answer answers[MAX_VARIANTS];
static int32_t results[MAX_OPS];
static int zero_fd, pattern_fd, sink_fd, uffds[UFFDS], pkey, up[2], down[2];
static long page_size;
static uint32_t written, left_out;

static void all(int fd, void *where, size_t size, int writing)
{
	char *at = where;

	while (size) {
		ssize_t got = writing ? write(fd, at, size) : read(fd, at, size);

		if (got <= 0) {
			if (got < 0 && errno == EINTR)
				continue;
			_exit(got ? 1 : 0);
		}
		at += got;
		size -= got;
	}
}

static int make_uffd(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1 /* UFFD_USER_MODE_ONLY */);

	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		close(fd);
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
		api.api = UFFD_API;
		api.features = 0;
		ioctl(fd, UFFDIO_API, &api);
	}
	return fd;
}

/* Stay as we are until the run ends, keeping neither its pipe nor its userfaultfds open. */
static void stand_by(int but_keep_files)
{
	if (!but_keep_files)
		syscall(SYS_close_range, 3, ~0U, 0);
	for (;;)
		pause();
}

/* Until the other side of a fork stands by: it then has closed its copies of our files. */
static void wait_for_other(int *other)
{
	char nothing;

	close(other[1]);
	while (read(other[0], &nothing, 1) < 0 && errno == EINTR)
		;
	close(other[0]);
}

static int fork_op(uint32_t kind)
{
	int other[2];
	pid_t pid;

	if (pipe(other) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		if (kind == FORK_DEAD)
			_exit(0);
		if (kind == FORK_LIVING)
			stand_by(0);
		wait_for_other(other);
		return 0; /* the program goes on here */
	}
	if (kind == FORK_FOLLOW_ORPHAN)
		_exit(0);
	if (kind == FORK_FOLLOW)
		stand_by(0);
	wait_for_other(other);
	return kind == FORK_DEAD && waitpid(pid, NULL, 0) < 0 ? -1 : 0;
}

static long touch(const struct op *op, int writing)
{
	long failed = 0;
	uint64_t at;

	for (at = op->addr; at < op->addr + op->len; at += page_size)
		if ((writing ? pread(pattern_fd, (void *)at, 1, written++ % PATTERN) : pwrite(sink_fd, (void *)at, 1, 0)) < 0)
			failed = -1;
	return failed;
}

static long set_switch(uint32_t mask)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", mask);
	int fd = open("/proc/sys/vm/anon_vma_merge", O_WRONLY);
	long done = fd < 0 ? -1 : write(fd, text, length);

	if (fd >= 0)
		close(fd);
	return done == length ? 0 : -1;
}

/* VMAs of [from, to), by /proc/self/maps; *seed: the highest free page below with free ones around */
static uint32_t areas_of(uint64_t from, uint64_t to, uint64_t *starts, uint64_t *seed)
{
	static char text[1 << 17];
	uint64_t low, high, below = 1 << 20;
	uint32_t count = 0;
	size_t size = 0;
	ssize_t got;
	char *line;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while ((got = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += got;
	close(fd);
	text[size] = 0;
	for (line = text; *line; line = strchr(line, '\n') + 1) {
		low = strtoull(line, &line, 16);
		high = strtoull(line + 1, &line, 16);
		if (low >= to)
			break;
		if (seed && below + 3 * page_size <= low && low <= from)
			*seed = low - 2 * page_size;
		below = high;
		if (high > from && count < MAX_AREAS) {
			if (starts)
				starts[count] = low;
			count++;
		}
	}
	return count;
}

/*
 * VMAs [*from, to), as many at a time as a plan takes. *from: how far that came; short of `to` a VMA is
 * left that is alone. *below: where the VMA begins that ends there and can go on, or 0. Returns 0, or the
 * error of what else failed than pages that somebody shares.
 */
static long rebuild_from(const struct op *op, uint64_t *from, uint64_t to, uint64_t *below)
{
	uint64_t starts[MAX_AREAS], seed = 0;
	uint32_t count, i;

	for (; *from < to; seed = 0) {
		struct plan plan = {
			.run = *from, .end = to, .page = page_size, .below = *below, .cuts = starts + 1,
			.prot = op->arg & 255, .map_flags = op->extra, .lock = op->arg >> 8 & 3,
			.parts = !!(op->arg & PARTS), .deadline = !!(op->arg & LATE),
			.zero_pages = ~0ULL, .pagemap = "/proc/self/pagemap",
		};

		count = areas_of(*from, to, starts, &seed);
		if (count < 2 && !*below)
			return 0;
		plan.seed = seed;
		plan.n_cuts = count - 1;
		for (i = 0; i < 64; i++)
			if (op->to >> i & 1)
				plan.advice[plan.n_advice++] = i;
		if (plan_run(&plan) >= 0) {
			if (!*below && !plan.lock)
				*below = *from;
			*from = plan.end;
			continue;
		}
		if ((plan.error != EBUSY && plan.error != EFAULT) || plan.step != PLAN_MOVE) {
			errno = plan.error;
			return -1;
		}
		for (i = 1; i < count && starts[i] <= plan.at; i++)
			;
		if (!plan.moved && starts[i - 1] > *from && rebuild_from(op, from, starts[i - 1], below) < 0)
			return -1;
		left_out += plan.error == EBUSY ? 1 : GUARDED; /* a guard region (6.13) does not move */
		*from = i < count ? starts[i] : to;
		*below = 0;
	}
	return 0;
}

/* At once, or in two pieces, the second of which joins the first. */
static long rebuild(const struct op *op)
{
	uint64_t starts[MAX_AREAS], from = op->addr, to = from + op->len, below = 0;
	uint32_t count = areas_of(from, to, starts, NULL), first = op->arg >> 16;

	if (first >= 2 && first < count && rebuild_from(op, &from, starts[first], &below) < 0)
		return -1;
	return rebuild_from(op, &from, to, &below);
}

/* What stands in the arena; looking at it changes nothing. */
static uint64_t content(void)
{
	static unsigned char bytes[1 << 16];
	uint64_t hash = 14695981039346656037ULL, entries[4 * ARENA_PAGES] = {0}, at;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	long i, entry = 0;

	at = ARENA - ARENA_PAGES * page_size;
	if (pread(pagemap, entries, sizeof(entries), at / page_size * 8) != sizeof(entries))
		return 0;
	for (; at < ARENA + 3 * ARENA_PAGES * page_size; at += page_size) {
		memset(bytes, 0, page_size);
		if (entries[entry++] >> 62)
			if (pread(memory, bytes, page_size, at) != page_size)
				bytes[0] = 1; /* a guard region, a userfaultfd */
		for (i = 0; i < page_size; i += page_size / 4) /* one byte of each is written to */
			hash = (hash ^ bytes[i]) * 1099511628211ULL;
	}
	close(pagemap);
	close(memory);
	return hash;
}

static long run_op(const struct op *op)
{
	void *at = (void *)op->addr;
	char name[2] = {(char)op->arg, 0};
	struct uffdio_register reg = {.range = {op->addr, op->len}, .mode = op->arg};
	int *uffd = &uffds[op->extra % UFFDS];
	unsigned long nodes = op->extra;

	switch (op->kind) {
	case OP_MMAP:
		return (long)mmap(at, op->len, op->arg & 255, op->arg >> 8, -1, 0) == -1 ? -1 : 0;
	case OP_ZERO_FILE:
		return (long)mmap(at, op->len, op->arg, MAP_PRIVATE | MAP_FIXED, zero_fd, 0) == -1 ?
			       -1 : 0;
	case OP_MUNMAP:
		return munmap(at, op->len);
	case OP_MPROTECT:
		return mprotect(at, op->len, op->arg);
	case OP_MREMAP:
		return syscall(SYS_mremap, at, op->len, op->extra, op->arg, op->to) == -1 ? -1 : 0;
	case OP_MADVISE:
		return madvise(at, op->len, op->arg);
	case OP_MLOCK:
		return op->arg == 0 ? mlock(at, op->len) :
		       op->arg == 1 ? syscall(SYS_mlock2, at, op->len, 1) : munlock(at, op->len);
	case OP_MBIND:
		return syscall(SYS_mbind, at, op->len, op->arg, nodes ? &nodes : NULL,
			       nodes ? 64 : 0, 0);
	case OP_HOME_NODE:
		return syscall(450, at, op->len, op->arg, 0);
	case OP_NAME:
		return prctl(0x53564d41, 0, at, op->len, op->arg ? name : NULL);
	case OP_MEMORY_MERGE:
		return prctl(67, op->arg, 0, 0, 0);
	case OP_UFFD_REGISTER:
		if (*uffd < 0)
			*uffd = make_uffd();
		return ioctl(*uffd, UFFDIO_REGISTER, &reg);
	case OP_UFFD_UNREGISTER:
		if (*uffd < 0)
			*uffd = make_uffd();
		return ioctl(*uffd, UFFDIO_UNREGISTER, &reg.range);
	case OP_UFFD_CLOSE:
		if (*uffd >= 0)
			close(*uffd);
		*uffd = -1;
		return 0;
	case OP_FORK:
		return fork_op(op->arg);
	case OP_WRITE:
		return touch(op, 1);
	case OP_READ:
		return touch(op, 0);
	case OP_MSEAL:
		return syscall(462, at, op->len, 0);
	case OP_PKEY:
		if (pkey < 0)
			pkey = syscall(SYS_pkey_alloc, 0, 0);
		return pkey < 0 ? -1 : syscall(SYS_pkey_mprotect, at, op->len, op->arg, pkey);
	case OP_MLOCKALL:
		return op->arg ? mlockall(op->arg) : munlockall();
	case OP_SWITCH:
		return set_switch(op->arg);
	case OP_REBUILD:
		return rebuild(op);
	case OP_COUNT:
		return areas_of(ARENA - ARENA_PAGES * page_size, ARENA + 3 * ARENA_PAGES * page_size,
				NULL, NULL);
	}
	errno = ENOSYS;
	return -1;
}

static uint32_t run_base(uint32_t count)
{
	uint32_t i, hash = 2166136261u;
	long done;

	for (i = 0; i < count; i++) {
		errno = 0;
		done = run_op(&ops[i]);
		results[i] = done < 0 ? errno : (int32_t)-done;
		hash = (hash ^ (uint32_t)results[i]) * 16777619u;
	}
	return hash;
}

/* PROCMAP_QUERY (6.11): struct procmap_query of linux/fs.h, which older headers do not have */
struct procmap_query {
	uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size,
		vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};

/* Whether a VMA begins at this address. */
static uint32_t starts_at(uint64_t boundary)
{
	static char text[1 << 16];
	struct procmap_query query = {.size = sizeof(query), .query_addr = boundary};
	char wanted[24];
	size_t size = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), err;

	err = ioctl(fd, _IOWR('f', 17, struct procmap_query), &query) < 0 ? errno : 0;
	if (!err || err == ENOENT) {
		close(fd);
		return !err && query.vma_start == boundary;
	}
	while ((got = read(fd, text + 1 + size, sizeof(text) - 2 - size)) > 0)
		size += got;
	close(fd);
	text[0] = '\n';
	text[1 + size] = 0;
	snprintf(wanted, sizeof(wanted), "\n%08lx-", (unsigned long)boundary);
	return strstr(text, wanted) != NULL;
}

/* Forget the arena and the userfaultfds, as if nothing had been run in this process. */
static void reset(void)
{
	uint32_t i;

	munmap((void *)(ARENA - ARENA_SLACK), 2 * ARENA_SLACK);
	for (i = 0; i < UFFDS; i++) {
		if (uffds[i] >= 0)
			close(uffds[i]);
		uffds[i] = -1;
	}
}

static int run_tail(uint32_t count, const struct op *op)
{
	int error = 0;
	uint32_t k;

	for (k = 0; k < count; k++) {
		errno = 0;
		if (run_op(&op[k]) < 0 && !error)
			error = errno;
	}
	return error;
}

static struct answer run_variant(uint32_t count, const struct variant *variant, const struct op *op)
{
	struct answer answer = {.hash = run_base(count), .pid = getpid()};

	answer.before = starts_at(variant->boundary);
	answer.error = run_tail(variant->ops, op);
	answer.after = starts_at(variant->boundary) | starts_at(variant->lower) << 1;
	return answer;
}

/* The held child: does as it is told, once, and stays. */
static void be_held(void)
{
	const uint64_t first = ARENA - ARENA_PAGES * page_size, last = ARENA + 3 * ARENA_PAGES * page_size;
	struct answer answer = {.pid = getpid()};
	uint64_t stood;
	uint32_t count;

	all(down[0], &count, sizeof(count), 0);
	all(down[0], tail, count * sizeof(*tail), 0);
	stood = content();
	answer.before = areas_of(first, last, NULL, NULL);
	answer.error = run_tail(count, tail);
	answer.after = areas_of(first, last, NULL, NULL);
	answer.ops = left_out | (uint32_t)(stood != content()) << 31;
	all(up[1], &answer, sizeof(answer), 1);
	stand_by(1);
}

static void end_run(pid_t group)
{
	kill(-group, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

/* A fresh child that has run the base program. Returns 0 in it, its group in us. */
static pid_t fresh(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	} else {
		setpgid(pid, pid);
	}
	return pid;
}

int main(void)
{
	struct request request;
	pid_t held = 0;
	uint32_t i, tails;

	page_size = sysconf(_SC_PAGESIZE);
	zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	sink_fd = memfd_create("sink", MFD_CLOEXEC);
	pattern_fd = memfd_create("pattern", MFD_CLOEXEC);
	for (i = 0; i < PATTERN; i++)
		all(pattern_fd, &(char){(char)(i + 1)}, 1, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; i < UFFDS; i++)
		uffds[i] = -1;
	pkey = -1;
	for (;;) {
		all(0, &request, sizeof(request), 0);
		if (request.ops > MAX_OPS)
			return 2;
		all(0, ops, request.ops * sizeof(*ops), 0);
		if (request.hold == GO_ON) {
			struct answer answer = {0};

			if (!held || write(down[1], &request.ops, sizeof(request.ops)) < 0)
				return 4;
			all(down[1], ops, request.ops * sizeof(*ops), 1);
			if (read(up[0], &answer, sizeof(answer)) != sizeof(answer))
				memset(&answer, 0, sizeof(answer));
			all(1, &answer, sizeof(answer), 1);
		}
		if (held) {
			end_run(held);
			close(up[0]);
			close(down[1]);
		}
		held = 0;
		if (request.hold == HOLD) {
			struct answer answer = {0};

			if (pipe(up) < 0 || pipe(down) < 0)
				return 3;
			held = fresh();
			if (held == 0) {
				close(up[0]);
				close(down[1]);
				answer.hash = run_base(request.ops);
				answer.pid = getpid();
				answer.ops = request.ops;
				all(up[1], &answer, sizeof(answer), 1);
				all(up[1], results, request.ops * sizeof(*results), 1);
				be_held();
			}
			close(up[1]);
			close(down[0]);
			if (read(up[0], &answer, sizeof(answer)) != sizeof(answer)) {
				memset(&answer, 0, sizeof(answer));
			}
			if (answer.ops)
				all(up[0], results, answer.ops * sizeof(*results), 0);
			all(1, &answer, sizeof(answer), 1);
			if (answer.ops)
				all(1, results, answer.ops * sizeof(*results), 1);
		}
		if (request.variants > MAX_VARIANTS)
			return 2;
		for (i = tails = 0; i < request.variants; i++) {
			all(0, &variants[i], sizeof(*variants), 0);
			if (tails + variants[i].ops > MAX_OPS)
				return 2;
			all(0, &tail[tails], variants[i].ops * sizeof(*tail), 0);
			tails += variants[i].ops;
		}
		for (i = tails = 0; i < request.variants;) {
			uint32_t last = request.alone ? i + 1 : request.variants, asked = i;
			struct answer answer;
			pid_t pid;

			if (held) {
				end_run(held);
				close(up[0]);
				close(down[1]);
			}
			held = 0;
			if (pipe(up) < 0)
				return 3;
			pid = fresh();
			if (pid == 0) {
				for (; i < last; tails += variants[i++].ops) {
					answer = run_variant(request.ops, &variants[i], &tail[tails]);
					all(up[1], &answer, sizeof(answer), 1);
					reset();
				}
				_exit(0);
			}
			close(up[1]);
			for (; i < last; tails += variants[i++].ops) {
				if (read(up[0], &answer, sizeof(answer)) != sizeof(answer))
					memset(&answer, 0, sizeof(answer));
				answers[i] = answer;
			}
			close(up[0]);
			end_run(pid);
			all(1, &answers[asked], (last - asked) * sizeof(answer), 1);
		}
	}
}
