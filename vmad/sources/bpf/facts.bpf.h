/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bits of a pair's facts and the kinds of VMA, as vmad/model/facts.py, flags.py and kinds.py
 * define them: tests/unit/test_bpf_constants.py holds the two together.
 */
#ifndef VMAD_FACTS_BPF_H
#define VMAD_FACTS_BPF_H

#define FACT_SPECIAL (1ULL << 0)
#define FACT_FILE (1ULL << 1)
#define FACT_UFFD (1ULL << 2)
#define FACT_NAME (1ULL << 3)
#define FACT_POLICY (1ULL << 4)
#define FACT_PGOFF (1ULL << 5)
#define FACT_CLOSE (1ULL << 6)
#define FACT_AV_SAME (1ULL << 7)
#define FACT_A_AV_SHIFT 8
#define FACT_B_AV_SHIFT 10
#define FACT_A_EXCLUSIVE (1ULL << 12)
#define FACT_B_EXCLUSIVE (1ULL << 13)
#define FACT_UNKNOWN_EXCLUSIVE (1ULL << 30)
#define FACT_FLAGS_SHIFT 32

#define AV_NONE 0
#define AV_SINGULAR 1
#define AV_CHAIN 2

#define KIND_ANON_WRITABLE 0
#define KIND_ANON_NO_ACCESS 1
#define KIND_ANON_OTHER 2
#define KIND_HEAP 3
#define KIND_STACK 4
#define KIND_FILE 5
#define KIND_FILE_DELETED 6
#define KIND_SHARED_MEMORY 7
#define KIND_SPECIAL 8
#define KIND_COUNT 9

#define FLAG_READ 1ULL
#define FLAG_WRITE 2ULL
#define FLAG_EXEC 4ULL
#define FLAG_SHARED 8ULL
#define FLAG_MAYSHARE (1ULL << 7)
#define FLAG_ACCESS 7ULL
#define FLAG_SPECIAL (1ULL << 10 | 1ULL << 14 | 1ULL << 18 | 1ULL << 28)
#define FLAG_MAYREAD_BIT 4
#define FLAG_UNNAMED_BIT 23
#define FLAG_UNNAMED (1ULL << FLAG_UNNAMED_BIT)
#define HIGH_FLAGS 16

#endif
