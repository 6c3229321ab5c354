/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkformat: see blkformat.h. qcow2's header: QEMU's docs/interop/qcow2.txt.
 */
#include "devices/blkformat.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SECTOR = 512 };

static const struct format {
    const char *name, *qemu_name; /* NULL: not one for qemu-img */
    uint32_t at;
    bool at_end; /* in the last sector */
    const char *magic;
    unsigned len;
} formats[] = {
    {"a qcow image of the old format", "qcow", 0, false, "QFI\xfb\0\0\0\1", 8},
    {"a qed image", "qed", 0, false, "QED\0", 4},
    {"a VMDK image", "vmdk", 0, false, "KDMV", 4},
    {"a VMDK image", "vmdk", 0, false, "COWD", 4},
    {"a VMDK description", "vmdk", 0, false, "# Disk DescriptorFile", 21},
    {"a VDI image", "vdi", 64, false, "\x7f\x10\xda\xbe", 4},
    {"a VHD image", "vpc", 0, false, "conectix", 8},
    {"a VHD image", "vpc", 0, true, "conectix", 8},
    {"a VHDX image", "vhdx", 0, false, "vhdxfile", 8},
    {"a Parallels image", "parallels", 0, false, "WithoutFreeSpace", 16},
    {"a Parallels image", "parallels", 0, false, "WithouFreSpacExt", 16},
    {"an overlay made by ruche", NULL, 0, false, "RUCHEOV1", 8},
    {"compressed with gzip", NULL, 0, false, "\x1f\x8b\x08", 3},
    {"compressed with xz", NULL, 0, false, "\xfd" "7zXZ\0", 6},
    {"compressed with zstd", NULL, 0, false, "\x28\xb5\x2f\xfd", 4},
};

static int refuse_format(const struct format *f, const char *path, struct err *e)
{
    if (f->qemu_name)
        return err_set(e, EINVAL, "%s is %s, not a raw disk; convert it: qemu-img convert -f %s "
                       "-O raw %s %s.raw", path, f->name, f->qemu_name, path, path);
    return err_set(e, EINVAL, "%s is %s, not a raw disk; %s", path, f->name,
                   f->magic[0] == 'R' ? "name it as the overlay of its base" : "unpack it first");
}

/* ---- qcow2 ---- */

static const char qcow2_magic[4] = "QFI\xfb";

struct qcow2_header {
    char magic[4];
    uint32_t version;
    uint64_t backing_file_offset;
    uint8_t between[56];
    uint64_t incompatible_features; /* from version 3 on */
};

_Static_assert(sizeof(struct qcow2_header) == 80, "as in files");

enum { FEATURE_EXTERNAL_DATA = 1 << 2 };

static bool names_another_file(const struct qcow2_header *h)
{
    return h->backing_file_offset != 0 ||
           (be32toh(h->version) >= 3 && be64toh(h->incompatible_features) & FEATURE_EXTERNAL_DATA);
}

static int examine_qcow2(const struct qcow2_header *h, const char *path, enum disk_format said, struct err *e)
{
    if (said != DISK_FORMAT_QCOW2 && names_another_file(h))
        return err_set(e, EINVAL, "%s looks like a qcow2 image that is based on another file, and the guest may have "
                       "written that; if you made it so, say `format: qcow2` (`disk=%s,format=qcow2`)", path, path);
    return DISK_FORMAT_QCOW2;
}

/* ---- */

enum disk_format blkformat_said(const char *path, enum disk_format asked)
{
    const size_t n = strlen(path);

    if (asked == DISK_FORMAT_AUTO && n > 6 && strcasecmp(path + n - 6, ".qcow2") == 0)
        return DISK_FORMAT_QCOW2;
    return asked;
}

int blkformat_examine(int fd, uint64_t size, const char *path, enum disk_format asked, struct err *e)
{
    const enum disk_format said = blkformat_said(path, asked);
    uint8_t start[SECTOR] = {0}, end[SECTOR] = {0};
    struct qcow2_header q;

    if (said == DISK_FORMAT_RAW)
        return said;
    if (pread(fd, start, sizeof start, 0) < 0 ||
        (size >= SECTOR && pread(fd, end, sizeof end, (off_t)(size - SECTOR)) < 0))
        return err_set(e, errno, "%s cannot be read: %s", path, strerror(errno));
    for (unsigned i = 0; i < sizeof formats / sizeof *formats; i++) {
        const struct format *f = &formats[i];

        if (memcmp((f->at_end ? end : start) + f->at, f->magic, f->len) == 0)
            return refuse_format(f, path, e);
    }
    memcpy(&q, start, sizeof q);
    if (memcmp(q.magic, qcow2_magic, sizeof q.magic) == 0)
        return examine_qcow2(&q, path, said, e);
    if (said == DISK_FORMAT_QCOW2)
        return err_set(e, EINVAL, "%s is no qcow2 image, though its name or `format` says so; say `format: raw` if it "
                       "is a raw disk", path);
    return DISK_FORMAT_RAW;
}
