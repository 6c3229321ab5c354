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
    struct cmd_client c = {.write = batch_write, .done = batch_done, .gone = batch_gone, .opaque = b};
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
