/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * test_x86_run: what the oracle and the selftest guest cannot see: precise faults at page ends,
 * self-modifying code in its variants, kicks out of every kind of loop, blocks against remaps.
 */
#include "x86_rig.h"

#include <pthread.h>
#include <time.h>

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

static void halt_after_arithmetic_leaves_the_result(void **state)
{
    static const uint8_t code[] = {0xb8, 5, 0, 0, 0, 0x83, 0xc0, 7, 0xf4}; /* mov eax,5; add eax,7; hlt */
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, code, sizeof code);
    rig_run(&r, &g);
    assert_int_equal(r.last, EXIT_HLT);
    assert_int_equal(g.gpr[0], 12);
    assert_int_equal(g.rip, RIG_CODE + sizeof code);
    rig_free(&r);
}

static void store_across_a_page_end_writes_nothing_if_the_second_faults(void **state)
{
    static const uint8_t code[] = {0x48, 0x89, 0x07, 0xf4}; /* mov [rdi],rax; hlt */
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, code, sizeof code);
    *rig_pte(&r, RIG_DATA + 0x1000) &= ~1ull;
    g.gpr[X86_RDI] = RIG_DATA + 0xffc;
    g.gpr[X86_RAX] = ~0ull;
    rig_run(&r, &g);
    assert_int_equal(rig_vector(&r), 14);
    assert_int_equal(rig_error(&r), 2);
    assert_int_equal(g.cr2, RIG_DATA + 0x1000);
    assert_int_equal(*(uint32_t *)(r.ram + RIG_DATA + 0xffc), 0);
    rig_free(&r);
}

static void instruction_across_a_page_end_faults_at_the_second_page(void **state)
{
    static const uint8_t code[] = {0xb8, 1, 2, 3, 4, 0xf4};
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    assert_int_equal(gmem_write(r.mem, RIG_CODE + 0xffd, code, sizeof code), 0);
    g.rip = RIG_CODE + 0xffd;
    rig_run(&r, &g);
    assert_int_equal(g.gpr[0], 0x04030201);
    *rig_pte(&r, RIG_CODE + 0x1000) &= ~1ull;
    g = rig_regs();
    g.rip = RIG_CODE + 0xffd;
    rig_run(&r, &g);
    assert_int_equal(rig_vector(&r), 14);
    assert_int_equal(g.cr2, RIG_CODE + 0x1000);
    rig_free(&r);
}

/* The same code remapped: the second page of a crossing instruction changes under it. */
static void crossing_instruction_follows_a_remap_of_its_second_page(void **state)
{
    static const uint8_t one[] = {0xb8, 1, 0, 0, 0, 0xf4}, two[] = {0, 2, 0, 0xf4};
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    assert_int_equal(gmem_write(r.mem, RIG_CODE + 0xffe, one, sizeof one), 0);
    assert_int_equal(gmem_write(r.mem, RIG_CODE + 0x3000, two, sizeof two), 0);
    g.rip = RIG_CODE + 0xffe;
    rig_run(&r, &g);
    assert_int_equal(g.gpr[0], 1);
    *rig_pte(&r, RIG_CODE + 0x1000) = (RIG_CODE + 0x3000) | 7;
    g = rig_regs();
    g.rip = RIG_CODE + 0xffe;
    rig_run(&r, &g);
    assert_int_equal(g.gpr[0], 0x00020001);
    rig_free(&r);
}

static void store_to_the_next_instruction_takes_effect(void **state)
{
    /* mov byte [rip+1], 0x2a; mov al, 1; hlt: the store changes the immediate of what follows */
    static const uint8_t code[] = {0xc6, 0x05, 1, 0, 0, 0, 0x2a, 0xb0, 1, 0xf4};
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    for (int k = 0; k < 3; k++) {
        struct x86_regs g = rig_regs();

        rig_code(&r, code, sizeof code);
        rig_run(&r, &g);
        assert_int_equal(g.gpr[0] & 0xff, 0x2a);
        assert_int_equal(g.rip, RIG_CODE + sizeof code);
    }
    rig_free(&r);
}

