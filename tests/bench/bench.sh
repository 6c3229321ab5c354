#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The part of scripts/bench that runs where /dev/kvm is.
set -u
K=build/guests/vmlinuz I=build/bench/initrd.gz A="console=ttyS0 quiet"
R=${ROUNDS:-3}
Q="qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -no-user-config -no-reboot -display none -serial stdio"

median() { sort -n | awk '{v[NR]=$1} END {if (NR) print v[int((NR+1)/2)]; else print "nan"}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (b > 0 && a > 0) printf "%.2f", a / b; else print "?"}'; }

ruche() { ./ruche run -m 256M -a "$3" -i "$2" ${4:+-d "$4"} "$1"; }
pc() { $Q -M pc -kernel "$1" -initrd "$2" -append "$3" ${4:+-drive file="$4",format=raw,if=none,id=d -device virtio-blk-pci,drive=d}; }
microvm() { $Q -M microvm -kernel "$1" -initrd "$2" -append "$3"; }

# seconds until a line that matches $1 comes from the command
until_line() {
    local pattern=$1 begin=$EPOCHREALTIME end='' line
    shift
    while IFS= read -r line; do
        [[ $line == *$pattern* ]] && [ -z "$end" ] && end=$EPOCHREALTIME
    done < <(timeout 120 bash -c "$(declare -f ruche pc microvm); Q='$Q'; $*" 2>/dev/null </dev/null)
    awk -v a="$begin" -v b="${end:-$begin}" 'BEGIN {printf "%.3f\n", b - a}'
}

bench_boot() {
    local who i
    for i in $(seq "$R"); do
        for who in ruche pc microvm; do
            until_line "ruche: init" "$who $K $I '$A ruche.exec=poweroff'" >>/tmp/boot.$who
        done
    done
    local us=$(median </tmp/boot.ruche) p=$(median </tmp/boot.pc) m=$(median </tmp/boot.microvm)
    echo "boot to init (s): ruche $us   qemu pc $p   qemu microvm $m   ratio to the faster: $(ratio "$us" "$(printf '%s\n' "$p" "$m" | sort -n | head -1)")"
}

ticks() { grep -E '^[0-9a-f]{8}' | cut -c1-8 | while read -r h; do echo $((16#$h)); done | median; }

bench_exit() {
    local i
    for i in $(seq "$R"); do
        build/bench/bare_kvm build/bench/io_loop.bin | ticks >>/tmp/exit.bare
        ./ruche run -m 16M build/bench/io_loop.bin </dev/null 2>/dev/null | tr -d '\r' | ticks >>/tmp/exit.ruche
    done
    local us=$(median </tmp/exit.ruche) b=$(median </tmp/exit.bare)
    echo "io exit (TSC ticks): ruche $((us / 20000))   bare loop $((b / 20000))   ratio $(ratio "$us" "$b") (bar 1.2)"
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
    echo "memory beyond guest RAM (KiB): 1 guest ${kib[0]}   8 guests ${kib[1]}   32 guests ${kib[2]}   each further guest $(((kib[2] - kib[0]) / 31)) (bar 2048)"
}

bench_disk() {
    local who i out
    head -c 256M /dev/urandom >/tmp/disk.img
    for i in $(seq "$R"); do
        for who in ruche pc; do
            out=$(timeout 300 bash -c "$(declare -f ruche pc); Q='$Q'; $who $K $I '$A ruche.exec=\"blkbench /dev/vda; poweroff\"' /tmp/disk.img" 2>/dev/null </dev/null | grep -o 'blkbench seq.*')
            set -- $out
            echo "${3:-0}" >>/tmp/seq.$who
            echo "${5:-0}" | tr -d '\r' >>/tmp/rand.$who
        done
    done
    local s=$(median </tmp/seq.ruche) sq=$(median </tmp/seq.pc) r=$(median </tmp/rand.ruche) rq=$(median </tmp/rand.pc)
    echo "disk sequential (MiB/s): ruche $s   qemu $sq   ratio $(ratio "$s" "$sq") (bar 1.0)"
    echo "disk random 4K (IOPS): ruche $r   qemu $rq   ratio $(ratio "$r" "$rq") (bar 1.0)"
}

for what in "$@"; do
    bench_$what
done
