#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A boot sector that speaks by the BIOS (bios.S). RUCHE_ACCEL=kvm: under KVM.
set -u
cd "$(dirname "$0")/../.."
. tests/lib/guest.sh
gcc -m32 -nostdlib -static -Wl,-Ttext=0x7c00,--oformat=binary,-m,elf_i386 -o "$TMPDIR/sector" tests/soft/bios.S
# The log has at least what is said after the restart.
timeout 60 ./ruche run --accel "${RUCHE_ACCEL:-soft}" -m 32M --headless --exec "log sector $TMPDIR/log" \
    --exec "expect sector 'w$' 20" --exec "send sector xy" --exec "expect sector xy 20" \
    --exec "send sector r" --exec "expect sector '2000 ew' 20" --exec quit "$TMPDIR/sector" >"$TMPDIR/out" 2>&1 </dev/null
said="$(tr -d '\r' <"$TMPDIR/log")"
has() { # CASE TEXT
    say "$1" "$(grep -qF "$2" <<<"$said" && echo true || echo false)" "$said $(cat "$TMPDIR/out")"
}
has what_is_typed_comes_back_and_it_begins_anew 'xyhello by int 10h'
has strings_and_memory_sizes 'stringb027F x7C00 '
has the_map_of_memory 'm10000 0009 20009 0000 2000E 0002 10010 01F0 2E000 2000 '
has a_disk_is_not_there ' ew'
