#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 240
# Bad input from the user: each is refused with one sentence that says what to do and with the
# status that ruche(1) documents; nothing crashes, and no file that was there is changed.
set -u
cd "$(dirname "$0")/../.."
TMPDIR="${TMPDIR:-$(mktemp -d)}"
files="$TMPDIR/files" socket="$TMPDIR/socket" kernel=build/guests/vmlinuz
mkdir "$files"
[ -r "$kernel" ] || { echo "there is no $kernel: make guests"; exit 77; }
lab_pid=''
trap '[ -z "$lab_pid" ] || kill "$lab_pid"; wait' EXIT

# bad NAME STATUS REGEX COMMAND...: what it says is one line that matches.
bad() {
    local name="$1" status="$2" regex="$3" got=0
    shift 3
    timeout 20 "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null || got=$?
    if [ "$got" = "$status" ] && [ "$(wc -l <"$TMPDIR/err")" = 1 ] && [ ! -s "$TMPDIR/out" ] &&
        grep -qE "$regex" "$TMPDIR/err"; then
        echo "ok bad_input_$name"
    else
        echo "not ok bad_input_$name: status $got for $status, $(wc -l <"$TMPDIR/err") lines for 1, not as $regex"
        head -c 1000 "$TMPDIR/err" "$TMPDIR/out"
    fi
}
# The same for a guest of `ruche run`, for a lab whose guests are $4, and for a command of a lab that runs.
run() { bad "$1" 1 "$2" ./ruche run --accel soft --socket "$socket.new" "${@:3}"; }
lab() {
    printf 'name: bad\nguests:\n%b' "$3" >"$files/lab.yaml"
    bad "lab_$1" 1 "^$files/lab[.]yaml:[0-9]+:[0-9]+: .*$2" ./ruche --headless --accel soft --socket "$socket.new" "$files/lab.yaml"
    rm "$files/lab.yaml"
}
command() { bad "command_$1" "$2" "$3" ./ruche ctl --socket "$socket" "${@:4}"; }

head -c 300000 "$kernel" >"$files/truncated"
head -c 600 "$kernel" >"$files/header"
seq 20000 >"$files/garbage"
: >"$files/empty"
cp "$kernel" "$files/damaged"
printf '\377\377\377\377\377\377' | dd of="$files/damaged" bs=1 seek=3000000 conv=notrunc 2>/dev/null
truncate -s 200M "$files/big"
long="$files/$(printf 'a_long_name.%.0s' {1..16})"
cp "$kernel" "$long"
{ printf 'QFI\373\0\0\0\3'; head -c 70000 /dev/zero; } >"$files/image.qcow2"
{ printf KDMV; head -c 70000 /dev/zero; } >"$files/image.vmdk"
seq 200000 | head -c 1048576 >"$files/disk.img"
cp "$files/disk.img" "$files/readonly.img"
chmod 444 "$files/readonly.img"
head -c 100 "$files/disk.img" >"$files/small.img"
echo precious >"$files/file"
sums() { (cd "$files" && find . -type f -exec sha256sum {} + | sort -k 2); }
before="$(sums)"

