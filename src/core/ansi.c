/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ansi: see ansi.h. Sequences as in ECMA-48: ESC with intermediates, CSI, and strings that end
 * with BEL or ST. C1 controls in 8 bits are left alone: in UTF-8 they are parts of letters.
 */
#include "core/ansi.h"

#include <stdbool.h>

enum { ESC = 0x1b, BEL = 0x07, CAN = 0x18, SUB = 0x1a };

static bool begins_string(uint8_t c)
{
    return c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X';
}

/* The state after `c`. */
static enum ansi_state ansi_next(enum ansi_state s, uint8_t c)
{
    if (c == CAN || c == SUB)
        return ANSI_TEXT;
    switch (s) {
    case ANSI_TEXT:
        return c == ESC ? ANSI_ESC : ANSI_TEXT;
    case ANSI_ESC:
    case ANSI_STRING_ESC:
        if (c == ESC)
            return ANSI_ESC;
        if (c == '\\' && s == ANSI_STRING_ESC)
            return ANSI_TEXT;
        if (begins_string(c))
            return ANSI_STRING;
        return c == '[' ? ANSI_CSI : c >= 0x20 && c < 0x30 ? ANSI_SKIP : ANSI_TEXT;
    case ANSI_CSI:
        return c == ESC ? ANSI_ESC : c >= 0x40 && c < 0x7f ? ANSI_TEXT : ANSI_CSI;
    case ANSI_SKIP: /* ESC and intermediates: one more final byte */
        return c == ESC ? ANSI_ESC : c >= 0x30 ? ANSI_TEXT : ANSI_SKIP;
    default:
        return c == BEL ? ANSI_TEXT : c == ESC ? ANSI_STRING_ESC : ANSI_STRING;
    }
}

/* C1 controls come as U+0080..9F, two bytes in UTF-8, and terminals obey them: the lead byte is
 * held until it is clear what it leads. True if `c` is to be dropped or held. */
static bool ansi_c1(struct ansi *a, uint8_t c, char *out, size_t *n)
{
    bool lead = a->lead;

    a->lead = a->state == ANSI_TEXT && c == 0xc2;
    if (lead && c >= 0x80 && c < 0xa0)
        return true;
    if (lead)
        out[(*n)++] = (char)0xc2;
    return a->lead;
}

size_t ansi_plain(struct ansi *a, const uint8_t *in, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = in[i];
        bool text = a->state == ANSI_TEXT;

        if (ansi_c1(a, c, out, &n))
            continue;
        a->state = ansi_next(a->state, c);
        if (text && ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t'))
            out[n++] = (char)c;
    }
    return n;
}

static bool in_string(enum ansi_state s)
{
    return s == ANSI_STRING || s == ANSI_STRING_ESC;
}

/* Does the byte that led from `was` to `now` belong to a string, its end included? */
static bool of_string(enum ansi_state was, enum ansi_state now, uint8_t c)
{
    if (in_string(now) || was == ANSI_STRING)
        return true;
    return was == ANSI_STRING_ESC && (c == '\\' || c == CAN || c == SUB);
}

size_t ansi_safe(struct ansi *a, const uint8_t *in, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        enum ansi_state was = a->state, now;
        bool held = was == ANSI_ESC || was == ANSI_STRING_ESC;

        if (ansi_c1(a, in[i], out, &n))
            continue;
        now = a->state = ansi_next(was, in[i]);
        if (now == ANSI_ESC || of_string(was, now, in[i]))
            continue; /* an ESC waits for what it begins */
        if (held)
            out[n++] = ESC;
        out[n++] = (char)in[i];
    }
    return n;
}
