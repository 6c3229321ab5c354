#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 170
# A network with a TAP interface, in a network namespace of the test's own: created by us with
# CAP_NET_ADMIN, or there already and used without it; transfers both ways with checksums and long
# segments left undone; no thread keeps a capability.
set -u
cd "$(dirname "$0")/../.."
TMPDIR="${TMPDIR:-$(mktemp -d)}"
if [ -z "${RUCHE_NETNS:-}" ]; then
    if ! unshare -n true 2>/dev/null || ! [ -r /dev/net/tun ] || ! command -v ip >/dev/null; then
        echo "skip tap - no network namespace of our own (not root?), no /dev/net/tun, or no ip"
        exit 77
    fi
    RUCHE_NETNS=own exec unshare -n -- "$0" "$@"
fi
lab="$TMPDIR/lab.yaml" socket="$TMPDIR/socket" pid=''
. tests/lib/guest.sh
trap 'kill -9 $pid 2>/dev/null; wait 2>/dev/null' EXIT
cat >"$lab" <<LAB
name: tapped
networks:
  lan: {tap: rtap0, subnet: 10.0.7.0/24}
guests:
  a: {image: debian, memory: 128M, nets: [lan]}
LAB

ip link set lo up
said="$(unprivileged timeout 60 ./ruche --accel soft --headless "$lab" 2>&1 </dev/null)"
say without_the_capability_a_missing_tap_is_told_with_the_mend \
    "$(yes_if grep -q 'network lan: the TAP interface rtap0 is not there, or not yours: .sudo ip tuntap add' <<<"$said")" "$said"
ip link add dummy0 type bridge 2>/dev/null && {
    said="$(sed 's/rtap0/dummy0/' "$lab" >"$TMPDIR/other.yaml"; timeout 60 ./ruche --accel soft --headless "$TMPDIR/other.yaml" 2>&1 </dev/null)"
    say an_interface_that_is_no_tap_is_refused "$(yes_if grep -q 'dummy0 is an interface, but no TAP' <<<"$said")" "$said"
}

start
said="$(ip -o link show rtap0 2>&1)"
say it_is_created_and_up "$(yes_if grep -q '[<,]UP[,>]' <<<"$said")" "$said"
ip addr add 10.0.7.1/24 dev rtap0
guest 'for i in $(seq 50); do ip addr show eth0 | grep "inet " && break; sleep 0.2; done'
say dhcp_answers_where_a_subnet_is_given "$(yes_if grep -q '10[.]0[.]7[.]15/24' <<<"$said")" "$said"
kept="$(grep -hE '^Cap(Prm|Eff|Inh|Bnd|Amb)' /proc/"$pid"/task/*/status | grep -v '0000000000000000$')"
say no_thread_keeps_a_capability "$([ -z "$kept" ] && echo true || echo false)" "$kept"
said="$(busybox ping -c 3 -W 5 10.0.7.15 2>&1)"
say the_host_pings_the_guest "$(yes_if grep -q ' 0% packet loss' <<<"$said")" "$said"
guest 'ping -c 3 10.0.7.1'
say the_guest_pings_the_host "$(yes_if grep -q ' 0% packet loss' <<<"$said")" "$said"

mkdir "$TMPDIR/www"
head -c 6M /dev/urandom >"$TMPDIR/www/f"
busybox httpd -f -p 10.0.7.1:80 -h "$TMPDIR/www" &
web=$!
want="$(md5sum <"$TMPDIR/www/f" | cut -c1-32)"
guest 'mkdir -p /tmp/w; cd /tmp/w; wget -q http://10.0.7.1/f && md5sum f; httpd -h /tmp/w'
say a_transfer_from_the_host_arrives_whole "$(yes_if grep -q "^$want" <<<"$said")" "$said"
said="$(timeout 60 busybox wget -q -O - http://10.0.7.15/f | md5sum | cut -c1-32)"
say a_transfer_to_the_host_arrives_whole "$([ "$said" = "$want" ] && echo true || echo false)" "$said"
# 6 MiB are some 4300 frames of 1514 bytes.
packets="$(awk '$1 == "rtap0:" {print $3}' /proc/net/dev)"
say long_segments_cross_undone "$([ "$packets" -gt 0 ] && [ "$packets" -lt 2500 ] && echo true || echo false)" "$packets packets"
kill "$web"
ctl stop a >/dev/null
wait "$pid"
say the_interface_goes_with_the_program "$(ip link show rtap0 >/dev/null 2>&1 && echo false || echo true)" "rtap0 is still there"

# Made beforehand: no capability is needed, and it stays.
ip tuntap add dev rtap0 mode tap
ip link set rtap0 up
ip addr add 10.0.7.1/24 dev rtap0
rm -f "$socket"
unprivileged ./ruche --accel soft --headless --socket "$socket" "$lab" 2>"$TMPDIR/err" &
pid=$!
for _ in $(seq 100); do ctl list >/dev/null 2>&1 && break; sleep 0.1; done
said="$(timeout 60 sh -c 'until busybox ping -c 1 -W 1 10.0.7.15; do sleep 0.2; done' 2>&1 | tail -n 3)"
say one_that_is_there_needs_no_capability "$(yes_if grep -q ' 0% packet loss' <<<"$said")" "$said $(cat "$TMPDIR/err")"
said="$(timeout 60 ./ruche --accel soft --headless "$lab" 2>&1 </dev/null)"
say a_second_user_is_told "$(yes_if grep -q 'rtap0 is used by another program' <<<"$said")" "$said"
ctl stop a >/dev/null
wait "$pid"
say it_stays_when_we_go "$(yes_if ip link show rtap0)" "rtap0 is gone"
