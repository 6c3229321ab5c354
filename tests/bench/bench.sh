#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The part of scripts/bench that runs where /dev/kvm is.
set -u
. tests/bench/lib.sh
bad=0
K=build/guests/vmlinuz I=build/bench/initrd.gz A="console=ttyS0 quiet"
R=${ROUNDS:-3}
Q="qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -no-user-config -no-reboot -display none -serial stdio"

ruche() { ./ruche run -m 256M -a "$3" -i "$2" "$1"; }
pc() { $Q -M pc -kernel "$1" -initrd "$2" -append "$3"; }
microvm() { $Q -M microvm -kernel "$1" -initrd "$2" -append "$3"; }

# seconds until a line that matches $1 comes from the command; nothing if it never does
until_line() {
    local pattern=$1 begin=$EPOCHREALTIME end='' line
    shift
    while IFS= read -r line; do
        [[ $line == *$pattern* ]] && [ -z "$end" ] && end=$EPOCHREALTIME
    done < <(timeout 120 bash -c "$(declare -f ruche pc microvm); Q='$Q'; $*" 2>/dev/null </dev/null)
    [ -z "$end" ] || awk -v a="$begin" -v b="$end" 'BEGIN {printf "%.3f\n", b - a}'
}

bench_boot() {
    local who i
    for i in $(seq "$R"); do
        for who in ruche pc microvm; do
            until_line "ruche: init" "$who $K $I '$A ruche.exec=poweroff'" >>/tmp/boot.$who
        done
    done
    for who in ruche pc microvm; do # one that did not come up is no fast one
        i=$(wc -l </tmp/boot.$who)
        [ "$i" = "$R" ] || echo "boot to init: $who came up in $i of $R rounds"
    done
    local us=$(median </tmp/boot.ruche) p=$(median </tmp/boot.pc) m=$(median </tmp/boot.microvm)
    echo "boot to init (s): qemu pc $p   qemu microvm $m   (0: not once)"
    verdict "boot to init (s), the fastest peer" "$us" "$(printf '%s\n' "$p" "$m" | awk '$1 > 0' | sort -n | head -1)" less 1.0 || bad=1
}

ticks() { grep -E '^[0-9a-f]{8}' | cut -c1-8 | while read -r h; do echo $((16#$h)); done | median; }

bench_exit() {
    local i
    for i in $(seq "$R"); do
        build/bench/bare_kvm build/bench/io_loop.bin | ticks >>/tmp/exit.bare
        ./ruche run -m 16M build/bench/io_loop.bin </dev/null 2>/dev/null | tr -d '\r' | ticks >>/tmp/exit.ruche
    done
    local us=$(median </tmp/exit.ruche) b=$(median </tmp/exit.bare)
    verdict "io exit (TSC ticks), a bare KVM loop as the peer" "$((us / 20000))" "$((b / 20000))" less 1.2 || bad=1
}

# KiB resident in mappings that are not guest RAM (guest RAM is the only memory left out of dumps)
beyond_ram() {
    awk '/^Rss:/ {rss = $2} /^VmFlags:/ {if ($0 !~ / dd/) sum += rss} END {print sum}' "/proc/$1/smaps"
}

bench_memory() {
    local n pid kib=() i
    for n in 1 8 32; do
        printf 'name: bench%s\nguests:\n  h: {image: hello, memory: 16M, count: %s}\n' "$n" "$n" >/tmp/lab.yaml
        ./ruche --headless --socket /tmp/bench.sock /tmp/lab.yaml >/dev/null 2>&1 &
        pid=$!
        for i in $(seq 300); do
            [ "$(./ruche ctl --socket /tmp/bench.sock list 2>/dev/null | grep -c running)" = "$n" ] && break
            sleep 0.2
        done
        kib+=("$(beyond_ram $pid)")
        ./ruche ctl --socket /tmp/bench.sock quit >/dev/null 2>&1
        wait $pid
    done
    echo "memory beyond guest RAM (KiB): 1 guest ${kib[0]}   8 guests ${kib[1]}   32 guests ${kib[2]}"
    promise "memory, each further guest (KiB)" "$(((kib[2] - kib[0]) / 31))" 2048 || bad=1
}

for what in "$@"; do
    bench_$what
done
exit $bad
