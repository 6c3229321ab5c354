/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * paste: see paste.h.
 */
#include "ui/paste.h"

#include "core/clock.h"

#include <limits.h>
#include <wchar.h>

enum paste_step paste_take(struct paste *p, const struct key *k, size_t max)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC), since = now - p->last_ns;
    char utf8[MB_LEN_MAX];
    mbstate_t st = {0};
    size_t n;

    if (!p->on && !(k->special && k->code == KEY_PASTE_BEGIN))
        return PASTE_NOT;
    p->last_ns = now;
    if (k->special && k->code == KEY_PASTE_BEGIN) {
        p->on = true;
        text_clear(&p->text);
    } else if (k->special && k->code == KEY_PASTE_END) {
        p->on = false;
        return PASTE_WHOLE;
    } else if (since > NS_PER_S) {
        p->on = false;
        text_clear(&p->text);
        return PASTE_NOT;
    } else if (!k->special && p->text.len < max) {
        n = wcrtomb(utf8, (wchar_t)k->code, &st);
        if (n != (size_t)-1)
            text_add(&p->text, utf8, n);
    }
    return PASTE_MORE;
}
