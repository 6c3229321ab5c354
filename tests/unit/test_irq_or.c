/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Several devices on one interrupt line.
 */
#include "devices/irq_or.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct seen {
    int level, changes;
    unsigned gsi;
};

static void line(void *opaque, unsigned n, int level)
{
    struct seen *s = opaque;

    s->gsi = n;
    s->level = level;
    s->changes++;
}

static void the_line_is_high_while_one_device_holds_it(void **state)
{
    struct seen s = {0};
    struct irq_wire out = {line, &s, 17}, a, b;
    struct irq_or o;

    (void)state;
    irq_or_init(&o, &out);
    a = irq_or_input(&o, 0);
    b = irq_or_input(&o, 1);
    irq_set(&a, 1);
    irq_set(&b, 1);
    irq_set(&a, 0); /* without the OR the other's interrupt would be lost here */
    assert_int_equal(s.level, 1);
    irq_set(&b, 0);
    assert_int_equal(s.level, 0);
    assert_int_equal(s.changes, 2);
    assert_int_equal(s.gsi, 17);
    irq_or_fini(&o);
}

static void a_device_that_repeats_itself_counts_once(void **state)
{
    struct seen s = {0};
    struct irq_wire out = {line, &s, 0}, a;
    struct irq_or o;

    (void)state;
    irq_or_init(&o, &out);
    a = irq_or_input(&o, 31);
    irq_set(&a, 1);
    irq_set(&a, 1);
    irq_set(&a, 0);
    assert_int_equal(s.level, 0);
    irq_set(&a, 0);
    assert_int_equal(s.changes, 2);
    irq_or_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_is_high_while_one_device_holds_it),
        cmocka_unit_test(a_device_that_repeats_itself_counts_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
