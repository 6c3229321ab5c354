/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Command lines: each line of the input is split, checked, completed at every blank, and run in
 * a session with guests that only pretend. What writes files or compiles regular expressions
 * (glibc's may take all memory) is checked only.
 */
#include "core/cmd.h"
#include "core/loop.h"
#include "core/session.h"
#include "core/words.h"

#include "../fake_vm.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char lab_yaml[] = "guests:\n"
                               "  web: {kernel: /dev/null, memory: 1M, group: front, vcpus: 2}\n"
                               "  n: {kernel: /etc/passwd, memory: 1M, count: 3}\n";

static void client_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    (void)to;
    if (len && !memchr(text, 0, len))
        *(unsigned *)opaque += (unsigned)strlen(text);
}

static void client_done(void *opaque, int status)
{
    (void)opaque;
    if (status < 0 || status > 2)
        abort();
}

static void each(void *arg, const char *word, bool space)
{
    (void)space;
    *(unsigned *)arg += (unsigned)strlen(word);
}

static struct session *make(void)
{
    struct lab_host host = {.memory_available_bytes = 1ull << 30, .cpus = 4};
    struct session_params p = {.engines = {&fake_accel}, .host = host};
    struct diags *d = diags_new("lab.yaml");
    struct session *s;

    p.lab = lab_parse(lab_yaml, sizeof lab_yaml - 1, "lab.yaml", &host, d);
    s = session_new(&p, NULL);
    lab_free((struct lab *)p.lab);
    diags_free(d);
    if (!s)
        abort();
    session_start_lab(s);
    return s;
}

/* What split gives comes back after quoting. */
static void round_trip(const char *line)
{
    struct words a, b;
    struct text t = {0};

    if (words_split(line, &a, NULL) < 0)
        return;
    for (unsigned i = 0; i < a.n; i++)
        words_quote(&t, a.w[i]);
    if (words_split(text_str(&t), &b, NULL) < 0 || a.n != b.n)
        abort();
    for (unsigned i = 0; i < a.n; i++)
        if (strcmp(a.w[i], b.w[i]) != 0)
            abort();
    words_free(&a);
    words_free(&b);
    text_free(&t);
}

static bool harmless(const char *line)
{
    static const char *const not[] = {"log", "mem-d", "expect", "at", "quit", "exit"};
    struct words w;
    bool ok = words_split(line, &w, NULL) == 0;
    const struct cmd *c = ok && w.n ? cmd_find(w.w[0], NULL) : NULL;

    for (unsigned i = 0; c && i < sizeof not / sizeof *not; i++)
        ok &= strncmp(c->name, not[i], strlen(not[i])) != 0;
    words_free(&w);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned seen = 0;
    struct cmd_client c = {.write = client_write, .done = client_done, .opaque = &seen};
    struct session *s = make();
    char *text = malloc(size + 1), *next;

    memcpy(text, data, size);
    text[size] = '\0';
    for (char *line = text; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        round_trip(line);
        cmd_check(line, NULL);
        for (size_t i = strlen(line), n = 0; n < 8; i = i / 2, n++)
            if (cmd_complete(s, line, i, each, &seen) > i)
                abort();
        if (harmless(line)) {
            struct cmd_run *r = cmd_start(s, line, &c);

            loop_step(session_loop(s), 0);
            if (r && !session_quitting(s))
                loop_step(session_loop(s), 0);
        }
    }
    free(text);
    session_free(s);
    return 0;
}
