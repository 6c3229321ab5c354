# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make_disk KERNEL TARGET: a whole Debian on a raw ext4 image.  Sourced by scripts/guests.
#
# mmdebstrap makes the files: as root, in a user namespace, or under fakechroot, whichever the
# host allows, and gives them as a tar archive, in which owners and devices are as they should be.
# fakeroot keeps them so while the archive becomes an image by `mke2fs -d`, which mounts nothing.

DISK_SIZE=4G            # apparent; sparse
DISK_LABEL=ruche-root
DISK_PACKAGES="systemd-sysv,systemd-resolved,udev,dbus,iproute2,iputils-ping,kmod,login,procps,
 util-linux,e2fsprogs,less,vim-tiny,ca-certificates,wget"
DISK_UNITS_OFF="systemd-networkd-wait-online.service e2scrub_reap.service apt-daily.timer
 apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer"

# Files below $1 that the image has beyond its packages.
disk_files() {
    local dir="$1"
    mkdir -p "$dir/etc/systemd/network" "$dir/etc/systemd/system.conf.d" "$dir/etc/apt/apt.conf.d"
    printf 'LABEL=%s / ext4 errors=remount-ro,discard 0 0\n' "$DISK_LABEL" >"$dir/etc/fstab"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$dir/etc/hosts"
    printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n\n[Link]\nRequiredForOnline=no\n' \
        >"$dir/etc/systemd/network/80-dhcp.network"
    printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >"$dir/etc/systemd/system.conf.d/ruche.conf"
    printf 'APT::Install-Recommends "false";\n' >"$dir/etc/apt/apt.conf.d/90ruche"
}

# Writes the archive to its standard output.
disk_bootstrap() {
    local kernel="$1" work="$2" version mirror=http://deb.debian.org/debian
    version="$(cat "$kernel/release")"
    mkdir -p "$work/modules"
    cp -r --reflink=auto "$kernel/modules" "$work/modules/$version"
    disk_files "$work/files"
    # No /etc/hostname: the name that our initrd has set by ruche.name= stays.
    mmdebstrap --variant=minbase --include="${DISK_PACKAGES//[$'\n ']/}" \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --customize-hook='mkdir -p "$1/usr/lib/modules"' \
        --customize-hook="copy-in $work/modules/$version /usr/lib/modules" \
        --customize-hook="copy-in $work/files/etc /" \
        --customize-hook="chroot \"\$1\" depmod $version" \
        --customize-hook='chroot "$1" passwd -d root' \
        --customize-hook='chroot "$1" systemctl enable systemd-networkd systemd-resolved' \
        --customize-hook="chroot \"\$1\" systemctl disable ${DISK_UNITS_OFF//$'\n'/}" \
        --customize-hook='rm -f "$1/etc/hostname" "$1/etc/machine-id"; : >"$1/etc/machine-id"' \
        --customize-hook='ln -sf ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"' \
        --verbose "$KERNEL_SUITE" - \
        "deb $mirror $KERNEL_SUITE main" "deb $mirror $KERNEL_SUITE-updates main" \
        "deb $mirror-security $KERNEL_SUITE-security main"
}

# Runs as root, or as what fakeroot makes look like it.
disk_from_tar() {
    local tar="$1" dir="$2" image="$3"
    mkdir "$dir"
    tar -C "$dir" --numeric-owner -xpf "$tar"
    chown -R 0:0 "$dir/usr/lib/modules" "$dir/etc/systemd/network" "$dir/etc/systemd/system.conf.d" \
        "$dir/etc/fstab" "$dir/etc/hosts" "$dir/etc/apt/apt.conf.d"
    truncate -s "$DISK_SIZE" "$image"
    mke2fs -q -F -t ext4 -m 1 -L "$DISK_LABEL" -E lazy_itable_init=1,lazy_journal_init=1,nodiscard \
        -d "$dir" "$image"
}

disk_build() {
    local kernel="$1" image="$2" work
    need_tools mmdebstrap:mmdebstrap mke2fs:e2fsprogs fakeroot:fakeroot
    work_dir "${image%/*}/.disk.XXXXXX"
    work="$REPLY"
    say "making a Debian system from packages; this takes a minute or two"
    if ! disk_bootstrap "$kernel" "$work" >"$work/root.tar" 2>"$image.log"; then
        tail -n 20 "$image.log" >&2
        die "mmdebstrap failed; all it said is in $image.log. A user needs user namespaces and a
line in /etc/subuid for it; root needs neither"
    fi
    if [ "$(id -u)" = 0 ]; then
        disk_from_tar "$work/root.tar" "$work/root" "$work/image"
    else
        fakeroot bash -euc '. "$1"; shift; disk_from_tar "$@"' _ "$TREE/scripts/lib/disk.sh" "$work/root.tar" "$work/root" "$work/image"
    fi
    mv "$work/image" "$image"
}

make_disk() {
    local kernel="$1" target="$2" cache hash image
    cache="$(cache_dir)/disk"
    mkdir -p "$cache"
    hash="$(cat "$TREE/scripts/lib/disk.sh" "$kernel/release" | sha256sum | cut -c 1-16)"
    image="$cache/debian-$hash.img"
    if [ -e "$target" ] && [ -z "$force" ]; then
        [ "$(cat "$out/.disk-stamp" 2>/dev/null)" = "$hash" ] ||
            say "$target is from an older recipe and is left alone; --force makes it anew"
        return
    fi
    [ -e "$image" ] || with_lock "$cache/lock" disk_build "$kernel" "$image"
    cp --sparse=always --reflink=auto "$image" "$target.new"
    mv "$target.new" "$target"
    echo "$hash" >"$out/.disk-stamp"
    say "made $target ($(du -h "$target" | cut -f 1) on disk)"
}
