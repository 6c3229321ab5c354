#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 400
# in-kvm: --smp 2 --mem 1G
# Guests at once in one process on real KVM, by the command line alone: two Debian with two vCPUs,
# hello, and two rogues: one with the attacks that it outlives, again and again, one that tries all of
# them and may crash on the way. They hurt only themselves.
# ENGINE is the engine (kvm).
set -u
cd "$(dirname "$0")/../.."
TMPDIR="${TMPDIR:-$(mktemp -d)}"
socket="$TMPDIR/socket" boot_s=150 pause_s="${RUCHE_LONG:+60}"
pause_s="${pause_s:-5}"
attacks=ports,strings,timers,uart,debugport,irqstorm,pci,bars,msix,vq-cycle,vq-range,vq-size,vq-random,vq-race
cat >"$TMPDIR/lab.yaml" <<LAB
name: four
defaults: {memory: 16M}
guests:
  one:   {image: debian, memory: 128M, vcpus: 2, append: quiet}
  two:   {image: debian, memory: 128M, vcpus: 2, append: quiet}
  hello: {image: hello}
  chatty: {image: chatty, append: quiet mode=pio, autostart: false}
  rogue: {image: rogue, vcpus: 2, append: "attack=$attacks each=20 loop"}
  wild:  {image: rogue, append: "attack=all each=20 loop"}
LAB
./ruche --headless --accel "${ENGINE:-kvm}" --socket "$socket" "$TMPDIR/lab.yaml" >"$TMPDIR/out" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait' EXIT
until [ -S "$socket" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
[ -S "$socket" ] || { cat "$TMPDIR/out"; echo "not ok guests_lab_starts"; exit 1; }

ctl() { ./ruche ctl --socket "$socket" "$@"; }
tell() { # NAME STATUS
    [ "$2" = 0 ] && { echo "ok guests_$1"; return; }
    echo "not ok guests_$1"
    cat "$TMPDIR/err"
    ctl list
    ctl events | tail -n 8
}
# A line typed into guest $2 makes it say what matches $4; case $1.
typed() {
    ctl send --fresh "$2" "$3" >/dev/null 2>"$TMPDIR/err" && ctl expect "$2" "$4" 120 >/dev/null 2>"$TMPDIR/err"
    tell "$1" $?
}
is() { # NAME GUEST STATE
    local got
    got="$(ctl list | awk -v g="$2" '$2 == g {print $3}')"
    [ "$got" = "$3" ]
    tell "$1" $?
}
asked() { # NAME COMMAND...
    local name="$1"
    shift
    ctl "$@" >/dev/null 2>"$TMPDIR/err"
    tell "$name" $?
}
ended() { # NAME GUEST: it comes to be stopped by itself
    for _ in $(seq 300); do ctl list | grep -q " $2 *stopped" && break; sleep 0.1; done
    is "$1" "$2" stopped
}
uptime_of() {
    ctl send --fresh "$1" 'read u r </proc/uptime; echo "<$u>"' >/dev/null
    ctl expect -p "$1" '^<[0-9.]+>' 60 | tr -d '<>\r'
}

asked rogue_attacks expect rogue 'rogue' "$boot_s"
asked wild_attacks expect wild 'rogue' "$boot_s"
asked hello_comes_up expect hello '> $' "$boot_s"
for g in one two; do asked "${g}_comes_up" expect "$g" '/# $' "$boot_s"; done
for g in one two; do typed "${g}_has_two_processors" "$g" 'echo "cpus $(nproc)."' '^cpus 2[.]'; done
typed console_of_one_is_its_own one 'echo I am $((40 + 1)) of one' '^I am 41 of one'
typed console_of_two_is_its_own two 'echo I am $((40 + 2)) of two' '^I am 42 of two'
ctl watch one 0.1 --lines 200 >"$TMPDIR/one"
ctl watch two 0.1 --lines 200 >"$TMPDIR/two"
grep -q 'of two' "$TMPDIR/one" || grep -q 'of one' "$TMPDIR/two"
tell no_console_shows_another_guest $((! $?))

before="$(uptime_of one)" begin="$(date +%s%N)"
asked one_is_paused pause one
is one_says_that_it_is_paused one paused
typed two_answers_while_one_is_paused two 'echo here $((1 + 1))' '^here 2'
typed hello_answers_while_one_is_paused hello 'echo still here' '^still here'
sleep "$pause_s"
asked one_is_resumed resume one
asked hello_is_paused pause hello
ctl step hello 2>&1 | grep -q 'is halted\|if that is HLT'
tell hello_has_nothing_to_execute $?
asked hello_is_resumed resume hello
typed hello_answers_after_that hello 'echo awake again' '^awake again'
asked chatty_starts start chatty
asked chatty_is_up wait chatty running 60
sleep 1
asked chatty_is_paused pause chatty
ctl step chatty 60 >"$TMPDIR/steps" 2>"$TMPDIR/err"
[ "$(grep -c '^   [0-9a-f]' "$TMPDIR/steps")" = 60 ] && grep -q 'out 0x80, al' "$TMPDIR/steps"
tell chatty_executes_one_by_one $?
asked chatty_is_resumed resume chatty
ctl stats chatty 2>&1 | grep -q running
tell chatty_runs_on $?
asked chatty_is_stopped stop chatty
after="$(uptime_of one)" wall=$((($(date +%s%N) - begin) / 1000000))
awk -v a="$before" -v b="$after" -v w="$wall" -v p="$pause_s" 'BEGIN {
    printf "# uptime moved by %.2f s in %.2f s, %d s of them paused\n", b - a, w / 1000, p
    exit !(b >= a && b - a <= w / 1000 - p + 0.05) }'
tell clock_of_one_stood_still $?
typed one_has_no_lockup_to_report one 'echo "lockups $(dmesg | grep -c lockup)."' '^lockups 0[.]'

typed two_leaves_a_mark two 'echo x >/tmp/mark && echo marked' '^marked'
asked two_is_reset reset two
typed one_answers_while_two_boots one 'echo here $((1 + 2))' '^here 3'
asked two_comes_up_again expect two '/# $' "$boot_s"
typed two_has_forgotten two '[ -e /tmp/mark ] || echo no" mark"' '^no mark'

asked rogue_is_paused_whatever_it_does pause rogue
asked rogue_goes_on resume rogue
asked rogue_is_reset reset rogue
asked wild_is_reset reset wild
asked rogue_attacks_again expect rogue 'rogue' 60
typed hello_is_unharmed hello 'echo unharmed' '^unharmed'
typed one_is_unharmed one 'head -c 400000 /dev/zero | md5sum' '^[0-9a-f]{32}'

ctl send one 'poweroff -f'
ended one_powers_itself_off one
asked two_obeys_the_button shutdown two
ended two_powers_itself_off two
typed hello_is_alone_and_well hello 'echo alone' '^alone'
asked the_rest_is_stopped stop hello rogue wild
wait "$pid"
status=$?
[ "$status" = 0 ] || [ "$status" = 3 ] # 3: wild has crashed
tell process_ends_as_documented $?
trap - EXIT

# What KVM lets guests do to the host, and how to change that: only on a machine of our own.
period=/sys/module/kvm/parameters/min_timer_period_us
if [ -n "${RUCHE_IN_KVM:-}" ]; then
    is="$(cat $period)"
    ./ruche doctor | grep -q "^warn  timers .* each $is us .*echo 1000 | sudo tee $period"
    tell doctor_knows_how_often_timers_may_interrupt $?
    echo 1000 >$period
    ! ./ruche doctor | grep -q timers
    tell doctor_is_content_with_a_millisecond $?
    echo "$is" >$period
fi