run kernel_missing 'does not exist: check the path' "$files/none"
run kernel_misspelt 'does not exist: .* name an image: debian, hello' debain
run kernel_is_a_directory 'is a directory: give the file in it' "$files"
run kernel_truncated 'is truncated: .* copy or download it again' "$files/truncated"
run kernel_truncated_in_its_header 'is truncated inside its header; copy it again' "$files/header"
run kernel_damaged 'payload is damaged; copy or download it again' "$files/damaged"
run kernel_garbage 'is of no known kind; known are: Linux bzImage' "$files/garbage"
run kernel_empty 'is empty' "$files/empty"
run kernel_is_a_disk 'is a qcow2 disk image .it goes to disks:.' "$files/image.qcow2"
run initrd_larger_than_memory 'not enough memory: .*; set memory: [0-9]+M or more' -m 128M -i "$files/big" "$kernel"
run sentence_with_a_long_name 'make [0-9]+ MiB, the guest has 16 MiB; set memory: [0-9]+M or more$' -m 16M -i "$files/disk.img" "$long"
run initrd_is_no_file 'is no regular file; copy it into one' -i /dev/zero "$kernel"
run initrd_missing 'does not exist; check the path' -i "$files/none" "$kernel"
run disk_missing 'does not exist: give it a `size:`' -d "$files/none.img" hello
run disk_in_no_directory 'cannot be made in .*: put it elsewhere, or make that directory' -d "$files/no/none.img,size=1M" hello
run disk_size_too_small 'a disk has at least 512 bytes' -d "$files/none.img,size=100" hello
run disk_base_missing 'does not exist: check the path' -d "$files/none.img,size=1M,overlay" hello
run name_of_an_instance 'is made of letters, digits' --name ../x hello
run allowed_directory_missing 'cannot be allowed: .*; make that directory first' --allow "$files/no" hello
run disk_readonly 'may not be written .*: make it `readonly: true` or give it `overlay: true`' -d "$files/readonly.img" hello
run disk_too_small 'less than one sector: remove it, or give it its content' -d "$files/small.img" hello
run disk_smaller_than_its_size 'exists with 1048576 bytes, .*; leave the size out, or resize the file' -d "$files/disk.img,size=2M" hello
run disk_larger_than_its_size 'exists with 1048576 bytes, .*; leave the size out, or resize the file' -d "$files/disk.img,size=512K" hello
run disk_of_unknown_format 'is a VMDK image, not a raw disk; convert it: qemu-img' -d "$files/image.vmdk" hello
run disk_is_a_directory 'neither a file nor a block device: give the path' -d "$files" hello
run memory_zero '`memory` goes from 1M to 64G, this is 0' -m 0 hello
run memory_too_large '`memory` goes from 1M to 64G, this is 100G' -m 100G hello
run memory_no_size 'is not a size: write a number and K, M, G or T' -m much hello
bad kernel_not_given 2 'needs a kernel: a file, or an image' ./ruche run
bad option_unknown 2 'no option `--headles` .did you mean `--headless`.*see `ruche --help`' ./ruche --headles

host="$(awk '/MemAvailable/ {print int($2 / 1048576) + 4}' /proc/meminfo)"
[ "$host" -le 64 ] || echo "skip bad_input_memory_above_the_host - no guest may have more than 64G, and this host has $host"
[ "$host" -gt 64 ] || run memory_above_the_host 'does not fit into the .* that this host has available: give them less' -m "${host}G" hello

bad lab_missing 1 'cannot be read: .*: give the path of a lab file' ./ruche "$files/none.yaml"
bad lab_garbage 1 'disk[.]img:1:1: a lab file is a map that begins with keys like `name:` and `guests:`' ./ruche --headless "$files/disk.img"
lab key_unknown 'a guest has no key `memry` .did you mean `memory`' '  a: {image: hello, memry: 16M}\n'
lab name_twice 'there are two guests `a`: the other is at line 3' '  a: {image: hello}\n  a: {image: spin}\n'
lab image_unknown 'there is no image `helo` .did you mean `hello`' '  a: {image: helo}\n'
lab kernel_missing 'does not exist: check the path' '  a: {kernel: none}\n'
lab memory_zero '`memory` goes from 1M to 64G' '  a: {image: hello, memory: 0}\n'
lab disk_written_by_two 'is written by `a` and written by `b`: give each its own file' \
    '  a: {image: hello, disks: [disk.img]}\n  b: {image: hello, disks: [disk.img]}\n'
lab bracket_open 'look for a bracket' '  a: {image: hello\n'

# An instance that must survive it all.
printf 'name: good\nguests:\n  a: {image: hello, memory: 16M, disks: [%s]}\n' "$files/disk.img" >"$TMPDIR/good.yaml"
./ruche --headless --accel soft --socket "$socket" "$TMPDIR/good.yaml" >"$TMPDIR/good.out" 2>&1 &
lab_pid=$!
until [ -S "$socket" ] || ! kill -0 "$lab_pid"; do sleep 0.05; done
./ruche ctl --socket "$socket" expect a '> $' 60 || { echo "not ok bad_input_instance"; cat "$TMPDIR/good.out"; }

bad socket_in_use 1 'another instance .*: choose another with --socket, or end that one' \
    ./ruche --headless --accel soft --socket "$socket" "$TMPDIR/good.yaml"
bad disk_in_use_by_another_process 1 'is in use by another guest or program .*; give each its own disk' \
    ./ruche --headless --accel soft --socket "$socket.new" "$TMPDIR/good.yaml"
bad socket_is_a_file 1 'is there already and is no socket: choose another' \
    ./ruche --headless --accel soft --socket "$files/file" "$TMPDIR/good.yaml"
