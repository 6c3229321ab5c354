#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The manual pages are well-formed and name all there is: commands, options, keys of the lab file,
# members of `stats --json`. What `make install` puts below DESTDIR works from there.
set -u
cd "$(dirname "$0")/../.."
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT

ok() { echo "ok $1"; }
not_ok() { echo "not ok $1"; shift; printf '# %s\n' "$@"; }
# check NAME COMPLAINTS
check() { if [ -z "$2" ]; then ok "$1"; else not_ok "$1" "$2"; fi; }

# Words of stdin that do not stand in bold in page $1, with roff's \- as a dash.
absent() {
    sed 's/\\-/-/g' "$1" >"$tmp/page"
    while read -r word; do
        grep -qE "(^\.(B|BR|RB|BI|IB) (.*[\" ])?|\\\\fB)$word([\" ,]|\\\\f|\$)" "$tmp/page" || echo "$word"
    done | tr '\n' ' '
}

make -s man install DESTDIR="$tmp/root" PREFIX=/usr/x >"$tmp/make" 2>&1 || { not_ok make_install_works "$(cat "$tmp/make")"; exit 1; }
ok make_install_works
bin="$tmp/root/usr/x/bin/ruche" share="$tmp/root/usr/x/share"
man1="$share/man/man1/ruche.1" lab="$share/man/man5/ruche-lab.5" stats="$share/man/man5/ruche-stats.5"

for page in "$man1" "$lab" "$stats"; do
    name="$(basename "$page" | tr .- __)"
    if command -v mandoc >/dev/null; then
        check "mandoc_finds_nothing_in_$name" "$(mandoc -Tlint -Wwarning "$page" 2>&1)"
    elif command -v groff >/dev/null; then
        check "groff_finds_nothing_in_$name" "$(groff -man -Tutf8 -ww -z "$page" 2>&1)"
    else
        echo "skip ${name}_is_clean - neither mandoc nor groff is installed"
    fi
done
check no_placeholder_is_left_in_a_page "$(grep -l '@[A-Z]*@' "$man1" "$lab" "$stats")"

./ruche help --man | sed -n '/^\.TP/{n;s/^\\fB\([a-z-]*\).*/\1/;s/\\//g;p;}' >"$tmp/commands"
check every_command_stands_in_ruche_1 "$(grep -v '^-' "$tmp/commands" | sed 's/\\//g' | absent "$man1")"
[ "$(grep -c . "$tmp/commands")" -gt 30 ] && ok the_command_table_was_read || not_ok the_command_table_was_read
check every_option_stands_in_ruche_1 \
    "$(grep -o '{"--[a-z-]*"' src/core/options.c | tr -d '{"' | absent "$man1")"
check every_key_of_a_lab_stands_in_ruche_lab_5 \
    "$(grep -ohE '\{"[a-z]+", read_' src/core/lab_*.c | sed 's/{"//;s/".*//' | sort -u | absent "$lab")"
check every_image_stands_in_ruche_lab_5 \
    "$(sed -n '/ images\[\]/,/^}/s/^ *{"\([a-z]*\)".*/\1/p' src/core/images.c | absent "$lab")"

./ruche --accel soft --name "man$$" -e 'create a image=hello memory=16M' -e 'stats --json' >"$tmp/json" 2>/dev/null
python3 - "$tmp/json" >"$tmp/members" <<'P'
import json, sys
def walk(o):
    for key, v in o.items() if isinstance(o, dict) else []:
        print(key)
        walk(v)
    for v in o if isinstance(o, list) else []:
        walk(v)
walk(json.load(open(sys.argv[1])))
P
{ cat "$tmp/members"; grep -ohE 'jout_[a-z0-9]+\([&a-z]+, "[a-z_]+"' src/core/cmd_stats*.c | sed 's/.*"\(.*\)"/\1/'; } | sort -u >"$tmp/keys"
[ "$(grep -c . "$tmp/keys")" -gt 40 ] && ok stats_json_was_read || not_ok stats_json_was_read "$(cat "$tmp/keys")"
check every_member_of_stats_json_stands_in_ruche_stats_5 "$(absent "$stats" <"$tmp/keys")"

# From where it was installed, with nothing of the tree in sight.
said="$(cd / && "$bin" --accel soft --name "inst$$" -e 'create a image=hello memory=16M' -e 'start a' \
    -e 'expect a --print "hello>" 20' -e 'quit' 2>&1)"
case "$said" in *hello*) ok the_installed_program_finds_its_images ;; *) not_ok the_installed_program_finds_its_images "$said" ;; esac

# Completion, as bash would ask for it. complete_line WORD... ; the last one is being written.
XDG_RUNTIME_DIR="$tmp/run"; export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"
. "$share/bash-completion/completions/ruche"
complete_line() {
    COMP_WORDS=("$bin" "$@") COMP_CWORD=$#
    _ruche "$bin"
    printf '%s ' "${COMPREPLY[@]}"
}
offers() { case " $3 " in *" $2 "*) ok "$1" ;; *) not_ok "$1" "$3" ;; esac; }
offers completion_knows_the_modes doctor "$(complete_line do)"
offers completion_knows_options --headless "$(complete_line --he)"
offers completion_knows_options_of_run --memory "$(complete_line run --mem)"
check completion_does_not_mix_options "$(complete_line --mem | tr -d ' ')"
offers completion_knows_engines soft "$(complete_line --accel s)"
"$bin" --accel soft --headless -e 'create beehive image=hello memory=16M' -e 'wait 60' >/dev/null 2>&1 &
pid=$!
for _ in $(seq 100); do "$bin" ctl list 2>/dev/null | grep -q beehive && break; sleep 0.1; done
offers completion_asks_the_instance_for_guests beehive "$(complete_line ctl info be)"
offers completion_asks_the_instance_for_commands mem-dump "$(complete_line ctl mem-)"
offers completion_asks_the_instance_for_options --top "$(complete_line ctl --json exits beehive --t)"
said="$("$bin" ctl quit 2>&1)" && [ -z "$said" ] && ok quit_is_answered || not_ok quit_is_answered "$said"
wait $pid
