/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * units: see units.h.
 */
#include "core/units.h"

#include "core/text.h"
#include "core/vm_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},           {"B", 1},           {"K", 1ull << 10},  {"KB", 1ull << 10}, {"KIB", 1ull << 10},
    {"M", 1ull << 20}, {"MB", 1ull << 20}, {"MIB", 1ull << 20}, {"G", 1ull << 30},  {"GB", 1ull << 30},
    {"GIB", 1ull << 30}, {"T", 1ull << 40}, {"TB", 1ull << 40}, {"TIB", 1ull << 40}, {NULL, 0},
};

static const struct unit time_units[] = {
    {"", 1000000000}, {"s", 1000000000},       {"ms", 1000000},          {"us", 1000},
    {"ns", 1},        {"m", 60ull * 1000000000}, {"h", 3600ull * 1000000000}, {NULL, 0},
};

/* Digits of `s` from *i on as a number; false if there is none or it does not fit. */
static bool scan_digits(const char *s, size_t *i, uint64_t *out)
{
    size_t start = *i;
    bool over = false;
    uint64_t v = 0;

    for (; isdigit((unsigned char)s[*i]); ++*i)
        over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s[*i] - '0', &v);
    *out = v;
    return *i > start && !over;
}

/* `.25` as a part of `factor`; digits beyond the ninth do not count. */
static bool scan_fraction(const char *s, size_t *i, uint64_t factor, uint64_t *out)
{
    double scale = 0.1, f = 0;
    size_t start = ++*i;

    for (; isdigit((unsigned char)s[*i]); ++*i, scale /= 10)
        f += (s[*i] - '0') * scale;
    *out = (uint64_t)(f * (double)factor + 0.5);
    return *i > start;
}

/* -EINVAL: not a number with such a unit; -ERANGE: too large. */
static int scan_unit(const char *s, const struct unit *units, uint64_t *out)
{
    uint64_t whole, part = 0;
    size_t i = 0, dot;

    if (!scan_digits(s, &i, &whole))
        return i ? -ERANGE : -EINVAL;
    dot = i;
    if (s[i] == '.' && !scan_fraction(s, &i, 1, &part))
        return -EINVAL;
    while (units->name && strcasecmp(units->name, s + i) != 0)
        units++;
    if (!units->name)
        return -EINVAL;
    part = 0;
    if (s[dot] == '.')
        scan_fraction(s, &dot, units->factor, &part);
    if (__builtin_mul_overflow(whole, units->factor, &whole))
        return -ERANGE;
    return __builtin_add_overflow(whole, part, out) ? -ERANGE : 0;
}

int units_size(const char *s, uint64_t *bytes, struct err *e)
{
    int rc = scan_unit(s, size_units, bytes);
    char show[40];

    if (rc == -ERANGE)
        return err_set(e, ERANGE, "`%s` is too large a size", text_show(show, sizeof show, s));
    if (rc)
        return err_set(e, EINVAL, "`%s` is not a size: write a number and K, M, G or T, as `512M` or `1.5G`",
                       text_show(show, sizeof show, s));
    return 0;
}

int units_duration(const char *s, uint64_t *ns, struct err *e)
{
    int rc = scan_unit(s, time_units, ns);
    char show[40];

    if (rc == -ERANGE)
        return err_set(e, ERANGE, "`%s` is too long a time", text_show(show, sizeof show, s));
    if (rc)
        return err_set(e, EINVAL, "`%s` is not a time: write `5`, `5s`, `250ms`, `2m` or `1h`",
                       text_show(show, sizeof show, s));
    return 0;
}

int units_uint(const char *s, const char *what, uint64_t min, uint64_t max, uint64_t *out,
               struct err *e)
{
    char show[40];
    size_t i = 0;
    bool ok = scan_digits(s, &i, out);

    if (i == 0 || s[i])
        return err_set(e, EINVAL, "%s is a whole number from %llu to %llu, not `%s`", what,
                       (unsigned long long)min, (unsigned long long)max,
                       text_show(show, sizeof show, s));
    if (!ok || *out < min || *out > max)
        return err_set(e, ERANGE, "%s goes from %llu to %llu, `%s` is outside", what,
                       (unsigned long long)min, (unsigned long long)max,
                       text_show(show, sizeof show, s));
    return 0;
}

int units_percent(const char *s, unsigned *pct, struct err *e)
{
    size_t n = strlen(s);
    char num[64];
    uint64_t v;
    int rc;

    if (n && s[n - 1] == '%')
        n--;
    snprintf(num, sizeof num, "%.*s", (int)(n < sizeof num ? n : 0), s); /* too long: no number */
    rc = units_uint(num, "a cap (percent of one CPU; 0: none)", 0, 100 * VM_VCPUS_MAX, &v, e);
    if (rc == 0)
        *pct = (unsigned)v;
    return rc;
}

int units_addr(const char *s, uint64_t *out, struct err *e)
{
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    char show[40], *end;

    errno = 0;
    *out = strtoull(s, &end, hex ? 16 : 10);
    if (!isxdigit((unsigned char)s[0]) || *end || errno || (hex && !s[2]))
        return err_set(e, EINVAL, "`%s` is not an address: write decimal, or hexadecimal as `0x1000`",
                       text_show(show, sizeof show, s));
    return 0;
}

