# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Debian's cloud kernel in the user's cache.  Sourced by bash scripts after common.sh.
#
# kernel_get prints a directory that holds, unmodified from Debian's package:
#   vmlinuz            the bzImage            config       the kernel's configuration
#   modules/           lib/modules/VERSION    release      the version, one line
# and, made from them, vmlinux (the unpacked ELF image) and modules/modules.dep.
# Nothing needs root: packages are fetched with `apt-get download` (apt checks their signatures)
# and unpacked with dpkg-deb.

KERNEL_META=linux-image-cloud-amd64
KERNEL_SUITE=bookworm

# kernel_get [update]: the newest kernel in the cache; fetches one if there is none, or if asked.
kernel_get() {
    local cache found
    cache="$(cache_dir)/kernel"
    mkdir -p "$cache"
    found="$(kernel_newest "$cache")"
    if [ -z "$found" ] || [ "${1:-}" = update ]; then
        with_lock "$cache/lock" kernel_fetch "$cache" "${1:-}" >&2
        found="$(kernel_newest "$cache")"
    fi
    printf '%s\n' "$found"
}

kernel_newest() {
    local mark
    mark="$(printf '%s\n' "$1"/*/release | grep -v '\*' | sort -V | tail -n 1)"
    printf '%s\n' "${mark%/release}"
}

# Prints what the newest package is called, or nothing if apt does not know it.
kernel_package() {
    apt-cache "$@" depends "$KERNEL_META" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
}

kernel_fetch() {
    local cache="$1" work package
    [ -z "$(kernel_newest "$cache")" ] || [ "$2" = update ] || return 0
    need_tools apt-get:apt dpkg-deb:dpkg python3:python3 lz4:lz4 busybox:busybox-static
    work_dir "$cache/.fetch.XXXXXX"
    work="$REPLY"
    package="$(apt_download "$work" "$KERNEL_META" kernel_package)"
    [ -n "$package" ] || die "cannot get Debian's cloud kernel; check the network and try again"
    kernel_unpack "$cache" "$work" "$package"
}

kernel_unpack() {
    local cache="$1" work="$2" version dir
    version="${3#linux-image-}"
    [ -e "$cache/$version/release" ] && return 0
    dir="$work/done"
    mkdir "$dir"
    dpkg-deb -x "$work"/"$3"_*.deb "$work/x"
    mv "$work/x/boot/vmlinuz-$version" "$dir/vmlinuz"
    mv "$work/x/boot/config-$version" "$dir/config"
    busybox depmod -b "$work/x" "$version"
    mv "$work/x/lib/modules/$version" "$dir/modules"
    python3 "$TREE/scripts/lib/unpack-bzimage.py" "$dir/vmlinuz" "$dir/vmlinux"
    printf '%s\n' "$version" >"$dir/release"
    chmod -R a+rX "$dir"
    rm -rf "${cache:?}/$version"
    mv "$dir" "$cache/$version"
    say "Debian's kernel $version is in $cache"
}

# Options that make apt use lists of its own below $1, for those who may not run apt-get update
# or whose system is not the Debian release that we want.
apt_private() {
    local dir="$1"
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    cat >"$dir/sources.list" <<LIST
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $KERNEL_SUITE main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian-security $KERNEL_SUITE-security main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $KERNEL_SUITE-updates main
LIST
    : >"$dir/status"
    APT_OPTS=(-o "Dir::State=$dir" -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache"
              -o "Dir::State::status=$dir/status" -o "Dir::Etc::SourceList=$dir/sources.list"
              -o Dir::Etc::SourceParts=/dev/null -o APT::Architecture=amd64
              -o "APT::Architectures::=amd64" -o "APT::Sandbox::User=")
}

# apt_download WORK META RESOLVER: fetches the package that RESOLVER names into WORK, prints its
# name; first with the system's lists, then with private ones that are brought up to date.
apt_download() {
    local work="$1" meta="$2" resolver="$3" package codename=
    APT_OPTS=(-o "APT::Sandbox::User=")
    # shellcheck disable=SC1091
    [ -r /etc/os-release ] && codename="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
    if [ "$codename" = "$KERNEL_SUITE" ]; then
        package="$("$resolver" "${APT_OPTS[@]}")"
        if [ -n "$package" ]; then
            say "fetching $package"
            (cd "$work" && apt-get "${APT_OPTS[@]}" -q download "$package") >&2 &&
                echo "$package" && return 0
        fi
    fi
    [ -r /usr/share/keyrings/debian-archive-keyring.gpg ] ||
        die "the package debian-archive-keyring is missing. Run scripts/deps test"
    apt_private "$(cache_dir)/apt"
    say "reading Debian's package lists to find $meta"
    apt-get "${APT_OPTS[@]}" -q update >&2 || return 0
    package="$("$resolver" "${APT_OPTS[@]}")"
    [ -n "$package" ] || return 0
    say "fetching $package"
    (cd "$work" && apt-get "${APT_OPTS[@]}" -q download "$package") >&2 && echo "$package"
    rm -rf "$(cache_dir)/apt"       # the lists are bigger than the kernel
    return 0
}

# kernel_modules DIR NAME...: paths below DIR/modules of the modules and all they need, in an
# order in which they can be loaded.  A name that is built in or unknown is passed over.
kernel_modules() {
    local dir="$1"
    shift
    awk -v want="$*" '
        { split($1, a, ":"); path = a[1]; n = split(path, p, "/"); name = p[n]
          sub(/\.ko.*/, "", name); gsub(/-/, "_", name)
          path_of[name] = path; deps[path] = substr($0, length($1) + 2) }
        function load(path,   list, i, n) {
            if (path in seen) return
            seen[path] = 1
            n = split(deps[path], list, " ")
            for (i = n; i >= 1; i--) load(list[i])
            print path
        }
        END { n = split(want, w, " ")
              for (i = 1; i <= n; i++) { gsub(/-/, "_", w[i]); if (w[i] in path_of) load(path_of[w[i]]) } }
    ' "$dir/modules/modules.dep"
}
