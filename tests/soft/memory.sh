#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Memory of a real guest: `mem` shrinks and grows it, what it frees comes back to the host by itself,
# and equal pages of two mergeable guests are shared where the kernel merges.
set -eu
cd "$(dirname "$0")/../.."
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket"
cat >"$lab" <<LAB
name: memory
guests:
  a: {image: debian, memory: 256M, mergeable: true}
LAB

. tests/lib/guest.sh
figure() { # PYTHON: of `s`, the statistics of a; in MiB where they are bytes
    ctl --json stats | python3 -c "import json, sys
r = json.load(sys.stdin); r = r.get('result', r)
s = r['vms'][0]['memory']; host = r['host']['memory']
print($1)"
}
until_true() { # SECONDS PYTHON
    for _ in $(seq $(($1 * 4))); do
        [ "$(figure "$2")" = True ] && { echo true; return; }
        sleep 0.25
    done
    echo false
}
guest_kib() { # FIELD of the guest's /proc/meminfo
    ctl send a "echo EN''D.$1.\$(awk '/^$1:/ {print \$2}' /proc/meminfo).\\n" >/dev/null
    ctl expect a "END.$1.[0-9]+\\." 30 >/dev/null
    for _ in $(seq 50); do grep -q "END.$1\.[0-9]*\." "$TMPDIR/log" && break; sleep 0.1; done
    tr -d '\r' <"$TMPDIR/log" | sed -n "s/.*END\.$1\.\([0-9]*\)\..*/\1/p" | tail -n 1
}

trap 'kill -9 $pid 2>/dev/null || :' EXIT
start

# A file of 96 MiB in the guest's memory, then gone: free page reporting gives it back.
ctl send a "dd if=/dev/zero of=/tmp/x bs=1M count=96 2>/dev/null; echo EN''D.filled\\n" >/dev/null
ctl expect a END.filled 60 >/dev/null
# With kernel and busybox some 75 MiB are resident; figures are up to 1.5 s old.
say what_a_guest_touches_is_resident "$(until_true 10 "s['resident'] >> 20 >= 150")" "$(ctl --json stats)"
free="$(figure "s['balloon_free'] is None or s['balloon_free'] < s['configured']")"
say the_guests_claim_is_within_its_memory "$([ "$free" = True ] && echo true || echo false)" "$(ctl --json stats)"
ctl send a "rm /tmp/x; echo EN''D.freed\\n" >/dev/null
ctl expect a END.freed 30 >/dev/null
say what_a_guest_frees_comes_back_to_the_host \
    "$(until_true 20 "s['resident'] >> 20 <= 100")" "$(ctl --json stats)"

before="$(guest_kib MemFree)"
ctl mem a 96M >/dev/null
shrunk="$(until_true 30 "s['target'] == 96 << 20 and s['resident'] <= 104 << 20")"
say mem_shrinks_what_is_resident "$shrunk" "$(ctl --json stats)"
in_balloon() { ctl stats a | sed -n 's/.*in the balloon \([^ ]*\) .*/\1/p'; }
for _ in $(seq 100); do [ "$(in_balloon)" = 160M ] && break; sleep 0.2; done
say the_balloon_holds_all_that_was_asked "$([ "$(in_balloon)" = 160M ] && echo true || echo false)" "$(in_balloon)"
small="$(guest_kib MemFree)"
say the_guest_itself_has_less "$([ "$small" -lt $((before - 140000)) ] && echo true || echo false)" "MemFree $before, then $small KiB"
ctl mem a 256M >/dev/null
for _ in $(seq 100); do [ "$(in_balloon)" = 0 ] && break; sleep 0.2; done
: >"$TMPDIR/log"
large="$(guest_kib MemFree)"
say the_guest_has_its_memory_again "$([ "$large" -gt $((before - 20000)) ] && echo true || echo false)" "MemFree $before, then $large KiB; $(in_balloon)"
ctl send a "dd if=/dev/zero of=/tmp/x bs=1M count=96 2>/dev/null && echo EN''D.again\\n" >/dev/null
ctl expect a END.again 60 >/dev/null && again=true || again=false
say memory_that_was_given_back_can_be_used "$again" "$(tail -3 "$TMPDIR/log")"

host="$(figure "host['total'] > host['available'] > 0 and host['configured'] == 256 << 20 and host['resident'] == s['resident'] and 0 < host['overcommit'] < 4")"
say the_host_object_adds_up "$([ "$host" = True ] && echo true || echo false)" "$(ctl --json stats)"
if [ "$(cat /sys/kernel/mm/ksm/run 2>/dev/null)" = 1 ] && [ "$(figure "s['shared'] is not None")" = True ]; then
    # 96 MiB of zeros are one page, 24576 times
    say equal_pages_are_shared_when_the_host_merges "$(until_true 30 "s['shared'] >> 20 >= 48")" "$(ctl --json stats)"
else
    echo "skip equal_pages_are_shared_when_the_host_merges - KSM does not run on this host, or its kernel does not tell"
fi
ctl stop a >/dev/null || :
wait "$pid" || :
