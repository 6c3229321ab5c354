/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * oracle: conformance run of the software CPU against the host's. See usage() and
 * docs/CONFORMANCE.md.
 */
#include "oracle.h"

#include <cpuid.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    uint64_t seed;
    unsigned states;  /* per form and pass */
    unsigned seconds; /* stop after; 0: one pass */
    bool forever;
    bool modes[ORC_MODES];
    const char *only; /* mnemonic */
    unsigned show;    /* differences printed per mnemonic */
    bool verbose;
    unsigned sequences; /* per pass, in 64-bit mode */
    bool sequences_only;
    bool cases; /* say ok or not ok, as tests/run counts */
};

struct tally {
    uint64_t forms, states, faults, hidden, skipped, unknown, differ, undefined, hangs, no_equivalent, sequence_states;
    unsigned failed; /* cases */
};

/* Differences by mnemonic, so that one bug does not hide the next. */
static unsigned seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];
static unsigned seen_sequences; /* that differ */
static unsigned left_out[ZYDIS_MNEMONIC_MAX_VALUE + 1];

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void print_difference(const struct form *f, const struct orc_case *oc, const struct verdict *v)
{
    static const char *const modes[] = {"64", "32", "16"};
    char text[128];

    form_disasm(f, oc->bytes, text, sizeof text);
    printf("DIFFER %s-bit ", modes[oc->mode]);
    for (unsigned i = 0; i < oc->len; i++)
        printf("%02x ", oc->bytes[i]);
    printf("  %s\n%s  in:", text, v->text);
    for (unsigned i = 0; i < (oc->mode == ORC_64 ? 16u : 8u); i++)
        printf(" %llx", (unsigned long long)oc->in.gpr[i]);
    printf(" flags %llx\n", (unsigned long long)oc->in.rflags);
    fflush(stdout);
}

/* What the manuals leave open is in compare.c; it was looked for on AMD families 19h and 1Ah. On another
 * processor up to 2 in 1000 states may differ, and then the case is told as skipped, with its number. */
