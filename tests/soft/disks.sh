#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 240
# Disks of a real guest: limits that change while it runs, and what a kill -9 of the program leaves.
set -eu
cd "$(dirname "$0")/../.."
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
# vdb: a raw file; vdc: a base and a named overlay.  16 MiB each are enough to be timed.
head -c 16M /dev/zero >"$TMPDIR/base.img"
cat >"$lab" <<LAB
name: disks
guests:
  a:
    image: debian
    memory: 256M
    disks:
      - {name: raw, path: $TMPDIR/raw.img, size: 32M}
      - {name: over, base: $TMPDIR/base.img, overlay: $TMPDIR/over.img}
LAB

. tests/lib/guest.sh
seconds() { printf '%s\n' "$said" | awk '$1 == "real" {t = $2 * 60 + $3} END {print t}'; }
within() { awk -v x="$1" -v lo="$2" -v hi="$3" 'BEGIN {print (x >= lo && x <= hi) ? "true" : "false"}'; }

start
# 12 MiB at 4 MiB/s are 3 s; the first 50 ms are a burst.
ctl disk a.raw bps=4M >/dev/null
guest time dd if=/dev/zero of=/dev/vda bs=64k count=192 oflag=direct
t="$(seconds)"
say a_bps_limit_holds_within_3_percent "$(within "$t" 2.86 3.09)" "12 MiB at 4 MiB/s took $t s"
ctl disk a.raw bps=0 iops=100 >/dev/null
guest time dd if=/dev/vda of=/dev/null bs=4k count=300 iflag=direct
t="$(seconds)"
say an_iops_limit_set_while_it_runs_holds_within_3_percent "$(within "$t" 2.86 3.09)" "300 reads at 100/s took $t s"
shown="$(ctl disk a.raw)"
say what_requests_took_is_shown_as_a_histogram "$(grep -q '^a.raw: 3[0-9][0-9] reads, mean .*, 99 % within ' <<<"$shown" &&
    grep -q '^  below .* #####' <<<"$shown" && echo true)" "$shown"
ctl disk a.raw iops=0 >/dev/null
guest time dd if=/dev/vda of=/dev/null bs=4k count=300 iflag=direct
t="$(seconds)"
say a_limit_taken_back_is_gone "$(within "$t" 0 1.5)" "300 reads without limit took $t s"

# Flushed is flushed: the program dies while the guest goes on writing.
guest "seq 1 300000 | head -c 1m >/tmp/x; for d in vda vdb; do dd if=/tmp/x of=/dev/\$d bs=64k conv=fsync; done; md5sum /tmp/x"
sum="$(printf '%s\n' "$said" | tail -n 1 | cut -c1-32)"
ctl send a 'while :; do dd if=/dev/zero of=/dev/vdb bs=64k seek=32 count=64; dd if=/dev/zero of=/dev/vda bs=64k seek=32 count=64; sync; done &\n' >/dev/null
sleep 1
kill -9 "$pid"
wait "$pid" 2>/dev/null || :
rm -f "$socket"
say a_killed_program_leaves_what_was_flushed_in_a_raw_file \
    "$([ -n "$sum" ] && [ "$(head -c 1M "$TMPDIR/raw.img" | md5sum | cut -c1-32)" = "$sum" ] && echo true || echo false)" "md5 $sum"
say a_base_is_never_written "$(cmp -s -n 16777216 "$TMPDIR/base.img" /dev/zero && echo true || echo false)" "the base changed"
start
guest "head -c 1048576 /dev/vdb | md5sum"
say an_overlay_opens_again_after_a_kill_with_what_was_flushed \
    "$([ "$(printf '%s\n' "$said" | tail -n 1 | cut -c1-32)" = "$sum" ] && echo true || echo false)" "$said"
ctl stop a >/dev/null || :
wait "$pid" || :
