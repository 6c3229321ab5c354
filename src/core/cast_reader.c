/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cast_reader: reads a recording (cast.h). A file may come from anywhere: lines are bounded,
 * times never go back, what is no output is passed over.
 */
#include "core/cast.h"

#include "core/text.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1 << 20, DEPTH_MAX = 8 };

struct cast_reader {
    FILE *f;
    char *line;
    unsigned number; /* of the line */
    unsigned cols, rows;
    uint64_t at_ns;
    struct json_object *event;
};

/* 1, 0 at the end, -errno. */
static int next_line(struct cast_reader *r, struct json_object **out, struct err *e)
{
    struct json_tokener *tok;
    size_t len;

    *out = NULL;
    if (!fgets(r->line, LINE_MAX_BYTES, r->f))
        return ferror(r->f) ? err_set(e, EIO, "the recording cannot be read") : 0;
    r->number++;
    len = strlen(r->line);
    tok = json_tokener_new_ex(DEPTH_MAX);
    if (tok)
        *out = json_tokener_parse_ex(tok, r->line, (int)len);
    json_tokener_free(tok);
    if (!*out)
        return err_set(e, EINVAL, "line %u of the recording is no JSON", r->number);
    return 1;
}

static unsigned size_of(struct json_object *head, const char *key, unsigned fallback)
{
    struct json_object *v;
    int64_t n = json_object_object_get_ex(head, key, &v) ? json_object_get_int64(v) : 0;

    return n > 0 && n <= 1000 ? (unsigned)n : fallback;
}

static int read_header(struct cast_reader *r, struct err *e)
{
    struct json_object *head = NULL, *v;
    int rc = next_line(r, &head, e);

    if (rc <= 0 || !json_object_object_get_ex(head, "version", &v) || json_object_get_int(v) != 2)
        rc = err_set(e, EINVAL, "this is no recording: its first line does not say asciicast version 2");
    r->cols = size_of(head, "width", CAST_COLS);
    r->rows = size_of(head, "height", CAST_ROWS);
    json_object_put(head);
    return rc;
}

struct cast_reader *cast_open(const char *path, struct err *e)
{
    struct cast_reader *r = calloc(1, sizeof *r);
    char show[160];

    if (!r || !(r->line = malloc(LINE_MAX_BYTES))) {
        err_set(e, ENOMEM, "out of memory");
        free(r);
        return NULL;
    }
    r->f = fopen(path, "re");
    if (!r->f)
        err_set(e, errno, "`%s` cannot be read: %s", text_show(show, sizeof show, path), strerror(errno));
    if (!r->f || read_header(r, e) < 0) {
        cast_close(r);
        return NULL;
    }
    return r;
}

void cast_close(struct cast_reader *r)
{
    if (!r)
        return;
    json_object_put(r->event);
    if (r->f)
        fclose(r->f);
    free(r->line);
    free(r);
}

unsigned cast_cols(const struct cast_reader *r)
{
    return r->cols;
}

unsigned cast_rows(const struct cast_reader *r)
{
    return r->rows;
}

static bool is_output(struct json_object *o)
{
    return json_object_is_type(o, json_type_array) && json_object_array_length(o) >= 3 &&
           strcmp(json_object_get_string(json_object_array_get_idx(o, 1)) ?: "", "o") == 0 &&
           json_object_is_type(json_object_array_get_idx(o, 2), json_type_string);
}

int cast_next(struct cast_reader *r, uint64_t *at_ns, const char **text, size_t *len, struct err *e)
{
    struct json_object *s;
    double at;
    int rc;

    do {
        json_object_put(r->event);
        rc = next_line(r, &r->event, e);
        if (rc <= 0)
            return rc;
    } while (!is_output(r->event));
    at = json_object_get_double(json_object_array_get_idx(r->event, 0));
    if (isfinite(at) && at > 0 && at < 1e9 && (uint64_t)(at * 1e9) > r->at_ns)
        r->at_ns = (uint64_t)(at * 1e9);
    s = json_object_array_get_idx(r->event, 2);
    *at_ns = r->at_ns;
    *text = json_object_get_string(s);
    *len = (size_t)json_object_get_string_len(s);
    return 1;
}
