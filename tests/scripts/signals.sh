#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Signals end an instance without a terminal, and its guests; nohup(1) is obeyed.
set -u
cd "$(dirname "$0")/../.."
failed=0 pid=''
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null' EXIT
printf 'name: signals\nguests:\n  a: {image: hello, memory: 16M}\n' >"$lab"
check() {
    [ "$2" = "$3" ] && { echo "ok $1"; return; }
    printf 'not ok %s\nexpected: %s\ngot:      %s\n' "$1" "$3" "$2"
    failed=1
}
start() { # [PREFIX]
    rm -f "$socket"
    "$@" ./ruche --headless --accel soft --socket "$socket" "$lab" >"$TMPDIR/out" 2>&1 &
    pid=$!
    for _ in $(seq 200); do [ -S "$socket" ] && return; sleep 0.05; done
    cat "$TMPDIR/out"
}
ended_by() { # SIGNAL
    local status=0
    kill -"$1" "$pid"
    wait "$pid" || status=$?
    pid=''
    echo "$status"
}
for signal in HUP INT QUIT TERM; do
    start env
    ended_by "$signal" >"$TMPDIR/status"
    check "sig${signal,,}_ends_it" "$(cat "$TMPDIR/status")" $((128 + $(kill -l "$signal")))
done
start nohup
kill -HUP "$pid"
sleep 0.5
check a_sighup_that_nohup_ignores_does_not "$(./ruche ctl --socket "$socket" list | grep -c 'a *running')" 1
ended_by TERM >"$TMPDIR/status"
check and_sigterm_still_ends_it "$(cat "$TMPDIR/status")" 143
exit $failed
