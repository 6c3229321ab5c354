/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * units: numbers as people write them, and back: sizes, durations, percents, CPU lists.
 *
 * Every parser takes the whole string or refuses it with a sentence that shows a right one;
 * nothing is guessed, nothing wraps around. Returns 0 or -errno.
 */
#ifndef RUCHE_CORE_UNITS_H
#define RUCHE_CORE_UNITS_H

#include "core/err.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `4096`, `128M`, `1.5G`, `2GiB`: bytes; K, M, G, T are powers of 1024, any case. */
int units_size(const char *s, uint64_t *bytes, struct err *e);

/* `30`, `30s`, `250ms`, `1.5m`, `2h`: nanoseconds; seconds if no unit is given. */
int units_duration(const char *s, uint64_t *ns, struct err *e);

/* `50` or `50%`. */
int units_percent(const char *s, unsigned *pct, struct err *e);

/* A whole number between `min` and `max`; `what` names it in the sentence ("share"). */
int units_uint(const char *s, const char *what, uint64_t min, uint64_t max, uint64_t *out,
               struct err *e);

/* Decimal, or hexadecimal after 0x. */
int units_addr(const char *s, uint64_t *out, struct err *e);

/* `0-3,8,^2`: CPUs below `ncpus`; `^` takes away. An empty result is refused. */
int units_cpus(const char *s, unsigned ncpus, cpu_set_t *set, struct err *e);

/* `yes no true false on off`. */
int units_bool(const char *s, bool *out, struct err *e);

enum { UNITS_TEXT = 24 };

/* "128M", "1.5G", "77M": exact if it is a whole number of units, else three digits. */
const char *units_fmt_size(char out[UNITS_TEXT], uint64_t bytes);
/* "8213", "21.9k", "4.0M" */
const char *units_fmt_count(char out[UNITS_TEXT], double n);
/* "850ns", "12us", "3.4ms", "2.1s" */
const char *units_fmt_ns(char out[UNITS_TEXT], uint64_t ns);
/* "12s", "3m05s", "2h11m", "3d04h" */
const char *units_fmt_age(char out[UNITS_TEXT], uint64_t ns);
/* "52:54:00:12:34:56" */
const char *units_fmt_mac(char out[UNITS_TEXT], const uint8_t mac[6]);
/* "10.0.2.15", of host order */
const char *units_fmt_ip(char out[UNITS_TEXT], uint32_t ip);

#endif