/* A loop that rewrites the function that it calls each time. */
static void rewritten_function_is_seen_at_each_call(void **state)
{
    static const uint8_t code[] = {
        0x31, 0xdb,             /* xor ebx,ebx */
        0xb9, 200, 0, 0, 0,     /* mov ecx,200 */
        0x88, 0x0f,             /* 1: mov [rdi],cl  (immediate of the function's mov) */
        0xe8, 7, 0, 0, 0,       /* call f */
        0x01, 0xc3,             /* add ebx,eax */
        0xff, 0xc9,             /* dec ecx */
        0x75, 0xf3,             /* jnz 1b */
        0xf4,                   /* hlt */
        0xb8, 0, 0, 0, 0, 0xc3, /* f: mov eax,0; ret */
    };
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, code, sizeof code);
    g.gpr[X86_RDI] = RIG_CODE + 22;
    rig_run(&r, &g);
    assert_int_equal(g.gpr[X86_RBX], 200 * 201 / 2);
    rig_free(&r);
}

static void code_written_by_a_device_is_seen(void **state)
{
    static const uint8_t one[] = {0xb0, 1, 0xf4}, two[] = {0xb0, 2, 0xf4};
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, one, sizeof one);
    rig_run(&r, &g);
    assert_int_equal(g.gpr[0], 1);
    rig_code(&r, two, sizeof two);
    g = rig_regs();
    rig_run(&r, &g);
    assert_int_equal(g.gpr[0], 2);
    rig_free(&r);
}

static void data_on_a_code_page_stays_writable(void **state)
{
    /* 1: inc dword [rip+0x100]; dec ecx; jnz 1b; hlt */
    static const uint8_t code[] = {0xff, 0x05, 0, 1, 0, 0, 0xff, 0xc9, 0x75, 0xf6, 0xf4};
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, code, sizeof code);
    g.gpr[X86_RCX] = 100000;
    rig_run(&r, &g);
    assert_int_equal(*(uint32_t *)(r.ram + RIG_CODE + 6 + 0x100), 100000);
    rig_free(&r);
}

struct kicker {
    struct rig *r;
    volatile uint64_t at_us;
};

static void *kick_main(void *arg)
{
    struct kicker *k = arg;
    struct timespec t = {.tv_nsec = 5000000};

    nanosleep(&t, NULL);
    k->at_us = now_us();
    accel_soft.vcpu_kick(k->r->v[0]);
    return NULL;
}

/* The best of a few tries: the machine may be busy with other things. */
static void kick_running(struct rig *r, struct x86_regs *g)
{
    struct kicker k = {.r = r};
    uint64_t best = ~0ull;
    pthread_t t;

    for (int i = 0; i < 10 && best >= 50000; i++) {
        accel_soft.regs_set(r->v[0], g);
        accel_soft.vcpu_kick_clear(r->v[0]);
        pthread_create(&t, NULL, kick_main, &k);
        accel_soft.vcpu_run(r->v[0]);
        if (now_us() - k.at_us < best)
            best = now_us() - k.at_us;
        assert_int_equal(r->last, EXIT_SIGNAL);
        pthread_join(t, NULL);
    }
    assert_true(best < 50000);
}

static void kick_out_of(const uint8_t *code, size_t n, struct x86_regs *g)
{
    struct rig r;

    rig_new(&r, 1);
    rig_code(&r, code, n);
    kick_running(&r, g);
    rig_free(&r);
}

