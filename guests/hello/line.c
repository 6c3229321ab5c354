/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * line: the monitor's line editor: backspace, ^U, ^W, ^C, ^L. Sleeps in HLT between keys.
 */
#include "hello.h"

static void erase(size_t n)
{
    while (n--)
        serial_write("\b \b", 3);
}

static size_t erase_word(const char *buf, size_t n)
{
    size_t was = n;

    while (n && buf[n - 1] == ' ')
        n--;
    while (n && buf[n - 1] != ' ')
        n--;
    erase(was - n);
    return n;
}

/* Swallows an escape sequence (arrow keys and the like). */
static void skip_escape(void)
{
    int c = serial_wait();

    if (c == '[' || c == 'O')
        do
            c = serial_wait();
        while (c < 0x40);
}

size_t line_read(const char *prompt, char *buf)
{
    size_t n = 0;
    int c;

    serial_write(prompt, strlen(prompt));
    for (;;) {
        c = serial_wait();
        if (c == '\r' || c == '\n') {
            serial_write("\n", 1);
            break;
        } else if (c == 3) {
            serial_write("^C\n", 3);
            n = 0;
            break;
        } else if (c == 8 || c == 127) {
            if (n)
                erase(1), n--;
        } else if (c == 'U' - 64) {
            erase(n), n = 0;
        } else if (c == 'W' - 64) {
            n = erase_word(buf, n);
        } else if (c == 'L' - 64) {
            serial_write("\033[H\033[2J", 7);
            serial_write(prompt, strlen(prompt));
            serial_write(buf, n);
        } else if (c == 27) {
            skip_escape();
        } else if (c >= ' ' && n < LINE_MAX - 1) {
            buf[n++] = (char)c;
            serial_write(&buf[n - 1], 1);
        }
    }
    buf[n] = 0;
    return n;
}

bool interrupted(void)
{
    int c;

    while ((c = serial_get()) >= 0)
        if (c == 3) {
            print("^C\n");
            return true;
        }
    return false;
}
