/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rig: real guests in a test of tests/kvm, through vm.h: start them, type, expect, wait, look.
 *
 * Everything runs on the test's main thread, which turns the event loop while it waits; limits
 * are generous, since the machine may be an emulated one with other work beside it. A case is
 * reported by CASE in the words of tests/run; what was measured goes into `#` lines before it.
 * For test programs of one file each: all functions are static inline.
 */
#ifndef TESTS_KVM_RIG_H
#define TESTS_KVM_RIG_H

#include "core/accel.h"
#include "core/board.h"
#include "core/clock.h"
#include "core/images.h"
#include "core/loop.h"
#include "core/sandbox.h"
#include "core/vm.h"

#include <dirent.h>
#include <fcntl.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RIG_GUESTS_MAX = 40, SAID_BYTES = 256 << 10 };

struct rguest {
    struct vm *vm;
    struct vm_config c;
    char said[SAID_BYTES + 1]; /* of serial0, what expect has not consumed */
    size_t nsaid;
    uint64_t pos;
    char word[200]; /* first subexpression of the last match */
    unsigned seen; /* bits of the states it has come to since the last rig_ask */
    unsigned resets, failures, device_errors;
    char why[200];  /* of the last failure or device error */
};

struct rig {
    struct loop *loop;
    struct rguest *guest[RIG_GUESTS_MAX];
    unsigned nguests;
    int failed;
};

static struct rig rig; /* a test is one process */

/* --- cases ----------------------------------------------------------------------- */

/* With a line of what was measured. */
__attribute__((format(printf, 3, 4)))
static inline bool rig_case(bool ok, const char *name, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    printf("# %s: %s\n", name, text);
    printf("%s %s\n", ok ? "ok" : "not ok", name);
    rig.failed += !ok;
    return ok;
}

/* A plain one. */
static inline bool rig_check(bool ok, const char *name)
{
    printf("%s %s\n", ok ? "ok" : "not ok", name);
    rig.failed += !ok;
    return ok;
}

/* Turns the loop until `cond` holds or `seconds` are over; its value is whether it held. */
#define UNTIL(seconds, cond)                                                          \
    ({                                                                                \
        uint64_t until_ = clock_mono_ns() + (uint64_t)((seconds) * 1e9);              \
        bool held_;                                                                   \
        while (!(held_ = (cond)) && clock_mono_ns() < until_)                         \
            loop_step(rig.loop, 2);                                                   \
        held_;                                                                        \
    })

static inline void rig_wait(double seconds)
{
    UNTIL(seconds, false);
}

/* --- guests ---------------------------------------------------------------------- */

static inline void rig_event(void *opaque, struct vm *vm, const struct vm_event *ev)
{
    struct rguest *g = opaque;

    (void)vm;
    if (ev->kind == VM_EVENT_STATE)
        g->seen |= 1u << ev->new_state;
    g->resets += ev->kind == VM_EVENT_RESET;
    g->failures += ev->kind == VM_EVENT_FAILED;
    g->device_errors += ev->kind == VM_EVENT_DEVICE;
    if (ev->kind == VM_EVENT_FAILED || ev->kind == VM_EVENT_DEVICE)
        snprintf(g->why, sizeof g->why, "%s", ev->text);
}

static inline void rig_begin(void)
{
    struct err e = {0};

    setvbuf(stdout, NULL, _IOLBF, 0);
    setenv("RUCHE_IMAGES", "build/guests", 0); /* tests run at the top of the tree */
    if (accel_kvm.probe(&e) < 0) {
        printf("skip all - %s\n", e.msg);
        exit(77);
    }
    rig.loop = loop_new(&e);
    if (!rig.loop || sandbox_process(&e) < 0 || sandbox_no_capabilities(&e) < 0) {
        printf("not ok rig: %s\n", e.msg);
        exit(1);
    }
}

/* A guest of a built-in image, or of a file if `image` has a slash. Change g->c before
 * rig_start. */
static inline struct rguest *rig_guest(const char *name, const char *image, const char *append)
{
    struct rguest *g = calloc(1, sizeof *g);
    struct err e = {0};
    int rc;

    vm_config_init(&g->c, name);
    rc = strchr(image, '/') ? image_apply_path(image, append, &g->c, &e)
                            : image_apply(image, append, &g->c, &e);
    if (rc < 0) {
        printf("not ok guest %s: %s\n", name, e.msg);
        exit(1);
    }
    if (strcmp(image, "debian") != 0)
        g->c.memory_bytes = 16 << 20;
    rig.guest[rig.nguests++] = g;
    return g;
}

static inline bool rig_is(const struct rguest *g, enum vm_state s)
{
    return g->vm && vm_state(g->vm) == s && !vm_busy(g->vm);
}

