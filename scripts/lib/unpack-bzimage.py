#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# unpack-bzimage.py BZIMAGE VMLINUX: writes the ELF image that a bzImage carries.
#
# The boot header (Documentation/arch/x86/boot.rst) says where the compressed payload lies:
# setup_sects at 0x1f1, payload_offset and payload_length at 0x248.  The payload's last four
# bytes are the unpacked size; LZ4's legacy frame has no end mark, so they are cut off.
import gzip
import lzma
import struct
import subprocess
import sys


def by_command(command, data):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if not done.stdout:
        sys.exit(f"unpack-bzimage: {command[0]}: {done.stderr.decode().strip()}")
    return done.stdout


def unpack(payload):
    body = payload[:-4]
    if payload[:4] == b"\x02\x21\x4c\x18":
        return by_command(["lz4", "-dc"], body)
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        return by_command(["zstd", "-dc"], body)
    if payload[:6] == b"\xfd7zXZ\x00":
        return lzma.LZMADecompressor().decompress(body)
    if payload[:2] == b"\x1f\x8b":
        return gzip.decompress(body)
    sys.exit(f"unpack-bzimage: unknown compression, payload starts {payload[:6].hex()}")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: unpack-bzimage.py BZIMAGE VMLINUX")
    image = open(sys.argv[1], "rb").read()
    if image[0x202:0x206] != b"HdrS":
        sys.exit(f"unpack-bzimage: {sys.argv[1]} is no bzImage")
    offset, length = struct.unpack("<II", image[0x248:0x250])
    start = ((image[0x1F1] or 4) + 1) * 512 + offset
    elf = unpack(image[start:start + length])
    if elf[:4] != b"\x7fELF":
        sys.exit(f"unpack-bzimage: {sys.argv[1]} does not unpack to an ELF image")
    with open(sys.argv[2], "wb") as out:
        out.write(elf)


main()
