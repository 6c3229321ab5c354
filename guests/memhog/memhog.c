/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memhog: takes memory, page by page, at a rate, up to a size; then holds it, dirties it at a
 * rate or verifies that every word is still what was written.
 *
 * Options: size=BYTES (all)  rate=MB/s (0: as fast as it goes)  order=seq|random
 *   content=unique|same|zero (same and zero can be merged or dropped by the host)
 *   then=hold|dirty|verify|exit|poweroff (hold)  dirty=MB/s  passes=N (of dirty or verify; 0: for
 *   ever, then as `hold`)  quiet
 */
#include "tiny.h"

enum { PAGE = 4096, AREAS = 8 };

struct area {
    u64 addr, pages;
};

static struct {
    struct area areas[AREAS];
    unsigned nareas;
    u64 pages; /* to take */
    u64 rate_mb, dirty_mb, passes;
    bool random, quiet;
    char content; /* u, s, z */
} cfg;

static u64 total_pages(void)
{
    u64 sum = 0;

    for (unsigned i = 0; i < cfg.nareas; i++)
        sum += cfg.areas[i].pages;
    return sum;
}

/* All RAM above what the image and its page tables use. */
static void find_areas(void)
{
    page_map_ram();
    for (unsigned i = 0; i < boot.nmemmap && cfg.nareas < AREAS; i++) {
        u64 from = boot.memmap[i].addr, to = from + boot.memmap[i].size;
        if (from < pages_used_end())
            from = pages_used_end();
        from = (from + PAGE - 1) & ~(u64)(PAGE - 1);
        if (boot.memmap[i].type == 1 && to > from && to - from >= PAGE)
            cfg.areas[cfg.nareas++] = (struct area){from, (to - from) / PAGE};
    }
}

static u64 page_addr(u64 n)
{
    for (unsigned i = 0; i < cfg.nareas; i++) {
        if (n < cfg.areas[i].pages)
            return cfg.areas[i].addr + n * PAGE;
        n -= cfg.areas[i].pages;
    }
    return 0;
}

static u64 word_of(u64 addr, u64 pass)
{
    u64 seed = addr ^ pass << 48;

    if (cfg.content == 'z')
        return 0;
    return cfg.content == 's' ? 0x5a5a5a5a5a5a5a5a + pass : rng_next(&seed);
}

static void fill(u64 addr, u64 word)
{
    u64 n = PAGE / 8;

    asm volatile("rep stosq" : "+D"(addr), "+c"(n) : "a"(word) : "memory");
}

static bool intact(u64 addr, u64 word)
{
    u64 n = PAGE / 8, left;
    bool same;

    asm volatile("repe scasq; sete %0" : "=r"(same), "+D"(addr), "=c"(left) : "a"(word), "2"(n) : "memory", "cc");
    return same;
}

/* The k-th page of a pass: in order, or by a full-period generator over the next power of two. */
static u64 nth(u64 k, u64 *state)
{
    u64 span = 1;

    if (!cfg.random)
        return k;
    while (span < cfg.pages)
        span <<= 1;
    do
        *state = (*state * 0x5851f42d4c957f2d + 0x14057b7ef767814f) & (span - 1);
    while (*state >= cfg.pages);
    return *state;
}

static void report(const char *what, u64 pages, u64 start)
{
    u64 ns = now_ns() - start;

    if (!cfg.quiet)
        print("memhog: %s %lu of %lu KiB, %lu.%lu s\n", what, pages * 4, cfg.pages * 4, ns / 1000000000,
              ns / 100000000 % 10);
}

/* Sleeps while more than `rate_mb` allows has been done since `start`. */
static void keep_rate(u64 pages, u64 rate_mb, u64 start)
{
    if (rate_mb)
        while ((now_ns() - start) / 1000 * rate_mb < pages * PAGE)
            sleep_ms(1);
}

enum action { WRITE, VERIFY };

static u64 pass(const char *what, enum action action, u64 n, u64 rate_mb)
{
    u64 start = now_ns(), next = start + 1000000000, state = 0, bad = 0;

    for (u64 k = 0; k < cfg.pages; k++) {
        u64 addr = page_addr(nth(k, &state));
        if (action == WRITE)
            fill(addr, word_of(addr, n));
        else if (!intact(addr, word_of(addr, n))) {
            if (!bad++)
                print("memhog: WRONG at 0x%lx\n", addr);
        }
        progress.cpu[0].done++;
        progress.cpu[0].tsc = rdtsc();
        keep_rate(k, rate_mb, start);
        if (now_ns() >= next) {
            report(what, k + 1, start);
            next += 1000000000;
        }
    }
    report(what, cfg.pages, start);
    return bad;
}

static void configure(void)
{
    const char *s;

    find_areas();
    cfg.pages = opt_u64("size", ~0ull) / PAGE;
    if (cfg.pages > total_pages())
        cfg.pages = total_pages();
    cfg.rate_mb = opt_u64("rate", 0);
    cfg.dirty_mb = opt_u64("dirty", cfg.rate_mb);
    cfg.passes = opt_u64("passes", 0);
    cfg.quiet = opt_flag("quiet");
    s = opt("order");
    cfg.random = s && !strcmp(s, "random");
    s = opt("content");
    cfg.content = s ? s[0] : 'u';
}

static void dirty(void)
{
    for (u64 n = 1; !cfg.passes || n <= cfg.passes; n++)
        pass("dirtied", WRITE, n, cfg.dirty_mb);
}

static void verify(void)
{
    u64 bad = 0;

    for (u64 n = 1; !cfg.passes || n <= cfg.passes; n++) {
        bad += pass("verified", VERIFY, 0, cfg.dirty_mb);
        print("memhog: %lu pages wrong\n", bad);
    }
}

void guest_main(void)
{
    const char *s;
    char then[16];

    configure();
    progress_init("memhog", "pages", 1);
    print("memhog: ready, %lu of %lu KiB to take\n", cfg.pages * 4, total_pages() * 4);
    pass("took", WRITE, 0, cfg.rate_mb);
    print("memhog: full\n");
    s = opt("then");
    formatf(then, sizeof(then), "%s", s ? s : "hold");
    if (!strcmp(then, "dirty"))
        dirty();
    else if (!strcmp(then, "verify"))
        verify();
    else if (!strcmp(then, "exit"))
        debug_exit(0);
    else if (!strcmp(then, "poweroff"))
        poweroff();
    print("memhog: holding\n");
}
