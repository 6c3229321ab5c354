#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 200
# Two Debian guests on one network: addresses, ping, a transfer whose checksum is compared, the way out
# and in by the NAT, a link that is pulled and slowed down. ENGINE is the engine (soft);
# tests/cli/net.sh runs the same under KVM.
set -u
cd "$(dirname "$0")/../.."
TMPDIR="${TMPDIR:-$(mktemp -d)}"
engine="${ENGINE:-soft}"
socket="$TMPDIR/socket"
pids=''
trap 'kill $pids 2>/dev/null; wait 2>/dev/null' EXIT

# two ports below the range from which the system gives ports
forward=$((20000 + RANDOM % 5000)) server=$((25000 + RANDOM % 5000))
mkdir -p "$TMPDIR/www"
echo from-the-host >"$TMPDIR/www/file"
busybox httpd -f -p "127.0.0.1:$server" -h "$TMPDIR/www" &
pids="$!"
cat >"$TMPDIR/lab.yaml" <<LAB
name: nettest
networks:
  lan: {nat: true, forward: ["$forward:a:80"]}
defaults: {image: debian, memory: 96M}
guests:
  a: {nets: [lan]}
  b: {nets: [{network: lan, rate: 10G}]}
LAB
./ruche --headless --accel "$engine" --socket "$socket" "$TMPDIR/lab.yaml" >"$TMPDIR/out" 2>&1 &
ruche=$!
pids="$pids $ruche"
for _ in $(seq 100); do [ -S "$socket" ] && break; sleep 0.1; done

ctl() { ./ruche ctl --socket "$socket" "$@"; }
# In guest $2 the command $3 says something that matches $4 within $5 seconds; case $1.
in_guest() {
    ctl send --fresh "$2" "$3" >/dev/null
    if ctl expect "$2" "$4" "$5" >/dev/null 2>"$TMPDIR/err"; then
        echo "ok $1"
    else
        echo "not ok $1"
        cat "$TMPDIR/err"
        ctl watch "$2" 0.1 --lines 12 | sed 's/^/# /'
    fi
}

ctl expect a '# $' 100 >/dev/null && ctl expect b '# $' 100 >/dev/null || { cat "$TMPDIR/out"; echo "not ok boot"; exit 1; }
in_guest net_dhcp_gives_the_address 'a' 'sleep 1; ip addr show eth0' 'inet 10[.]0[.]2[.]15/24' 20
in_guest net_guests_ping_each_other b 'ping -c 3 10.0.2.15' ' 0% packet loss' 20
in_guest net_serves a 'mkdir /tmp/w; dd if=/dev/urandom of=/tmp/w/f bs=64k count=64; (cd /tmp/w; md5sum f >s; httpd); echo rea"dy"' ready 40
in_guest net_tcp_transfer_arrives_whole b \
    'cd /tmp; wget -q http://10.0.2.15/f http://10.0.2.15/s && md5sum -c s && echo who"le"' whole 60
in_guest net_nat_reaches_the_hosts_loopback b "wget -q -O - http://10.0.2.2:$server/file" from-the-host 20
[ "$(ctl link b.eth0 | head -n 1)" = "b.eth0: network lan, up, rate=10Gbit delay=0ms loss=0%" ] && echo "ok net_link_begins_as_the_lab_says" ||
    echo "not ok net_link_begins_as_the_lab_says: $(ctl link b.eth0)"
fetch() { busybox wget -q -O - "http://127.0.0.1:$forward/$1"; }
sum="$(fetch f | md5sum | cut -d' ' -f1) $(fetch s | cut -d' ' -f1)"
[ "${sum% *}" = "${sum#* }" ] && [ "${#sum}" = 65 ] && sum=whole
[ "$sum" = whole ] && echo "ok net_forward_reaches_the_guest" || echo "not ok net_forward_reaches_the_guest: $sum"
# What the NAT's thread has used is charged to the guests that it worked for. They are paused, so that nothing moves.
fetch f >"$TMPDIR/null"; fetch f >"$TMPDIR/null"; fetch f >"$TMPDIR/null"
ctl pause all >/dev/null; sleep 2.2
on_cpu() { cat $(printf "/proc/$ruche/task/%s/schedstat " "$@") | awk '{ns += $1} END {printf "%d\n", ns / 1000}'; }
charged() { # us beyond its own threads, and those
    local own all
    own="$(on_cpu $(ctl info "$1" | sed -n 's/^threads *//p'))"
    all="$(ctl --json stats "$1" | sed 's/.*"mechanism":"[a-z]*","seconds":\([0-9.]*\).*/\1/')"
    awk "BEGIN {printf \"%d\n\", $all * 1e6 - $own}"
}
nat="$(on_cpu $(grep -l '^nat/lan' /proc/$ruche/task/*/comm | sed 's,.*/task/\([0-9]*\)/.*,\1,'))"
for_a="$(charged a)" for_b="$(charged b)"
echo "# the NAT used $nat us: $for_a for a, $for_b for b"
[ "$nat" -gt 2000 ] && [ $((for_a + for_b)) -gt $((nat * 8 / 10 - 2000)) ] && [ $((for_a + for_b)) -lt $((nat + 4000)) ] &&
    [ "$for_b" -lt $((for_a / 3 + 2000)) ] && echo "ok net_nat_is_charged_to_who_uses_it" || echo "not ok net_nat_is_charged_to_who_uses_it"
