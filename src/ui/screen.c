/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * screen: see screen.h.
 *
 * curses writes to fd 1, in many small writes when the cursor jumps. So fd 1 is a memory file
 * while curses updates, and what lands there goes to the terminal in one write, by a
 * description of our own that does not block. A frame is drawn only when the last one is out.
 *
 * If stderr is a terminal it is a pipe meanwhile: a message of a library must not land in the picture.
 */
#define NCURSES_WIDECHAR 1
#include "ui/screen.h"

#include "core/loop.h"
#include "core/text.h"
#include "ui/term.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

extern NCURSES_EXPORT(int) setupterm(const char *, int, int *); /* <term.h> defines too many names */
extern NCURSES_EXPORT(char *) tigetstr(const char *);

enum { FRAME_MAX = 4 << 20, ESC = 27 };

static const char enter_more[] = "\033[?2004h", leave_more[] = "\033[?2004l";
static const char mouse_on[] = "\033[?1000h\033[?1006h", mouse_off[] = "\033[?1006l\033[?1000l";

static struct {
    struct loop *loop;
    struct loop_fd *writable;
    WINDOW *keys; /* a pad: reading it refreshes nothing */
    int tty, frame, real_out, real_err, err_pipe;
    bool open, mouse, gone;
    struct text out; /* not yet taken by the terminal */
    uint64_t bytes;
} the_screen = {.tty = -1, .frame = -1, .real_out = -1, .real_err = -1, .err_pipe = -1};

/* A terminal whose name is not known is mostly like xterm. */
static bool find_terminal(void)
{
    int err;
    char *cup;

    if (setupterm(NULL, 1, &err) != OK) {
        setenv("TERM", "xterm-256color", 1);
        if (setupterm(NULL, 1, &err) != OK)
            return false;
    }
    cup = tigetstr("cup");
    return cup && cup != (char *)-1;
}

bool screen_possible(void)
{
    return isatty(0) && isatty(1) && !term_is_dumb() && find_terminal();
}

/* Output. */

static void drain(void);

static void on_writable(void *arg, uint32_t events)
{
    (void)arg;
    (void)events;
    drain();
}

static void drain(void)
{
    struct text *o = &the_screen.out;
    size_t at = 0;

    while (at < o->len) {
        ssize_t n = write(the_screen.tty, o->buf + at, o->len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            the_screen.gone = errno != EAGAIN;
            break;
        }
        at += (size_t)n;
        the_screen.bytes += (size_t)n;
    }
    text_drop(o, the_screen.gone ? o->len : at);
    if (o->len && !the_screen.writable)
        the_screen.writable = loop_add_fd(the_screen.loop, the_screen.tty, EPOLLOUT, on_writable, NULL, NULL);
    if (!o->len) {
        loop_del_fd(the_screen.writable);
        the_screen.writable = NULL;
    }
}

/* Between these two, what curses writes is collected. */
static void collect(void)
{
    fflush(stdout);
    dup2(the_screen.frame, 1);
}

static void release(void)
{
    off_t n;
    char buf[8192];

    fflush(stdout);
    dup2(the_screen.real_out, 1);
    n = lseek(the_screen.frame, 0, SEEK_CUR);
    for (off_t at = 0; at < n && at < FRAME_MAX;) {
        ssize_t k = pread(the_screen.frame, buf, sizeof buf < (size_t)(n - at) ? sizeof buf : (size_t)(n - at), at);

        if (k <= 0)
            break;
        text_add(&the_screen.out, buf, (size_t)k);
        at += k;
    }
    lseek(the_screen.frame, 0, SEEK_SET);
    drain();
}

static void send(const char *s)
{
    text_puts(&the_screen.out, s);
    drain();
}

bool screen_ready(void)
{
    return the_screen.open && !the_screen.out.len;
}

uint64_t screen_bytes(void)
{
    return the_screen.bytes;
}

/* Opening and closing. */

static const char *capability(const char *name)
{
    char *s = tigetstr(name);

    return s && s != (char *)-1 ? s : "";
}

/* What puts the terminal back, for a crash too; made now, since then nothing can be asked. */
static void prepare_exit(void)
{
    char seq[256];

    snprintf(seq, sizeof seq, "%s%s%s%s%s%s", mouse_off, leave_more, capability("rmkx"), capability("cnorm"),
             capability("sgr0"), capability("rmcup"));
    term_set_exit(the_screen.tty, the_screen.real_err, seq);
}

