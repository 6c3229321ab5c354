#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 400
# in-kvm: --smp 2 --mem 1G
# Two guests on a network, under KVM: see tests/net/guests.sh.
set -u
cd "$(dirname "$0")/../.."
ENGINE=kvm exec bash tests/net/guests.sh