static void kick_ends_loops_of_every_kind(void **state)
{
    static const uint8_t self[] = {0xeb, 0xfe}, rep[] = {0x31, 0xff, 0x48, 0xc7, 0xc1, 0xff, 0xff, 0xff, 0x7f, 0xf3, 0xac, 0xeb, 0xf3};
    static const uint8_t indirect[] = {0xff, 0xe0}, calls[] = {0xe8, 0, 0, 0, 0, 0x58, 0xeb, 0xf8};
    static const uint8_t loop[] = {0xe2, 0xfe, 0xeb, 0xfc}, pause[] = {0xf3, 0x90, 0xeb, 0xfc};
    struct x86_regs g = rig_regs();

    (void)state;
    g.gpr[X86_RAX] = RIG_CODE;
    kick_out_of(self, sizeof self, &g);
    kick_out_of(rep, sizeof rep, &g);
    kick_out_of(indirect, sizeof indirect, &g);
    kick_out_of(calls, sizeof calls, &g);
    kick_out_of(loop, sizeof loop, &g);
    kick_out_of(pause, sizeof pause, &g);
}

/* Exceptions without end: #UD whose handler is #UD (stack in RAM for long), each delivery is an event. */
static void kick_ends_a_storm_of_exceptions(void **state)
{
    static const uint8_t ud[] = {0x0f, 0x0b};
    struct x86_regs g = rig_regs();
    struct rig r;
    uint64_t *gate;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, ud, sizeof ud);
    gate = (uint64_t *)(r.ram + RIG_IDT + 6 * 16); /* IST 1: the same stack each time */
    gate[0] = (RIG_CODE & 0xffff) | 8ull << 16 | 1ull << 32 | 0x8eull << 40 | (uint64_t)(RIG_CODE >> 16) << 48;
    g.seg[X86_TR] = (struct x86_seg){.sel = 0x28, .base = RIG_TSS, .limit = 0x67, .attr = 0x8b};
    *(uint64_t *)(r.ram + RIG_TSS + 0x24) = RIG_STACK;
    kick_running(&r, &g);
    rig_free(&r);
}

static void kick_before_the_run_ends_it_at_once(void **state)
{
    static const uint8_t self[] = {0xeb, 0xfe};
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, self, sizeof self);
    accel_soft.regs_set(r.v[0], &g);
    accel_soft.vcpu_kick(r.v[0]);
    accel_soft.vcpu_run(r.v[0]);
    assert_int_equal(r.last, EXIT_SIGNAL);
    rig_free(&r);
}

/* Runs code that ends in HLT with `ecx`, `eax` and edx 0; gives eax. */
static uint32_t run_with(struct rig *r, const uint8_t *code, size_t n, uint32_t eax, struct x86_regs *g, uint32_t ecx)
{
    *g = rig_regs();
    rig_code(r, code, n);
    memset(r->ram + RIG_LOG, 0, 16);
    g->gpr[X86_RAX] = eax;
    g->gpr[X86_RCX] = ecx;
    rig_run(r, g);
    assert_int_equal(r->last, EXIT_HLT);
    return (uint32_t)g->gpr[X86_RAX];
}

/* Xen 4.17 reads them whatever CPUID says. */
static void mtrrs_are_none_but_the_default_type(void **state)
{
    static const uint8_t rdmsr[] = {0x0f, 0x32, 0xf4}, wrmsr[] = {0x0f, 0x30, 0xf4};
    struct x86_regs g;
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    assert_int_equal(run_with(&r, rdmsr, sizeof rdmsr, 1, &g, 0xfe), 0);
    assert_int_equal(run_with(&r, rdmsr, sizeof rdmsr, 1, &g, 0x2ff), 0x806);
    run_with(&r, wrmsr, sizeof wrmsr, 0x801, &g, 0x2ff);
    assert_int_equal(rig_vector(&r), 0);
    assert_int_equal(run_with(&r, rdmsr, sizeof rdmsr, 1, &g, 0x2ff), 0x801);
    run_with(&r, wrmsr, sizeof wrmsr, 0x802, &g, 0x2ff); /* no such type */
    assert_int_equal(rig_vector(&r), 13);
    run_with(&r, rdmsr, sizeof rdmsr, 0, &g, 0x200); /* no variable ones */
    assert_int_equal(rig_vector(&r), 13);
    rig_free(&r);
}

