#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 120
# Files of a lab that only root's privileges open, or make: they serve the guest also when it is started again,
# long after the privileges are gone. What is named later is refused, and said why.
set -u
cd "$(dirname "$0")/../.."
theirs="$TMPDIR/theirs" lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket" pid=''
. tests/lib/guest.sh
unprivileged true 2>/dev/null || { echo "skip held - not root, or without the privilege to give up privileges"; exit 77; }
trap 'kill -9 $pid 2>/dev/null; wait 2>/dev/null' EXIT

mkdir "$theirs"
cp build/guests/vmlinuz build/guests/initrd.gz "$theirs"
truncate -s 8M "$theirs/raw.img" "$theirs/base.img"
chown -R 65534 "$theirs"
chmod 700 "$theirs"
chmod 600 "$theirs"/*
cat >"$lab" <<LAB
name: held
guests:
  a:
    kernel: $theirs/vmlinuz
    initrd: $theirs/initrd.gz
    append: console=ttyS0
    memory: 128M
    disks:
      - {name: raw, path: $theirs/raw.img}
      - {name: new, path: $theirs/new.img, size: 8M}
      - {name: over, base: $theirs/base.img, overlay: $TMPDIR/over.img}
  stays: {image: hello, memory: 16M}
LAB
said="$(unprivileged timeout 60 ./ruche --accel soft --headless "$lab" 2>&1 </dev/null)"
say without_the_privilege_they_are_refused "$(yes_if grep -q "raw.img. cannot be opened: Permission denied" <<<"$said")" "$said"

said="$(setpriv --bounding-set -all --inh-caps -all --reuid 65534 --regid 65534 --clear-groups timeout 60 ./ruche run --accel soft -m 16M \
    --disk "/usr/new-$$.img,size=1M" hello 2>&1 </dev/null)"
say without_the_privilege_none_is_made "$(yes_if grep -q "cannot be made in ./usr/" <<<"$said")" "$said"
truncate -s 1M "$theirs/readonly.img"
chown 65534 "$theirs/readonly.img"
chmod 400 "$theirs/readonly.img"
said="$(timeout 60 ./ruche run --accel soft -m 16M --disk "$theirs/readonly.img" hello 2>&1 </dev/null)"
say what_its_owner_may_not_write_root_may_not_either "$(yes_if grep -q "may not be written .*: make it .readonly: true. or give it .overlay: true.$" <<<"$said")" "$said"

start
ctl list >/dev/null 2>&1 || { say the_lab_starts false "$(cat "$TMPDIR/err")"; exit 1; }
kept="$(grep -hE '^Cap(Prm|Eff|Inh|Bnd|Amb)' /proc/"$pid"/task/*/status 2>&1 | grep -v '0000000000000000$')"
say no_thread_keeps_a_privilege "$([ -z "$kept" ] && echo true)" "$kept"
guest 'for d in vda vdb vdc; do echo mark-$d | dd of=/dev/$d conv=fsync; done'
ctl stop a >/dev/null
for _ in $(seq 100); do ctl list | grep -q 'a .*stopped' && break; sleep 0.1; done
ctl start a >/dev/null
ctl expect a '# $' 90 >/dev/null
guest 'for d in vda vdb vdc; do head -c 8 /dev/$d; echo; done'
say they_serve_a_guest_that_is_started_again "$([ "$(printf '%s\n' "$said" | tail -n 3 | tr '\n' ' ')" = "mark-vda mark-vdb mark-vdc " ] && echo true)" "$said"
say writes_reach_them "$([ "$(head -c 8 "$theirs/raw.img")$(head -c 8 "$theirs/new.img")" = mark-vdamark-vdb ] && echo true)" "$(ls -l "$theirs")"
say a_base_is_not_written "$(yes_if cmp -n 8388608 "$theirs/base.img" /dev/zero)" "the base changed"
said="$(ctl create b image=hello "disk=$theirs/other.img,size=1M" 2>&1 && ctl start b 2>&1)"
say one_that_is_named_later_is_refused "$(yes_if grep -q "other.img. cannot be opened: .*name the disk in the lab" <<<"$said")" "$said"
cp "$theirs/raw.img" "$theirs/another.img"
mv -f "$theirs/another.img" "$theirs/raw.img"
ctl stop a >/dev/null
said="$(ctl start a 2>&1)"
say one_that_was_replaced_is_not_used "$(yes_if grep -q "raw.img.*does not exist" <<<"$said")" "$said"
ctl quit >/dev/null
