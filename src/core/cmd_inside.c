/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_inside: regs, mem-dump, disasm, step: looking into a guest that is paused.
 */
#include "core/cmd_internal.h"

#include "core/disasm.h"
#include "core/fence.h"
#include "core/units.h"
#include "core/x86_walk.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DUMP_DEFAULT = 256, DUMP_MAX = 1 << 20, DISASM_MAX = 1000, INSTRUCTION_MAX = 15, STEPS_MAX = 200,
    CHANGES_TEXT = 17 * 24, CHANGES_AT = 42, /* columns after the address */
};

static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const seg_names[X86_NSEGS] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

/* Registers of the vCPU named (0 if none is); false after saying why not. */
static bool take_regs(struct cmd_run *r, struct x86_regs *x)
{
    const struct target *t = &r->targets.t[0];
    struct err e;

    if (vm_regs(t->g->vm, t->vcpu < 0 ? 0 : (unsigned)t->vcpu, x, &e) == 0)
        return true;
    cmd_fail(r, "%s", e.msg);
    return false;
}

static int read_guest(void *opaque, uint64_t gpa, void *buf, size_t len, struct err *e)
{
    return vm_mem_read(((struct guest *)opaque)->vm, gpa, buf, len, e);
}

/* regs */

static void regs_json(struct cmd_run *r, const struct x86_regs *x, unsigned vcpu)
{
    const struct {
        const char *name;
        uint64_t value;
    } rest[] = {{"rip", x->rip},   {"rflags", x->rflags}, {"cr0", x->cr0}, {"cr2", x->cr2},
                {"cr3", x->cr3},   {"cr4", x->cr4},       {"cr8", x->cr8}, {"efer", x->efer},
                {"apic_base", x->apic_base}, {"gdt_base", x->gdt.base}, {"idt_base", x->idt.base}};
    struct json_out j = cmd_json(r);

    jout_begin(&j, NULL, '{');
    jout_str(&j, "name", r->targets.t[0].g->c->name);
    jout_u64(&j, "vcpu", vcpu);
    for (unsigned i = 0; i < 16; i++)
        jout_u64(&j, gpr_names[i], x->gpr[i]);
    for (unsigned i = 0; i < sizeof rest / sizeof *rest; i++)
        jout_u64(&j, rest[i].name, rest[i].value);
    for (unsigned i = 0; i < X86_NSEGS; i++) {
        jout_begin(&j, seg_names[i], '{');
        jout_u64(&j, "selector", x->seg[i].sel);
        jout_u64(&j, "base", x->seg[i].base);
        jout_u64(&j, "limit", x->seg[i].limit);
        jout_u64(&j, "attributes", x->seg[i].attr);
        jout_end(&j, '}');
    }
    jout_end(&j, '}');
}

static void regs_text(struct cmd_run *r, const struct x86_regs *x)
{
    for (unsigned i = 0; i < 16; i++)
        cmd_printf(r, "%-3s %016llx%s", gpr_names[i], (unsigned long long)x->gpr[i], i % 4 == 3 ? "\n" : "  ");
    cmd_printf(r, "rip %016llx  rflags %08llx  %u-bit code\n", (unsigned long long)x->rip,
               (unsigned long long)x->rflags, x86_code_bits(x));
    for (unsigned i = 0; i < X86_NSEGS; i++)
        cmd_printf(r, "%-4s %04x  base %016llx  limit %08x  attributes %04x%s\n", seg_names[i], x->seg[i].sel,
                   (unsigned long long)x->seg[i].base, x->seg[i].limit, x->seg[i].attr,
                   x->seg[i].attr & X86_SEG_P ? "" : "  not present");
    cmd_printf(r, "gdt        base %016llx  limit %04x\n", (unsigned long long)x->gdt.base, x->gdt.limit);
    cmd_printf(r, "idt        base %016llx  limit %04x\n", (unsigned long long)x->idt.base, x->idt.limit);
    cmd_printf(r, "cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  cr8 %llx\n", (unsigned long long)x->cr0,
               (unsigned long long)x->cr2, (unsigned long long)x->cr3, (unsigned long long)x->cr4,
               (unsigned long long)x->cr8);
    cmd_printf(r, "efer %08llx  apic base %08llx  dr6 %08llx  dr7 %08llx\n", (unsigned long long)x->efer,
               (unsigned long long)x->apic_base, (unsigned long long)x->dr[6], (unsigned long long)x->dr[7]);
}

void exec_regs(struct cmd_run *r)
{
    int vcpu = r->targets.t[0].vcpu;
    struct x86_regs x;

    if (!take_regs(r, &x))
        return;
    if (r->json)
        regs_json(r, &x, vcpu < 0 ? 0 : (unsigned)vcpu);
    else
        regs_text(r, &x);
    cmd_done(r, CMD_DONE);
}

/* mem-dump */