bad socket_in_no_directory 1 'cannot be made .*: choose another place' \
    ./ruche --headless --accel soft --socket "$files/no/socket" "$TMPDIR/good.yaml"
bad ctl_without_instance 1 'no ruche answers at .*: start one with' ./ruche ctl --socket "$TMPDIR/none" list
mkdir "$TMPDIR/runtime"
bad ctl_without_any_instance 1 'no ruche is running .*: start one with' env XDG_RUNTIME_DIR="$TMPDIR/runtime" ./ruche ctl list
command disk_written_by_two 1 'is written by `a` and written by `b`' create b image=hello memory=16M disk="$files/disk.img"
command name_twice 1 'there is a guest `a` already: take another name' create a image=hello
command key_unknown 1 'no key `memry` .did you mean `memory`' create b image=hello memry=1M
command guest_unknown 1 'there is no guest `nobody`: `list` shows who is there' pause nobody
command unknown 2 'no command `strat` .did you mean `start`.*`help` lists them' strat a
command of_100_kb 2 'a request has at most 65536 bytes: send less' send a "$(head -c 100000 /dev/zero | tr '\0' a)"
command value 1 'a share goes from 1 to 10000' share a 0
bad script_is_a_directory 1 'the script cannot be read: Is a directory' \
    ./ruche --accel soft --socket "$socket.new" --script "$files"
bad script_line_of_10_mb 2 ':1: a command has at most 65536 bytes' \
    ./ruche --accel soft --socket "$socket.new" --script <(head -c 10485760 /dev/zero | tr '\0' a)
bad control_line_of_10_mb 0 'a request has at most 65536 bytes' python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
try:
    s.sendall(b"a" * 10485760 + b"\n")
except OSError:
    pass # it hangs up in the middle
sys.stderr.write(s.recv(4096).decode())' "$socket"

as_nobody=()
[ "$(id -u)" != 0 ] || as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ -w /dev/kvm ] && [ ${#as_nobody[@]} = 0 ]; then
    echo "skip bad_input_no_permission_for_kvm - /dev/kvm is open for this user"
elif ! "${as_nobody[@]}" ./ruche --version >/dev/null 2>&1; then
    echo "skip bad_input_no_permission_for_kvm - nobody may not run ./ruche here"
else
    chmod 755 "$TMPDIR"
    advice="join its group with .sudo usermod -aG $(stat -c %G /dev/kvm 2>/dev/null) "
    [ "$(stat -c %g /dev/kvm 2>/dev/null)" != 0 ] || advice='.sudo setfacl -m u:[$]USER:rw /dev/kvm' # nobody joins root's group
    bad no_permission_for_kvm 1 "no permission to open /dev/kvm: $advice|/dev/kvm is missing: load" \
        "${as_nobody[@]}" ./ruche run --accel kvm --socket "/tmp/ruche-bad-input.$$" hello
fi

if ./ruche ctl --socket "$socket" send a 'echo still here' && ./ruche ctl --socket "$socket" expect a '^still here' 30; then
    echo "ok bad_input_leaves_the_instance_alone"
else
    echo "not ok bad_input_leaves_the_instance_alone"
fi
rm "$TMPDIR/err"
kill -STOP "$lab_pid"
until grep -q '^State:.T' "/proc/$lab_pid/status"; do sleep 0.05; done
./ruche ctl --socket "$socket" list >"$TMPDIR/out" 2>"$TMPDIR/err" &
ctl_pid=$!
for ((i = 0; i < 200; i++)); do
    [ ! -s "$TMPDIR/err" ] || break
    sleep 0.05
done
kill -CONT "$lab_pid"
if wait "$ctl_pid" && grep -q "stopped, .* .kill -CONT $lab_pid." "$TMPDIR/err" && grep -q running "$TMPDIR/out"; then
    echo "ok bad_input_ctl_of_a_stopped_instance"
else
    echo "not ok bad_input_ctl_of_a_stopped_instance"
    cat "$TMPDIR/err" "$TMPDIR/out"
fi
kill "$lab_pid"
wait "$lab_pid"
[ $? = 143 ] && echo "ok bad_input_instance_ends_by_its_signal" || echo "not ok bad_input_instance_ends_by_its_signal"
lab_pid=''
after="$(sums)"
[ "$before" = "$after" ] && echo "ok bad_input_changes_no_file" || { echo "not ok bad_input_changes_no_file"; diff <(echo "$before") <(echo "$after"); }