static int open_files(struct err *e)
{
    int p[2];

    the_screen.tty = open("/dev/tty", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (the_screen.tty < 0)
        the_screen.tty = dup(term_output_fd());
    the_screen.frame = memfd_create("frame", MFD_CLOEXEC);
    the_screen.real_out = fcntl(1, F_DUPFD_CLOEXEC, 3);
    the_screen.real_err = fcntl(2, F_DUPFD_CLOEXEC, 3);
    if (the_screen.tty < 0 || the_screen.frame < 0 || the_screen.real_out < 0)
        return err_set(e, errno, "the full-screen console cannot open its files (%s): try --plain", strerror(errno));
    if (!isatty(2) || pipe2(p, O_NONBLOCK | O_CLOEXEC) < 0) /* it does not land in the picture, or nobody can help it */
        return 0;
    the_screen.err_pipe = p[0];
    dup2(p[1], 2);
    close(p[1]);
    return 0;
}

static void set_up_curses(void)
{
    use_tioctl(TRUE);
    set_escdelay(25);
    initscr(); /* it sets the terminal by fd 1, so that must be the terminal yet */
    endwin();
    doupdate(); /* from now on it writes through a buffer */
    typeahead(-1);
    raw();
    noecho();
    nonl();
    intrflush(NULL, FALSE);
    the_screen.keys = newpad(1, 1);
    keypad(the_screen.keys, TRUE);
    nodelay(the_screen.keys, TRUE);
    define_key("\033[200~", KEY_PASTE_BEGIN);
    define_key("\033[201~", KEY_PASTE_END);
    define_key("\033[<", KEY_MOUSE_SGR);
}

int screen_open(struct loop *l, bool ascii, struct err *e)
{
    the_screen.loop = l;
    if (open_files(e) < 0)
        return -EIO;
    prepare_exit();
    set_up_curses();
    draw_init(ascii);
    the_screen.open = true;
    fflush(stdout);
    send(enter_more);
    return 0;
}

/* The rest must be out before somebody else writes; a terminal that does not read is not
 * waited for longer than 200 ms. */
static void drain_all(void)
{
    struct pollfd p = {.fd = the_screen.tty, .events = POLLOUT};

    for (int i = 0; i < 20 && the_screen.out.len && !the_screen.gone; i++) {
        poll(&p, 1, 10);
        drain();
    }
}

void screen_leave(void)
{
    if (!the_screen.open)
        return;
    send(leave_more);
    if (the_screen.mouse)
        send(mouse_off);
    drain_all();
    endwin();
    the_screen.open = false;
    term_set_exit(1, -1, NULL);
}

void screen_enter(void)
{
    if (the_screen.open || !the_screen.keys)
        return;
    prepare_exit();
    the_screen.open = true;
    reset_prog_mode();
    collect();
    clearok(curscr, TRUE);
    doupdate();
    release();
    send(enter_more);
    if (the_screen.mouse)
        send(mouse_on);
    screen_resize();
}

void screen_close(void)
{
    if (!the_screen.keys)
        return;
    screen_leave();
    loop_del_fd(the_screen.writable);
    if (the_screen.real_err >= 0)
        dup2(the_screen.real_err, 2);
    close(the_screen.tty);
    close(the_screen.frame);
    close(the_screen.real_out);
    close(the_screen.real_err);
    if (the_screen.err_pipe >= 0)
        close(the_screen.err_pipe);
    text_free(&the_screen.out);
    delwin(the_screen.keys);
    the_screen.keys = NULL;
    the_screen.writable = NULL;
}

void screen_suspend(void)
{
    screen_leave();
    raise(SIGSTOP);
    screen_enter();
}

/* Frames. */

void screen_begin(void)
{
    werase(stdscr);
}

void screen_end(bool caret, int y, int x)
{
    collect();
    move(y, x);
    curs_set(caret);
    wnoutrefresh(stdscr);
    doupdate();
    release();
}

void screen_size(int *rows, int *cols)
{
    *rows = LINES;
    *cols = COLS;
}

void screen_resize(void)
{
    struct winsize w;

    if (ioctl(the_screen.tty, TIOCGWINSZ, &w) < 0 || !w.ws_row || !w.ws_col)
        return;
    collect();
    if (is_term_resized(w.ws_row, w.ws_col))
        resizeterm(w.ws_row, w.ws_col);
    clearok(curscr, TRUE);
    release();
}

void screen_repaint(void)
{
    clearok(curscr, TRUE);
}

void screen_mouse(bool on)
{
    the_screen.mouse = on;
    if (the_screen.open)
        send(on ? mouse_on : mouse_off);
}

size_t screen_errors(char *buf, size_t size)
{
    ssize_t n = read(the_screen.err_pipe, buf, size);

    return n > 0 ? (size_t)n : 0;
}

int screen_errors_fd(void)
{
    return the_screen.err_pipe;
}

/* Keys. */

static bool read_mouse(struct mouse *m)
{
    int v[3] = {0}, n = 0;
    wint_t c;

    for (int i = 0; i < 24 && wget_wch(the_screen.keys, &c) == OK; i++) {
        if (c >= '0' && c <= '9' && v[n] < 10000) {
            v[n] = v[n] * 10 + (int)(c - '0');
        } else if (c == ';' && n < 2) {
            n++;
        } else {
            *m = (struct mouse){.y = v[2] - 1, .x = v[1] - 1, .button = v[0], .release = c == 'm'};
            return c == 'M' || c == 'm';
        }
    }
    return false;
}

bool screen_key(struct key *k, struct mouse *m)
{
    wint_t c;
    int rc;

    if (!the_screen.open)
        return false;
    do {
        rc = wget_wch(the_screen.keys, &c);
        if (rc == ERR)
            return false;
    } while (rc == KEY_CODE_YES && (c == KEY_RESIZE || (c == KEY_MOUSE_SGR && !read_mouse(m))));
    *k = (struct key){.code = c, .special = rc == KEY_CODE_YES};
    if (k->special || c != ESC)
        return true;
    rc = wget_wch(the_screen.keys, &c);
    if (rc == OK && c != ESC)
        *k = (struct key){.code = c, .alt = true};
    else if (rc != ERR) /* an Escape, then an arrow or another one */
        ungetch((int)c);
    return true;
}
