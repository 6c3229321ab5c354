/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guard: see guard.h.
 */
#include "ui/guard.h"

#include "core/text.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { OUT_BYTES = 4096, SEQ_BYTES = 96, PARAMS_MAX = 16, DIGITS_MAX = 4, COMBINING_MAX = 2 };
enum { FIFFI = 0xfffd, CAN = 0x18, SUB = 0x1a, ESC = 0x1b, BEL = 7 };

enum state {
    TEXT,
    ESCAPE,
    ESCAPE_SKIP, /* an intermediate byte came that we do not know: one final byte to drop */
    CHARSET,     /* ESC ( or ESC ): the final byte tells which */
    CSI,
    CSI_SKIP, /* too long or not well-formed: to its final byte */
    OSC,
    STRING, /* DCS, APC, PM, SOS: to its terminator */
};

struct guard {
    void (*out)(void *arg, const char *bytes, size_t len);
    void *arg;
    unsigned cols;
    locale_t locale; /* for wcwidth; 0: none, then only ASCII passes */
    enum state state;
    bool st_escape; /* an ESC came inside a string */
    char charset;   /* '(' or ')' */

    uint32_t cp; /* a character that is not complete */
    unsigned need, have;

    uint32_t last; /* what REP repeats, 0: nothing */
    unsigned combining;

    char seq[SEQ_BYTES]; /* of CSI, or of OSC */
    unsigned nseq;
    char title[GUARD_TITLE_BYTES];

    char buf[OUT_BYTES];
    unsigned nbuf;
};

static void flush(struct guard *g)
{
    if (g->nbuf)
        g->out(g->arg, g->buf, g->nbuf);
    g->nbuf = 0;
}

/* At most SEQ_BYTES + 8 at a time, and never split. */
static void put(struct guard *g, const char *bytes, size_t len)
{
    if (len > sizeof g->buf - g->nbuf)
        flush(g);
    memcpy(g->buf + g->nbuf, bytes, len);
    g->nbuf += (unsigned)len;
}

static unsigned encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

/* Printable in Unicode of today; the library's table is older and lets them combine. */
static bool combines_in_library(uint32_t cp)
{
    return (cp >= 0x600 && cp <= 0x603) || cp == 0x6dd || cp == 0x6de || cp == 0x70f || cp == 0x1734;
}

int guard_width(const struct guard *g, uint32_t cp)
{
    locale_t old;
    int width;

    if (cp < 0x80)
        return cp >= 0x20 && cp != 0x7f ? 1 : -1;
    if (!g->locale || combines_in_library(cp))
        return -1;
    old = uselocale(g->locale);
    width = wcwidth((wchar_t)cp);
    uselocale(old);
    return width;
}

/* A complete character. The library keeps any number of combining ones; two are plenty. */
static void character(struct guard *g, uint32_t cp)
{
    int width = guard_width(g, cp);
    char bytes[4];

    if (width < 0 && cp >= 0x80 && cp < 0xa0)
        return; /* C1 */
    if (width < 0) {
        cp = FIFFI;
        width = 1;
    }
    if (!g->locale && cp >= 0x80)
        cp = '?';
    if (width == 0 && (g->last == 0 || g->combining++ >= COMBINING_MAX))
        return;
    if (width > 0) {
        g->last = cp;
        g->combining = 0;
    }
    put(g, bytes, encode(cp, bytes));
}

static void control(struct guard *g, uint8_t c)
{
    char byte = (char)c;

    if (c >= 7 && c <= 15) { /* BEL BS HT LF VT FF CR SO SI */
        g->last = 0;
        put(g, &byte, 1);
    }
}

/* Sequences. */

struct params {
    char leader; /* 0, '?' or '>' */
    char inter;  /* 0, ' ', '!' or '"' */
    unsigned n;
    unsigned v[PARAMS_MAX]; /* 0: not given */
};

/* Takes g->seq apart: at most PARAMS_MAX parameters of DIGITS_MAX digits, one leader, one
 * intermediate. Colons count as semicolons do. */
