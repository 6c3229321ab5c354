#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# scripts/layers finds each kind of finding in a tree made to have it, and nothing in a clean one.
set -eu
top="$(cd "$(dirname "$0")/../.." && pwd)"
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/scripts" "$tree/src/core/x86" "$tree/src/devices" "$tree/src/ui"
cp "$top/scripts/layers" "$tree/scripts/"

# expect NAME FILE PATTERN, the file's text on stdin: PATTERN is found in it; "" means nothing is.
expect() {
    local out
    cat >"$tree/$2"
    out="$("$tree/scripts/layers" || :)"
    rm "$tree/$2"
    if { [ -n "$3" ] && grep -q "$2:.*$3" <<<"$out"; } || [ "$out" = "layers: ok" -a -z "$3" ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        printf '%s\n' "$out"
    fi
}

printf '#include "core/mem.h"\n' >"$tree/src/devices/uart.h"
expect core_may_not_include_a_device src/core/a.c 'nothing of devices' <<<'#include "devices/uart.h"'
expect core_may_not_include_ui src/core/a.c 'nothing of devices or ui' <<<'#include "ui/pane.h"'
expect ui_may_not_include_a_device src/ui/a.c 'never sees a device' <<<'#include "devices/uart.h"'
expect ui_may_not_include_kvm src/ui/a.c 'accel_kvm' <<<'#include <linux/kvm.h>'
expect accel_kvm_may_include_kvm src/core/accel_kvm_regs.c '' <<<'#include <linux/kvm.h>'
expect device_may_not_include_the_vm src/devices/a.c 'a device includes' <<<'#include "core/vm.h"'
expect device_may_include_the_bus src/devices/a.c '' <<<'#include "core/bus.h"'
expect software_cpu_may_not_include_the_vm src/core/x86/a.c 'software CPU' <<<'#include "core/vm.h"'
expect curses_belongs_to_ui src/core/a.c 'only' <<<'#include <curses.h>'
expect bare_header_name_is_found src/devices/a.c 'bare name' <<<'#include "uart.h"'
expect exit_in_a_device_is_found src/devices/a.c 'exit()' <<<'void f(void) { exit(1); }'
expect assert_in_core_is_found src/core/a.c 'assert()' <<<'void f(int a) { assert(a); }'
expect exit_in_comment_or_string_is_not_found src/core/a.c '' <<'C'
/* one may exit(1)
 * or abort() */
void f(void) { log("abort()"); p->exit(0); vm_exit(); } // assert(x)
static_assert(1, "");
C
yes 'int x;' | head -n 901 | expect long_file_is_found src/core/a.c '900 lines'
yes '1,' | head -n 901 | expect long_table_is_allowed src/core/opcode_table.c ''
