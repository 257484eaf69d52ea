/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* As that of arm64 (arch/arm64/include/uapi/asm): so that its headers need not be installed. */
#define __ARCH_WANT_TIME32_SYSCALLS
#include <asm-generic/unistd.h>