static bool parse(const struct guard *g, struct params *p)
{
    const char *s = g->seq, *end = s + g->nseq;
    unsigned digits = 0;

    *p = (struct params){.n = 1};
    if (s < end && strchr("?>=<", *s))
        p->leader = *s++;
    for (; s < end && *s >= '0' && *s <= ';'; s++) {
        if (*s > '9') {
            if (p->n++ == PARAMS_MAX)
                return false;
            digits = 0;
        } else {
            if (digits++ == DIGITS_MAX)
                return false;
            p->v[p->n - 1] = p->v[p->n - 1] * 10 + (unsigned)(*s - '0');
        }
    }
    if (s < end)
        p->inter = *s++;
    return s == end;
}

static bool mode_is_known(unsigned mode)
{
    switch (mode) {
    case 1:    /* application cursor keys */
    case 6:    /* origin */
    case 7:    /* wrap */
    case 12:   /* cursor blinks */
    case 25:   /* cursor is visible */
    case 47:   /* alternate screen, in three ways */
    case 1047:
    case 1048:
    case 1049:
    case 2004: /* bracketed paste */
        return true;
    }
    return false;
}

static void private_modes(struct guard *g, const struct params *p, char final)
{
    char s[16];

    for (unsigned i = 0; i < p->n; i++)
        if (mode_is_known(p->v[i]))
            put(g, s, (size_t)snprintf(s, sizeof s, "\033[?%u%c", p->v[i], final));
}

/* REP, written out; the library's own runs over the margin. */
static void repeat(struct guard *g, unsigned count)
{
    uint32_t cp = g->last;

    if (cp == 0)
        return;
    if (count == 0)
        count = 1;
    for (unsigned i = 0; i < count && i < g->cols; i++)
        character(g, cp);
}

static void plain_csi(struct guard *g, const struct params *p, char final)
{
    char s[SEQ_BYTES + 4];

    switch (final) {
    case 'b':
        repeat(g, p->v[0]);
        return; /* g->last stays */
    case 's': /* the library takes it for margins */
        put(g, "\0337", p->n == 1 && p->v[0] == 0 ? 2 : 0);
        break;
    case 'u':
        put(g, "\0338", p->n == 1 && p->v[0] == 0 ? 2 : 0);
        break;
    default:
        if (strchr("@ABCDEFGHIJKLMPSTXZ`acdefghjklmnr", final))
            put(g, s, (size_t)snprintf(s, sizeof s, "\033[%.*s%c", (int)g->nseq, g->seq, final));
    }
    g->last = 0;
}

static void csi(struct guard *g, char final)
{
    struct params p;
    char s[16];

    if (!parse(g, &p))
        return;
    if (p.leader == '?' && !p.inter && (final == 'h' || final == 'l'))
        private_modes(g, &p, final);
    else if (p.leader == '?' && !p.inter && (final == 'J' || final == 'K') && p.v[0] <= 2)
        put(g, s, (size_t)snprintf(s, sizeof s, "\033[?%u%c", p.v[0], final));
    else if (p.leader == '>' && !p.inter && final == 'c' && p.v[0] == 0)
        put(g, "\033[>c", 4);
    else if (!p.leader && p.inter == ' ' && final == 'q' && p.v[0] <= 6)
        put(g, s, (size_t)snprintf(s, sizeof s, "\033[%u q", p.v[0]));
    else if (!p.leader && p.inter == '!' && final == 'p')
        put(g, "\033[!p", 4);
    else if (!p.leader && !p.inter)
        plain_csi(g, &p, final);
}

static void csi_byte(struct guard *g, uint8_t c)
{
    if (c >= 0x40 && c <= 0x7e) {
        if (g->state == CSI)
            csi(g, (char)c);
        g->state = TEXT;
    } else if (c >= 0x80) {
        g->state = TEXT;
    } else if (c < 0x20) {
        control(g, c); /* takes effect at once, the sequence goes on */
    } else if (g->nseq == SEQ_BYTES) {
        g->state = CSI_SKIP;
    } else if (c != 0x7f) {
        g->seq[g->nseq++] = (char)c;
    }
}

/* OSC 0, 1, 2; what does not fit is dropped. */
static void title(struct guard *g)
{
    char raw[SEQ_BYTES + 1];
    unsigned n = 0;

    if (g->nseq < 2 || g->seq[0] < '0' || g->seq[0] > '2' || g->seq[1] != ';' || g->seq[0] == '1')
        return;
    for (unsigned i = 2; i < g->nseq; i++)
        if ((unsigned char)g->seq[i] >= 0x20 && g->seq[i] != 0x7f)
            raw[n++] = g->seq[i];
    raw[n] = '\0';
    text_show(g->title, sizeof g->title, raw);
}

