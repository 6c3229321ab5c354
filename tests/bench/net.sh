#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The part of scripts/bench net that runs on the machine with the engine: ENGINE soft or kvm. Two
# Debian guests, the same images for both; QEMU's two are joined by a Unix stream socket. In turn,
# ROUNDS times; medians. Status 1: we are behind.
set -u
cd "$(dirname "$0")/../.."
. tests/bench/lib.sh
engine=${ENGINE:-soft} rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-4}
work="$(mktemp -d)" pids=''
trap 'kill $pids 2>/dev/null; rm -rf "$work"' EXIT

command_of() { # ADDRESS COMMAND
    echo "console=ttyS0 quiet ruche.exec=\"sleep 1; killall udhcpc; ifconfig eth0 10.99.0.$1 up; netbench $2\""
}
server="$(command_of 1 server)" client="$(command_of 2 "client 10.99.0.1 $seconds")"
guest() { echo "{kernel: $PWD/build/guests/vmlinuz, initrd: $PWD/build/bench/initrd.gz, memory: 192M, nets: [lan], append: '$1'}"; }
cat >"$work/lab.yaml" <<LAB
name: netbench
networks: {lan: {}}
guests:
  s: $(guest "$server")
  c: $(guest "$client")
LAB

run_ruche() {
    timeout 200 ./ruche --headless --accel "$engine" --exec "log c $work/out" \
        --exec "expect c 'netbench ping.*end' 180" --exec quit "$work/lab.yaml" >/dev/null 2>"$work/err"
}
qemu() { # NETDEV APPEND
    qemu_with "$engine" 192 "$2" -netdev "$1" -device "virtio-net-pci,netdev=n,romfile=,mac=52:54:00:00:00:0$3"
}
run_qemu() {
    rm -f "$work/link"
    qemu "stream,id=n,server=on,addr.type=unix,addr.path=$work/link" "$server" 1 >/dev/null 2>"$work/err" &
    pids="$!"
    for _ in $(seq 50); do [ -S "$work/link" ] && break; sleep 0.1; done
    qemu "stream,id=n,server=off,addr.type=unix,addr.path=$work/link" "$client" 2 >"$work/out" 2>>"$work/err" &
    pids="$pids $!"
    for _ in $(seq 900); do
        grep -q 'netbench ping.*end' "$work/out" && break
        kill -0 $! 2>/dev/null || break
        sleep 0.2
    done
    # shellcheck disable=SC2086
    kill $pids 2>/dev/null
    # shellcheck disable=SC2086
    wait $pids 2>/dev/null
    pids=''
}
for i in $(seq "$rounds"); do
    for who in ruche qemu; do
        rm -f "$work/out"
        run_$who
        line="$(grep -ao "netbench ping.*end" "$work/out" 2>/dev/null | tail -n 1)"
        if [ -z "$line" ]; then
            echo "net: $who said nothing in round $i: $(tail -n 3 "$work/err" "$work/out" | cut -c1-300)" >&2
            continue
        fi
        # shellcheck disable=SC2086
        set -- $line
        echo "$3" >>"$work/ping.$who"
        echo "$5" >>"$work/p99.$who"
        echo "$7" >>"$work/tcp.$who"
    done
done
us() { cat "$work/$1.ruche" 2>/dev/null | median; }
peer() { cat "$work/$1.qemu" 2>/dev/null | median; }
bad=0
verdict "net tcp, guest to guest ($engine, Mbit/s)" "$(us tcp)" "$(peer tcp)" more 1.0 || bad=1
verdict "net ping, guest to guest ($engine, us, median)" "$(us ping)" "$(peer ping)" less 1.0 || bad=1
echo "net ping, 99th percentile ($engine, us): ruche $(us p99)   qemu $(peer p99)"
exit $bad
