/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ports: attacks by I/O instructions, and floods of the two text outputs.
 */
#include "rogue.h"

struct range {
    u16 from, to;
};

/* What would end the machine or, on other machines, have it write to our RAM (fw_cfg's DMA). */
static const struct range deadly[] = {
    {0x64, 0x64}, {0x92, 0x92}, {0xb2, 0xb3}, {0xf4, 0xf7}, {0x510, 0x51b}, {0x600, 0x607}, {0xcf8, 0xcff},
    {0xae00, 0xae1f}, {0xaf00, 0xaf1f},
};

static bool is_deadly(u16 port, unsigned width)
{
    for (unsigned i = 0; i < ARRAY_LEN(deadly); i++)
        if (port + width > deadly[i].from && port <= deadly[i].to)
            return true;
    return false;
}

static void touch(u16 port, unsigned width, bool write, u32 v)
{
    if (!write)
        width == 1 ? (void)inb(port) : width == 2 ? (void)inw(port) : (void)inl(port);
    else
        width == 1 ? outb(port, (u8)v) : width == 2 ? outw(port, (u16)v) : outl(port, v);
    attempted();
}

static void sweep(bool all)
{
    u16 port = (u16)rnd(65536);

    while (more()) {
        unsigned width = 1u << rnd(3);
        touch(port, width, false, 0);
        if (all || !is_deadly(port, width))
            touch(port, width, true, (u32)rnd64());
        port = rnd(16) ? (u16)(port + 1) : (u16)rnd(rnd(2) ? 65536 : 1024);
        if (!rnd(256))
            repair();
    }
}

void ports(void) { sweep(false); }
void ports_all(void) { sweep(true); }

struct string {
    u64 addr, n;
    u16 port;
    unsigned kind;
    bool back;
};

static void do_string(void *arg)
{
    struct string *s = arg;

    if (s->back)
        asm volatile("std");
    switch (s->kind) {
    case 0: asm volatile("rep insb" : "+D"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    case 1: asm volatile("rep insw" : "+D"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    case 2: asm volatile("rep insl" : "+D"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    case 3: asm volatile("rep outsb" : "+S"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    case 4: asm volatile("rep outsw" : "+S"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    case 5: asm volatile("rep outsl" : "+S"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    case 6: asm volatile("rep insl (%%dx), (%%edi)" : "+D"(s->addr), "+c"(s->n) : "d"(s->port) : "memory"); break;
    default: asm volatile("outsw" : "+S"(s->addr) : "d"(s->port) : "memory");
    }
    asm volatile("cld");
}

/* Window: page 0 sandbox, page 1 sandbox, absent, or device memory. */
void strings(void)
{
    static const u16 some[] = {0x80, 0xe9, 0x3f8, 0x71, 0x40, 0x21, 0xcfc, 0x608, 0x2f8, 0x1234, 0xffff};

    while (more()) {
        struct string s = {WINDOW + rnd(8192), rnd(4) ? rnd(5000) : rnd64(), some[rnd(ARRAY_LEN(some))], (unsigned)rnd(8),
                           !rnd(4)};
        *window_pte(0) = sandbox() | PTE_P | PTE_W;
        *window_pte(1) = rnd(3) == 0 ? (sandbox() + 4096) | PTE_P | PTE_W : rnd(2) ? 0 : 0xfed00000 | PTE_P | PTE_W;
        *window_pte(2) = 0;
        cr3_set(cr3());
        if (!rnd(8))
            s.addr = bad_addr() | 1ull << 46;
        if (s.port == 0x3f8 || s.port == 0xe9)
            s.n &= 255;
        if (s.back)
            s.addr |= 0x1000, s.n &= 0xfff; /* below the window is nothing of ours */
        if (s.kind == 6) { /* EDI: the same place, as CPL 3 sees it */
            s.addr = USER_BASE + 0x20000 + rnd(0x20000);
            s.n = rnd(8) ? s.n : rnd(0x4000);
            s.n &= s.back ? 0x3fff : ~0ull;
        }
        try_call(do_string, &s, NULL);
        attempted();
    }
}

void timers(void)
{
    static const u16 some[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0x4d0, 0x4d1, 0x608};

    while (more()) {
        u16 port = some[rnd(ARRAY_LEN(some))];
        touch(port, 1u << rnd(port == 0x608 ? 3 : 2), rnd(4), (u32)rnd64());
        if (!rnd(32)) {
            repair(); /* an ICW may have moved the vectors onto exceptions */
            sti();
            pause();
            cli();
        }
    }
}

void uart(void)
{
    while (more()) {
        u16 base = rnd(4) ? 0x3f8 : 0x2f8;
        if (rnd(8) == 0)
            outb((u16)(base + 4), 0x1f); /* loopback */
        touch((u16)(base + rnd(8)), rnd(16) ? 1 : 1u << rnd(3), rnd(3), (u32)rnd64());
    }
}

void serialflood(void)
{
    static const char *const nasty[] = {
        "\033]0;title\007", "\033[2J", "\033[?1049h", "\033[31;5m", "\033P0;1|17/ab\033\\", "\033[999999999;999999999H",
        "\033[6n", "\033c", "\033]52;c;aGVsbG8=\007", "\x9b" "2J", "\033[1000000000b", "\033#8", "\016\017", "\xf0\x90\x28\xbc",
        "\xc0\x80", "\xff\xfe", "\033[?1000h", "\033[4;1;1t", "\033]", "\033[", "\b\b\b\b", "\r\r\n", "\a",
    };

    while (more()) {
        const char *s = nasty[rnd(ARRAY_LEN(nasty))];
        u8 junk[16];
        if (rnd(2)) {
            serial_write(s, strlen(s));
        } else {
            for (unsigned i = 0; i < sizeof(junk); i++)
                junk[i] = (u8)rnd(256);
            serial_write((char *)junk, sizeof(junk));
        }
        attempted();
    }
    serial_write("\033\\\030\033c\033[0m\n", 12); /* end strings, reset */
}

void debugport(void)
{
    while (more()) {
        outb(PORT_DEBUG, (u8)rnd(256));
        attempted();
    }
    outb(PORT_DEBUG, '\n');
}
