#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 400
# in-kvm: --mem 1G --with qemu-nbd --with qemu-img
# Disks under KVM: limits that change, a kill -9 of the program, a file system of the host that is full. See
# tests/soft/disks.sh and diskfull.sh.
set -u
cd "$(dirname "$0")/../.."
export ENGINE=kvm TMPDIR
TMPDIR="$(mktemp -d)"
failed=0
for what in disks diskfull; do
    mkdir "$TMPDIR/$what"
    TMPDIR="$TMPDIR/$what" bash "tests/soft/$what.sh" || failed=1
done
exit $failed
