/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What guests cost and what the process may do: privileges and filters of every thread (P7),
 * memory beyond guest RAM with 1, 8 and 32 guests (P2), how guest RAM is mapped, and that
 * neither resets nor starts and stops leave anything behind.
 */
#include "rig.h"

enum { GUESTS = 32, CYCLES = 30 };

/* --- /proc ------------------------------------------------------------------------- */

/* A field of a status file, as number in `base`; -1 if it is not there. */
static long long field(const char *path, const char *name, int base)
{
    FILE *f = fopen(path, "re");
    long long v = -1;
    char line[300];

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            v = strtoll(line + strlen(name) + 1, NULL, base);
    if (f)
        fclose(f);
    return v;
}

static unsigned entries(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n - 2; /* . and .. */
}

static bool name_of_thread(const char *tid, char *out, size_t size)
{
    char path[300];
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    f = fopen(path, "re");
    ok = f && fgets(out, (int)size, f);
    if (f)
        fclose(f);
    out[ok ? strcspn(out, "\n") : 0] = '\0';
    return ok;
}

/* --- P7 ---------------------------------------------------------------------------- */

static void privileges(void)
{
    unsigned threads = 0, guests = 0, capable = 0, may_gain = 0, unfiltered = 0;
    DIR *d = opendir("/proc/self/task");
    char path[300], name[40];

    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !name_of_thread(e->d_name, name, sizeof name))
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        threads++;
        capable += field(path, "CapEff", 16) != 0 || field(path, "CapPrm", 16) != 0 ||
                   field(path, "CapBnd", 16) != 0;
        may_gain += field(path, "NoNewPrivs", 10) != 1;
        if (!strchr(name, '/'))
            continue; /* a guest's thread is called GUEST/what */
        guests++;
        unfiltered += field(path, "Seccomp", 10) != 2;
    }
    if (d)
        closedir(d);
    rig_case(capable == 0, "no_thread_has_a_capability", "%u of %u threads", capable, threads);
    rig_case(may_gain == 0, "no_thread_may_gain_privileges", "%u of %u threads", may_gain, threads);
    rig_case(guests >= 4 && unfiltered == 0, "each_guest_thread_is_filtered", "%u of %u are not", unfiltered,
             guests);
}

/* --- guest RAM --------------------------------------------------------------------- */

struct mapping {
    unsigned long from, to;
    char perm[8], name[200];
    unsigned long rss_kib;
    bool dontdump;
};

/* Calls `fn` for each mapping of the process, in order. */
static void each_mapping(void (*fn)(void *arg, const struct mapping *m), void *arg)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    struct mapping m = {0}, next;
    char line[600];

    while (f && fgets(line, sizeof line, f)) {
        next = (struct mapping){0};
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %199[^\n]", &next.from, &next.to, next.perm, next.name) >= 3) {
            m = next;
        } else if (strncmp(line, "Rss:", 4) == 0) {
            m.rss_kib = strtoul(line + 4, NULL, 10);
        } else if (strncmp(line, "VmFlags:", 8) == 0) {
            m.dontdump = strstr(line, " dd") != NULL;
            fn(arg, &m);
        }
    }
    if (f)
        fclose(f);
}

struct ram {
    unsigned areas, dumped, executable, unguarded;
    struct mapping last; /* the mapping before the one that is looked at */
    bool last_was_ram;
    unsigned long ram_kib, rest_kib;
};

/* A guest's RAM by its size; it is named only on kernels that can name memory. */
static bool is_ram(const struct mapping *m)
{
    return m->to - m->from == 16ul << 20 && strncmp(m->perm, "rw", 2) == 0;
}

static bool is_guard(const struct mapping *m, unsigned long touching)
{
    return strncmp(m->perm, "---", 3) == 0 && m->to - m->from >= 1 << 20 && (m->to == touching || m->from == touching);
}

static void look_at(void *arg, const struct mapping *m)
{
    struct ram *r = arg;

    if (r->last_was_ram && !is_guard(m, r->last.to))
        r->unguarded++;
    r->last_was_ram = is_ram(m);
    if (r->last_was_ram) {
        r->areas++;
        r->dumped += !m->dontdump;
        r->executable += m->perm[2] == 'x';
        r->unguarded += !is_guard(&r->last, m->from);
        r->ram_kib += m->rss_kib;
    } else {
        r->rest_kib += m->rss_kib;
    }
    r->last = *m;
}