static void hex_line(struct cmd_run *r, uint64_t addr, const uint8_t *p, size_t n)
{
    cmd_printf(r, "%016llx ", (unsigned long long)addr);
    for (size_t i = 0; i < 16; i++) {
        if (i < n)
            cmd_printf(r, "%s%02x", i == 8 ? "  " : " ", p[i]);
        else
            cmd_printf(r, "%s  ", i == 8 ? "  " : " ");
    }
    cmd_printf(r, "  |");
    for (size_t i = 0; i < n; i++)
        cmd_printf(r, "%c", isascii(p[i]) && isprint(p[i]) ? p[i] : '.');
    cmd_printf(r, "|\n");
}

static void dump_json(struct cmd_run *r, uint64_t addr, const uint8_t *p, size_t len)
{
    struct json_out j = cmd_json(r);
    struct text hex = {0};

    for (size_t i = 0; i < len; i++)
        text_printf(&hex, "%02x", p[i]);
    jout_begin(&j, NULL, '{');
    jout_u64(&j, "address", addr);
    jout_str(&j, "bytes", text_str(&hex));
    jout_end(&j, '}');
    text_free(&hex);
}

static bool dump_file(struct cmd_run *r, const char *path, const uint8_t *p, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    char show[160];
    ssize_t n = fd < 0 ? -1 : write(fd, p, len);

    if (n != (ssize_t)len)
        cmd_fail(r, "`%s` cannot be written: %s%s", text_show(show, sizeof show, path),
                 errno == EEXIST ? "it is there already, choose another name" : strerror(errno),
                 fence_hint(path, FENCE_WRITE));
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)len;
}

/* Fills `buf`; returns how much of it is memory. */
static size_t dump_read(struct cmd_run *r, uint64_t addr, uint8_t *buf, size_t len, struct err *e)
{
    struct guest *g = r->targets.t[0].g;
    struct x86_regs x;
    struct x86_walk w = {&x, read_guest, g};
    size_t done = 0;

    if (r->p.opt[0])
        return take_regs(r, &x) ? x86_read_linear(&w, addr, buf, len, e) : 0;
    while (done < len) { /* up to the end of memory */
        size_t n = 4096 - ((addr + done) & 0xfff);

        n = n < len - done ? n : len - done;
        if (vm_mem_read(g->vm, addr + done, buf + done, n, e) < 0)
            break;
        done += n;
    }
    return done;
}

