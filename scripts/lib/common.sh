# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What the scripts share: messages, the user's cache, locks.  Sourced by bash scripts, never run.
# The caller sets PROG (its name in messages) and TREE (the top of the source tree).

shopt -s inherit_errexit                    # or $(...) would go on after a failure

export PATH="$PATH:/usr/sbin:/sbin"         # mke2fs and friends, for users who lack them in PATH

say() { printf '%s: %s\n' "$PROG" "$*" >&2; }
die() { say "$*"; exit 1; }

# The help of a script is its first comment block, up to the first line that is no comment.
print_help() { sed -n '3,${/^#/!q;s/^# \{0,1\}//;p;}' "$1"; }

# Each argument is "command:package"; says at once all that is missing.
need_tools() {
    local pair missing=
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    [ -z "$missing" ] || die "these packages are missing:$missing. Run scripts/deps all"
}

# Prints the directory that outlives a clone: the user's cache, or build/cache without a home.
cache_dir() {
    local base="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
    local dir="${base:+$base/ruche}"
    if [ -z "$dir" ] || ! mkdir -p "$dir" 2>/dev/null || [ ! -w "$dir" ]; then
        dir="$TREE/build/cache"
        mkdir -p "$dir"
    fi
    printf '%s\n' "$dir"
}

# with_lock FILE COMMAND...: one at a time among all processes.  Not to be called where a failure
# is asked about (if, ||), or the shell would run on after a failure inside COMMAND.
with_lock() {
    local lock_fd
    exec {lock_fd}>"$1"
    flock "$lock_fd"
    shift
    "$@"
    exec {lock_fd}>&-
}

# work_dir TEMPLATE: makes a directory, named in REPLY, that goes when this shell ends, however.
WORK_DIRS=()
work_dir() {
    REPLY="$(mktemp -d "$1")"
    WORK_DIRS+=("$REPLY")
    trap 'rm -rf "${WORK_DIRS[@]}"' EXIT
}

# Does this host run guests on the processor itself?  A KVM without VT-x or SVM (kvm_pvm, in some
# cloud VMs) cannot run unmodified guests.
host_has_kvm() {
    grep -qwE -m1 'flags.*(vmx|svm)' /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ] &&
        (: <>/dev/kvm) 2>/dev/null
}