static struct ram look(void)
{
    struct ram r = {0};

    each_mapping(look_at, &r);
    return r;
}

/* --- cost of a guest ---------------------------------------------------------------- */

static bool start_up_to(struct rguest **g, unsigned from, unsigned to)
{
    char name[16];

    for (unsigned i = from; i < to; i++) {
        snprintf(name, sizeof name, "h%u", i);
        g[i] = rig_guest(name, "hello", NULL);
        if (!rig_start(g[i]))
            return false;
    }
    for (unsigned i = from; i < to; i++)
        if (!rig_hello_up(g[i]))
            return false;
    return true;
}

static void memory(struct rguest **g)
{
    static const unsigned step[] = {1, 8, GUESTS};
    struct ram r[3];
    unsigned n = 0;
    double each;

    for (int i = 0; i < 3; i++) {
        if (!rig_check(start_up_to(g, n, step[i]), "guests_start"))
            return;
        n = step[i];
        rig_wait(0.2);
        r[i] = look();
        printf("# %2u guests: %.1f MiB beyond guest RAM, %.1f MiB of guest RAM resident\n", n,
               (double)r[i].rest_kib / 1024, (double)r[i].ram_kib / 1024);
    }
    each = (double)(r[2].rest_kib - r[1].rest_kib) / 1024 / (step[2] - step[1]);
    rig_case(r[2].rest_kib > r[1].rest_kib && each <= 2, "further_guest_costs_at_most_2_MiB",
             "%.2f MiB each from 8 to 32, %.2f from 1 to 8", each,
             (double)(r[1].rest_kib - r[0].rest_kib) / 1024 / (step[1] - step[0]));
    rig_case(r[2].areas == GUESTS && r[2].dumped == 0 && r[2].executable == 0 && r[2].unguarded == 0,
             "guest_memory_is_guarded_and_left_out_of_core_dumps",
             "%u areas: %u would be dumped, %u are executable, %u sides have no guard", r[2].areas, r[2].dumped,
             r[2].executable, r[2].unguarded);
}

/* --- nothing is left behind ---------------------------------------------------------- */

static void cycles(struct rguest *g)
{
    unsigned fds, threads, lost_fds, lost_threads;
    unsigned long before = 0, after;
    bool ok = true;

    fds = entries("/proc/self/fd");
    threads = entries("/proc/self/task");
    for (int i = 0; i < CYCLES && ok; i++) {
        ok = rig_ask(g, vm_stop, VM_STOPPED) && rig_start(g);
        if (i == CYCLES / 3)
            before = look().rest_kib;
    }
    UNTIL(10, entries("/proc/self/task") <= threads);
    after = look().rest_kib;
    lost_fds = entries("/proc/self/fd") - fds;
    lost_threads = entries("/proc/self/task") - threads;
    rig_case(ok && lost_fds == 0 && lost_threads == 0, "starting_and_stopping_leaks_nothing",
             "after %d cycles %u descriptors and %u threads more", CYCLES, lost_fds, lost_threads);
    rig_case(after <= before + 512, "memory_is_flat_over_starts", "%lu KiB after 10 cycles, %lu after %d", before,
             after, CYCLES);
}

static void resets(struct rguest *g)
{
    unsigned long before = 0, after;
    unsigned fds = entries("/proc/self/fd");
    bool ok = true;

    for (int i = 0; i < CYCLES && ok; i++) {
        ok = rig_ask(g, vm_reset, VM_RUNNING) && UNTIL(60, g->resets == (unsigned)i + 1);
        if (i == CYCLES / 3)
            before = look().rest_kib;
    }
    after = look().rest_kib;
    rig_case(ok && after <= before + 512 && entries("/proc/self/fd") == fds, "resets_leave_nothing_behind",
             "%lu KiB after 10 resets, %lu after %u", before, after, g->resets);
    rig_check(rig_hello_up(g), "guest_works_after_resets");
}

int main(void)
{
    struct rguest *g[GUESTS];

    rig_begin();
    memory(g);
    privileges();
    while (rig.nguests > 1)
        rig_drop(rig.guest[rig.nguests - 1]);
    if (rig.nguests) {
        cycles(rig.guest[0]);
        resets(rig.guest[0]);
    }
    return rig_end();
}
