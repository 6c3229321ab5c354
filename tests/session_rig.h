/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session with fake guests, and a client that keeps what commands say. For tests of commands.
 */
#ifndef RUCHE_TESTS_SESSION_RIG_H
#define RUCHE_TESTS_SESSION_RIG_H

#include "core/cmd.h"
#include "core/loop.h"
#include "core/session.h"
#include "fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct rig {
    char dir[64];
    struct session *s;
    struct text out, note, error;
    int status; /* of the last command, -1: it still runs */
    struct cmd_run *run;
    char question[300]; /* that was asked */
    bool json;
};

static void rig_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct rig *r = opaque;

    text_add(to == CMD_OUT ? &r->out : to == CMD_NOTE ? &r->note : &r->error, text, len);
}

static void rig_done(void *opaque, int status)
{
    struct rig *r = opaque;

    r->status = status;
    r->run = NULL;
}

/* Turns the loop until nothing happens for a moment. */
static inline void rig_idle(struct rig *r)
{
    for (int i = 0; i < 20; i++)
        loop_step(session_loop(r->s), 0);
}

static inline void rig_begin_as(struct rig *r, const char *line, const struct cmd_client *c)
{
    text_clear(&r->out);
    text_clear(&r->note);
    text_clear(&r->error);
    r->status = -1;
    r->run = cmd_start(r->s, line, c);
    rig_idle(r);
}

static inline void rig_begin(struct rig *r, const char *line)
{
    struct cmd_client c = {.write = rig_write, .done = rig_done, .opaque = r, .json = r->json};

    rig_begin_as(r, line, &c);
}

/* Runs a command to its end (10 s at most); returns its status. */
static inline int rig_do(struct rig *r, const char *line)
{
    rig_begin(r, line);
    for (int i = 0; r->status < 0 && i < 1000; i++)
        loop_step(session_loop(r->s), 10);
    return r->status;
}

#define assert_says(text, part)                                                                      \
    do {                                                                                            \
        if (!strstr(text_str(&(text)), part))                                                       \
            fail_msg("\"%s\" does not contain \"%s\"", text_str(&(text)), part);                     \
    } while (0)

static inline struct vm *rig_vm(struct rig *r, const char *name)
{
    struct guest *g = session_guest(r->s, name);

    assert_non_null(g);
    return g->vm;
}

/* A session of this lab (text), with the images that it names made up. */
static inline struct rig *rig_new(const char *yaml)
{
    static const char *const images[] = {"hello", "spin", "chatty"};
    struct rig *r = calloc(1, sizeof *r);
    struct lab_host host = {.memory_available_bytes = 4ull << 30, .cpus = 8};
    struct session_params p = {.engines = {&fake_accel}, .host = host};
    struct diags *d = diags_new("lab.yaml");
    char path[128];
    struct lab *lab;
    struct err e;

    snprintf(r->dir, sizeof r->dir, "%s/ruche-rig-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(r->dir));
    setenv("RUCHE_IMAGES", r->dir, 1);
    for (unsigned i = 0; i < 3; i++) {
        FILE *f;

        snprintf(path, sizeof path, "%s/%s.elf", r->dir, images[i]);
        f = fopen(path, "w");
        fclose(f);
    }
    snprintf(path, sizeof path, "%s/lab.yaml", r->dir);
    lab = lab_parse(yaml, strlen(yaml), path, &host, d);
    if (!lab)
        fail_msg("%s", d->n ? d->d[0].msg : "?");
    p.lab = lab;
    p.name = "rig";
    r->s = session_new(&p, &e);
    if (!r->s)
        fail_msg("%s", e.msg);
    lab_free(lab);
    diags_free(d);
    return r;
}

static inline void rig_free(struct rig *r)
{
    char cmd[100];

    session_free(r->s);
    text_free(&r->out);
    text_free(&r->note);
    text_free(&r->error);
    snprintf(cmd, sizeof cmd, "rm -r %s", r->dir);
    if (system(cmd) != 0)
        fail();
    free(r);
}

#endif
