/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_batch: some lines, one after the other, until one fails. The batch belongs to nobody and
 * frees itself; its client hears of the end once.
 */
#include "core/cmd_internal.h"

#include <stdlib.h>
#include <string.h>

struct cmd_batch {
    struct session *session;
    struct cmd_client client;
    char *lines, *next;
};

static void batch_next(struct cmd_batch *b);

static void batch_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct cmd_batch *b = opaque;

    b->client.write(b->client.opaque, to, text, len);
}

static void batch_end(struct cmd_batch *b, int status)
{
    struct cmd_client c = b->client;

    free(b->lines);
    free(b);
    c.done(c.opaque, status);
}

static void batch_done(void *opaque, int status)
{
    struct cmd_batch *b = opaque;

    if (status != CMD_DONE || !*b->next)
        batch_end(b, status);
    else
        batch_next(b);
}

static void batch_gone(void *opaque)
{
    struct cmd_batch *b = opaque;

    if (b->client.gone)
        b->client.gone(b->client.opaque);
    free(b->lines);
    free(b);
}

static void batch_next(struct cmd_batch *b)
{
    struct cmd_client c = {.write = batch_write, .done = batch_done, .gone = batch_gone,
                           .looks_only = b->client.looks_only, .undoes = b->client.undoes, .opaque = b};
    char *line = b->next, *end = strchr(line, '\n');

    b->next = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    if (!cmd_start(b->session, line, &c))
        batch_end(b, CMD_FAILED);
}

struct cmd_batch *cmd_batch_new(struct session *s, const char *lines, const struct cmd_client *client)
{
    struct cmd_batch *b = calloc(1, sizeof *b);

    if (!b || !(b->lines = strdup(lines))) {
        free(b);
        return NULL;
    }
    b->session = s;
    b->client = *client;
    b->next = b->lines;
    batch_next(b);
    return b;
}

/* Lines as part of a command. The batch owns `struct part`; the command only points to it. */

struct part {
    struct cmd_run *run; /* NULL: it is over already */
    bool speaks;
};

struct part_state {
    struct part *part;
};

static void part_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct part *p = opaque;
    const int n = (int)(len ? len - 1 : 0); /* the line's end is added again */

    if (p->run && to == CMD_ERROR)
        cmd_error(p->run, "%.*s", n, text);
    else if (p->run && p->speaks && to == CMD_NOTE)
        cmd_note(p->run, "%.*s", n, text);
    else if (p->run && p->speaks)
        cmd_printf(p->run, "%.*s", (int)len, text);
}

static void part_leave(void *state)
{
    struct part_state *s = state;

    if (s->part)
        s->part->run = NULL;
}

static void part_done(void *opaque, int status)
{
    struct part *p = opaque;

    if (p->run) {
        ((struct part_state *)p->run->state)->part = NULL;
        cmd_done(p->run, status);
    }
    free(p);
}

static void part_poll(struct cmd_run *r)
{
    (void)r; /* ends by part_done */
}

void cmd_run_lines(struct cmd_run *r, const char *lines, enum cmd_part how)
{
    struct cmd_client c = {.write = part_write, .done = part_done, .gone = free, .looks_only = r->client.looks_only,
                           .undoes = r->client.undoes || how == CMD_PART_UNDOES};
    struct part_state *s = cmd_state(r, sizeof *s, part_leave);

    if (!s)
        return;
    s->part = calloc(1, sizeof *s->part);
    if (!s->part) {
        cmd_fail(r, "out of memory");
        return;
    }
    *s->part = (struct part){r, how == CMD_PART_SPEAKS};
    c.opaque = s->part;
    cmd_wait(r, part_poll, 0);
    if (!cmd_batch_new(r->session, lines, &c)) {
        free(s->part);
        s->part = NULL;
        cmd_fail(r, "out of memory");
    }
}