/* Each makes Linux leave out work that costs an interpreter much: thunks, flushes, page tables. */
static void cpuid_tells_what_the_processor_does_not_suffer_from(void **state)
{
    static const uint8_t cpuid[] = {0x0f, 0xa2, 0xf4};
    struct x86_regs g;
    struct rig r;
    uint32_t eax;

    (void)state;
    rig_new(&r, 1);
    eax = run_with(&r, cpuid, sizeof cpuid, 0x80000021, &g, 0);
    assert_int_equal(eax & (1 << 8 | 1 << 29), 1 << 8 | 1 << 29); /* automatic IBRS, SRSO_NO */
    assert_int_equal(g.gpr[X86_RCX] & 6, 6);                      /* TSA_SQ_NO, TSA_L1_NO */
    rig_free(&r);
}

static void blocks_that_end_by_a_system_instruction_are_counted(void **state)
{
    static const uint8_t code[] = {0x90, 0xe6, 0x80, 0xff, 0xc0, 0x0f, 0xa2, 0xf4}; /* nop; out; inc; cpuid; hlt */
    struct x86_regs g;
    struct kstat k;
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    run_with(&r, code, sizeof code, 0, &g, 0);
    assert_int_equal(accel_soft.vcpu_kstats(r.v[0], &k, 1), 1);
    assert_string_equal(k.name, "insns");
    assert_int_equal(k.value, 5);
    rig_free(&r);
}

static void unusable_idt_is_a_shutdown(void **state)
{
    static const uint8_t ud[] = {0x0f, 0x0b};
    struct x86_regs g = rig_regs();
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, ud, sizeof ud);
    g.idt.limit = 0;
    rig_run(&r, &g);
    assert_int_equal(r.last, EXIT_SHUTDOWN);
    rig_free(&r);
}

/* Wild instruction pointers, page tables and descriptor tables: anything but a crash of ours. */
static void fetching_from_nowhere_is_the_guests_problem(void **state)
{
    static const uint64_t wild[] = {0x3ff0000, 0xfee00000, 0x7fffffffffff, 0x800000000000, ~0ull, 0xffffffff80000000};
    struct rig r;

    (void)state;
    rig_new(&r, 1);
    for (unsigned i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        struct x86_regs g = rig_regs();

        g.rip = wild[i];
        rig_run(&r, &g);
        assert_true(r.last == EXIT_HLT || r.last == EXIT_SHUTDOWN);
    }
    for (unsigned i = 0; i < 6; i++) {
        struct x86_regs g = rig_regs();

        g.cr3 = wild[i] & 0x3ffffffff000;
        rig_run(&r, &g);
        assert_int_equal(r.last, EXIT_SHUTDOWN);
    }
    rig_free(&r);
}

/* One vCPU rewrites a function in a page of its own, the other calls it; a flag orders them. */
static void *writer_main(void *arg)
{
    struct rig *r = arg;

    accel_soft.vcpu_run(r->v[1]);
    return NULL;
}

