#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# in-kvm:
# The selftest guest under KVM, see tests/soft/selftest.sh. `tcg`: what QEMU's emulated processor below is
# known to do wrong is excused by name.
[ "${RUCHE_IN_KVM:-}" = 1 ] && export APPEND=tcg
ENGINE=kvm exec "$(dirname "$0")/../soft/selftest.sh"
