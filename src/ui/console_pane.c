/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console_pane: looking back in one pane, searching, copying (console_pane.h).
 *
 * While it looks back a pane stands still: its place is counted from the guest's first line,
 * not from the end, where lines still come.
 */
#include "ui/console_pane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Rows of the terminal (0: top of its screen) and lines counted from the first. */
static int row_of(const struct pane *p, uint64_t line)
{
    return (int)((int64_t)line - (int64_t)emu_scrolled_ever(guest_term_emu(p->term)));
}

static uint64_t line_of(const struct pane *p, int row)
{
    return (uint64_t)((int64_t)emu_scrolled_ever(guest_term_emu(p->term)) + row);
}

struct emu_port pane_port(struct pane *p)
{
    const struct emu *e = guest_term_emu(p->term);
    struct emu_port port = emu_port_live(e, p->area);
    int oldest = -(int)emu_scrolled(e), row;

    if (!p->scrolling)
        return port;
    row = row_of(p, p->top);
    port.row = row < oldest ? oldest : row < port.row ? row : port.row;
    port.col = 0;
    return port;
}

void pane_scroll(struct pane *p, int lines)
{
    const struct emu *e = guest_term_emu(p->term);
    int live = emu_port_live(e, p->area).row, row = pane_port(p).row + lines;

    if (row < -(int)emu_scrolled(e))
        row = -(int)emu_scrolled(e);
    p->scrolling = row < live;
    p->top = line_of(p, row);
    if (!p->scrolling)
        p->found = -1;
}

bool pane_search(struct pane *p, const char *what, int step)
{
    const struct emu *e = guest_term_emu(p->term);
    int from = p->found >= 0 ? row_of(p, (uint64_t)p->found) + step : (int)emu_rows(e) - 1;
    int row, live = emu_port_live(e, p->area).row, top;

    if (!emu_search(e, what, from, step, &row))
        return false;
    p->found = (int)line_of(p, row);
    top = row - p->area.h / 2;
    p->scrolling = true;
    p->top = line_of(p, top < -(int)emu_scrolled(e) ? -(int)emu_scrolled(e) : top < live ? top : live);
    return true;
}

int pane_save(const struct pane *p, char *path, size_t size)
{
    const struct emu *e = guest_term_emu(p->term);
    char text[EMU_COLS_MAX * 8 + 10], when[32];
    time_t now = time(NULL);
    struct emu_port port = pane_port((struct pane *)p);
    int fd, rows = p->area.h < (int)emu_rows(e) || port.row < 0 ? p->area.h : (int)emu_rows(e);
    int rc = 0;

    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime(&now));
    snprintf(path, size, "%s-%s.txt", guest_term_guest(p->term)->c->name, when);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < rows && rc == 0; i++) {
        size_t n = emu_row_text(e, port.row + i, text, sizeof text - 1);

        text[n++] = '\n';
        if (write(fd, text, n) != (ssize_t)n)
            rc = -EIO;
    }
    close(fd);
    return rc;
}