static bool is_recorded_processor(void)
{
    unsigned eax, ebx, ecx, edx;

    if (!host_is_amd() || !__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return false;
    eax = (eax >> 8 & 0xf) + (eax >> 20 & 0xff);
    return eax == 0x19 || eax == 0x1a;
}

static void judge(const struct options *o, struct tally *t, const struct tally *before, const char *name)
{
    uint64_t differ = t->differ - before->differ, states = t->states - before->states;
    bool other = differ && !is_recorded_processor() && differ * 500 <= states;

    t->failed += differ && !other;
    if (o->cases && other)
        printf("skip %s - %llu of %llu states differ here; faults' order was looked for on AMD families 19h and 1Ah\n", name,
               (unsigned long long)differ, (unsigned long long)states);
    else if (o->cases)
        printf("%s %s\n", differ ? "not ok" : "ok", name);
}

static bool run_state(const struct form *f, struct orc_case *oc, const struct options *o, struct tally *t)
{
    static struct orc_result a, b;
    static struct verdict v;
    ZydisMnemonic m = f->decoded ? f->insn.mnemonic : ZYDIS_MNEMONIC_INVALID;

    if (native_has(oc->mode)) {
        native_place(oc);
        native_run(oc, &a);
    } else if (!equiv_run(f, oc, &a)) {
        t->no_equivalent++;
        left_out[f->decoded ? f->insn.mnemonic : ZYDIS_MNEMONIC_INVALID]++;
        return true;
    }
    soft_place(oc);
    soft_run(oc, &b);
    compare(f, oc, &a, &b, &v);
    t->states++;
    t->faults += a.vec >= 0;
    t->undefined += v.undefined_differs;
    t->hangs += a.vec == ORC_HANG;
    if (v.same)
        return true;
    t->differ++;
    if (seen[m]++ < o->show)
        print_difference(f, oc, &v);
    return false;
}

/* Ours alone: not advertised, so #UD. */
static void run_hidden(const struct form *f, struct rng *r, const struct options *o, struct tally *t)
{
    static struct orc_case oc;
    static struct orc_result b;
    static struct verdict v;

    t->hidden++;
    operands_fill(f, r, &oc);
    soft_place(&oc);
    soft_run(&oc, &b);
    memcpy(soft_arena(), native_arena(), ORC_ARENA_BYTES);
    if (b.vec == VEC_UD)
        return;
    t->differ++;
    snprintf(v.text, sizeof v.text, "  not advertised, but vector %d\n", b.vec);
    if (seen[f->insn.mnemonic]++ < o->show)
        print_difference(f, &oc, &v);
}

static void run_form(const struct form *f, struct rng *r, const struct options *o, struct tally *t)
{
    static struct orc_case oc;
    unsigned n = f->decoded ? o->states : 1;

    if (o->only && strcmp(o->only, "unknown") == 0 ? f->decoded : o->only && (!f->decoded || strcasecmp(ZydisMnemonicGetString(f->insn.mnemonic), o->only) != 0))
        return;
    if (f->hidden) {
        run_hidden(f, r, o, t);
        return;
    }
    if (f->skip) {
        t->skipped++;
        left_out[f->decoded ? f->insn.mnemonic : ZYDIS_MNEMONIC_INVALID]++;
        return;
    }
    t->forms++;
    t->unknown += !f->decoded;
    for (unsigned i = 0; i < n; i++) {
        operands_fill(f, r, &oc);
        if (!run_state(f, &oc, o, t) && i > 2)
            break;
    }
}

static bool run_mode(enum orc_mode m, uint64_t seed, const struct options *o, uint64_t deadline, struct tally *t)
{
    struct walk *w = walk_new(m, seed);
    struct rng r;
    struct form f;
    unsigned n = 0;
    bool in_time = true;
    const struct tally before = *t;
    char name[60];

    rng_seed(&r, seed ^ 0x6f7261636c65);
    while (in_time && walk_next(w, &f)) {
        run_form(&f, &r, o, t);
        in_time = ++n % 256 || !deadline || now_ns() < deadline;
    }
    walk_free(w);
    snprintf(name, sizeof name, "cpu_runs_%u_bit_code_as_the_host_does", 64u >> m);
    judge(o, t, &before, name);
    return in_time;
}

struct sequence_ctx {
    const struct options *o;
    struct tally *t;
};

static bool sequence_done(void *arg, const struct form *f, const struct orc_case *oc, const struct orc_result *host,
                          const struct verdict *v)
{
    struct sequence_ctx *c = arg;

    c->t->states++;
    c->t->sequence_states++;
    c->t->faults += host->vec >= 0;
    if (v->same)
        return true;
    c->t->differ++;
    if (seen_sequences++ < c->o->show) {
        printf("SEQUENCE\n");
        for (unsigned at = 0; at < oc->len;) {
            ZydisDisassembledInstruction d;
            if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, ORC_CODE + oc->at + at,
                                                    oc->bytes + at, oc->len - at, &d)))
                break;
            printf("  %#llx  %s\n", ORC_CODE + oc->at + at, d.text);
            at += d.info.length;
        }
        print_difference(f, oc, v);
    }
    return false;
}

static bool run_sequences(uint64_t seed, const struct options *o, struct tally *t)
{
    struct sequence_ctx c = {o, t};
    const struct tally before = *t;

    sequence_run(seed, o->sequences, sequence_done, &c);
    judge(o, t, &before, "cpu_runs_sequences_as_the_host_does");
    return true;
}

