/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guestclock: runs in a Linux guest and tells its clock over the serial line with as little as can
 * be between question and answer. Each `?` on standard input is answered by CLOCK_BOOTTIME (that
 * of /proc/uptime) in ns, as `<N>`; `q` ends it. Other bytes mean nothing.
 */
#include <stdio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void answer(void)
{
    struct timespec t;
    char line[40];
    int n;

    clock_gettime(CLOCK_BOOTTIME, &t);
    n = snprintf(line, sizeof line, "<%lld>\n", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
    if (write(1, line, (size_t)n) != n)
        _exit(1);
}

int main(void)
{
    struct termios was, raw;
    char c = 0;

    if (tcgetattr(0, &was) < 0)
        return 1;
    raw = was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(0, TCSANOW, &raw);
    puts("clock: ready");
    fflush(stdout);
    while (c != 'q' && read(0, &c, 1) == 1)
        if (c == '?')
            answer();
    tcsetattr(0, TCSANOW, &was);
    return 0;
}
