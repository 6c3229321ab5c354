/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * values: random numbers as tests of a CPU want them: near limits, powers of two, all kinds of
 * floating point numbers. xorshift128+, so that a seed gives the same run everywhere.
 */
#include "oracle.h"

#include <string.h>

void rng_seed(struct rng *r, uint64_t seed)
{
    for (unsigned i = 0; i < 2; i++) { /* splitmix64 */
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t rng_next(struct rng *r)
{
    uint64_t a = r->s[0], b = r->s[1];

    r->s[0] = b;
    a ^= a << 23;
    r->s[1] = a ^ b ^ a >> 17 ^ b >> 26;
    return r->s[1] + b;
}

unsigned rng_below(struct rng *r, unsigned n)
{
    return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

uint64_t value_int(struct rng *r)
{
    static const uint64_t edges[] = {
        0, 1, 2, ~0ull, ~1ull, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff,
        0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
        0xffffffff80000000, 0xffffffff7fffffff, 0x0f0f0f0f0f0f0f0f, 0x5555555555555555,
    };
    uint64_t x = rng_next(r);

    switch (x & 7) {
    case 0:
        return edges[rng_below(r, sizeof edges / sizeof edges[0])];
    case 1: /* 2^k - 1, 2^k, 2^k + 1, their negatives */
        x >>= 8;
        return ((1ull << (x & 63)) + (x >> 6 & 3) - 1) * (x >> 8 & 1 ? 1 : ~0ull);
    case 2: /* small, either sign */
        return (uint64_t)((int64_t)x >> (40 + (x >> 8 & 15)));
    case 3: /* random width */
        return rng_next(r) >> (x >> 8 & 63);
    default:
        return rng_next(r);
    }
}

/* A binary floating point number of `exp_bits` and `frac_bits`, of any class. */
static uint64_t value_float(struct rng *r, unsigned exp_bits, unsigned frac_bits)
{
    uint64_t x = rng_next(r), frac = rng_next(r) & ((1ull << frac_bits) - 1);
    unsigned max = (1u << exp_bits) - 1, bias = max / 2, e;

    switch (x & 15) {
    case 0: /* zero, infinity */
        e = x >> 4 & 1 ? max : 0;
        frac = 0;
        break;
    case 1: /* NaN of either kind */
        e = max;
        frac |= 1;
        break;
    case 2: /* denormal */
        e = 0;
        frac >>= x >> 8 & 31 % frac_bits;
        break;
    case 3: /* ends of the range */
        e = x >> 4 & 1 ? max - 1 - (x >> 5 & 3) : 1 + (x >> 5 & 3);
        break;
    case 4: /* few bits: exact results */
        e = bias - 4 + (x >> 4 & 15);
        frac = frac >> (frac_bits - 3) << (frac_bits - 3);
        break;
    case 5: /* integers near where they stop fitting */
        e = bias + (x >> 4 & 1 ? 30 : 62) + (x >> 5 & 3);
        frac = x >> 7 & 1 ? frac : 0;
        break;
    case 6:
        e = (unsigned)(x >> 8) & max;
        break;
    default: /* near one */
        e = bias - 8 + (x >> 4 & 15);
        break;
    }
    if (e > max)
        e = max;
    return (x >> 63) << (exp_bits + frac_bits) | (uint64_t)e << frac_bits | frac;
}

/* Also encodings that the FPU itself does not make: unnormals, pseudo-denormals and the like. */
static void value_x87(struct rng *r, uint8_t st[10])
{
    uint64_t f = value_float(r, 15, 48), frac = rng_next(r);
    uint16_t se = (uint16_t)(f >> 48 & 0x7fff) | (uint16_t)(rng_next(r) >> 48 & 0x8000);
    unsigned kind = rng_below(r, 16);

    if ((f & 0xffffffffffff) == 0)
        frac = 0;
    else if (kind == 1)
        frac &= 0xfff0000000000000;
    frac = se & 0x7fff ? frac | 1ull << 63 : frac & ~(1ull << 63);
    if (kind == 0)
        frac ^= 1ull << 63;
    memcpy(st, &frac, 8);
    memcpy(st + 8, &se, 2);
}

void value_bytes(struct rng *r, uint8_t *p, size_t n)
{
    unsigned kind = rng_below(r, 6);
    uint8_t buf[16];

    for (size_t done = 0; done < n; done += sizeof buf) {
        for (unsigned i = 0; i < sizeof buf; i += 4) {
            uint64_t v = kind == 0 ? value_float(r, 8, 23) : rng_next(r);
            memcpy(buf + i, &v, 4);
        }
        for (unsigned i = 0; kind >= 1 && kind <= 3 && i < sizeof buf; i += 8) {
            uint64_t v = kind == 1 ? value_float(r, 11, 52) : value_int(r);
            memcpy(buf + i, &v, 8);
        }
        if (kind == 4)
            value_x87(r, buf);
        memcpy(p + done, buf, n - done < sizeof buf ? n - done : sizeof buf);
    }
}

static void value_fx(struct rng *r, struct fx_image *fx, bool unmask)
{
    uint64_t x = rng_next(r);

    memset(fx, 0, sizeof *fx);
    fx->fcw = 0x37f;
    fx->mxcsr = 0x1f80;
    fx->mxcsr_mask = 0xffff;
    if (x & 1)
        fx->fcw ^= x >> 8 & 0xf00; /* precision, rounding */
    if (x & 2)
        fx->mxcsr ^= x >> 12 & 0xe000; /* rounding, flush to zero */
    if ((x & 12) == 12)
        fx->mxcsr |= 0x40; /* denormals are zero */
    if (x & 16)
        fx->mxcsr |= x >> 32 & 0x3f;
    fx->fsw = (uint16_t)(x >> 40 & 0x7f00);
    if (x & 32)
        fx->fsw |= x >> 32 & 0x7f;
    fx->ftw = x & 64 ? 0xff : (uint8_t)(x >> 56);
    if (x >> 7 & 1 && (fx->ftw & 0x7f) == 0)
        fx->ftw = 0;
    if (unmask) {
        uint64_t y = rng_next(r);
        fx->fcw ^= y & 0x3f & y >> 8;
        fx->mxcsr ^= (y >> 16 & y >> 24 & 0x3f) << 7;
        if (y >> 32 & 1) /* nothing pending yet */
            fx->fsw &= 0x7f40;
    }
    for (unsigned i = 0; i < 8; i++)
        value_x87(r, fx->st[i]);
    for (unsigned i = 0; i < 16; i++)
        value_bytes(r, fx->xmm[i], 16);
}

void value_state(struct rng *r, struct orc_state *s, bool unmask)
{
    uint64_t x = rng_next(r);

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = value_int(r);
    s->rip = 0;
    s->rflags = 2 | (x & FLAGS_ARITH);
    if ((x >> 32 & 3) == 0)
        s->rflags |= FLAG_DF;
    if ((x >> 34 & 63) == 0)
        s->rflags |= FLAG_AC;
    if ((x >> 40 & 15) == 0)
        s->rflags |= FLAG_ID;
    value_fx(r, &s->fx, unmask);
}
