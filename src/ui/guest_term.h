/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guest_term: a terminal (emu.h) on a line of a guest: what the guest says is shown, what is
 * typed is sent.
 *
 * It begins with the last 256 KiB that the line's ring holds; what the guest asked then is not
 * answered again. A guest that floods is shown at no more than some 1 MB/s, and what the ring
 * loses meanwhile is counted; it stalls nobody. Threads: main's.
 */
#ifndef RUCHE_UI_GUEST_TERM_H
#define RUCHE_UI_GUEST_TERM_H

#include "core/session.h"
#include "ui/emu.h"

struct guest_term;

/* Who hears of it: `changed`: to be drawn again; `typed`: bytes that a person's key made (not
 * the terminal's own answers), for sending them to others too. Both may be NULL. */
struct guest_term_owner {
    void (*changed)(void *arg);
    void (*typed)(void *arg, const char *bytes, size_t len);
    void *arg;
};

struct guest_term *guest_term_new(struct session *s, struct guest *g, enum board_console c,
                                  const struct guest_term_owner *o, struct err *e);
void guest_term_free(struct guest_term *t);

struct guest *guest_term_guest(const struct guest_term *t);
enum board_console guest_term_console(const struct guest_term *t);
const char *guest_term_line_name(enum board_console c); /* as `--line` has it */
struct emu *guest_term_emu(const struct guest_term *t); /* until the next resize */
uint64_t guest_term_lost(const struct guest_term *t);   /* bytes that came too fast */

/* Part of the rate that this one may use: `of` terminals are on the screen. */
void guest_term_share(struct guest_term *t, unsigned of);

/* A terminal of another size. A virtio console's guest is told by it; a serial line cannot tell:
 * guest_term_type_size types `stty`, as a person would. -ENOMEM: it stays as it is. */
int guest_term_resize(struct guest_term *t, unsigned cols, unsigned rows);
void guest_term_type_size(struct guest_term *t);

void guest_term_reset(struct guest_term *t); /* what the line holds is said again */

/* Typing. A guest that does not read gets it later, up to a bound. */
void guest_term_key(struct guest_term *t, enum emu_key key, unsigned mods);
void guest_term_char(struct guest_term *t, uint32_t cp, unsigned mods);
void guest_term_paste(struct guest_term *t, const char *utf8, size_t len);
void guest_term_send(struct guest_term *t, const char *bytes, size_t len);

#endif
