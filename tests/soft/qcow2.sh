#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 240
# qcow2 images by qemu-nbd: a guest writes to one with a backing file, and to an overlay of ours over
# another; what it flushed is there after a kill -9 of the program; a helper that dies is an event.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v qemu-nbd >/dev/null || ! command -v qemu-img >/dev/null; then
    echo "skip qcow2 - qemu-nbd and qemu-img are not installed (package qemu-utils)"
    exit 77
fi
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
seq 1 2000000 | head -c 8M >"$TMPDIR/raw"
qemu-img convert -f raw -O qcow2 "$TMPDIR/raw" "$TMPDIR/base.qcow2"
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$TMPDIR/top.qcow2"
before="$(md5sum <"$TMPDIR/base.qcow2")"
cat >"$lab" <<LAB
name: qcow2
guests:
  a:
    image: debian
    memory: 256M
    disks:
      - {name: top, path: $TMPDIR/top.qcow2}
      - {name: over, base: $TMPDIR/base.qcow2, overlay: $TMPDIR/over.img}
LAB
. tests/lib/guest.sh
ask() { # as guest, but of what was said before nothing is left
    guest "$@"
    : >"$TMPDIR/log"
}
helpers() { pgrep -f "qemu-nbd.*$TMPDIR/" || :; }
gone() { # within 20 s no helper is left
    for _ in $(seq 200); do [ -z "$(helpers)" ] && { echo true; return; }; sleep 0.1; done
    echo false
}
sum() { printf '%s\n' "$said" | grep -oE '^[0-9a-f]{32}' | sed -n "${1}p"; }
trap 'kill -9 $pid 2>/dev/null || :' EXIT

start
say each_image_has_a_helper "$([ "$(helpers | wc -l)" = 2 ] && echo true || echo false)" "$(helpers)"
said="$(for p in $(helpers); do ls -l "/proc/$p/fd" | grep -E 'kvm|/dev/net|memfd' || :; grep CapEff "/proc/$p/status"; done)"
say a_helper_has_none_of_our_files_and_no_capabilities \
    "$(printf '%s\n' "$said" | grep -qvE '^CapEff:\s+0+$' && echo false || echo true)" "$said"
ask "for d in vda vdb; do head -c 1m /dev/\$d | md5sum; done"
want="$(head -c 1M "$TMPDIR/raw" | md5sum | cut -c1-32)"
say a_backing_file_shows_through "$([ "$(sum 1)" = "$want" ] && [ "$(sum 2)" = "$want" ] && echo true || echo false)" "$said"
# a second writer is refused, by QEMU's own locks
if timeout 60 ./ruche run --accel soft --headless --disk "$TMPDIR/top.qcow2" hello >"$TMPDIR/second" 2>&1 </dev/null; then second=false; else second=true; fi
say a_second_writer_is_refused "$([ $second = true ] && grep -q 'is in use by another guest or program' "$TMPDIR/second" && echo true || echo false)" "$(cat "$TMPDIR/second")"

ask "head -c 1m /dev/urandom >/tmp/x; for d in vda vdb; do dd if=/tmp/x of=/dev/\$d bs=64k seek=16 conv=fsync; done; md5sum /tmp/x"
written="$(sum 1)"
ctl send a 'while :; do for d in vda vdb; do dd if=/dev/zero of=/dev/$d bs=64k seek=64 count=32; done; sync; done >/dev/null 2>&1 &\n' >/dev/null
sleep 1
kill -9 "$pid"
wait "$pid" 2>/dev/null || :
rm -f "$socket"
say a_killed_program_takes_its_helpers_with_it "$(gone)" "$(helpers)"
said="$(qemu-img check "$TMPDIR/top.qcow2" 2>&1)" && ok=true || ok=false
say the_image_is_clean_after_the_kill $ok "$said"
start
ask "for d in vda vdb; do dd if=/dev/\$d bs=64k skip=16 count=16 2>/dev/null | md5sum; done"
say what_was_flushed_is_there_after_the_kill "$([ -n "$written" ] && [ "$(sum 1)" = "$written" ] && [ "$(sum 2)" = "$written" ] && echo true || echo false)" "$written, then $said"

# The helper of vda dies: an error for the guest, an event, no hang; vdb goes on.
kill -9 "$(pgrep -f "qemu-nbd.*$TMPDIR/top.qcow2")"
ask "dd if=/dev/vda of=/dev/null bs=64k count=1 skip=100 iflag=direct; dd if=/dev/vdb of=/dev/null bs=64k count=1 iflag=direct && echo good"
say a_lost_helper_is_an_error_for_the_guest "$(printf '%s\n' "$said" | grep -qi 'input/output error' && echo true || echo false)" "$said"
say the_other_disk_goes_on "$(printf '%s\n' "$said" | grep -q good && echo true || echo false)" "$said"
events="$(ctl events)"
say a_lost_helper_is_an_event "$(printf '%s\n' "$events" | grep -q 'top: qemu-nbd is lost' && echo true || echo false)" "$events"
ctl stop a >/dev/null
wait "$pid" || :
say a_stop_ends_the_helpers "$(gone)" "$(helpers)"
say a_base_is_never_written "$([ "$(md5sum <"$TMPDIR/base.qcow2")" = "$before" ] && echo true || echo false)" "the base changed"

# Without the program: one sentence.
mkdir "$TMPDIR/bin"
if PATH="$TMPDIR/bin" /usr/bin/timeout 60 ./ruche run --accel soft --headless --disk "$TMPDIR/top.qcow2" hello >"$TMPDIR/none" 2>&1 </dev/null; then ok=false; else ok=true; fi
say without_the_program_one_sentence_names_the_package "$([ $ok = true ] && grep -q 'install the package qemu-utils' "$TMPDIR/none" && echo true || echo false)" "$(cat "$TMPDIR/none")"
