/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_mem: commands that look at memory and ports. A bad address is caught and named.
 */
#include "hello.h"

struct access {
    u64 addr, value;
    unsigned size;
    bool write;
};

static const char *type_name(u32 type)
{
    static const char *const names[] = {"?", "RAM", "reserved", "ACPI", "ACPI NVS", "bad"};

    return type < ARRAY_LEN(names) ? names[type] : "other";
}

void cmd_mem(const struct args *a)
{
    (void)a;
    for (unsigned i = 0; i < boot.nmemmap; i++) {
        const struct memmap *m = &boot.memmap[i];
        print("%016lx - %016lx %10lu KiB %s\n", m->addr, m->addr + m->size - 1, m->size >> 10,
              type_name(m->type));
    }
    print("image 0x%x - 0x%lx, RAM %lu KiB\n", PROGRESS_ADDR, image_end(), ram_total() >> 10);
}

static void do_access(void *arg)
{
    struct access *x = arg;

    switch (x->size | (x->write ? 16 : 0)) {
    case 1: x->value = mmio8(x->addr); break;
    case 2: x->value = mmio16(x->addr); break;
    case 4: x->value = mmio32(x->addr); break;
    case 8: x->value = mmio64(x->addr); break;
    case 17: mmio8_set(x->addr, (u8)x->value); break;
    case 18: mmio16_set(x->addr, (u16)x->value); break;
    case 20: mmio32_set(x->addr, (u32)x->value); break;
    case 24: mmio64_set(x->addr, x->value); break;
    }
}

static bool access_ok(struct access *x)
{
    struct fault f;

    page_map(x->addr, 8); /* beyond 4 GiB too */
    if (!try_call(do_access, x, &f))
        return true;
    print("0x%lx: %s, error %lx\n", x->addr, trap_name((unsigned)f.vec), f.err);
    return false;
}

static bool size_arg(const struct args *a, unsigned i, unsigned max, unsigned otherwise, unsigned *size)
{
    u64 v;

    if (!arg_u64(a, i, otherwise, &v))
        return false;
    *size = (unsigned)v;
    if (v <= max && (v == 1 || v == 2 || v == 4 || v == 8))
        return true;
    print("%s: width %lu is not possible, try `help %s`\n", a->v[0], v, a->v[0]);
    return false;
}

void cmd_peek(const struct args *a)
{
    struct access x = {.size = 8};

    if (!arg_needed(a, 1, "ADDR", &x.addr) || !size_arg(a, 2, 8, 8, &x.size))
        return;
    if (access_ok(&x))
        print("0x%lx: 0x%lx\n", x.addr, x.value);
}

void cmd_poke(const struct args *a)
{
    struct access x = {.write = true};

    if (arg_needed(a, 1, "ADDR", &x.addr) && arg_needed(a, 2, "VALUE", &x.value) &&
        size_arg(a, 3, 8, 8, &x.size) && access_ok(&x))
        print("0x%lx = 0x%lx\n", x.addr, x.value);
}

static void dump_line(const u8 *bytes, u64 addr, unsigned n)
{
    char hex[52] = "", text[17];
    unsigned h = 0;

    for (unsigned i = 0; i < n; i++) {
        h += (unsigned)formatf(hex + h, sizeof(hex) - h, "%02x ", bytes[i]);
        text[i] = bytes[i] >= 32 && bytes[i] < 127 ? (char)bytes[i] : '.';
    }
    text[n] = 0;
    print("%012lx  %-48s |%s|\n", addr, hex, text);
}

void cmd_dump(const struct args *a)
{
    struct access x = {.size = 1};
    u64 addr, len;
    u8 bytes[16];

    if (!arg_needed(a, 1, "ADDR", &addr) || !arg_u64(a, 2, 64, &len))
        return;
    for (u64 off = 0; off < len && !interrupted(); off += 16) {
        unsigned n = len - off < 16 ? (unsigned)(len - off) : 16;
        for (unsigned i = 0; i < n; i++) {
            x.addr = addr + off + i;
            if (!access_ok(&x))
                return;
            bytes[i] = (u8)x.value;
        }
        dump_line(bytes, addr + off, n);
    }
}

void cmd_in(const struct args *a)
{
    unsigned size;
    u64 port;

    if (!arg_needed(a, 1, "PORT", &port) || !size_arg(a, 2, 4, 1, &size))
        return;
    print("0x%lx: 0x%x\n", port,
          size == 1 ? inb((u16)port) : size == 2 ? inw((u16)port) : inl((u16)port));
}

void cmd_out(const struct args *a)
{
    unsigned size;
    u64 port, v;

    if (!arg_needed(a, 1, "PORT", &port) || !arg_needed(a, 2, "VALUE", &v) ||
        !size_arg(a, 3, 4, 1, &size))
        return;
    if (size == 1)
        outb((u16)port, (u8)v);
    else if (size == 2)
        outw((u16)port, (u16)v);
    else
        outl((u16)port, (u32)v);
}
