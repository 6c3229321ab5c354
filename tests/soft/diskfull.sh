#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A host file system that fills up: the guest is paused with an event instead of getting errors, and
# goes on by `resume` once there is room. Needs a small file system: root, for a mount of its own.
set -eu
cd "$(dirname "$0")/../.."
if [ -z "${RUCHE_MOUNTS:-}" ]; then
    if ! unshare -m true 2>/dev/null; then
        echo "skip full_disk - a small file system cannot be mounted here (not root, or no CAP_SYS_ADMIN)"
        exit 77
    fi
    RUCHE_MOUNTS=own exec unshare -m -- "$0" "$@"
fi
small="$TMPDIR/small" lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
mkdir "$small"
mount -t tmpfs -o size=3m ruche-test "$small"
head -c 6M /dev/zero >"$TMPDIR/base.img"
# vda: a sparse raw file; vdb: an overlay; vdc: a qcow2 image, all on what is too small for them.
disks='vda vdb' qcow2=''
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null; then
    qemu-img create -q -f qcow2 "$small/image.qcow2" 6M
    disks='vda vdb vdc' qcow2="
      - {path: $small/image.qcow2}"
else
    echo "skip full_disk_qcow2 - qemu-nbd and qemu-img are not installed (package qemu-utils)"
fi
cat >"$lab" <<LAB
name: full
guests:
  a:
    image: debian
    memory: 128M
    disks:
      - {path: $small/raw.img, size: 6M}
      - {base: $TMPDIR/base.img, overlay: $small/over.img}$qcow2
LAB
. tests/lib/guest.sh
is() { # STATE: within 20 s
    for _ in $(seq 200); do
        if ctl list | grep -qE "^ *[0-9]+ +a +$1"; then echo true; return; fi
        sleep 0.1
    done
    echo false
}
fill() { # DISK: the guest writes all of it, and says how that ended
    ctl send a "dd if=/dev/urandom of=/tmp/x bs=64k count=96 2>/dev/null; dd if=/tmp/x of=/dev/$1 bs=64k conv=fsync; echo EN''D.$1.\$?; md5sum /tmp/x; rm /tmp/x\\n" >/dev/null
}
trap 'kill -9 $pid 2>/dev/null || :; umount -l "$small"' EXIT
start

sums=''
for disk in $disks; do
    case $disk in vda) kind=raw ;; vdb) kind=overlay ;; *) kind=qcow2 ;; esac
    fill $disk
    said="$(is paused)"
    say a_full_host_disk_pauses_a_guest_on_$kind "$said" "$(ctl list)"
    events="$(ctl events)"
    say the_event_says_which_$kind "$(printf '%s\n' "$events" | grep -q "storage of $disk is full ($small/.*resume a" && echo true || echo false)" "$events"
    ctl resume a >/dev/null || :
    say resume_without_room_pauses_again_on_$kind "$(is paused)" "$(ctl list)"
    mount -o remount,size=64m "$small"
    ctl resume a >/dev/null
    ctl expect a "END.$disk.0" 60 >/dev/null && ended=true || ended=false
    say with_room_${kind}_it_ends_without_an_error "$ended" "$(tail -5 "$TMPDIR/log")"
    stats="$(ctl --json stats)"
    say no_error_was_shown_to_the_guest_$kind "$(printf '%s' "$stats" | grep -q '"errors": *[1-9]' && echo false || echo true)" "$stats"
    for _ in $(seq 50); do tr -d '\r' <"$TMPDIR/log" | grep -A1 "^END.$disk.0" | grep -qE '^[0-9a-f]{32}' && break; sleep 0.1; done
    sums="$sums $disk:$(tr -d '\r' <"$TMPDIR/log" | grep -oE '^[0-9a-f]{32}' | tail -n 1)"
    used=$(df -m --output=used "$small" | tail -n 1)
    mount -o "remount,size=$((used + 2))m" "$small"
done
mount -o remount,size=64m "$small"
ctl stop a >/dev/null || :
wait "$pid" || :
holds() { # DISK FILE: it is what the guest wrote there
    case " $sums " in *" $1:$(head -c 6M "$2" | md5sum | cut -c1-32) "*) echo true ;; *) echo false ;; esac
}
say all_of_it_is_in_the_file "$(holds vda "$small/raw.img")" "$sums"
if [ -n "$qcow2" ]; then
    said="$(qemu-img check "$small/image.qcow2" 2>&1)" && ok=true || ok=false
    say the_qcow2_image_is_sound $ok "$said"
    qemu-img convert -O raw "$small/image.qcow2" "$TMPDIR/out.raw"
    say all_of_it_is_in_the_qcow2_image "$(holds vdc "$TMPDIR/out.raw")" "$sums"
fi