static void string_byte(struct guard *g, uint8_t c)
{
    bool ends = c == BEL || (g->st_escape && c == '\\');

    if (ends && g->state == OSC)
        title(g);
    if (ends || c == CAN || c == SUB) {
        g->state = TEXT;
    } else if (g->st_escape) { /* an ESC that is no terminator begins a new sequence */
        g->state = ESCAPE;
    } else if (c == ESC) {
        g->st_escape = true;
        return;
    } else if (g->state == OSC && g->nseq < SEQ_BYTES) {
        g->seq[g->nseq++] = (char)c;
    }
    g->st_escape = false;
}

static void escape(struct guard *g, uint8_t c)
{
    char s[2] = {ESC, (char)c};

    g->state = TEXT;
    g->nseq = 0;
    g->st_escape = false;
    switch (c) {
    case '[':
        g->state = CSI;
        break;
    case ']':
        g->state = OSC;
        break;
    case 'P':
    case 'X':
    case '^':
    case '_':
        g->state = STRING;
        break;
    case '(':
    case ')':
        g->state = CHARSET;
        g->charset = (char)c;
        break;
    case '7': case '8': case 'c': case 'D': case 'E': case 'H': case 'M': case '=': case '>':
        g->last = 0;
        put(g, s, 2);
        break;
    case ESC:
        g->state = ESCAPE;
        break;
    default:
        if (c >= 0x20 && c < 0x30)
            g->state = ESCAPE_SKIP;
        else if (c < 0x20)
            control(g, c);
    }
}

static void charset(struct guard *g, uint8_t c)
{
    char s[3] = {ESC, g->charset, (char)c};

    g->state = TEXT;
    if (c == '0' || c == 'A' || c == 'B')
        put(g, s, 3);
}

/* Text. */

static void begin_character(struct guard *g, uint8_t c)
{
    g->have = 0;
    g->need = c >= 0xf0 && c <= 0xf4 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0 ? 1 : 0;
    g->cp = c & (g->need == 3 ? 7u : g->need == 2 ? 15u : 31u);
    if (g->need == 0)
        character(g, FIFFI);
}

static void more_character(struct guard *g, uint8_t c)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    g->cp = g->cp << 6 | (c & 63u);
    if (++g->have < g->need)
        return;
    if (g->cp < least[g->need] || g->cp > 0x10ffff || (g->cp >= 0xd800 && g->cp < 0xe000))
        g->cp = FIFFI;
    g->need = 0;
    character(g, g->cp);
}

static void text(struct guard *g, uint8_t c)
{
    if (g->need && (c & 0xc0) == 0x80) {
        more_character(g, c);
        return;
    }
    if (g->need) {
        g->need = 0;
        character(g, FIFFI);
    }
    if (c == ESC)
        g->state = ESCAPE;
    else if (c < 0x20)
        control(g, c);
    else if (c < 0x80)
        character(g, c == 0x7f ? 0x85u : c); /* DEL is dropped, as C1 */
    else
        begin_character(g, c);
}

static void byte(struct guard *g, uint8_t c)
{
    if (g->state == OSC || g->state == STRING) {
        string_byte(g, c);
        if (g->state == ESCAPE)
            escape(g, c);
        return;
    }
    if (g->state != TEXT && (c == CAN || c == SUB)) {
        g->state = TEXT;
        return;
    }
    if (g->state != TEXT && c == ESC) {
        g->state = ESCAPE;
        return;
    }
    switch (g->state) {
    case TEXT:
        text(g, c);
        break;
    case ESCAPE:
        escape(g, c);
        break;
    case ESCAPE_SKIP:
        if (c >= 0x30)
            g->state = TEXT;
        break;
    case CHARSET:
        charset(g, c);
        break;
    default:
        csi_byte(g, c);
    }
}

void guard_feed(struct guard *g, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        byte(g, bytes[i]);
    flush(g);
}

const char *guard_title(const struct guard *g)
{
    return g->title;
}

struct guard *guard_new(unsigned cols, void (*out)(void *arg, const char *bytes, size_t len), void *arg)
{
    struct guard *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->cols = cols;
    g->out = out;
    g->arg = arg;
    g->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return g;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    if (g->locale)
        freelocale(g->locale);
    free(g);
}