static void code_written_by_another_vcpu_is_seen_after_serializing(void **state)
{
    static const uint8_t reader[] = {
        /* 1: cmp [rsi],ebx; jne 1b; cpuid clobbers: save; call rdi; cmp eax,ebx; jne bad; */
        0x39, 0x1e, 0x75, 0xfc,             /* wait until the flag is ebx */
        0x53, 0x31, 0xc0, 0x0f, 0xa2, 0x5b, /* push rbx; xor eax,eax; cpuid; pop rbx */
        0xff, 0xd7, 0x39, 0xd8, 0x75, 0x0f, /* call rdi; cmp eax,ebx; jne bad */
        0xff, 0xc3, 0x89, 0x5e, 0x04,       /* inc ebx; mov [rsi+4],ebx (ask for the next) */
        0x81, 0xfb, 0xd0, 0x07, 0, 0,       /* cmp ebx,2000 */
        0x75, 0xe3, 0xf4,                   /* jne 1b; hlt */
        0x90, 0xcc,                         /* bad: int3 */
    };
    static const uint8_t writer[] = {
        /* 1: mov ebx,[rsi+4]; mov [rdi+1],ebx; mov [rsi],ebx; cmp ebx,2000; jne 1b; hlt */
        0x8b, 0x5e, 0x04, 0x89, 0x5f, 0x01, 0x89, 0x1e, 0x81, 0xfb, 0xd0, 0x07, 0, 0, 0x75, 0xf0, 0xf4,
    };
    static const uint8_t function[] = {0xb8, 0, 0, 0, 0, 0xc3};
    struct x86_regs g = rig_regs(), w = rig_regs();
    struct rig r;
    pthread_t t;

    (void)state;
    rig_new(&r, 2);
    rig_code(&r, reader, sizeof reader);
    assert_int_equal(gmem_write(r.mem, RIG_CODE + 0x1000, writer, sizeof writer), 0);
    assert_int_equal(gmem_write(r.mem, RIG_CODE + 0x2000, function, sizeof function), 0);
    *(uint32_t *)(r.ram + RIG_DATA + 4) = 1;
    g.gpr[X86_RSI] = w.gpr[X86_RSI] = RIG_DATA;
    g.gpr[X86_RDI] = w.gpr[X86_RDI] = RIG_CODE + 0x2000;
    g.gpr[X86_RBX] = 1;
    w.rip = RIG_CODE + 0x1000;
    accel_soft.regs_set(r.v[1], &w);
    accel_soft.vcpu_kick_clear(r.v[1]);
    pthread_create(&t, NULL, writer_main, &r);
    rig_run(&r, &g);
    assert_int_equal(g.gpr[X86_RBX], 2000);
    accel_soft.vcpu_kick(r.v[1]);
    pthread_join(t, NULL);
    rig_free(&r);
}

/* More blocks than the pool holds: it is flushed while they run. */
static void block_pool_is_reused_when_full(void **state)
{
    static const uint8_t piece[] = {0xff, 0xc0, 0xeb, 0x00}; /* inc eax; jmp to the next */
    struct x86_regs g = rig_regs();
    struct rig r;
    uint32_t at = 0x400000, p;

    (void)state;
    rig_new(&r, 1);
    for (p = at; p < at + 0x300000; p += sizeof piece) /* each is a block of its own */
        memcpy(r.ram + p, piece, sizeof piece);
    r.ram[p] = 0xf4;
    g.rip = at;
    rig_run(&r, &g);
    assert_int_equal(r.last, EXIT_HLT);
    assert_int_equal(g.gpr[0], 0x300000 / 4);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halt_after_arithmetic_leaves_the_result),
        cmocka_unit_test(store_across_a_page_end_writes_nothing_if_the_second_faults),
        cmocka_unit_test(instruction_across_a_page_end_faults_at_the_second_page),
        cmocka_unit_test(crossing_instruction_follows_a_remap_of_its_second_page),
        cmocka_unit_test(store_to_the_next_instruction_takes_effect),
        cmocka_unit_test(rewritten_function_is_seen_at_each_call),
        cmocka_unit_test(code_written_by_a_device_is_seen),
        cmocka_unit_test(data_on_a_code_page_stays_writable),
        cmocka_unit_test(kick_ends_loops_of_every_kind),
        cmocka_unit_test(kick_ends_a_storm_of_exceptions),
        cmocka_unit_test(kick_before_the_run_ends_it_at_once),
        cmocka_unit_test(mtrrs_are_none_but_the_default_type),
        cmocka_unit_test(cpuid_tells_what_the_processor_does_not_suffer_from),
        cmocka_unit_test(blocks_that_end_by_a_system_instruction_are_counted),
        cmocka_unit_test(unusable_idt_is_a_shutdown),
        cmocka_unit_test(fetching_from_nowhere_is_the_guests_problem),
        cmocka_unit_test(code_written_by_another_vcpu_is_seen_after_serializing),
        cmocka_unit_test(block_pool_is_reused_when_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