ctl set host.cpus 0 >/dev/null
at="$(sed -n 's/^Cpus_allowed_list:\t*//p' $(grep -l '^nat/lan' /proc/$ruche/task/*/comm | sed 's,comm$,status,'))"
[ "$at" = 0 ] && echo "ok net_nat_runs_on_the_labs_cpus" || echo "not ok net_nat_runs_on_the_labs_cpus: $at"
ctl set host.cpus "0-$(($(nproc) - 1))" >/dev/null
ctl resume all >/dev/null
ctl pause a >/dev/null # its devices stand still, too
received() { ctl --json stats a | tr -d ' ' | sed -n 's/.*"rx_pkts":\([0-9]*\).*/\1/p'; }
before="$(received)"
in_guest nobody_answers_for_a_paused_guest b 'ping -c 3 -W 1 10.0.2.15' '100% packet loss' 20
after="$(received)"
[ -n "$before" ] && [ "$before" = "$after" ] && echo "ok a_paused_guest_receives_nothing" || echo "not ok a_paused_guest_receives_nothing: $before, $after"
ctl resume a >/dev/null
in_guest a_resumed_guest_answers b 'ping -c 2 10.0.2.15' ' 0% packet loss' 20
ctl link a.eth0 capture="$TMPDIR/a.pcap" delay=60ms >/dev/null
in_guest link_delay_is_seen_by_the_guest b 'ping -c 2 10.0.2.15' 'min/avg/max = 1[2-9][0-9][.]' 20
ctl link a.eth0 delay=none loss=20% >/dev/null # there and back: 36 % of the pings, and four standard deviations
in_guest link_loss_is_seen_by_the_guest b 'ping -c 100 -i 0.03 -W 1 10.0.2.15' ' (1[7-9]|[2-4][0-9]|5[0-5])% packet loss' 30
ctl link a.eth0 down loss=none capture=off >/dev/null
in_guest link_down_is_seen_by_the_guest a 'cat /sys/class/net/eth0/carrier' '^0' 20
in_guest link_down_stops_frames b 'ping -c 1 -W 1 10.0.2.15' '100% packet loss' 20
ctl link a.eth0 up >/dev/null
in_guest link_up_lets_frames_pass b 'ping -c 2 10.0.2.15' ' 0% packet loss' 20
magic="$(head -c 4 "$TMPDIR/a.pcap" | od -An -tx1 | tr -d ' ')"
[ "$magic" = 4d3cb2a1 ] && echo "ok link_capture_is_a_pcap_file" || echo "not ok link_capture_is_a_pcap_file: $magic"
if [ -z "${RUCHE_IN_KVM:-}" ]; then # that machine has no tcpdump, which reads what Wireshark reads
    read="$(tcpdump -Z root -n -r "$TMPDIR/a.pcap" icmp 2>&1)"
    case "$read" in *'10.0.2.15: ICMP echo request'*) echo "ok link_capture_is_read_by_others" ;; *) echo "not ok link_capture_is_read_by_others: $read" ;; esac
fi
mac="$(ctl link b.eth0 | sed -n '2s/ *\([0-9a-f:]*\),.*/\1/p')"
sed 's/image: debian, memory: 96M/image: hello, memory: 16M, autostart: false/; s/, forward.*/}/' "$TMPDIR/lab.yaml" >"$TMPDIR/again.yaml"
again="$(./ruche --headless --accel "$engine" --socket "$TMPDIR/again" --exec 'link b.eth0' --exec quit "$TMPDIR/again.yaml" 2>&1)"
case "$mac/$again" in 02:*/*" $mac,"*) echo "ok a_guests_address_is_the_same_each_time" ;; *) echo "not ok a_guests_address_is_the_same_each_time: $mac, $again" ;; esac
json="$(ctl --json stats a | tr -d ' ' | grep -o '"nets":.*')"
bytes="$(printf '%s\n' "$json" | sed 's/.*"tx_bytes":\([0-9]*\).*/\1/')"
case "$json" in
'"nets":[{"name":"eth0","network":"lan","mac":"02:'*) [ "$bytes" -gt 8388608 ] && echo "ok stats_json_has_the_link" ;;
*) echo "not ok stats_json_has_the_link: $json" ;;
esac
ctl stop all >/dev/null 2>&1
