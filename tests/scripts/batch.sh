#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# --batch: the table as text and as CSV, without a terminal.
set -eu
cd "$(dirname "$0")/../.."
check() {
    if [ "$2" = "$3" ]; then
        echo "ok $1"
    else
        printf 'not ok %s\nexpected: %s\ngot:      %s\n' "$1" "$3" "$2"
    fi
}
lab="$TMPDIR/lab.yaml"
printf 'name: batch\nguests:\n  a: {image: spin, memory: 16M}\n  b: {image: hello, memory: 16M, cap: 50}\n' >"$lab"
ruche() { ./ruche --accel soft --socket "$TMPDIR/socket" "$@" 2>"$TMPDIR/err"; }

out="$(ruche --batch --csv --count 3 --interval 300ms "$lab")"
check batch_prints_one_head_and_a_line_a_guest_and_sample "$(printf '%s\n' "$out" | wc -l)" 7
check batch_csv_has_as_many_fields_in_each_line_as_in_the_head \
    "$(printf '%s\n' "$out" | awk -F, '{print NF}' | sort -u)" 15
check batch_csv_says_what_a_busy_guest_uses \
    "$(printf '%s\n' "$out" | awk -F, 'NR > 1 {used[$2] += $5} END {print (used["a"] > 1 && used["a"] > 3 * used["b"])}')" 1
check batch_csv_leaves_out_what_is_not_known_yet "$(printf '%s\n' "$out" | awk -F, 'NR == 2 {print $5 $6 $12 $13 $15}')" ""
out="$(ruche --batch --count 1 --interval 200ms "$lab")"
check batch_text_begins_with_a_head "$(printf '%s\n' "$out" | sed -n '2s/ .*//p')" NAME
status=0
ruche --csv "$lab" >/dev/null || status=$?
check batch_options_without_batch_are_refused "$status $(cat "$TMPDIR/err")" \
    "2 ruche: --csv, --interval and --count belong to --batch"
status=0
ruche --batch --interval 1ms "$lab" >/dev/null || status=$?
check batch_refuses_an_interval_that_is_too_short "$status" 1
