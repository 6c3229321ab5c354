# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes what the machine of scripts/in-kvm boots.  Sourced by in-kvm after common.sh, kernel.sh.
#
#   l1_initrd DIR KERNEL    DIR/initrd-HASH.cpio: l1init and the modules; changes rarely
#   l1_root DIR [WHAT...]   DIR/root-HASH.img: an ext4 image with the tree and a small Debian
#                           from this host; remade when a file of it has changed
#   l1_tsc_khz DIR          the rate of this host's time stamp counter
# Each prints its result.  Images are written under another name and renamed; a machine that
# runs on an older one keeps it.

L1_LOADER=/lib64/ld-linux-x86-64.so.2
L1_MODULES="virtio_pci virtio_blk virtio_console irqbypass kvm kvm-amd"

hash_of() { sha256sum | cut -c 1-16; }

# keep_newest N FILE...: removes the older ones of a cache.
keep_newest() {
    local n="$1"
    shift
    # shellcheck disable=SC2012
    ls -1t "$@" 2>/dev/null | tail -n "+$((n + 1))" | xargs -r rm -f
}

# Static, so that it needs nothing from the root; musl makes it ten times smaller.
l1_compile() {
    local out="$1" source="$2"
    if command -v musl-gcc >/dev/null; then
        musl-gcc -std=gnu11 -O2 -static -idirafter /usr/include \
            -idirafter "/usr/include/$(gcc -print-multiarch)" -o "$out" "$source"
    else
        gcc -std=gnu11 -O2 -static -o "$out" "$source"
    fi
}

l1_initrd() {
    local dir="$1" kernel="$2" source="$TREE/scripts/kvm/l1init.c" out stage module
    out="$dir/initrd-$(cat "$source" "$kernel/release" "$TREE/scripts/lib/l1root.sh" | hash_of).cpio"
    if [ ! -e "$out" ]; then
        work_dir "$dir/work.XXXXXX"
        stage="$REPLY/root"
        mkdir -p "$stage/mod" "$stage/dev" "$stage/proc" "$stage/sys" "$stage/root"
        l1_compile "$stage/init" "$source"
        # shellcheck disable=SC2086
        kernel_modules "$kernel" $L1_MODULES | while read -r module; do
            strip --strip-debug -o "$stage/mod/${module##*/}" "$kernel/modules/$module"
            echo "/mod/${module##*/}" >>"$stage/mod/order"
        done
        (cd "$stage" && find . | cpio -o -H newc -R 0:0 --quiet) >"$stage/../cpio"
        mv "$stage/../cpio" "$out"
        keep_newest 3 "$dir"/initrd-*.cpio
    fi
    echo "$out"
}

# The rate hardly ever changes, but a home directory may be shared between hosts.
l1_tsc_khz() {
    local dir="$1" tool="$1/tsc-khz" id result
    id="$(cat /proc/sys/kernel/random/boot_id)"
    if [ "$(cat "$dir/tsc.boot" 2>/dev/null)" != "$id" ]; then
        l1_compile "$tool" "$TREE/scripts/kvm/tsc-khz.c"
        result="$("$tool")"
        echo "$result" >"$dir/tsc.khz"
        echo "$id" >"$dir/tsc.boot"
    fi
    cat "$dir/tsc.khz"
}

# ---- the root image

# Files of the tree that go along: what git knows, the program, and what was built except
# objects, sanitizer builds and big images (ask for those by --with).
tree_files() {
    cd "$TREE" || return
    if [ -e .git ] && command -v git >/dev/null; then
        git -c safe.directory='*' ls-files -co --exclude-standard -z |
            xargs -0r sh -c 'for f; do [ -e "$f" ] && printf "%s\0" "$f"; done' _
    else
        find . -path ./build -prune -o \( -type f -o -type l \) -printf '%P\0'
    fi
    [ ! -e ruche ] || printf '%s\0' ruche
    [ ! -d build ] || find build \( -path build/in-kvm -o -path build/cache -o -path 'build/asan*' \
        -o -path 'build/tsan*' -o -path 'build/fuzz*' -o -path build/cov \) -prune -o \
        \( -type f -o -type l \) ! -name '*.[oad]' ! -name '*.gc*' -size -64M -print0
}

# Besides busybox, the real ones, so that scripts meet what they meet on any Debian.
L1_PROGRAMS="bash sh arch b2sum base32 base64 basename cat chgrp chmod chown cksum comm cp csplit cut
 date dd df dir dirname du env expand expr factor false fmt fold groups head hostid id install join
 link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pr
 printenv printf pwd readlink realpath rm rmdir seq sha1sum sha256sum sha512sum shred shuf sleep
 sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty
 uname unexpand uniq unlink wc whoami yes grep sed find xargs awk setpriv taskset"

