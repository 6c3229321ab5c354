# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What the benches share. Sourced.

median() { sort -n | awk '{v[NR]=$1} END {print NR ? v[int((NR+1)/2)] : 0}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (b > 0 && a > 0) printf "%.2f", a / b; else print "?"}'; }

# qemu_with ENGINE MIB APPEND ARG...: the peer, a PC with the images of the bench, its serial line on stdout.
qemu_with() {
    local engine="$1" mib="$2" append="$3" accel="-accel kvm -cpu host"
    [ "$engine" != soft ] || accel="-accel tcg,thread=multi -cpu max"
    shift 3
    # shellcheck disable=SC2086
    exec timeout 300 qemu-system-x86_64 $accel -M pc -m "$mib" -nodefaults -no-user-config -no-reboot -display none \
        -serial stdio -kernel build/guests/vmlinuz -initrd build/bench/initrd.gz -append "$append" "$@" </dev/null
}

# verdict WHAT OURS PEERS more|less BAR: prints figure, peer's figure, ratio, promise; status 1 if
# it is not kept, or could not be measured.
verdict() {
    local r word
    r="$(ratio "$2" "$3")"
    word="$(awk -v r="$r" -v way="$4" -v bar="$5" 'BEGIN {
        if (r == "?") print "not measured"; else if (way == "more" ? r >= bar : r <= bar) print "kept"; else print "NOT kept"}')"
    echo "$1: ruche $2   peer $3   ratio $r   promise $([ "$4" = more ] && echo at least || echo at most) $5: $word"
    [ "$word" = kept ]
}

# promise WHAT FIGURE BAR: the same without a peer; at most BAR.
promise() {
    local word="NOT kept"
    [ "$2" -le "$3" ] && word=kept
    echo "$1: $2   promise at most $3: $word"
    [ "$word" = kept ]
}
