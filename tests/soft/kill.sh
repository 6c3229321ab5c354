#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 900
# kill -9 of the program, at a random moment while a guest writes to a raw disk, an overlay, a qcow2
# image and an overlay over one: nothing that the guest had flushed is lost, images open again. In
# every other round qemu-nbd is killed in the same way. One more disk has an ext4 with a journal, in which files
# are made, renamed and removed: what the journal gives back is sound, with all that was synced. 2 rounds, 24 with RUCHE_LONG=1.
set -eu
cd "$(dirname "$0")/../.."
rounds=2
[ -z "${RUCHE_LONG:-}" ] || rounds=24
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
if ! command -v musl-gcc >/dev/null; then
    echo "skip kill - musl-gcc, which builds the guest's program, is not installed"
    exit 77
fi
mkdir -p "$TMPDIR/root/bin"
musl-gcc -O2 -static -o "$TMPDIR/root/bin/flusher" tests/lib/flusher.c
(cd "$TMPDIR/root" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 | cat build/guests/initrd.gz - >"$TMPDIR/initrd.gz"
head -c 16M /dev/zero >"$TMPDIR/base.img"
disks=(vda vdb) qcow2=''
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null; then
    qemu-img create -q -f qcow2 "$TMPDIR/base.qcow2" 16M
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$TMPDIR/top.qcow2"
    disks=(vda vdb vdc vdd)
    qcow2="
      - {path: $TMPDIR/top.qcow2}
      - {base: $TMPDIR/base.qcow2, overlay: $TMPDIR/over2.img}"
else
    echo "skip kill_with_qcow2 - qemu-nbd and qemu-img are not installed (package qemu-utils)"
fi
ext4='' ext4_dev=''
if command -v mke2fs >/dev/null && command -v debugfs >/dev/null; then
    truncate -s 64M "$TMPDIR/ext4.img"
    mke2fs -q -F -t ext4 -O has_journal -J size=8 "$TMPDIR/ext4.img"
    ext4_dev="/dev/vd$(printf '%b' "\\$(printf %o $((97 + ${#disks[@]})))")"
    ext4="
      - {path: $TMPDIR/ext4.img}"
else
    echo "skip kill_with_ext4 - mke2fs and debugfs are not installed (package e2fsprogs)"
fi
cat >"$lab" <<LAB
name: kill
guests:
  a:
    kernel: $PWD/build/guests/vmlinuz
    initrd: $TMPDIR/initrd.gz
    append: console=ttyS0 quiet
    memory: 192M
    disks:
      - {path: $TMPDIR/raw.img, size: 16M}
      - {base: $TMPDIR/base.img, overlay: $TMPDIR/over.img}$qcow2$ext4
LAB
. tests/lib/guest.sh
trap 'kill -9 $pid 2>/dev/null || :' EXIT
last() { # DISK: the highest number it said was flushed
    tr -d '\r' <"$TMPDIR/log" | grep -aoE "^flushed /dev/$1 [0-9]+$" | tail -n 1 | cut -d' ' -f3
}
helpers() { pgrep -f "qemu-nbd.*$TMPDIR/" || :; }

declare -A flushed
look() { # ROUND: what is on the disks after its kill
    local command='' good=true d what="round $1, ${flushed[*]}"
    for d in "${disks[@]}"; do command="$command flusher /dev/$d $(($1 * 1000000)) ${flushed[$d]:-0};"; done
    guest "$command"
    for d in "${disks[@]}"; do
        grep -qE "checked /dev/$d [1-9][0-9]* blocks, lost 0\\." <<<"$said" || good=false
    done
    say "nothing_flushed_is_lost_by_kill_$1" $good "$what
$said"
    echo "# $what: $(tr '\n' ' ' <<<"$said")"
}
# Runs in the guest: each turn makes, renames and removes files, and says so when that is synced.
churn='n=0; while :; do n=$((n + 1)); mkdir -p /mnt/d$((n % 7)); echo N$n >/mnt/new; mv /mnt/new /mnt/d$((n % 7))/kept;
dd if=/dev/urandom of=/mnt/d$((n % 5))/junk bs=4k count=$((n % 60)) 2>/dev/null; rm -f /mnt/d$((n % 3))/junk; ln /mnt/d$((n % 7))/kept /mnt/l$n;
rm -f /mnt/l$((n - 40)); echo N$n >/mnt/last; sync; echo "synced"_$n; done'
ext4_look() { # ROUND: the journal alone makes it sound, and all that was synced is there
    local synced got rc=0 copy="$TMPDIR/ext4.copy"
    synced="$(tr -d '\r' <"$TMPDIR/log" | grep -aoE '^synced_[0-9]+$' | tail -n 1 | cut -d_ -f2)"
    cp "$TMPDIR/ext4.img" "$copy"
    e2fsck -E journal_only -y "$copy" >"$TMPDIR/journal" 2>&1 || :
    said="$(e2fsck -fn "$copy" 2>&1)" || rc=$?
    got="$(debugfs -R 'cat /last' "$copy" 2>/dev/null)"
    say "ext4_is_sound_by_its_journal_after_kill_$1" "$([ $rc = 0 ] && grep -q 'recovering journal' "$TMPDIR/journal" &&
        echo true || echo false)" "e2fsck $rc: $said $(cat "$TMPDIR/journal")"
    say "nothing_synced_to_ext4_is_lost_by_kill_$1" "$([ "${got#N}" -ge "${synced:-1}" ] && echo true || echo false)" \
        "synced $synced, there is $got"
    echo "# ext4: $synced turns synced, $got on the disk; $(grep -c recovering "$TMPDIR/journal") journal recovered"
}
write_and_kill() { # ROUND
    local command='' d victims="$pid"
    for d in "${disks[@]}"; do command="$command flusher /dev/$d $(($1 * 1000000)) & "; done
    [ -z "$ext4" ] || command="$command mount -t ext4 $ext4_dev /mnt && ($churn) & "
    ctl send a "$command\\n" >/dev/null
    [ -z "$ext4" ] || ctl expect a "synced_3" 60 >/dev/null
    for d in "${disks[@]}"; do ctl expect a "flushed /dev/$d " 60 >/dev/null; done
    sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
    [ $(($1 % 2)) = 1 ] || victims="$pid $(helpers | tr '\n' ' ')"
    # shellcheck disable=SC2086
    kill -9 $victims
    wait "$pid" 2>/dev/null || :
    for _ in $(seq 100); do [ -z "$(helpers)" ] && break; sleep 0.1; done
    rm -f "$socket"
    for d in "${disks[@]}"; do flushed[$d]="$(last "$d")"; done
    [ -z "$ext4" ] || ext4_look "$1"
    if [ -n "$qcow2" ]; then # leaked clusters (3) cost room, no data
        said="$(qemu-img check "$TMPDIR/top.qcow2" 2>&1)" && rc=0 || rc=$?
        say "qcow2_is_sound_after_kill_$1" "$([ $rc = 0 ] || [ $rc = 3 ] && echo true || echo false)" "$said"
    fi
}
start
for round in $(seq "$rounds"); do
    write_and_kill "$round"
    start
    look "$round"
done
ctl stop a >/dev/null
wait "$pid" || :
say bases_are_never_written "$(cmp -s -n 16777216 "$TMPDIR/base.img" /dev/zero && echo true || echo false)" "base.img changed"
