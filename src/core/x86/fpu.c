/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fpu: where the guest's x87 and SSE state is, and how it gets onto the host's registers and
 * back. Instructions are in sse*.c, x87*.c and fxsave.c.
 */
#include "core/x86/fpu_int.h"

#include <cpuid.h>
#include <string.h>

static const struct {
    uint32_t feature;
    uint8_t reg; /* 0: leaf 1 ECX, 1: leaf 1 EDX, 2: leaf 7 EBX */
    uint32_t bits;
} features[] = {
    {FPU_F_BASE, 1, 1u << 0 | 1u << 23 | 1u << 24 | 1u << 25 | 1u << 26}, /* fpu mmx fxsr sse sse2 */
    {FPU_F_SSE3, 0, 1u << 0},
    {FPU_F_PCLMUL, 0, 1u << 1},
    {FPU_F_SSSE3, 0, 1u << 9},
    {FPU_F_SSE41, 0, 1u << 19},
    {FPU_F_SSE42, 0, 1u << 20},
    {FPU_F_AES, 0, 1u << 25},
    {FPU_F_SHA, 2, 1u << 29},
};
enum { NFEATURES = sizeof features / sizeof features[0] };

uint32_t fpu_features(void)
{
    uint32_t a, b, r[3] = {0, 0, 0}, have = 0;

    __get_cpuid(1, &a, &b, &r[0], &r[1]);
    __get_cpuid_count(7, 0, &a, &r[2], &b, &b);
    for (unsigned i = 0; i < NFEATURES; i++)
        if ((r[features[i].reg] & features[i].bits) == features[i].bits)
            have |= features[i].feature;
    return have;
}

void fpu_cpuid(uint32_t have, uint32_t *l1_ecx, uint32_t *l1_edx, uint32_t *l7_ebx)
{
    uint32_t r[3] = {0, 0, 1u << 13}; /* FCS and FDS are stored as 0 */

    for (unsigned i = 0; i < NFEATURES; i++)
        if (have & features[i].feature)
            r[features[i].reg] |= features[i].bits;
    *l1_ecx = r[0];
    *l1_edx = r[1];
    *l7_ebx = r[2];
}

const struct fpu_op *fpu_lookup(const struct fpu_query *q)
{
    const struct fpu_op *op = NULL;

    if (q->map == 0)
        return x87_lookup(q);
    if (q->map > 3)
        return NULL;
    if (q->map == 1)
        op = fxsave_lookup(q);
    return op ? op : sse_lookup(q);
}

static void set_where(struct scpu *c, enum fpu_where w)
{
    c->fpu.where = w;
    c->fpu.mmx_slow = w != FPU_IN_MMX;
    c->fpu.x87_slow = 1;
}

void fpu_reset(struct scpu *c)
{
    memset(&c->fx, 0, sizeof c->fx);
    memset(&c->fpu, 0, sizeof c->fpu);
    c->fx.fcw = 0x37f;
    c->fx.mxcsr = MXCSR_MASKS;
    c->fx.mxcsr_mask = MXCSR_VALID;
    set_where(c, FPU_IN_IMAGE);
}

/* MXCSR */

uint32_t fpu_mxcsr(struct scpu *c)
{
    return (c->fx.mxcsr & ~MXCSR_FLAGS) | (host_mxcsr() & MXCSR_FLAGS);
}

void fpu_set_mxcsr(struct scpu *c, uint32_t v)
{
    c->fx.mxcsr = v;
    c->fpu.mx_trap = (v & MXCSR_MASKS) != MXCSR_MASKS;
    host_set_mxcsr(v | MXCSR_MASKS);
}

/* x87 */

void fpu_x87_update(struct scpu *c)
{
    c->fpu.x87_pending = host_fsw() & FSW_ES;
    c->fpu.x87_slow = c->fpu.x87_pending || (host_fcw() & FCW_MASKS) != FCW_MASKS;
}

/* FXRSTOR loads MXCSR and the XMM registers, too; the latter hold nothing on the host. */
void fpu_to_host(struct scpu *c)
{
    uint32_t mxcsr = c->fx.mxcsr;

    if (c->fpu.where == FPU_ON_HOST)
        return;
    c->fx.mxcsr = host_mxcsr();
    __asm__ volatile("fxrstor64 %0" : : "m"(c->fx));
    c->fx.mxcsr = mxcsr;
    set_where(c, FPU_ON_HOST);
    c->fpu.host_dirty = true;
    fpu_x87_update(c);
}

/* The host's error pointers are the host's: c->fx.fip, fdp and fop are kept by those who execute
 * instructions. */
void fpu_to_image(struct scpu *c)
{
    struct fx_image host;

    if (c->fpu.where != FPU_ON_HOST)
        return;
    __asm__ volatile("fxsave64 %0" : "=m"(host));
    if (host.fsw & FSW_ES)
        __asm__ volatile("fnclex"); /* or the host's next MMX instruction takes it */
    c->fx.fcw = host.fcw;
    c->fx.fsw = host.fsw;
    c->fx.ftw = host.ftw;
    memcpy(c->fx.st, host.st, sizeof host.st);
    set_where(c, FPU_IN_IMAGE);
}

void fpu_sync(struct scpu *c)
{
    fpu_to_image(c);
    c->fx.mxcsr = fpu_mxcsr(c);
}

/* FSW.ES and B follow from the flags and masks, whatever the image says (SDM 1 8.1.3.3). */
void fpu_image_loaded(struct scpu *c)
{
    c->fx.mxcsr &= MXCSR_VALID;
    fpu_set_mxcsr(c, c->fx.mxcsr);
    set_where(c, FPU_IN_IMAGE);
    c->fpu.x87_pending = c->fx.fsw & ~c->fx.fcw & FCW_MASKS;
    c->fx.fsw &= (uint16_t)~(FSW_ES | FSW_B);
    if (c->fpu.x87_pending)
        c->fx.fsw |= FSW_ES | FSW_B;
}

void fpu_enter(struct scpu *c)
{
    c->fpu.host_mxcsr = host_mxcsr();
    fpu_image_loaded(c);
}

void fpu_leave(struct scpu *c)
{
    fpu_to_image(c);
    if (c->fpu.host_dirty)
        __asm__ volatile("fninit");
    c->fpu.host_dirty = false;
    c->fx.mxcsr = fpu_mxcsr(c);
    host_set_mxcsr(c->fpu.host_mxcsr);
}

/* MMX registers are physical ones, the image keeps ST order: with TOP 0 they are the same. */
static void rotate_stack(struct fx_image *fx, unsigned top)
{
    uint8_t st[8][16];

    memcpy(st, fx->st, sizeof st);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx->st[i], st[(i - top) & 7], 16);
}

void fpu_mmx_begin(struct scpu *c)
{
    if (c->fpu.where == FPU_IN_MMX)
        return;
    fpu_to_image(c);
    unsigned top = c->fx.fsw >> 11 & 7;
    if (top)
        rotate_stack(&c->fx, top);
    c->fx.fsw &= ~(7u << 11);
    c->fx.ftw = 0xff;
    c->fpu.host_dirty = true;
    set_where(c, FPU_IN_MMX);
}
