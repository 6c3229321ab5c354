/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Clocks and interrupt controllers: Debian and hello, with KVM's controllers and with ours, boot
 * and take interrupts; then a pause. A paused guest's clock stands still: all four are paused
 * together for PAUSE_S seconds (60 with RUCHE_LONG=1 in the environment), then a timer is cut in
 * two by a pause, then come many short pauses.
 *
 * A guest's clock is asked for over its serial line (Debian's by tests/lib/guestclock.c), so what
 * one reading says of its distance to the host's clock is an interval, as wide as the reading took;
 * several readings leave what their intervals have in common. A case fails if the distance has
 * changed by more than the pause and the bound (50 ms), wherever in these intervals the truth lies;
 * in the long pause with RUCHE_LONG=1 also if they are so wide that it may have.
 */
#include "rig.h"

enum { PAUSE_S = 20, LONG_S = 60, SHORT_PAUSES = 10, READINGS = 24 };
#define BOUND_S 0.050
#define GUESTCLOCK "build/guestclock/cpio.gz"

struct subject {
    struct rguest *g;
    bool debian, user;
};

struct range {
    double from, to;
};

static double now_s(void)
{
    return (double)clock_mono_ns() / 1e9;
}

static double read_clock(struct subject *s)
{
    double tsc = 0, mhz = 0;

    if (s->debian) {
        vm_console_send(s->g->vm, CONSOLE_SERIAL0, "?", 1);
        return rig_expect(s->g, "^<([0-9]+)>", 60) ? atof(s->g->word) / 1e9 : -1;
    }
    if (rig_do(s->g, "time", "^up .*, (tsc [0-9]+ at [0-9.]+) MHz", 60))
        sscanf(s->g->word, "tsc %lf at %lf", &tsc, &mhz);
    return mhz > 0 ? tsc / mhz / 1e6 : -1;
}

/* Guest's clock minus the host's. An empty range (from > to): no reading came. */
static struct range clock_distance(struct subject *s)
{
    struct range d = {-1e18, 1e18};

    if (s->debian && !rig_do(s->g, "guestclock", "^clock: ready", 60))
        return (struct range){1, 0};
    for (int i = 0; i < READINGS; i++) {
        double from = now_s(), guest = read_clock(s), to = now_s();

        if (guest < 0)
            return (struct range){1, 0};
        d.from = guest - to > d.from ? guest - to : d.from;
        d.to = guest - from < d.to ? guest - from : d.to;
    }
    if (s->debian && !rig_do(s->g, "q", ":/# ", 60))
        return (struct range){1, 0};
    return d;
}

static bool ask_at(struct subject *s, int (*what)(struct vm *, struct err *), enum vm_state goal, struct range *w)
{
    bool ok;

    w->from = now_s();
    ok = rig_ask(s->g, what, goal);
    w->to = now_s();
    return ok;
}

static void named(const struct subject *s, const char *what, char name[100])
{
    snprintf(name, 100, "%s_%s%s", s->debian ? "debian" : "hello", s->user ? "with_user_irqchip_" : "", what);
}

static void judge(const struct subject *s, const char *what, struct range a, struct range b, struct range paused,
                  bool narrow)
{
    /* the least and the most that the clock has gone on during the pause */
    double least = b.from - a.to + paused.from, most = b.to - a.from + paused.to;
    bool kept = narrow ? least >= -BOUND_S && most <= BOUND_S : least <= BOUND_S && most >= -BOUND_S;
    char name[100];

    named(s, what, name);
    rig_case(a.from <= a.to && b.from <= b.to && kept, name,
             "paused %.3f s, meanwhile its clock has moved between %.1f and %.1f ms", paused.from, least * 1e3,
             most * 1e3);
}

static void long_pause(struct subject *s, unsigned n)
{
    double seconds = getenv("RUCHE_LONG") ? LONG_S : PAUSE_S;
    struct range p[4], r[4], before[4], after;
    char name[100];

    for (unsigned i = 0; i < n; i++) {
        before[i] = clock_distance(&s[i]);
        named(&s[i], "can_be_paused", name);
        rig_check(ask_at(&s[i], vm_pause, VM_PAUSED, &p[i]), name);
    }
    rig_wait(seconds);
    for (unsigned i = 0; i < n; i++) {
        named(&s[i], "can_be_resumed", name);
        rig_check(ask_at(&s[i], vm_resume, VM_RUNNING, &r[i]), name);
        after = clock_distance(&s[i]);
        judge(&s[i], "clock_stands_still_in_a_long_pause", before[i], after,
              (struct range){r[i].from - p[i].to, r[i].to - p[i].from}, seconds == LONG_S);
    }
}

/* Sleeps for 2 s of guest time with a pause of 3 s inside. */
static void timer_across_pause(struct subject *s)
{
    double begin = now_s(), before, after;
    struct range p, r;
    char name[100];
    bool ok;

    rig_hush(s->g);
    rig_send(s->g, s->debian ? "sleep 2; echo slept '' well" : "sleep 2");
    rig_wait(0.5);
    ok = ask_at(s, vm_pause, VM_PAUSED, &p);
    rig_wait(3);
    ok = ok && ask_at(s, vm_resume, VM_RUNNING, &r) && rig_expect(s->g, s->debian ? "^slept  well" : "^slept 2", 60);
    before = p.to - begin;
    after = now_s() - r.from;
    named(s, "timer_cut_by_a_pause_goes_on", name);
    rig_case(ok && before + after >= 2 - BOUND_S && after < 10, name,
             "2 s of sleep: %.3f s before and %.3f s after the pause", before, after);
}

