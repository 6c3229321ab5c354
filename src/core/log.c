/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log: see log.h. A line is formatted into a local buffer and leaves in one write(2).
 */
#include "core/log.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINES_PER_S = 10 };

static struct {
    int fd;
    _Atomic int max;
} the_log = {.fd = 2, .max = LOG_WARN};

int log_open(const char *path, enum log_level max)
{
    int fd = 2;

    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
    }
    log_close();
    the_log.fd = fd;
    the_log.max = max;
    return 0;
}

void log_close(void)
{
    if (the_log.fd > 2)
        close(the_log.fd);
    the_log.fd = 2;
}

void log_set_level(enum log_level max)
{
    the_log.max = max;
}

static void log_vmsg(enum log_level l, const char *fmt, va_list ap)
{
    static const char *const word[] = {"error", "warn", "info", "debug"};
    uint64_t now = clock_real_ns();
    char line[1024];
    int n, m;

    if ((int)l > the_log.max)
        return;
    n = snprintf(line, sizeof line, "ruche: %llu.%03u %s: ", (unsigned long long)(now / 1000000000),
                 (unsigned)(now / 1000000 % 1000), word[l]);
    m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    n += m < 0 ? 0 : m;
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    if (write(the_log.fd, line, (size_t)n) < 0)
        return; /* a full disk must not stop a guest */
}

void log_msg(enum log_level l, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_vmsg(l, fmt, ap);
    va_end(ap);
}

void log_limited(struct log_limit *lim, enum log_level l, const char *fmt, ...)
{
    uint64_t now = clock_mono_ns();
    va_list ap;

    if (now - lim->window_ns > 1000000000) {
        lim->window_ns = now;
        lim->used = 0;
    }
    if (lim->used++ >= LOG_LINES_PER_S) {
        lim->dropped++;
        return;
    }
    va_start(ap, fmt);
    log_vmsg(l, fmt, ap);
    va_end(ap);
}
