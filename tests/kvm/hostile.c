/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guests that end, break or abuse their processor, one per reason why KVM hands a guest back
 * (T16): each ends in the state that is documented, says why, answers to pause and stop, and a
 * neighbour answers before, during and after. The guests are boot sectors of some bytes.
 */
#include "rig.h"

#include <errno.h>

/* A boot sector: position 0x7c00, 16 bits, no stack needed; `protected` ones switch to flat
 * 32-bit code first. */
#define SECTOR(label, code)                                                              \
    asm(".pushsection .rodata, \"a\"\n" #label ":\n.code16\n" code                       \
        "\n.org " #label " + 510\n.word 0xaa55\n.code64\n.popsection");                  \
    extern const uint8_t label[512]

#define PROTECTED(label, code)                                                           \
    SECTOR(label, "cli\n lgdtl 0x7c00 + (8f - " #label ")\n mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n" \
                  "ljmpl $8, $(0x7c00 + 7f - " #label ")\n"                              \
                  ".code32\n7: mov $16, %eax\n mov %eax, %ds\n mov %eax, %es\n mov %eax, %ss\n mov $0x7000, %esp\n" \
                  code "\n.balign 8\n9: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n" \
                  "8: .word 23\n .long 0x7c00 + (9b - " #label ")\n")

SECTOR(triple_fault, "cli\n xor %ax, %ax\n mov %ax, %ds\n lidt 0x7c00 + (1f - triple_fault)\n int3\n 1: .word 0, 0, 0");
SECTOR(halt_for_good, "cli\n1: hlt\n jmp 1b");
SECTOR(jump_to_itself, "cli\n1: jmp 1b");
SECTOR(undefined_opcode, "cli\n ud2\n1: jmp 1b");
SECTOR(divide_by_zero, "sti\n xor %bx, %bx\n div %bx\n1: jmp 1b");
SECTOR(unknown_ports, "mov $0x5000, %dx\n1: in %dx, %al\n out %al, %dx\n in %dx, %eax\n out %ax, %dx\n inc %dx\n"
                      " cmp $0x6000, %dx\n jb 1b\n mov $0x5000, %dx\n jmp 1b");
SECTOR(all_ports, "xor %dx, %dx\n1: in %dx, %al\n in %dx, %ax\n in %dx, %eax\n xor $0x5a, %al\n out %al, %dx\n"
                  " out %ax, %dx\n out %eax, %dx\n inc %dx\n jmp 1b");
SECTOR(string_io, "cld\n xor %ax, %ax\n mov %ax, %ds\n mov %ax, %es\n1: xor %si, %si\n mov $0xffff, %cx\n"
                  " mov $0x3f8, %dx\n rep outsb\n mov $0x4000, %di\n mov $0x3000, %cx\n mov $0x60, %dx\n"
                  " rep insb\n jmp 1b");
SECTOR(hypercalls, "1: vmmcall\n xor %eax, %eax\n inc %bx\n jmp 1b");
SECTOR(exit_code_7, "mov $7, %al\n out %al, $0xf4\n1: hlt\n jmp 1b");
SECTOR(reset_loop, "mov $6, %al\n mov $0xcf9, %dx\n out %al, %dx\n1: jmp 1b");
PROTECTED(memory_of_nobody, "mov $0xc0000000, %ebx\n1: mov (%ebx), %eax\n mov %eax, 1(%ebx)\n mov %al, (%ebx)\n"
                            " add $4093, %ebx\n cmp $0xfec00000, %ebx\n jb 1b\n mov $0xc0000000, %ebx\n jmp 1b");
PROTECTED(code_of_nobody, "mov $0xd0000000, %eax\n jmp *%eax");
PROTECTED(stack_of_nobody, "mov $0xd0001000, %esp\n1: push %eax\n pop %ebx\n jmp 1b");
PROTECTED(vector_instruction_on_mmio, "mov %cr4, %eax\n or $0x600, %eax\n mov %eax, %cr4\n"
                                      "mov $0xd0000000, %ebx\n1: movups (%ebx), %xmm0\n movups %xmm0, 8(%ebx)\n"
                                      " fxsave (%ebx)\n jmp 1b");
PROTECTED(tables_in_nowhere, "mov $0xd0000000, %eax\n mov %eax, %cr3\n mov %cr0, %eax\n or $0x80000000, %eax\n"
                             " mov %eax, %cr0\n1: jmp 1b");
PROTECTED(apic_scribbler, "mov $0xfee00000, %ebx\n1: mov %ebx, %eax\n and $0xff0, %eax\n cmp $0x300, %eax\n je 2f\n"
                          " movl $0xffffffff, (%ebx)\n2: mov (%ebx), %eax\n add $4, %ebx\n"
                          " cmp $0xfee01000, %ebx\n jb 1b\n mov $0xfee00000, %ebx\n jmp 1b");
PROTECTED(model_specific_registers, "xor %ecx, %ecx\n1: rdmsr\n inc %ecx\n jmp 1b");
PROTECTED(all_flags, "mov $0x7000, %esp\n1: pushl $0xffffffff\n popf\n pushl $0\n popf\n jmp 1b");

enum { RUNNING = 1 << VM_RUNNING, STOPPED = 1 << VM_STOPPED, CRASHED = 1 << VM_CRASHED };
enum { ANY = RUNNING | STOPPED | CRASHED };

static const struct hostile {
    const char *name;
    const uint8_t *code;
    unsigned ends;    /* states it may be in */
    const char *why;  /* what the reason contains, NULL: any */
    bool user;        /* try it with our own interrupt controllers too */
    double seconds;   /* given to it to go wrong, 0: 0.25 */
} hostile[] = {
    {"triple_fault", triple_fault, CRASHED, "triple fault", true, 0},
    {"halt_for_good", halt_for_good, RUNNING, NULL, true, 0},
    {"jump_to_itself", jump_to_itself, RUNNING, NULL, false, 0},
    {"undefined_opcode", undefined_opcode, ANY, NULL, false, 0},
    {"divide_by_zero", divide_by_zero, ANY, NULL, false, 0},
    {"unknown_ports", unknown_ports, RUNNING, NULL, false, 0},
    {"all_ports", all_ports, ANY, NULL, true, 10},
    {"string_io", string_io, RUNNING, NULL, false, 0.5},
    {"hypercalls", hypercalls, ANY, NULL, false, 0},
    {"exit_code_7", exit_code_7, STOPPED, "exit code 7", false, 0},
    {"reset_loop", reset_loop, RUNNING, NULL, true, 1},
    {"memory_of_nobody", memory_of_nobody, RUNNING, NULL, false, 0},
    {"code_of_nobody", code_of_nobody, CRASHED, "KVM", true, 0},
    {"stack_of_nobody", stack_of_nobody, RUNNING | CRASHED, NULL, false, 0},
    {"vector_instruction_on_mmio", vector_instruction_on_mmio, RUNNING | CRASHED, NULL, false, 0},
    {"tables_in_nowhere", tables_in_nowhere, RUNNING | CRASHED, NULL, false, 0},
    {"apic_scribbler", apic_scribbler, RUNNING | CRASHED, NULL, true, 0},
    {"model_specific_registers", model_specific_registers, RUNNING | CRASHED, NULL, true, 0},
    {"all_flags", all_flags, RUNNING | CRASHED, NULL, false, 0},
};

enum { HOSTILES = sizeof hostile / sizeof hostile[0] };

static double slowest_answer;

static bool neighbour_answers(struct rguest *g)
{
    uint64_t begin = clock_mono_ns();
    bool ok = rig_do(g, "echo alive", "^alive", 20);
    double s = (double)(clock_mono_ns() - begin) / 1e9;

    slowest_answer = s > slowest_answer ? s : slowest_answer;
    return ok;
}

static struct rguest *guest_of(const struct hostile *h, bool user)
{
    const char *dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    char path[300];
    struct rguest *g;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s.bin", dir, h->name);
    f = fopen(path, "we");
    if (!f || fwrite(h->code, 1, 512, f) != 512 || fclose(f) != 0) {
        rig_case(false, "boot_sector_is_written", "%s: %s", path, strerror(errno));
        exit(1);
    }
    g = rig_guest(h->name, path, NULL);
    g->c.irqchip_user = user;
    return g;
}

/* It answers to pause, resume and stop whatever it does. */
static bool obeys(struct rguest *g)
{
    if (rig_is(g, VM_RUNNING) && !(rig_ask(g, vm_pause, VM_PAUSED) && rig_ask(g, vm_resume, VM_RUNNING)))
        return rig_over(g); /* it ended meanwhile */
    UNTIL(30, !vm_busy(g->vm));
    return rig_is(g, VM_STOPPED) || rig_ask(g, vm_stop, VM_STOPPED) || rig_is(g, VM_STOPPED);
}

static void attack(const struct hostile *h, bool user, struct rguest *neighbour)
{
    struct rguest *g = guest_of(h, user);
    bool started = rig_start(g), alive, right, obeyed;
    enum vm_state s;
    char name[100], why[200];

    /* what ends must end; what goes on is given some time to go wrong */
    UNTIL(!(h->ends & RUNNING) ? 20 : h->seconds ? h->seconds : 0.25, rig_over(g) && !vm_busy(g->vm));
    s = vm_state(g->vm);
    snprintf(why, sizeof why, "%s", vm_reason(g->vm));
    alive = neighbour_answers(neighbour);
    right = h->ends & 1u << s && (!h->why || strstr(why, h->why)) && (s != VM_CRASHED || why[0]);
    obeyed = obeys(g);
    snprintf(name, sizeof name, "%s%s", h->name, user ? "_with_user_irqchip" : "");
    rig_case(started && right && alive && obeyed && neighbour_answers(neighbour), name, "%s%s%s%s%s%s%s",
             vm_state_name(s), why[0] ? ": " : "", why, started ? "" : " (did not start)",
             alive ? "" : " (neighbour silent)", obeyed ? "" : " (does not obey)",
             right ? "" : " (not what it should be)");
    rig_drop(g);
}

/* hello's own ways out, and an exception that it catches. */
static void crash_of_hello(struct rguest *neighbour)
{
    struct rguest *g = rig_guest("victim", "hello", NULL);
    bool ok = rig_start(g) && rig_hello_up(g);

    rig_send(g, "crash");
    ok = ok && UNTIL(30, rig_is(g, VM_CRASHED)) && strstr(vm_reason(g->vm), "triple fault");
    rig_check(ok && neighbour_answers(neighbour), "crash_of_one_guest_is_its_own");
    rig_check(rig_start(g) && rig_hello_up(g), "crashed_guest_can_be_started_again");
    rig_drop(g);
}

int main(int argc, char **argv)
{
    struct rguest *neighbour;

    rig_begin();
    neighbour = rig_guest("neighbour", "hello", NULL);
    if (!rig_check(rig_start(neighbour) && rig_hello_up(neighbour), "neighbour_starts"))
        return rig_end();
    for (int user = 0; user < 2; user++)
        for (unsigned i = 0; i < HOSTILES; i++)
            if ((!user || hostile[i].user) &&
                (argc < 2 || strcmp(argv[1], hostile[i].name) == 0))
                attack(&hostile[i], user, neighbour);
    crash_of_hello(neighbour);
    rig_case(slowest_answer < 10, "neighbour_answers_all_the_time", "slowest answer %.3f s", slowest_answer);
    return rig_end();
}
