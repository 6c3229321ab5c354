#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 120
# The selftest guest's groups about the processor (not those about time, which a busy host makes late),
# each check a case. ENGINE is the engine (soft), APPEND more of the guest's command line; tests/long/selftest.sh
# runs the same under KVM.
set -u
cd "$(dirname "$0")/../.."
groups=alu,strings,paging,exceptions,segments,legacy,real,task,vm86,msr,user,syscall,debug,smc,fpu
./ruche run --accel "${ENGINE:-soft}" -m 64M -a "test=$groups ${APPEND:-}" selftest 2>&1 </dev/null | tr -d '\r' |
    sed -n 's/^FAIL \([^ ]*\)\(.*\)/not ok \1\n\2/p; s/^ok /ok /p; s/^gap \([^ ]*\).*/skip \1 - known of QEMU/p
            s/^skip \([^ ]*\) (\(.*\))/skip \1 - \2/p; s/^selftest: .* ok, .*/ok selftest_came_to_its_end/p'
