#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# qcow2 images with which something is wrong: refused with a sentence that says what, and what to do;
# and some kinds with which nothing is, made by qemu-img: accepted.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v qemu-nbd >/dev/null || ! command -v qemu-img >/dev/null; then
    echo "skip qcow2_images - qemu-nbd and qemu-img are not installed (package qemu-utils)"
    exit 77
fi
. tests/lib/guest.sh
tree="$PWD"
cd "$TMPDIR"
seq 1 900000 | head -c 4M >raw
make() { qemu-img convert -f raw -O qcow2 "$@"; }
run() { # IMAGE: ends when the guest has said something, or was refused
    timeout 30 "$tree/ruche" run --accel soft --headless --exec "expect hello . 20" --exec quit -m 16M \
        --disk "$1,format=qcow2" hello 2>&1 </dev/null
}
refused() { # NAME IMAGE WORDS
    local said rc=0
    said="$(run "$2")" || rc=$?
    say "$1" "$([ $rc != 0 ] && grep -q "$3" <<<"$said" && echo true || echo false)" "$rc $said"
}
make raw good.qcow2
rebased() { qemu-img create -q -f qcow2 -b good.qcow2 -F qcow2 "$1"; qemu-img rebase -u -b "$2" -F qcow2 "$1"; }
cp good.qcow2 cut.qcow2; truncate -s 2M cut.qcow2
refused a_truncated_image_is_told cut.qcow2 'cut.qcow2 is cut off: the file has 2097152 bytes.*copy or fetch it again'
head -c 600 good.qcow2 >tiny.qcow2
refused only_a_header_is_told tiny.qcow2 'tiny.qcow2 is cut off'
cp good.qcow2 torn.qcow2; yes | dd of=torn.qcow2 bs=64k seek=3 count=1 iflag=fullblock conv=notrunc status=none
refused a_torn_table_is_told torn.qcow2 'torn.qcow2 is a damaged qcow2 image.*qemu-img check -r all torn.qcow2'
rebased lost.qcow2 nowhere.qcow2
refused a_missing_base_is_told lost.qcow2 'lost.qcow2 is based on nowhere.qcow2, which does not exist.*qemu-img rebase'
rebased one.qcow2 nowhere.qcow2; rebased two.qcow2 one.qcow2; qemu-img rebase -u -b two.qcow2 -F qcow2 one.qcow2
refused a_loop_is_told one.qcow2 'one.qcow2 is based on itself (two.qcow2, which it is based on, is based on it)'
rebased self.qcow2 self.qcow2
refused a_base_that_is_itself_is_told self.qcow2 'self.qcow2 is based on itself; give it another base'
rebased kind.qcow2 raw
refused a_base_of_another_format_is_told kind.qcow2 'kind.qcow2 is based on raw, of which it says that it is a qcow2 image'

accepted() { # NAME IMAGE
    local said rc=0
    said="$(run "$2")" || rc=$?
    say "$1" "$([ $rc = 0 ] && echo true || echo false)" "$rc $said"
}
make -c raw packed.qcow2; accepted a_compressed_image_is_accepted packed.qcow2
make -o compat=0.10 raw old.qcow2; accepted version_2_is_accepted old.qcow2
make -o extended_l2=on,cluster_size=128k raw ext.qcow2; accepted subclusters_are_accepted ext.qcow2
make -o cluster_size=512 raw small.qcow2; accepted small_clusters_are_accepted small.qcow2
qemu-img snapshot -c one good.qcow2; accepted snapshots_inside_are_accepted good.qcow2
qemu-img create -q -f qcow2 -b raw -F raw top.qcow2; accepted a_raw_base_is_accepted top.qcow2
