/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guest_term: see guest_term.h.
 */
#include "ui/guest_term.h"

#include "core/clock.h"
#include "core/loop.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLAY_BYTES = 256 << 10,
    CHUNK = 4096,
    RATE_BYTES = 1 << 20, /* a second, of all that are on the screen */
    BURST_BYTES = 16 << 10,
    REPLAY_BURST_BYTES = 64 << 10,
    MORE_NS = 8000000,
    RETRY_NS = 20000000,
    TYPED_MAX = 256 << 10,
};

struct guest_term {
    struct session *session;
    struct guest *g;
    enum board_console console;
    struct guest_term_owner owner;
    struct emu *emu;
    struct watcher *watcher;
    struct loop_timer *more, *retry;
    uint64_t pos, lost;
    uint64_t muted_to; /* up to here it has been said before */
    uint64_t filled_ns;
    uint64_t allowed; /* bytes, of the rate */
    unsigned of;
    bool typing;
    struct text typed; /* not yet taken by the guest */
};

const char *guest_term_line_name(enum board_console c)
{
    static const char *const names[CONSOLES] = {"serial0", "serial1", "virtio", "debug"};

    return names[c];
}

/* Output. */

static void fill(struct guest_term *t)
{
    uint64_t now = clock_mono_ns(), more = (now - t->filled_ns) / 1000 * RATE_BYTES / 1000000 / t->of;
    uint64_t most = t->pos < t->muted_to ? REPLAY_BURST_BYTES : BURST_BYTES;

    if (more == 0)
        return;
    t->filled_ns = now;
    t->allowed = t->allowed + more < most ? t->allowed + more : most;
}

static void pump(void *arg)
{
    struct guest_term *t = arg;
    struct console *con = vm_console(t->g->vm, t->console);
    uint8_t buf[CHUNK];
    size_t n = 1;

    fill(t);
    while (t->allowed && n) {
        size_t room = t->allowed < sizeof buf ? (size_t)t->allowed : sizeof buf;
        bool mute = t->pos < t->muted_to;

        if (mute && room > t->muted_to - t->pos)
            room = (size_t)(t->muted_to - t->pos);
        n = console_read(con, &t->pos, buf, room, &t->lost);
        emu_mute(t->emu, mute);
        emu_feed(t->emu, buf, n);
        t->allowed -= n;
    }
    if (t->pos < console_end(con))
        loop_arm_ns(t->more, MORE_NS);
    if (t->owner.changed)
        t->owner.changed(t->owner.arg);
}

/* Typing. */

static bool takes(const struct guest *g)
{
    return guest_is_up(g) || g->starting;
}

static void flush(void *arg)
{
    struct guest_term *t = arg;
    size_t n = t->typed.len ? vm_console_send(t->g->vm, t->console, t->typed.buf, t->typed.len) : 0;

    text_drop(&t->typed, n);
    if (t->typed.len && takes(t->g))
        loop_arm_ns(t->retry, RETRY_NS);
    else
        text_clear(&t->typed);
}

void guest_term_send(struct guest_term *t, const char *bytes, size_t len)
{
    bool empty = t->typed.len == 0;

    text_add(&t->typed, bytes, len);
    if (empty && len)
        flush(t);
}

static void on_reply(void *arg, const char *bytes, size_t len)
{
    struct guest_term *t = arg;

    if (t->typing && t->owner.typed)
        t->owner.typed(t->owner.arg, bytes, len);
    guest_term_send(t, bytes, len);
}

void guest_term_key(struct guest_term *t, enum emu_key key, unsigned mods)
{
    t->typing = true;
    emu_type_key(t->emu, key, mods);
    t->typing = false;
}

void guest_term_char(struct guest_term *t, uint32_t cp, unsigned mods)
{
    t->typing = true;
    emu_type_char(t->emu, cp, mods);
    t->typing = false;
}

void guest_term_paste(struct guest_term *t, const char *utf8, size_t len)
{
    t->typing = true;
    emu_paste(t->emu, utf8, len);
    t->typing = false;
}

/* Sizes. */

static void from_the_ring(struct guest_term *t)
{
    struct console *con = vm_console(t->g->vm, t->console);
    uint64_t begin = console_begin(con);

    t->muted_to = console_end(con);
    t->pos = t->muted_to - begin > REPLAY_BYTES ? t->muted_to - REPLAY_BYTES : begin;
    t->lost = 0;
    t->allowed = REPLAY_BURST_BYTES;
    t->filled_ns = clock_mono_ns();
}

static int replace(struct guest_term *t, unsigned cols, unsigned rows)
{
    struct emu *emu = emu_new(cols, rows, on_reply, t);

    if (!emu)
        return -ENOMEM;
    emu_free(t->emu);
    t->emu = emu;
    from_the_ring(t);
    loop_arm_ns(t->more, 1);
    return 0;
}

int guest_term_resize(struct guest_term *t, unsigned cols, unsigned rows)
{
    int rc;

    if (emu_cols(t->emu) == cols && emu_rows(t->emu) == rows)
        return 0;
    rc = replace(t, cols, rows);
    if (rc == 0 && t->console == CONSOLE_VIRTIO)
        vm_console_resize(t->g->vm, emu_cols(t->emu), emu_rows(t->emu));
    return rc;
}

void guest_term_type_size(struct guest_term *t)
{
    char line[64];

    guest_term_send(t, line, (size_t)snprintf(line, sizeof line, " stty rows %u cols %u\r", emu_rows(t->emu),
                                              emu_cols(t->emu)));
}

void guest_term_reset(struct guest_term *t)
{
    replace(t, emu_cols(t->emu), emu_rows(t->emu));
}

struct guest *guest_term_guest(const struct guest_term *t)
{
    return t->g;
}

enum board_console guest_term_console(const struct guest_term *t)
{
    return t->console;
}

struct emu *guest_term_emu(const struct guest_term *t)
{
    return t->emu;
}

uint64_t guest_term_lost(const struct guest_term *t)
{
    return t->lost;
}

void guest_term_share(struct guest_term *t, unsigned of)
{
    t->of = of ? of : 1;
}

struct guest_term *guest_term_new(struct session *s, struct guest *g, enum board_console c,
                                  const struct guest_term_owner *o, struct err *e)
{
    struct guest_term *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    *t = (struct guest_term){.session = s, .g = g, .console = c, .owner = *o, .of = 1};
    t->typed.limit = TYPED_MAX;
    t->more = loop_add_timer(session_loop(s), pump, t, e);
    t->retry = loop_add_timer(session_loop(s), flush, t, e);
    t->watcher = session_watch(s, g, c, pump, t);
    if (!t->more || !t->retry || !t->watcher || replace(t, EMU_COLS, EMU_ROWS) < 0) {
        err_set(e, ENOMEM, "no terminal for %s: out of memory", g->c->name);
        guest_term_free(t);
        return NULL;
    }
    return t;
}

void guest_term_free(struct guest_term *t)
{
    if (!t)
        return;
    session_unwatch(t->session, t->watcher);
    loop_del_timer(t->more);
    loop_del_timer(t->retry);
    emu_free(t->emu);
    text_free(&t->typed);
    free(t);
}