void exec_mem_dump(struct cmd_run *r)
{
    uint64_t addr, len = DUMP_DEFAULT;
    struct err e = {0};
    uint8_t *buf;
    size_t n;

    if (units_addr(r->p.arg[1], &addr, &e) < 0 ||
        (r->p.arg[2] && (strncmp(r->p.arg[2], "0x", 2) == 0 ? units_addr(r->p.arg[2], &len, &e)
                                                            : units_size(r->p.arg[2], &len, &e)) < 0)) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (len < 1 || len > DUMP_MAX) {
        cmd_fail(r, "a dump has 1 byte to 1M");
        return;
    }
    buf = cmd_state(r, len, NULL);
    n = buf ? dump_read(r, addr, buf, len, &e) : 0;
    if (r->over)
        return;
    if (n == 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (r->p.opt[1]) {
        if (!dump_file(r, r->p.opt[1], buf, n))
            return;
    } else if (r->json) {
        dump_json(r, addr, buf, n);
    } else {
        for (size_t i = 0; i < n; i += 16)
            hex_line(r, addr + i, buf + i, n - i < 16 ? n - i : 16);
    }
    if (n < len)
        cmd_note(r, "only %zu of %llu bytes: %s", n, (unsigned long long)len, e.msg);
    cmd_done(r, CMD_DONE);
}

/* disasm */

static uint64_t linear_rip(const struct x86_regs *x)
{
    return x->rip + (x86_code_bits(x) == 64 ? 0 : x->seg[X86_CS].base);
}

struct listing {
    uint64_t addr;
    unsigned bits, lines;
    const uint8_t *code;
    size_t len;
};

static void list_code(struct cmd_run *r, const struct listing *l, uint64_t rip)
{
    size_t at = 0;

    for (unsigned i = 0; i < l->lines && at < l->len; i++) {
        size_t left = l->len - at < INSTRUCTION_MAX ? l->len - at : INSTRUCTION_MAX;
        char text[DISASM_TEXT] = "(bad)", hex[2 * INSTRUCTION_MAX + 1] = "";
        size_t n = disasm_one(l->code + at, left, l->addr + at, l->bits, text);

        n = n ? n : 1;
        for (size_t k = 0; k < n; k++)
            snprintf(hex + 2 * k, 3, "%02x", l->code[at + k]);
        cmd_printf(r, "%s %016llx  %-22s  %s\n", l->addr + at == rip ? "=>" : "  ",
                   (unsigned long long)(l->addr + at), hex, text);
        at += n;
    }
}

void exec_disasm(struct cmd_run *r)
{
    struct listing l = {.lines = 12};
    uint64_t lines = l.lines;
    struct x86_regs x;
    struct x86_walk w = {&x, read_guest, r->targets.t[0].g};
    struct err e = {0};
    uint8_t *code;

    if ((r->p.arg[1] && units_addr(r->p.arg[1], &l.addr, &e) < 0) ||
        (r->p.opt[0] && units_uint(r->p.opt[0], "--lines", 1, DISASM_MAX, &lines, &e) < 0)) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (!take_regs(r, &x))
        return;
    l.lines = (unsigned)lines;
    l.bits = x86_code_bits(&x);
    if (!r->p.arg[1])
        l.addr = linear_rip(&x);
    code = cmd_state(r, l.lines * INSTRUCTION_MAX, NULL);
    if (!code)
        return;
    l.code = code;
    l.len = x86_read_linear(&w, l.addr, code, l.lines * INSTRUCTION_MAX, &e);
    if (l.len == 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    list_code(r, &l, linear_rip(&x));
    cmd_done(r, CMD_DONE);
}

/* step */

struct step {
    struct cmd_run *r;
    unsigned vcpu;
    struct x86_regs x; /* before the next instruction */
};

/* The instruction that comes next. */
static void describe(struct step *s, char text[DISASM_TEXT])
{
    struct x86_walk w = {&s->x, read_guest, s->r->targets.t[0].g};
    uint64_t at = linear_rip(&s->x);
    uint8_t code[INSTRUCTION_MAX];
    struct err e;
    size_t n = x86_read_linear(&w, at, code, sizeof code, &e);

    snprintf(text, DISASM_TEXT, n ? "(bad)" : "(not mapped)");
    if (n)
        disasm_one(code, n, at, x86_code_bits(&s->x), text);
}

static void print_step(struct cmd_run *r, const char *text, const struct x86_regs *a, const struct x86_regs *b)
{
    char changes[CHANGES_TEXT] = "";
    size_t n = 0;

    for (unsigned i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i])
            n += (size_t)snprintf(changes + n, sizeof changes - n, "  %s=%llx", gpr_names[i], (unsigned long long)b->gpr[i]);
    if (a->rflags != b->rflags)
        snprintf(changes + n, sizeof changes - n, "  rflags=%llx", (unsigned long long)b->rflags);
    cmd_printf(r, "   %016llx  %-*s%s\n", (unsigned long long)linear_rip(a), *changes ? CHANGES_AT : 0, text, changes);
}

/* KVM steps by the trap flag, which these would leave where the guest sees it. */
static bool kvm_cannot(const struct step *s, const char *text)
{
    static const char *const cannot[] = {"pushf", "syscall", "sysenter", "int"};

    for (unsigned i = 0; i < sizeof cannot / sizeof *cannot; i++)
        if (strncmp(text, cannot[i], strlen(cannot[i])) == 0)
            return strcmp(vm_accel(s->r->targets.t[0].g->vm)->name, "kvm") == 0;
    return false;
}

static int step_once(struct step *s, struct err *e)
{
    struct vm *vm = s->r->targets.t[0].g->vm;
    struct x86_regs before = s->x;
    char text[DISASM_TEXT];
    int rc;

    describe(s, text);
    if (kvm_cannot(s, text))
        return err_set(e, ENOTSUP, "KVM cannot step over `%s`; `--accel soft` can", text);
    rc = vm_step(vm, s->vcpu, e);
    if (rc == 0)
        rc = vm_regs(vm, s->vcpu, &s->x, e);
    if (rc == 0 && !s->r->json)
        print_step(s->r, text, &before, &s->x);
    return rc;
}

void exec_step(struct cmd_run *r)
{
    struct step s = {.r = r, .vcpu = r->targets.t[0].vcpu < 0 ? 0 : (unsigned)r->targets.t[0].vcpu};
    uint64_t n = 1, done = 0;
    char next[DISASM_TEXT];
    struct err e;

    if (r->p.arg[1] && units_uint(r->p.arg[1], "the number of instructions", 1, STEPS_MAX, &n, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (!take_regs(r, &s.x))
        return;
    undo_never(cmd_undo(r), r->line, "what was executed cannot be taken back");
    while (done < n && step_once(&s, &e) == 0)
        done++;
    if (r->json) {
        regs_json(r, &s.x, s.vcpu);
    } else if (done) {
        describe(&s, next);
        cmd_printf(r, "=> %016llx  %s\n", (unsigned long long)linear_rip(&s.x), next);
    }
    if (done < n) {
        cmd_flush(r);
        cmd_error(r, "%s", e.msg);
    }
    cmd_done(r, done == n ? CMD_DONE : CMD_FAILED);
}