static void short_pauses(struct subject *s)
{
    struct range before = clock_distance(s), after, paused = {0, 0}, p, r;
    bool ok = true;
    char name[100];

    for (int i = 0; i < SHORT_PAUSES && ok; i++) {
        ok = ask_at(s, vm_pause, VM_PAUSED, &p);
        rig_wait(0.3);
        ok = ok && ask_at(s, vm_resume, VM_RUNNING, &r);
        rig_wait(0.02);
        paused.from += r.from - p.to;
        paused.to += r.to - p.from;
    }
    after = clock_distance(s);
    if (ok) {
        judge(s, "clock_stands_still_in_ten_short_pauses", before, after, paused, false);
    } else {
        named(s, "takes_ten_short_pauses", name);
        rig_check(false, name);
    }
}

/* What a kernel says when its clocks have jumped or its CPUs stood still. */
static void complaints(struct subject *s)
{
    double n = rig_number(s->g, "dmesg | grep -ciE 'soft lockup|rcu.*stall|hung_task|blocked for more|"
                                "clocksource.*(skew|unstable)|time.*backwards'");
    double ahead = rig_number(s->g, "date +%s") - (double)(clock_real_ns() / 1000000000);
    char name[100];

    named(s, "kernel_complains_of_nothing", name);
    rig_case(n == 0, name, "%g complaints", n);
    if (n != 0) {
        rig_do(s->g, "dmesg | tail -20; echo '<'end'>'", "^<end>", 60);
        printf("# %s\n", s->g->said);
    }
    named(s, "date_is_behind_by_the_pauses", name);
    rig_case(ahead < 2 && ahead > -200, name, "%.0f s ahead of the host", ahead);
}

/* --- interrupts ------------------------------------------------------------------- */

static uint64_t hits_of(struct rguest *g, const char *device)
{
    struct vm_hit h[256];
    unsigned n = vm_hits(g->vm, h, 256);
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        if (strcmp(h[i].device, device) == 0)
            sum += h[i].count;
    return sum;
}

static void smp(struct subject *s)
{
    char name[100];

    named(s, "has_two_processors", name);
    rig_check(rig_number(s->g, "nproc") == 2, name);
}

static void ticks(struct subject *s, const char *timer)
{
    char line[40], name[100], what[60];
    double n = -1;

    snprintf(line, sizeof line, "irq %s 50", timer);
    if (rig_do(s->g, line, "^[a-z]+: ([0-9]+) interrupts in 1 s", 60))
        n = atof(s->g->word);
    snprintf(what, sizeof what, "takes_%s_interrupts", timer);
    named(s, what, name);
    rig_case(n >= 25 && n <= 60, name, "%g in 1 s at 50 Hz", n);
}

/* What is in our process is seen by `exits`, what is in the kernel is not. */
static void registers(struct subject *s)
{
    uint64_t pic = hits_of(s->g, "pic"), pit = hits_of(s->g, "pit"), lapic = hits_of(s->g, "lapic");
    char name[100];

    named(s, s->user ? "registers_of_interrupt_controllers_are_counted"
                     : "registers_of_interrupt_controllers_do_not_reach_us", name);
    rig_case(s->user ? pic && pit && lapic : !pic && !pit && !lapic, name, "pic %llu, pit %llu, lapic %llu",
             (unsigned long long)pic, (unsigned long long)pit, (unsigned long long)lapic);
}

/* Debian's initramfs with guestclock behind it: the kernel unpacks one after the other. */
static void put_guestclock(struct rguest *g, const char *to)
{
    const char *from[] = {g->c.initrd, GUESTCLOCK};
    FILE *out = fopen(to, "w");
    char buf[65536];
    size_t n;

    for (int i = 0; out && i < 2; i++) {
        FILE *in = fopen(from[i], "r");

        if (!in) {
            printf("# %s is missing: `make %s`\n", from[i], GUESTCLOCK);
            continue;
        }
        while ((n = fread(buf, 1, sizeof buf, in)))
            fwrite(buf, 1, n, out);
        fclose(in);
    }
    if (out)
        fclose(out);
    free(g->c.initrd);
    g->c.initrd = strdup(to);
}

static bool come_up(struct subject *s)
{
    char name[100];

    named(s, "comes_up", name);
    return rig_check(s->debian ? rig_debian_up(s->g) : rig_hello_up(s->g), name);
}

int main(void)
{
    rig_begin();

    struct subject s[] = {
        {rig_guest("deb", "debian", "quiet"), true, false},
        {rig_guest("debuser", "debian", "quiet"), true, true},
        {rig_guest("hello", "hello", NULL), false, false},
        {rig_guest("hellouser", "hello", NULL), false, true},
    };
    char initrd[] = "/tmp/clocks.XXXXXX";
    int fd = mkstemp(initrd);
    bool up = true;

    for (unsigned i = 0; i < 4 && up; i++) {
        if (s[i].debian)
            put_guestclock(s[i].g, initrd);
        s[i].g->c.vcpus = s[i].debian ? 2 : 1;
        s[i].g->c.irqchip_user = s[i].user;
        up = rig_start(s[i].g);
    }
    for (unsigned i = 4; i-- && up;) /* hello first: it is up while Debian boots */
        up = come_up(&s[i]);
    unlink(initrd);
    close(fd);
    if (!up)
        return rig_check(false, "all_guests_are_there"), rig_end();
    for (unsigned i = 0; i < 4; i++) {
        if (s[i].debian) {
            smp(&s[i]);
        } else {
            ticks(&s[i], "pit");
            ticks(&s[i], "lapic");
        }
        registers(&s[i]);
    }
    long_pause(s, 4);
    for (unsigned i = 0; i < 4; i++) {
        timer_across_pause(&s[i]);
        short_pauses(&s[i]);
    }
    complaints(&s[0]);
    complaints(&s[1]);
    return rig_end();
}
