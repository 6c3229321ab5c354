/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hello: a small monitor on the serial line. Says `hello: ready` once, then prompts. While it
 * waits for a key it sleeps in HLT with no timer running.
 *
 * Options: name=NAME (prompt), cmd=a;b;c (commands run before the first prompt, `_` for a
 * space), panic=exit.
 */
#include "hello.h"

static const char *prompt_name = "hello";

static void cmd_help(const struct args *a);

static void cmd_echo(const struct args *a)
{
    print("%s\n", a->rest);
}

static void cmd_halt(const struct args *a)
{
    (void)a;
    print("halted\n");
    halt_forever();
}

static void cmd_crash(const struct args *a)
{
    (void)a;
    print("triple fault\n");
    triple_fault();
}

static void cmd_fault(const struct args *a)
{
    (void)a;
    asm volatile("ud2");
}

static void cmd_reboot(const struct args *a)
{
    (void)a;
    print("reboot\n");
    reboot();
}

static void cmd_poweroff(const struct args *a)
{
    (void)a;
    print("power off\n");
    poweroff();
}

static void cmd_exit(const struct args *a)
{
    u64 code;

    if (!arg_u64(a, 1, 0, &code))
        return;
    print("exit %lu\n", code);
    debug_exit((u8)code);
    print("nobody listens on port 0xf4\n");
}

static void cmd_name(const struct args *a)
{
    (void)a;
    print("%s\n", prompt_name);
}

static void cmd_cmdline(const struct args *a)
{
    (void)a;
    print("%s: %s\n", boot.protocol == BOOT_PVH ? "PVH" : "Multiboot", boot.cmdline);
}

static const struct command commands[] = {
    {"help", "[COMMAND]", "this list", cmd_help},
    {"echo", "TEXT", "print TEXT", cmd_echo},
    {"name", "", "the name given by name=", cmd_name},
    {"cmdline", "", "boot protocol and command line", cmd_cmdline},
    {"mem", "", "memory map and totals", cmd_mem},
    {"peek", "ADDR [1|2|4|8]", "read memory", cmd_peek},
    {"poke", "ADDR VALUE [1|2|4|8]", "write memory", cmd_poke},
    {"dump", "ADDR [LEN]", "memory as hex and text", cmd_dump},
    {"in", "PORT [1|2|4]", "read an I/O port", cmd_in},
    {"out", "PORT VALUE [1|2|4]", "write an I/O port", cmd_out},
    {"cpu", "", "vendor, features, hypervisor", cmd_cpu},
    {"regs", "", "this CPU's registers", cmd_regs},
    {"fpu", "", "check x87 and SSE", cmd_fpu},
    {"smp", "", "start the other CPUs, count all", cmd_smp},
    {"time", "", "uptime and clock rates", cmd_time},
    {"irq", "[pit|lapic [HZ]]", "interrupt counts; or take timer ticks for 1 s", cmd_irq},
    {"spin", "[SECONDS]", "burn the CPU (^C ends it)", cmd_spin},
    {"sleep", "SECONDS", "sleep in HLT (^C ends it)", cmd_sleep},
    {"exits", "N [io|in|mmio|cpuid|hlt|msr|ipi]", "leave the guest N times", cmd_exits},
    {"bench", "[N]", "ticks per exit of each kind", cmd_bench},
    {"halt", "", "stop this CPU for good", cmd_halt},
    {"fault", "", "execute an invalid opcode", cmd_fault},
    {"crash", "", "triple fault", cmd_crash},
    {"exit", "[CODE]", "end the machine by port 0xf4", cmd_exit},
    {"reboot", "", "reset by port 0xcf9", cmd_reboot},
    {"poweroff", "", "power off by ACPI", cmd_poweroff},
};

static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a >= 'A' && *a <= 'Z' ? *a + 32 : *a) != *b)
            return false;
    return !*a && !*b;
}

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (same_word(name, commands[i].name))
            return &commands[i];
    return NULL;
}

static void print_usage(const struct command *c)
{
    char head[64];

    formatf(head, sizeof(head), "%s %s", c->name, c->usage);
    print("  %-40s %s\n", head, c->help);
}

static void cmd_help(const struct args *a)
{
    const struct command *c = a->n > 1 ? find(a->v[1]) : NULL;

    if (c) {
        print_usage(c);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        print_usage(&commands[i]);
}

bool arg_u64(const struct args *a, unsigned i, u64 otherwise, u64 *v)
{
    *v = otherwise;
    if (i >= a->n || parse_u64(a->v[i], v))
        return true;
    print("%s: `%s` is no number\n", a->v[0], a->v[i]);
    return false;
}

bool arg_needed(const struct args *a, unsigned i, const char *what, u64 *v)
{
    if (i >= a->n) {
        print("%s: %s is missing, try `help %s`\n", a->v[0], what, a->v[0]);
        return false;
    }
    return arg_u64(a, i, 0, v);
}

static void split(char *line, struct args *a)
{
    char *s = line;

    a->n = 0;
    for (;;) {
        while (*s == ' ')
            *s++ = 0;
        if (a->n == 1)
            break;
        if (!*s)
            break;
        a->v[a->n++] = s;
        while (*s && *s != ' ')
            s++;
    }
    a->rest = s;
}

static void split_rest(char *copy, struct args *a)
{
    for (char *s = copy; a->n < ARGS_MAX;) {
        while (*s == ' ')
            *s++ = 0;
        if (!*s)
            break;
        a->v[a->n++] = s;
        while (*s && *s != ' ')
            s++;
    }
}

static void execute(char *line)
{
    char copy[LINE_MAX];
    struct args a;
    const struct command *c;

    split(line, &a);
    if (!a.n)
        return;
    formatf(copy, sizeof(copy), "%s", a.rest);
    split_rest(copy, &a);
    c = find(a.v[0]);
    if (c)
        c->run(&a);
    else
        print("unknown command `%s`, try help\n", a.v[0]);
}

/* cmd=mem;echo_hi: what the command line asks for before the first prompt. */
static void run_cmd_option(void)
{
    char list[256], *s = list;
    const char *o = opt("cmd");

    if (!o)
        return;
    formatf(list, sizeof(list), "%s", o);
    while (*s) {
        char *start = s;
        for (; *s && *s != ';'; s++)
            if (*s == '_')
                *s = ' ';
        if (*s)
            *s++ = 0;
        execute(start);
    }
}

void guest_main(void)
{
    static char name[32];
    char line[LINE_MAX], prompt[40];
    const char *o = opt("name");

    if (o) {
        formatf(name, sizeof(name), "%s", o);
        prompt_name = name;
    }
    serial_irq_on();
    print("hello: ready\n");
    run_cmd_option();
    formatf(prompt, sizeof(prompt), "%s> ", prompt_name);
    for (;;)
        if (line_read(prompt, line))
            execute(line);
}
