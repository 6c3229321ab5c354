/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guest_bytes: how the software CPU moves bytes in guest memory where one load or store will not do.
 *
 * Guest memory is racy by nature: another vCPU or a device may use it at any time, and whether a
 * guest orders that is its own affair. So ThreadSanitizer shall not see what guest code does there:
 * the files that do it are compiled without it (x86.mk), but libc's memcpy and memset would tell it all
 * the same. In its builds these functions are string instructions, which it does not know.
 * Everything else, the devices' side of guest memory included, it does see.
 */
#ifndef RUCHE_CORE_X86_GUEST_BYTES_H
#define RUCHE_CORE_X86_GUEST_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef SCPU_TSAN_BUILD
#define GUEST_UNSEEN __attribute__((no_sanitize("thread")))

/* From low to high addresses. */
static inline GUEST_UNSEEN void guest_copy(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static inline GUEST_UNSEEN void guest_fill(void *to, uint8_t byte, size_t n)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
}
#else
#define GUEST_UNSEEN

/* `to` may overlap what lies behind it in `from`. */
static inline void guest_copy(void *to, const void *from, size_t n)
{
    memmove(to, from, n);
}

static inline void guest_fill(void *to, uint8_t byte, size_t n)
{
    memset(to, byte, n);
}
#endif

#endif
