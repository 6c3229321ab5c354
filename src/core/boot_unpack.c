/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_unpack: the compressed payload of a bzImage, unpacked by the libraries that every
 * distribution has. The input is hostile: each function writes exactly `outlen` bytes into
 * `out` or fails, never more, and allocates a bounded amount.
 *
 * The build of the kernel appends the unpacked size (4 bytes) to what the packer wrote, if
 * the packer's own format does not end in it (gzip's does). scripts/Makefile.lib of Linux.
 */
#include "core/boot_priv.h"

#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { SIZE_TRAILER_BYTES = 4, LZ4_LEGACY_BLOCK_BYTES = 8 << 20 };

/* Linux packs with dictionaries of up to 128 MiB. */
#define XZ_MEMORY_MAX (256ull << 20)

static int unpack_xz(const uint8_t *in, size_t inlen, uint8_t *out, size_t outlen)
{
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_ret r;

    if (lzma_stream_decoder(&s, XZ_MEMORY_MAX, 0) != LZMA_OK)
        return -ENOMEM;
    s.next_in = in;
    s.avail_in = inlen;
    s.next_out = out;
    s.avail_out = outlen;
    do
        r = lzma_code(&s, LZMA_FINISH);
    while (r == LZMA_OK);
    lzma_end(&s);
    if (r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR)
        return -ENOMEM;
    return r == LZMA_STREAM_END && s.avail_out == 0 ? 0 : -EBADMSG;
}

static int unpack_gzip(const uint8_t *in, size_t inlen, uint8_t *out, size_t outlen)
{
    z_stream z = {0};
    int r;

    if (inlen > UINT32_MAX || outlen > UINT32_MAX)
        return -EFBIG;
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return -ENOMEM;
    z.next_in = (Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)inlen;
    z.next_out = out;
    z.avail_out = (uInt)outlen;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return r == Z_STREAM_END && z.avail_out == 0 ? 0 : -EBADMSG;
}

static int unpack_zstd(const uint8_t *in, size_t inlen, uint8_t *out, size_t outlen)
{
    size_t frame = ZSTD_findFrameCompressedSize(in, inlen);

    if (ZSTD_isError(frame))
        return -EBADMSG;
    return ZSTD_decompress(out, outlen, in, frame) == outlen ? 0 : -EBADMSG;
}

/* Magic, then blocks of {compressed size, bytes}, each up to 8 MiB unpacked; no end mark. */
static int unpack_lz4(const uint8_t *in, size_t inlen, uint8_t *out, size_t outlen)
{
    size_t at = 4, done = 0;

    if (inlen < SIZE_TRAILER_BYTES)
        return -EBADMSG;
    inlen -= SIZE_TRAILER_BYTES;
    while (at + 4 <= inlen) {
        size_t block = le32_get(in + at), room = outlen - done;
        int n;

        at += 4;
        if (block == 0 || block > inlen - at || block > LZ4_MAX_INPUT_SIZE)
            return -EBADMSG;
        if (room > LZ4_LEGACY_BLOCK_BYTES)
            room = LZ4_LEGACY_BLOCK_BYTES;
        n = LZ4_decompress_safe((const char *)in + at, (char *)out + done, (int)block, (int)room);
        if (n <= 0)
            return -EBADMSG;
        done += (size_t)n;
        at += block;
    }
    return at == inlen && done == outlen ? 0 : -EBADMSG;
}

static const struct boot_packer packers[] = {
    {.name = "xz",
     .magic = {0xfd, '7', 'z', 'X', 'Z', 0},
     .magic_len = 6,
     .slow = true,
     .unpack = unpack_xz},
    {.name = "gzip", .magic = {0x1f, 0x8b}, .magic_len = 2, .slow = true, .unpack = unpack_gzip},
    {.name = "zstd", .magic = {0x28, 0xb5, 0x2f, 0xfd}, .magic_len = 4, .unpack = unpack_zstd},
    {.name = "lz4", .magic = {0x02, 0x21, 0x4c, 0x18}, .magic_len = 4, .unpack = unpack_lz4},
    {.name = "bzip2", .magic = {'B', 'Z', 'h'}, .magic_len = 3},
    {.name = "lzo", .magic = {0x89, 'L', 'Z', 'O'}, .magic_len = 4},
    {.name = "lzma", .magic = {0x5d, 0, 0}, .magic_len = 3},
};

const struct boot_packer *boot_packer_of(const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < sizeof packers / sizeof packers[0]; i++)
        if (len >= packers[i].magic_len && !memcmp(in, packers[i].magic, packers[i].magic_len))
            return &packers[i];
    return NULL;
}
