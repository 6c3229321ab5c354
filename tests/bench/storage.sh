#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The part of scripts/bench storage that runs on the machine with the engine: ENGINE soft or kvm.
# Reads against QEMU's virtio-blk, in turn, ROUNDS times, medians; limits as the guest measures them;
# a copy of COPY_MIB with a sync at the end under a limit; the latency that we show for a disk against
# what the guest saw. Status 1: a promise is not kept.
set -u
cd "$(dirname "$0")/../.."
. tests/bench/lib.sh
engine=${ENGINE:-soft} rounds=${ROUNDS:-3} mib=${COPY_MIB:-1024}
[ -z "${RUCHE_IN_KVM:-}" ] || COPY_BPS_MIB=8 # the emulated machine copies no more than some 13 MiB/s
work="$(mktemp -d)" bad=0
trap 'rm -rf "$work"' EXIT
IOPS=200 BPS_MIB=8 COPY_BPS_MIB=${COPY_BPS_MIB:-16}

append() { echo "console=ttyS0 quiet ruche.exec=\"$1\""; }
ruche() { # COMMAND OUT: the guest runs COMMAND, then the lab ends
    cat >"$work/lab.yaml" <<LAB
name: storage
guests:
  a:
    kernel: $PWD/build/guests/vmlinuz
    initrd: $PWD/build/bench/initrd.gz
    memory: 256M
    append: '$(append "$1; echo DONE.")'
    disks:
      - {name: plain, path: $work/disk.img}
      - {name: iops, path: $work/iops.img, size: 64M, iops: $IOPS}
      - {name: bps, path: $work/bps.img, size: 64M, bps: ${BPS_MIB}M}
      - {name: from, path: $work/from.img, size: ${mib}M}
      - {name: to, path: $work/to.img, size: ${mib}M, bps: ${COPY_BPS_MIB}M}
LAB
    rm -f "$2"
    timeout 300 ./ruche --headless --accel "$engine" --exec "log a $2" --exec "expect a DONE[.] 280" \
        --exec "stats --json" --exec quit "$work/lab.yaml" >"$work/stats" 2>"$work/err"
}
qemu() { # COMMAND OUT
    (qemu_with "$engine" 256 "$(append "$1; poweroff")" \
        -drive "file=$work/disk.img,format=raw,if=none,id=d" -device virtio-blk-pci,drive=d) >"$2" 2>"$work/err"
}
field() { # WORD FILE [NTH]: of a line `blkbench ...`
    tr -d '\r' <"$2" | grep -a '^blkbench.* end' | grep -o "$1 [0-9.]*" | sed -n "${3:-1}s/.* //p"
}

head -c 256M /dev/urandom >"$work/disk.img"
for _ in $(seq "$rounds"); do
    for who in ruche qemu; do
        $who "blkbench /dev/vda" "$work/out"
        s="$(field seq "$work/out")" r="$(field rand "$work/out")"
        [ -n "$s" ] || { echo "storage: $who said nothing: $(tail -n 3 "$work/err" "$work/out" | cut -c1-300)" >&2; continue; }
        echo "$s" >>"$work/seq.$who"
        echo "$r" >>"$work/rand.$who"
    done
done
of() { cat "$work/$1" 2>/dev/null | median; }
verdict "storage, sequential reads ($engine, MiB/s)" "$(of seq.ruche)" "$(of seq.qemu)" more 1.0 || bad=1
verdict "storage, random 4K reads ($engine, IOPS)" "$(of rand.ruche)" "$(of rand.qemu)" more 1.0 || bad=1

ruche "blkbench rate /dev/vdb 4096 5; blkbench rate /dev/vdc 65536 5; blkbench copy /dev/vdd /dev/vde $mib" "$work/out"
exact() { # WHAT FIGURE ASKED
    local off
    off="$(awk -v a="${2:-0}" -v b="$3" 'BEGIN {printf "%+.2f", 100 * (a - b) / b}')"
    if awk -v off="$off" 'BEGIN {exit !(off <= 3 && off >= -3)}'; then
        echo "$1: $2   asked $3   off $off %   promise within 3 %: kept"
    else
        echo "$1: $2   asked $3   off $off %   promise within 3 %: NOT kept"
        bad=1
    fi
}
exact "storage, iops limit, seen by the guest ($engine, IOPS)" "$(field iops "$work/out" 1)" $IOPS
exact "storage, bps limit, seen by the guest ($engine, bytes/s)" "$(field bytes_per_s "$work/out" 2)" $((BPS_MIB << 20))
exact "storage, $mib MiB copied and synced at $COPY_BPS_MIB MiB/s ($engine, s)" "$(field seconds "$work/out")" \
    "$(awk -v m="$mib" -v b=$COPY_BPS_MIB 'BEGIN {print m / b}')"
# One read at a time: what we show for a read is no more than the guest waits, for which there is its own
# part of the way, too, and no less than the limit held it. The percentiles are edges of buckets.
guest_us="$(field mean_us "$work/out" 1)"
disk="$(tr -d ' \n' <"$work/stats" | sed 's/.*"name":"iops",//; s/"name":.*//')"
held="$(sed 's/.*"held_seconds":\([0-9.]*\).*/\1/' <<<"$disk")"
latency="$(sed 's/.*"read":{\([^}]*\)}.*/\1/; s/[":,]/ /g' <<<"$disk")"
read -r verdict_word mean p50 p99 held_us < <(awk -v g="${guest_us:-0}" -v held="${held:-0}" '{
    for (i = 1; i < NF; i += 2) v[$i] = $(i + 1)
    n = v["count"]; m = v["mean_ns"] / 1000; h = v["p50_ns"] / 1000; t = v["p99_ns"] / 1000
    each = n ? held * 1e6 / n : 0
    good = n > 500 && g > 0 && each > 0 && m <= g * 1.02 && m >= each * .98 && h > 0 && h <= t && t >= m
    printf "%s %.0f %.0f %.0f %.0f\n", good ? "kept" : "NOT-kept", m, h, t, each}' <<<"$latency")
echo "storage, latency shown for the iops-limited disk ($engine, us): mean $mean, p50 $p50, p99 $p99; held by the limit $held_us;" \
    "the guest waited $guest_us   promise between the two: ${verdict_word/-/ }"
[ "$verdict_word" = kept ] || bad=1
exit $bad
