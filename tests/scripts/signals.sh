#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Signals end an instance without a terminal, and its guests; nohup(1) is obeyed.
set -u
cd "$(dirname "$0")/../.."
pid='' status=''
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null' EXIT
. tests/lib/guest.sh
printf 'name: signals\nguests:\n  a: {image: hello, memory: 16M}\n' >"$lab"
start() { # [PREFIX]
    rm -f "$socket"
    "$@" ./ruche --headless --accel soft --socket "$socket" "$lab" >"$TMPDIR/out" 2>&1 &
    pid=$!
    for _ in $(seq 200); do [ -S "$socket" ] && return; sleep 0.05; done
    cat "$TMPDIR/out"
}
ended_by() { # SIGNAL: $status is how
    kill -"$1" "$pid"
    wait "$pid"
    status=$?
    pid=''
}
for signal in HUP INT QUIT TERM; do
    start env
    ended_by "$signal"
    say "sig${signal,,}_ends_it" "$(yes_if [ "$status" = $((128 + $(kill -l "$signal"))) ])" "status $status"
done
start nohup
kill -HUP "$pid"
sleep 0.5
said="$(ctl list)"
say a_sighup_that_nohup_ignores_does_not "$(yes_if [ "$(grep -c 'a *running' <<<"$said")" = 1 ])" "$said"
ended_by TERM
say and_sigterm_still_ends_it "$(yes_if [ "$status" = 143 ])" "status $status"
