/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * term: see term.h.
 */
#include "ui/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static struct {
    struct termios saved;
    volatile sig_atomic_t have, raw;
    int out;
    int exit_fd, exit_err; /* where exit_sequence goes; what stderr was */
    char exit_sequence[256];
    volatile sig_atomic_t exit_len;
    _Alignas(16) char stack[16384]; /* for the handlers: the crash may be a full stack */
} the_term = {.out = -1};

/* Attributes, cursor, keypad, bracketed paste, mouse: all that a guest may have left behind. */
static const char reset_sequence[] = "\033[0m\033[?25h\033[?1l\033>\033[?2004l\033[?1000l\033[?1002l\033[?1006l";

bool term_is_dumb(void)
{
    const char *t = getenv("TERM");

    return !t || !*t || strcmp(t, "dumb") == 0;
}

void term_restore(void)
{
    int saved = errno;

    if (!the_term.have)
        return;
    tcsetattr(0, TCSANOW, &the_term.saved);
    if (the_term.exit_len && write(the_term.exit_fd, the_term.exit_sequence, (size_t)the_term.exit_len) < 0)
        errno = 0;
    if (the_term.exit_len && the_term.exit_err >= 0)
        dup2(the_term.exit_err, 2);
    the_term.exit_len = 0;
    if (the_term.raw && !term_is_dumb() && write(1, reset_sequence, sizeof reset_sequence - 1) < 0)
        errno = 0; /* the terminal is gone: nothing to restore */
    the_term.raw = 0;
    errno = saved;
}

static void on_crash(int sig)
{
    static const char *const names[] = {[SIGSEGV] = "segmentation fault", [SIGBUS] = "bus error",
                                        [SIGFPE] = "arithmetic error",    [SIGILL] = "illegal instruction",
                                        [SIGABRT] = "abort"};

    term_restore();
    if (write(2, "\r\nruche: crashed: ", 18) < 0 || write(2, names[sig], strlen(names[sig])) < 0 ||
        write(2, "; please report this\r\n", 22) < 0)
        errno = 0;
    signal(sig, SIG_DFL);
    raise(sig);
}

static void catch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    stack_t stack = {.ss_sp = the_term.stack, .ss_size = sizeof the_term.stack};
    struct sigaction sa = {.sa_handler = on_crash, .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};

    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &sa, NULL);
}

bool term_init(void)
{
    if (!isatty(0) || !isatty(1) || tcgetattr(0, &the_term.saved) < 0)
        return false;
    the_term.have = 1;
    atexit(term_restore);
    catch_crashes();
    return true;
}

void term_raw(void)
{
    struct termios t = the_term.saved;

    if (!the_term.have)
        return;
    cfmakeraw(&t);
    tcsetattr(0, TCSANOW, &t);
    the_term.raw = 1;
}

bool term_is_raw(void)
{
    return the_term.raw;
}

void term_set_exit(int fd, int err_fd, const char *sequence)
{
    size_t n = sequence ? strlen(sequence) : 0;

    the_term.exit_len = 0;
    if (n > sizeof the_term.exit_sequence)
        n = 0;
    memcpy(the_term.exit_sequence, sequence ? sequence : "", n);
    the_term.exit_fd = fd;
    the_term.exit_err = err_fd;
    the_term.exit_len = (sig_atomic_t)n;
}

void term_size(unsigned *cols, unsigned *rows)
{
    struct winsize w;

    *cols = 80;
    *rows = 24;
    if (ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col && w.ws_row) {
        *cols = w.ws_col;
        *rows = w.ws_row;
    }
}

int term_output_fd(void)
{
    struct stat st;

    if (the_term.out >= 0)
        return the_term.out;
    the_term.out = 1;
    if (fstat(1, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))) {
        int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd >= 0)
            the_term.out = fd;
    }
    return the_term.out;
}

void term_suspend(void)
{
    bool raw = the_term.raw;

    term_restore();
    raise(SIGSTOP);
    if (raw)
        term_raw();
}