/* Asks `what` of a guest and waits until it has come to state `s`; it may have left it since. */
static inline bool rig_ask(struct rguest *g, int (*what)(struct vm *, struct err *), enum vm_state s)
{
    struct err e = {0};
    unsigned failures = g->failures, resets = g->resets;

    UNTIL(30, !vm_busy(g->vm));
    g->seen = 0;
    if (what(g->vm, &e) < 0) {
        printf("# %s: refused: %s\n", g->c.name, e.msg);
        return false;
    }
    UNTIL(60, !vm_busy(g->vm) && (g->seen & 1u << s || g->failures != failures || g->resets != resets));
    if (g->failures != failures)
        printf("# %s: failed: %s\n", g->c.name, g->why);
    return g->seen & 1u << s || (g->resets != resets && rig_is(g, s));
}

static inline bool rig_start(struct rguest *g)
{
    const struct vm_listener l = {rig_event, g};
    struct err e = {0};

    if (!g->vm && !(g->vm = vm_new(&g->c, &accel_kvm, &pc_board, rig.loop, &l, &e))) {
        printf("# %s: %s\n", g->c.name, e.msg);
        return false;
    }
    return rig_ask(g, vm_start, VM_RUNNING);
}

static inline void rig_drop(struct rguest *g)
{
    for (unsigned i = 0; i < rig.nguests; i++)
        if (rig.guest[i] == g)
            rig.guest[i] = rig.guest[--rig.nguests];
    vm_free(g->vm);
    vm_config_fini(&g->c);
    free(g);
}

static inline int rig_end(void)
{
    while (rig.nguests)
        rig_drop(rig.guest[0]);
    loop_free(rig.loop);
    return rig.failed ? 1 : 0;
}

/* --- consoles -------------------------------------------------------------------- */

static inline void rig_listen(struct rguest *g)
{
    char raw[4096];
    size_t n;

    while ((n = console_read(vm_console(g->vm, CONSOLE_SERIAL0), &g->pos, raw, sizeof raw, NULL))) {
        for (size_t i = 0; i < n; i++) {
            if (raw[i] == '\r' || raw[i] == '\0')
                continue;
            if (g->nsaid == SAID_BYTES) {
                g->nsaid -= SAID_BYTES / 2;
                memmove(g->said, g->said + SAID_BYTES / 2, g->nsaid);
            }
            g->said[g->nsaid++] = raw[i];
        }
        g->said[g->nsaid] = '\0';
    }
}

/* Forgets what was said so far. */
static inline void rig_hush(struct rguest *g)
{
    rig_listen(g);
    g->nsaid = 0;
    g->said[0] = '\0';
}

static inline bool rig_match(struct rguest *g, regex_t *re)
{
    regmatch_t m[2];
    size_t n;

    rig_listen(g);
    if (regexec(re, g->said, 2, m, 0) != 0)
        return false;
    g->word[0] = '\0';
    if (m[1].rm_so >= 0)
        snprintf(g->word, sizeof g->word, "%.*s", (int)(m[1].rm_eo - m[1].rm_so), g->said + m[1].rm_so);
    n = (size_t)m[0].rm_eo;
    g->nsaid -= n;
    memmove(g->said, g->said + n, g->nsaid + 1);
    return true;
}

/* Will it say nothing more? */
static inline bool rig_over(const struct rguest *g)
{
    return rig_is(g, VM_STOPPED) || rig_is(g, VM_CRASHED);
}

/* Waits for `pattern` (extended, ^ and $ at lines) and consumes up to its end. */
static inline bool rig_expect(struct rguest *g, const char *pattern, double seconds)
{
    regex_t re;
    bool found;

    if (regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
        return false;
    found = false;
    UNTIL(seconds, (found = rig_match(g, &re)) || rig_over(g));
    found = found || rig_match(g, &re); /* its last words */
    regfree(&re);
    if (!found)
        printf("# %s (%s %s) did not say `%s`; it said: ...%s\n", g->c.name,
               vm_state_name(vm_state(g->vm)), vm_reason(g->vm), pattern,
               g->said + (g->nsaid > 700 ? g->nsaid - 700 : 0));
    return found;
}

static inline void rig_send(struct rguest *g, const char *text)
{
    vm_console_send(g->vm, CONSOLE_SERIAL0, text, strlen(text));
    vm_console_send(g->vm, CONSOLE_SERIAL0, "\r", 1);
}

/* A line typed at a prompt, then what the guest should say. What was said before is forgotten. */
static inline bool rig_do(struct rguest *g, const char *line, const char *pattern, double seconds)
{
    rig_hush(g);
    rig_send(g, line);
    return rig_expect(g, pattern, seconds);
}

/* A word that a Debian guest prints for `command`, a number: `<N>` so that the echo of the line
 * typed is not taken for it; -1 if it does not come. */
static inline double rig_number(struct rguest *g, const char *command)
{
    char line[400];

    snprintf(line, sizeof line, "echo \"<$(%s)>\"", command);
    if (!rig_do(g, line, "^<([0-9.]+)>", 60))
        return -1;
    return atof(g->word);
}

static inline bool rig_debian_up(struct rguest *g)
{
    return rig_expect(g, ":/# ", 120);
}

static inline bool rig_hello_up(struct rguest *g)
{
    return rig_expect(g, "hello: ready", 60) && rig_expect(g, "> $", 60);
}

#endif