# Paths of this host: a Debian that is big enough for scripts and terminal programs.
system_files() {
    local what
    printf '%s\n' /usr/bin/busybox /usr/lib/locale/C.utf8 /lib/terminfo
    [ -z "${TERM:-}" ] || printf '%s\n' "/usr/share/terminfo/${TERM:0:1}/$TERM"
    # shellcheck disable=SC2086
    command -v $L1_PROGRAMS || :
    # loaded by name when a thread is cancelled or a user is looked up
    printf '%s\n' /lib/x86_64-linux-gnu/libgcc_s.so.1 /lib/x86_64-linux-gnu/libnss_files.so.2
    for what; do
        if [ "$what" = qemu ]; then
            command -v qemu-system-x86_64
            find -L /usr/share/qemu /usr/share/seabios -maxdepth 1 -type f \( -name '*.bin' -o \
                -name '*.rom' \) ! -name 'QEMU*' ! -name 's390*' ! -name 'npcm*'
        elif [ "${what#*/}" != "$what" ]; then
            realpath -s "$what"
        else
            command -v "$what" || die "--with $what: there is no such program or file"
        fi
    done
}

# Reads paths of programs, prints one for each set of libraries that any of them asks for.
different_programs() {
    xargs -d '\n' -r readelf -d 2>/dev/null | awk '
        function done() { if (file != "" && needs != "" && !(needs in seen)) { seen[needs] = 1; print file } }
        /^File: / { done(); file = substr($0, 7); needs = "" }
        /\((NEEDED|RUNPATH|RPATH)\)/ { needs = needs $0 "\n" }
        END { done() }'
}

# Reads paths of programs, prints the shared libraries that they need, found by the loader itself.
libraries_of() {
    local file
    different_programs | while read -r file; do
        case "$file" in */*) ;; *) file="./$file" ;; esac # a bare name would be looked up as a library
        "$L1_LOADER" --list "$file" 2>/dev/null || :
    done | sed -n 's/^.* => \(\/[^ ]*\) (.*/\1/p' | sort -u
    echo "$L1_LOADER"
}

# Reads names ended by NUL, prints those that are executable and name the dynamic loader.
dynamic_programs() {
    xargs -0r sh -c 'for f; do [ -f "$f" ] && [ -x "$f" ] && printf "%s\0" "$f"; done; :' _ |
        xargs -0r grep -laF "${L1_LOADER##*/}" -- || :
}

# copy_list LIST ROOT: the paths in LIST (ended by NUL) go below ROOT, links followed; hard links
# where the system lets us, which costs nothing, else copies. A file that goes away meanwhile, as
# in a build that runs beside us, is missing there and no more.
copy_list() {
    xargs -0r cp -rL --link --remove-destination --parents -t "$2" <"$1" 2>/dev/null ||
        xargs -0r cp -rL --remove-destination --parents -t "$2" <"$1" || :
}

# The same for the tree, whose symbolic links stay what they are.
copy_links() {
    xargs -0r cp -d --link --parents -t "$2" <"$1" 2>/dev/null ||
        xargs -0r cp -d --remove-destination --parents -t "$2" <"$1" || :
}

l1_skeleton() {
    local root="$1" d
    mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" \
        "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/root" "$root/home/user" \
        "$root/tmp" "$root/var/tmp" "$root/usr/local/bin"
    for d in bin sbin lib lib64; do ln -s "usr/$d" "$root/$d"; done
    chmod 1777 "$root/tmp" "$root/var/tmp"
    printf 'root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000:user:/home/user:/bin/bash\n%s\n' \
        'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin' >"$root/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost in-kvm\n' >"$root/etc/hosts"
    printf 'passwd: files\ngroup: files\nhosts: files\n' >"$root/etc/nsswitch.conf"
    : >"$root/etc/fstab"
}

# l1_fill WORK: makes WORK/root from the lists WORK/system and WORK/tree.
l1_fill() {
    local work="$1" file
    l1_skeleton "$work/root"
    { (cd "$TREE" && dynamic_programs <"$work/tree")
      tr '\n' '\0' <"$work/system" | dynamic_programs; } | libraries_of >"$work/libs"
    sort -u "$work/system" "$work/libs" | while read -r file; do
        [ ! -e "$file" ] || printf '%s\0' "$file"
    done >"$work/all"
    copy_list "$work/all" "$work/root"
    busybox --install -s "$work/root/usr/bin" 2>/dev/null || :
    mkdir -p "$work/root$TREE"
    (cd "$TREE" && copy_links "$work/tree" "$work/root$TREE")
}

# Space for what the command writes: the image is sparse, and what is written is thrown away.
L1_ROOT_SIZE=4G

l1_make_image() {
    local stage="$1" out="$2"
    truncate -s "$L1_ROOT_SIZE" "$out"
    mke2fs -q -F -t ext4 -m 0 -N 65536 -O ^has_journal,^metadata_csum,^resize_inode \
        -E lazy_itable_init=1,nodiscard,root_owner=0:0 -d "$stage" "$out"
}

l1_root() {
    local dir="$1" key out work
    shift
    work_dir "$dir/work.XXXXXX"
    work="$REPLY"
    tree_files >"$work/tree"
    system_files "$@" >"$work/system"
    key="$({
        cat "$TREE/scripts/lib/l1root.sh" "$work/system"
        (cd "$TREE" && xargs -0r stat -c '%n %s %y %f' <"$work/tree") || :
        xargs -d '\n' -r stat -L -c '%n %s %Y' <"$work/system" || :
    } 2>/dev/null | hash_of)"
    out="$dir/root-$key.img"
    if [ ! -e "$out" ]; then
        l1_fill "$work"
        l1_make_image "$work/root" "$work/img"
        mv "$work/img" "$out"
    fi
    touch "$out"
    keep_newest 4 "$dir"/root-*.img
    echo "$out"
}
