// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk with the open-coded VMA iterator, run on demand as a "syscall" program.
 *
 * Nothing waits for a lock of a target: see iterator.bpf.h for what is held.
 */
#include "chunk.bpf.h"
#include "queue.bpf.h"

char LICENSE[] SEC("license") = "GPL";
