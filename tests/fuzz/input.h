/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * input: the bytes of a fuzzer, taken from the front. Past the end there are zeros.
 */
#ifndef RUCHE_FUZZ_INPUT_H
#define RUCHE_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *p;
    size_t left;
};

/* The next `n` bytes (at most 8), little endian. */
static inline uint64_t take(struct input *in, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n && in->left; i++, in->left--)
        v |= (uint64_t)*in->p++ << (8 * i);
    return v;
}

#endif