/* One `3`, `0-3`, `^2` or `^4-5` up to the comma or the end. */
static bool scan_cpus(const char *s, size_t *i, unsigned ncpus, cpu_set_t *set, uint64_t *bad)
{
    bool away = s[*i] == '^';
    uint64_t a, b;

    *i += away;
    if (!scan_digits(s, i, &a))
        return false;
    b = a;
    if (s[*i] == '-' && (++*i, !scan_digits(s, i, &b)))
        return false;
    if (b < a || (s[*i] && s[*i] != ','))
        return false;
    if (b >= ncpus || b >= CPU_SETSIZE) {
        *bad = b;
        return false;
    }
    for (; a <= b; a++) {
        if (away)
            CPU_CLR(a, set);
        else
            CPU_SET(a, set);
    }
    return true;
}

int units_cpus(const char *s, unsigned ncpus, cpu_set_t *set, struct err *e)
{
    uint64_t bad = UINT64_MAX;
    char show[40];
    size_t i = 0;

    CPU_ZERO(set);
    if (s[0] == '^') /* only taken away: from all */
        for (unsigned c = 0; c < ncpus && c < CPU_SETSIZE; c++)
            CPU_SET(c, set);
    for (;; i++) {
        if (!scan_cpus(s, &i, ncpus, set, &bad))
            break;
        if (!s[i] && CPU_COUNT(set))
            return 0;
        if (!s[i])
            return err_set(e, EINVAL, "CPU list `%s` leaves no CPU", text_show(show, sizeof show, s));
    }
    if (bad != UINT64_MAX)
        return err_set(e, ERANGE, "there is no CPU %llu: this host has CPUs 0 to %u",
                       (unsigned long long)bad, ncpus - 1);
    return err_set(e, EINVAL, "`%s` is not a list of CPUs: write it as `0-3,^2`",
                   text_show(show, sizeof show, s));
}

int units_bool(const char *s, bool *out, struct err *e)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    char show[40];

    for (unsigned i = 0; i < 3; i++) {
        if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
            *out = strcasecmp(s, yes[i]) == 0;
            return 0;
        }
    }
    return err_set(e, EINVAL, "`%s` is neither `true` nor `false`", text_show(show, sizeof show, s));
}

const char *units_fmt_size(char out[UNITS_TEXT], uint64_t bytes)
{
    static const char letter[] = "BKMGTPE";
    unsigned u = 0;
    uint64_t whole = bytes;
    double v;

    while (whole && whole % 1024 == 0 && u < 6) {
        whole /= 1024;
        u++;
    }
    if (whole < 1024) { /* exact, and short */
        snprintf(out, UNITS_TEXT, u ? "%llu%c" : "%llu", (unsigned long long)whole, letter[u]);
        return out;
    }
    for (u = 0, v = (double)bytes; v >= 1024 && u < 6; u++)
        v /= 1024;
    snprintf(out, UNITS_TEXT, v < 9.95 ? "%.1f%c" : "%.0f%c", v, letter[u]);
    return out;
}

const char *units_fmt_count(char out[UNITS_TEXT], double n)
{
    static const char letter[] = " kMGT";
    unsigned u = 0;

    if (n < 10000) {
        snprintf(out, UNITS_TEXT, "%.0f", n);
        return out;
    }
    for (; n >= 1000 && u < 4; u++)
        n /= 1000;
    snprintf(out, UNITS_TEXT, "%.1f%c", n, letter[u]);
    return out;
}

const char *units_fmt_ns(char out[UNITS_TEXT], uint64_t ns)
{
    double v = (double)ns;

    if (ns < 1000)
        snprintf(out, UNITS_TEXT, "%lluns", (unsigned long long)ns);
    else if (ns < 1000000)
        snprintf(out, UNITS_TEXT, ns < 9950 ? "%.1fus" : "%.0fus", v / 1e3);
    else if (ns < 1000000000)
        snprintf(out, UNITS_TEXT, ns < 9950000 ? "%.1fms" : "%.0fms", v / 1e6);
    else
        snprintf(out, UNITS_TEXT, "%.1fs", v / 1e9);
    return out;
}

const char *units_fmt_age(char out[UNITS_TEXT], uint64_t ns)
{
    unsigned long long s = ns / 1000000000;

    if (s < 60)
        snprintf(out, UNITS_TEXT, "%llus", s);
    else if (s < 3600)
        snprintf(out, UNITS_TEXT, "%llum%02llus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, UNITS_TEXT, "%lluh%02llum", s / 3600, s / 60 % 60);
    else
        snprintf(out, UNITS_TEXT, "%llud%02lluh", s / 86400, s / 3600 % 24);
    return out;
}

const char *units_fmt_mac(char out[UNITS_TEXT], const uint8_t mac[6])
{
    snprintf(out, UNITS_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return out;
}

const char *units_fmt_ip(char out[UNITS_TEXT], uint32_t ip)
{
    snprintf(out, UNITS_TEXT, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return out;
}
