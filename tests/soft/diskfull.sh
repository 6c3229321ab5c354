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
# vda: a sparse raw file; vdb: an overlay, both on what is too small for them.
cat >"$lab" <<LAB
name: full
guests:
  a:
    image: debian
    memory: 128M
    disks:
      - {path: $small/raw.img, size: 6M}
      - {base: $TMPDIR/base.img, overlay: $small/over.img}
LAB
say() { # CASE TRUE-OR-FALSE DETAIL
    if [ "$2" = true ]; then echo "ok $1"; else printf 'not ok %s\n%s\n' "$1" "$3"; fi
}
ctl() { ./ruche ctl --socket "$socket" "$@"; }
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
./ruche --accel soft --headless --socket "$socket" "$lab" 2>"$TMPDIR/err" &
pid=$!
trap 'kill -9 $pid 2>/dev/null || :; umount -l "$small"' EXIT
for _ in $(seq 100); do ctl list >/dev/null 2>&1 && break; sleep 0.1; done
ctl expect a '# $' 90 >/dev/null
ctl log a "$TMPDIR/log" >/dev/null

for disk in vda vdb; do
    case $disk in vda) kind=raw ;; *) kind=overlay ;; esac
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
    if [ $kind = raw ]; then
        ctl expect a '[0-9a-f]{32}' 10 >/dev/null || :
        for _ in $(seq 50); do tr -d '\r' <"$TMPDIR/log" | grep -qE '^[0-9a-f]{32}' && break; sleep 0.1; done
        sum="$(tr -d '\r' <"$TMPDIR/log" | grep -oE '^[0-9a-f]{32}' | tail -n 1)"
        say all_of_it_is_in_the_file "$([ "$sum" = "$(md5sum <"$small/raw.img" | cut -c1-32)" ] && echo true || echo false)" "$sum"
        used=$(df -m --output=used "$small" | tail -n 1)
        mount -o "remount,size=$((used + 2))m" "$small"
    fi
done
ctl stop a >/dev/null || :
wait "$pid" || :
