/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cpu: instructions that C has no word for, small types, and the freestanding string functions.
 * Names are the instructions' own.
 */
#ifndef TINY_CPU_H
#define TINY_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PACKED __attribute__((packed))
#define NOINIT __attribute__((section(".noinit")))

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

static inline void outb(u16 port, u8 v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory"); }
static inline void outw(u16 port, u16 v) { asm volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory"); }
static inline void outl(u16 port, u32 v) { asm volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory"); }

static inline u8 inb(u16 port)
{
    u8 v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline u16 inw(u16 port)
{
    u16 v;
    asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static inline u32 inl(u16 port)
{
    u32 v;
    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

/* Device memory by its width: one access, never merged or split. */
static inline u8 mmio8(u64 a) { return *(volatile u8 *)a; }
static inline u16 mmio16(u64 a) { return *(volatile u16 *)a; }
static inline u32 mmio32(u64 a) { return *(volatile u32 *)a; }
static inline u64 mmio64(u64 a) { return *(volatile u64 *)a; }
static inline void mmio8_set(u64 a, u8 v) { *(volatile u8 *)a = v; }
static inline void mmio16_set(u64 a, u16 v) { *(volatile u16 *)a = v; }
static inline void mmio32_set(u64 a, u32 v) { *(volatile u32 *)a = v; }
static inline void mmio64_set(u64 a, u64 v) { *(volatile u64 *)a = v; }

static inline u64 rdtsc(void)
{
    u32 lo, hi;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (u64)hi << 32 | lo;
}

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

struct cpuid {
    u32 a, b, c, d;
};

static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
    struct cpuid r;
    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

#define CR_ACCESS(n)                                                                   \
    static inline u64 cr##n(void)                                                      \
    {                                                                                  \
        u64 v;                                                                         \
        asm volatile("mov %%cr" #n ", %0" : "=r"(v) : : "memory");                     \
        return v;                                                                      \
    }                                                                                  \
    static inline void cr##n##_set(u64 v)                                              \
    {                                                                                  \
        asm volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                         \
    }
CR_ACCESS(0)
CR_ACCESS(2)
CR_ACCESS(3)
CR_ACCESS(4)
CR_ACCESS(8)
#undef CR_ACCESS

static inline u64 rflags(void)
{
    u64 v;
    asm volatile("pushfq; pop %0" : "=r"(v) : : "memory");
    return v;
}

static inline void invlpg(u64 va) { asm volatile("invlpg (%0)" : : "r"(va) : "memory"); }
static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void cli(void) { asm volatile("cli" : : : "memory"); }
static inline void hlt(void) { asm volatile("hlt" : : : "memory"); }
/* Enables interrupts and waits for one. No wake is lost to one that comes between the two (they were on already, or
 * QEMU 7.2 forgot that STI holds them off): then HLT is left out. */
void sti_hlt(void);
extern const char sti_hlt_halts[];
static inline void pause(void) { asm volatile("pause" : : : "memory"); }

/* Masks interrupts and returns whether they were enabled; irq_restore undoes it. */
static inline bool irq_save(void)
{
    bool was = rflags() & 0x200;
    cli();
    return was;
}

static inline void irq_restore(bool was)
{
    if (was)
        sti();
}

struct lock {
    u32 held;
};

static inline void lock_take(struct lock *l)
{
    while (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&l->held, __ATOMIC_RELAXED))
            pause();
}

static inline void lock_drop(struct lock *l) { __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE); }

/* xorshift64*: the same numbers from the same seed on every machine. */
static inline u64 rng_next(u64 *state)
{
    u64 x = *state ? *state : 0x9e3779b97f4a7c15;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1d;
}

static inline u64 rng_below(u64 *state, u64 n) { return n ? (rng_next(state) >> 11) % n : 0; }

#endif
