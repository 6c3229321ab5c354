# SPDX-License-Identifier: GPL-3.0-or-later
# Of tests that type into the shell of a Debian guest `a`, by the control socket. Sourced by scripts
# that have set lab= and socket=; ENGINE is the engine (soft).
say() { # CASE TRUE-OR-FALSE DETAIL
    if [ "$2" = true ]; then echo "ok $1"; else printf 'not ok %s\n%s\n' "$1" "$3"; fi
}
yes_if() { if "$@" >/dev/null 2>&1; then echo true; else echo false; fi; }
unprivileged() { setpriv --bounding-set -all --inh-caps -all -- "$@"; } # what root is without privileges
ctl() { ./ruche ctl --socket "$socket" "$@"; }
turn=0
guest() { # COMMAND...: runs it in the guest's shell; what it said, each line after ": ", goes to $said
    turn=$((turn + 1))
    ctl send a "($*) 2>&1 | sed 's/^/: /'; echo EN''D.$turn.\\n" >/dev/null
    ctl expect a "END.$turn." 60 >/dev/null
    for _ in $(seq 100); do grep -q "END.$turn." "$TMPDIR/log" && break; sleep 0.05; done
    said="$(tr -d '\r' <"$TMPDIR/log" | sed -n 's/^: //p')"
}
start() {
    ./ruche --accel "${ENGINE:-soft}" --headless --socket "$socket" "$lab" 2>"$TMPDIR/err" &
    pid=$!
    for _ in $(seq 100); do ctl list >/dev/null 2>&1 && break; sleep 0.1; done
    ctl expect a '# $' 90 >/dev/null
    rm -f "$TMPDIR/log"
    ctl log a "$TMPDIR/log" >/dev/null
}