static void print_summary(const struct tally *t, const struct options *o, double seconds)
{
    printf("forms %llu (of which %llu no instruction), not advertised %llu, left out %llu\n",
           (unsigned long long)t->forms, (unsigned long long)t->unknown, (unsigned long long)t->hidden,
           (unsigned long long)t->skipped);
    printf("of the states, %llu of sequences of instructions\n", (unsigned long long)t->sequence_states);
    printf("states %llu, faults among them %llu, hangs %llu, %.1f s\n", (unsigned long long)t->states,
           (unsigned long long)t->faults, (unsigned long long)t->hangs, seconds);
    if (t->no_equivalent)
        printf("states without a 64-bit equivalent, not run: %llu\n", (unsigned long long)t->no_equivalent);
    printf("differences %llu; only in undefined flags %llu\n", (unsigned long long)t->differ,
           (unsigned long long)t->undefined);
    if (seen_sequences)
        printf("  sequences differ %u times\n", seen_sequences);
    for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
        if (seen[m])
            printf("  %-12s differs %u times\n", ZydisMnemonicGetString((ZydisMnemonic)m), seen[m]);
    for (unsigned m = 0; o->verbose && m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
        if (left_out[m])
            printf("  %-12s left out %u times\n", ZydisMnemonicGetString((ZydisMnemonic)m), left_out[m]);
}

static void usage(void)
{
    fputs("usage: oracle [--seed N] [--states N] [--seconds N | --forever] [--mode 64|32|16]...\n"
          "              [--only MNEMONIC] [--show N] [--verbose] [--cases] [--sequences N]\n"
          "Runs every instruction form on the host's CPU and on ours and compares the results.\n"
          "Exit status: 0 no difference, 1 differences, 2 usage, 77 not possible here.\n",
          stderr);
    exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
    static const struct option longopts[] = {
        {"seed", 1, NULL, 's'}, {"states", 1, NULL, 'n'}, {"seconds", 1, NULL, 't'}, {"forever", 0, NULL, 'f'},
        {"mode", 1, NULL, 'm'}, {"only", 1, NULL, 'o'}, {"show", 1, NULL, 'd'}, {"verbose", 0, NULL, 'v'},
        {"cases", 0, NULL, 'c'}, {"sequences", 1, NULL, 'q'},
        {"sequences-only", 0, NULL, 'Q'}, {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
        switch (c) {
        case 's': o->seed = strtoull(optarg, NULL, 0); break;
        case 'n': o->states = (unsigned)atoi(optarg); break;
        case 't': o->seconds = (unsigned)atoi(optarg); break;
        case 'f': o->forever = true; break;
        case 'o': o->only = optarg; break;
        case 'd': o->show = (unsigned)atoi(optarg); break;
        case 'v': o->verbose = true; break;
        case 'c': o->cases = true; break;
        case 'q': o->sequences = (unsigned)atoi(optarg); break;
        case 'Q': o->sequences_only = true; break;
        case 'm': o->modes[atoi(optarg) == 64 ? ORC_64 : atoi(optarg) == 32 ? ORC_32 : ORC_16] = true; break;
        default: usage();
        }
    if (optind != argc)
        usage();
    if (!o->modes[0] && !o->modes[1] && !o->modes[2] && !o->sequences_only)
        o->modes[0] = o->modes[1] = o->modes[2] = true;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1, .states = 8, .show = 2, .sequences = 20000};
    struct tally t = {0};
    bool in_time = true;

    parse(&o, argc, argv);
    if (native_init() < 0 || soft_init() < 0)
        return 77;
    memcpy(soft_arena(), native_arena(), ORC_ARENA_BYTES);
    uint64_t start = now_ns(), deadline = o.seconds ? start + o.seconds * 1000000000ull : 0;
    do {
        printf("seed %llu\n", (unsigned long long)o.seed);
        for (unsigned m = 0; m < ORC_MODES; m++) {
            if (o.modes[m] && !native_has(m))
                printf("%u-bit mode by 64-bit equivalents: the host has no such code segment\n", 64u >> m);
            if (o.modes[m])
                in_time = in_time && run_mode(m, o.seed, &o, deadline, &t);
        }
        if (in_time && o.sequences)
            run_sequences(o.seed, &o, &t);
        o.seed++;
    } while ((o.forever || o.seconds) && in_time);
    print_summary(&t, &o, (double)(now_ns() - start) / 1e9);
    soft_fini();
    return o.cases ? t.failed > 0 : t.differ > 0;
}
