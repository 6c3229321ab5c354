#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 400
# scripts/in-kvm gives back what the command gives: bytes, the two outputs apart, status, files.
set -eu
cd "$(dirname "$0")/../.."
tmp="$(mktemp -d)"
out="build/test-out.$$"
trap 'rm -rf "$tmp" "$out"' EXIT

check() {
    if [ "$2" = "$3" ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        printf 'expected: %s\ngot:      %s\n' "$3" "$2"
    fi
}

status=0
head -c 300000 /dev/urandom >"$tmp/in"
scripts/in-kvm --env 'WORD=a  b' --out "$out" -- sh -c "cat; echo \"\$WORD\" >&2; mkdir -p $out
    echo left >$out/file; exit 201" <"$tmp/in" >"$tmp/out" 2>"$tmp/err" || status=$?
check in_kvm_keeps_all_of_the_exit_status "$status" 201
check in_kvm_carries_input_to_output_unchanged "$(cksum <"$tmp/out")" "$(cksum <"$tmp/in")"
check in_kvm_keeps_error_output_apart_and_passes_variables "$(cat "$tmp/err")" "a  b"
check in_kvm_brings_files_back "$(cat "$out/file" 2>&1)" left

status=0
scripts/in-kvm --smp 2 --timeout 3 -- sh -c 'grep -c ^processor /proc/cpuinfo; pwd; exec sleep 60' \
    </dev/null >"$tmp/out" 2>"$tmp/err" || status=$?
check in_kvm_ends_a_command_that_takes_too_long "$status" 124
check in_kvm_runs_in_the_same_directory "$(tail -n 1 "$tmp/out")" "$PWD"
if (. scripts/lib/common.sh && host_has_kvm); then
    echo "skip in_kvm_has_the_cpus_asked_for - this host has /dev/kvm and runs the command itself"
else
    check in_kvm_has_the_cpus_asked_for "$(head -n 1 "$tmp/out")" 2
fi
status=0
scripts/in-kvm -- /no/such/command </dev/null 2>"$tmp/err" || status=$?
check in_kvm_says_127_for_an_unknown_command "$status" 127
