#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# BPF's iterator over the VMAs of a task leaves out, without a word, one that is being written to.
#
# Seen:     Linux 6.12.118 (Debian's linux-image-6.12.118+deb13-cloud-amd64, 6.12.118-1) in QEMU: of 5,000 walks through
#           a process whose VMAs are always equally many, some are one VMA short of mm->map_count, once another
#           thread changes the protection of one of them all the time. None is while it rests.
#           6.18.15 refuses some walks instead (-EBUSY), and none that it makes is short.
# Expected: bpf_iter_task_vma_new() held mmap_lock until _destroy(): every walk saw one moment. A stable
#           update, 6.12.116 to 6.12.117, does not change that, one would have sworn.
# Why:      since bee9ef4a40a2 (7.1, and back in 6.12.117, 6.18.44 and 7.0.13) it locks one VMA at a time and
#           copies it; what cannot be locked for reading at once is passed over (kernel/bpf/task_iter.c,
#           bpf_iter_task_vma_find_next). That no longer waits for a process that holds its lock, but programs
#           that count, or look an address up, have no way to see that they were told less.
# Way out:  hold the number of VMAs that were seen, and mm->mm_lock_seq before and after, against mm->map_count;
#           or the iterator of type iter/task_vma, which still takes mmap_lock.
#
# Needs what debian.sh and boot.sh need, and clang, libbpf-dev, libelf-dev, zlib1g-dev.
set -eu
. "$(dirname "$0")/debian.sh"
. "$(dirname "$0")/boot.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >walk.bpf.c <<'C'
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct {
	int map_count;
};
struct task_struct {
	struct mm_struct *mm;
};
struct vm_area_struct {
	unsigned long vm_start;
};
#pragma clang attribute pop
struct bpf_iter_task_vma {
	__u64 opaque;
};

struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;
int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, __u64 from) __ksym;
struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

int pid, failed, walked, counted;

SEC("syscall")
int walk(void *context)
{
	struct task_struct *task = bpf_task_from_pid(pid);
	struct bpf_iter_task_vma it;
	struct mm_struct *mm;

	failed = -1;
	walked = 0;
	if (!task)
		return 0;
	mm = task->mm;
	if (mm) {
		failed = bpf_iter_task_vma_new(&it, task, 0);
		if (!failed)
			while (bpf_iter_task_vma_next(&it))
				walked++;
		bpf_iter_task_vma_destroy(&it);
		counted = mm->map_count;
	}
	bpf_task_release(task);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
C
clang -g -O2 -target bpf -mcpu=v3 -I"/usr/include/$(uname -m)-linux-gnu" -c walk.bpf.c -o walk.bpf.o

cat >init.c <<'C'
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WALKS 5000
#define SIZE (64 << 20)

asm(".section .rodata\nobject: .incbin \"walk.bpf.o\"\nobject_end:\n.previous");
extern const char object[], object_end[];

struct numbers {
	int pid, failed, walked, counted;
};

/* Walks through a process that changes one VMA all the time, or nothing: how many were short. */
static void walks(const char *what, int program, volatile struct numbers *numbers, int changes)
{
	int short_of = 0, refused = 0, more = 0, i;
	pid_t child = fork();

	if (!child) {
		char *area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (i = 0; i < SIZE; i += 4096)
			area[i] = 1; /* so that there is something to change, page by page */
		for (;;) {
			if (!changes)
				pause();
			mprotect(area, SIZE, PROT_READ);
			mprotect(area, SIZE, PROT_READ | PROT_WRITE);
		}
	}
	sleep(3);
	for (i = 0; i < WALKS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options);
		numbers->pid = child;
		bpf_prog_test_run_opts(program, &options);
		if (numbers->failed) {
			refused++;
			continue;
		}
		short_of += numbers->walked == numbers->counted - 1;
		more += numbers->walked > numbers->counted || numbers->walked < numbers->counted - 1;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fprintf(stderr, "%s: %d of %d walks one VMA short\n", what, short_of, WALKS);
	printf("SEEN %s: %s walk is one VMA short%s%s\n", what, short_of ? "some" : "no",
	       refused ? ", some refused" : "", more ? ", some are otherwise" : "");
}

int main(void)
{
	struct bpf_object *bpf;
	struct bpf_map *map;
	struct numbers *numbers;
	size_t size;
	int program;

	mkdir("/sys", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	bpf = bpf_object__open_mem(object, object_end - object, NULL);
	if (!bpf || bpf_object__load(bpf))
		printf("SEEN the program does not load\n");
	else {
		map = bpf_object__find_map_by_name(bpf, ".bss");
		size = sysconf(_SC_PAGESIZE);
		numbers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
		program = bpf_program__fd(bpf_object__find_program_by_name(bpf, "walk"));
		walks("at rest", program, numbers, 0);
		walks("while one VMA changes", program, numbers, 1);
	}
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
C
suite=trixie-security
libraries='-lbpf -lelf -lz'
boot_debian_kernel 6.12.118+deb13-cloud-amd64 6.12.118-1 -smp 2 >seen
cat seen
cat >expected <<'TEXT'
at rest: no walk is one VMA short
while one VMA changes: some walk is one VMA short
TEXT
cmp seen expected
