/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_kernel: an unpacked Linux kernel: the vmlinux inside a bzImage, with its relocations.
 *
 * Ten guests of one kernel hold it once: objects are shared by file (device, inode, size,
 * times) and counted. The list of them is the only state of this module, and one of the few
 * things in this program that belong to the process and not to a VM.
 *
 * Locks: `lock` guards the list and the counts, and is held while unpacking, so that guests
 * which start together unpack once. What an object points to never changes after it was made.
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct boot_kernel {
    struct boot_kernel *next; /* lock */
    unsigned refs;            /* lock */
    dev_t dev;
    ino_t ino;
    uint64_t size_bytes, offset, len;
    struct timespec mtime, ctime;
    uint8_t *data;
    size_t data_bytes;
    struct boot_elf elf;
    struct boot_relocs relocs;
    const struct boot_packer *packer;
    bool from_cache;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct boot_kernel *kernels; /* lock */

/* A payload that unpacks to more than this is no kernel. */
#define UNPACKED_MAX_BYTES MIB(512)

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct boot_kernel *k, const struct boot_file *f, uint64_t offset,
                      uint64_t len)
{
    return k->dev == f->dev && k->ino == f->ino && k->size_bytes == f->size_bytes &&
           k->offset == offset && k->len == len && same_time(&k->mtime, &f->mtime) &&
           same_time(&k->ctime, &f->ctime);
}

static void kernel_free(struct boot_kernel *k)
{
    if (k->data)
        munmap(k->data, k->data_bytes);
    free(k);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && !memcmp(p, p + 1, len - 1);
}

/* A kernel file spells out its bss as zeros. Pages of them need not stay in host memory. */
static void release_zeros(uint8_t *data, size_t len)
{
    size_t run = 0;

    for (size_t at = 0; at + GMEM_PAGE_BYTES <= len; at += GMEM_PAGE_BYTES) {
        if (is_zero(data + at, GMEM_PAGE_BYTES)) {
            run += GMEM_PAGE_BYTES;
            continue;
        }
        if (run >= MIB(1) / 4)
            madvise(data + at - run, run, MADV_DONTNEED);
        run = 0;
    }
}

static int check_vmlinux(const struct boot_elf *f, struct err *e)
{
    uint64_t entry = f->entry;

    if (f->bits != 64 || f->machine != EM_X86_64 || f->type != ET_EXEC)
        return err_set(e, ENOEXEC, "its payload is not an x86-64 executable");
    if (f->start < BOOT_HIGH_START || f->start % MIB(2) || f->end - f->start > UNPACKED_MAX_BYTES)
        return err_set(e, ENOEXEC, "its payload is linked to unusual addresses");
    for (unsigned i = 0; i < f->nsegs; i++) /* else virtual and physical offsets differ */
        if (f->segs[i].vaddr >= KERNEL_MAP && f->segs[i].vaddr - KERNEL_MAP != f->segs[i].paddr)
            return err_set(e, ENOEXEC, "its payload is not linked as Linux is");
    if (entry < f->start || entry >= f->end)
        return err_set(e, ENOEXEC, "its payload has an entry point outside of itself");
    return 0;
}

static int parse(struct boot_kernel *k, struct err *e)
{
    struct boot_source s = {.data = k->data, .size_bytes = k->data_bytes};
    uint64_t sum = 0;
    int r = boot_elf_parse(&s, &k->elf, e);

    if (r == 0)
        r = check_vmlinux(&k->elf, e);
    for (unsigned i = 0; r == 0 && i < k->elf.nsegs; i++)
        sum += k->elf.segs[i].memsz;
    if (r == 0 && sum > k->elf.end - k->elf.start)
        r = err_set(e, ENOEXEC, "its payload has segments that overlap");
    if (r == 0)
        r = boot_relocs_parse(k->data, k->data_bytes, &k->elf, &k->relocs, e);
    return r;
}

static int unpack(struct boot_kernel *k, const uint8_t *in, size_t inlen, struct err *e)
{
    uint8_t digest[SHA256_BYTES];
    int r;

    k->data = mmap(NULL, k->data_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (k->data == MAP_FAILED) {
        k->data = NULL;
        return err_set(e, ENOMEM, "out of memory");
    }
    madvise(k->data, k->data_bytes, MADV_HUGEPAGE);
    if (k->packer->slow) {
        boot_sha256(in, inlen, digest);
        k->from_cache = boot_cache_get(digest, k->data, k->data_bytes);
        if (k->from_cache)
            return 0;
    }
    r = k->packer->unpack(in, inlen, k->data, k->data_bytes);
    if (r == -ENOMEM)
        return err_set(e, ENOMEM, "its %s payload needs more memory to unpack than there is", k->packer->name);
    if (r < 0)
        return err_set(e, EILSEQ, "its %s payload is damaged", k->packer->name);
    if (k->packer->slow)
        boot_cache_put(digest, k->data, k->data_bytes);
    return 0;
}

/* Finds the packer and the unpacked size, which the last 4 bytes give. */
static int inspect(struct boot_kernel *k, const uint8_t *in, size_t inlen, uint64_t max_bytes,
                   struct err *e)
{
    if (inlen < 16)
        return err_set(e, EBADMSG, "its payload is too short");
    k->packer = boot_packer_of(in, inlen);
    if (!k->packer)
        return err_set(e, ENOTSUP, "its payload is packed by a method unknown here");
    if (!k->packer->unpack)
        return err_set(e, ENOTSUP, "it is packed with %s, which is not unpacked here",
                       k->packer->name);
    k->data_bytes = le32_get(in + inlen - 4);
    if (k->data_bytes < sizeof(Elf64_Ehdr) || k->data_bytes > UNPACKED_MAX_BYTES)
        return err_set(e, EBADMSG, "its payload claims to unpack to %zu bytes", k->data_bytes);
    if (k->data_bytes > max_bytes)
        return err_set(e, ENOMEM, "its payload unpacks to %zu MiB, more than the guest's memory",
                       k->data_bytes >> 20);
    return 0;
}

static int fill(struct boot_kernel *k, const struct boot_file *f, uint64_t max_bytes, struct err *e)
{
    uint8_t *in = malloc(k->len ? k->len : 1);
    int r;

    if (!in)
        return err_set(e, ENOMEM, "out of memory");
    r = boot_file_read(f, k->offset, in, k->len, e);
    if (r == 0)
        r = inspect(k, in, k->len, max_bytes, e);
    if (r == 0)
        r = unpack(k, in, k->len, e);
    free(in);
    if (r == 0)
        r = parse(k, e);
    if (r == 0)
        release_zeros(k->data, k->data_bytes);
    return r;
}

static struct boot_kernel *kernel_new(const struct boot_file *f, uint64_t offset, uint64_t len,
                                      uint64_t max_bytes, struct err *e)
{
    struct boot_kernel *k = calloc(1, sizeof *k);

    if (!k) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    *k = (struct boot_kernel){.dev = f->dev,
                              .ino = f->ino,
                              .size_bytes = f->size_bytes,
                              .offset = offset,
                              .len = len,
                              .mtime = f->mtime,
                              .ctime = f->ctime};
    if (fill(k, f, max_bytes, e) < 0) {
        kernel_free(k);
        return NULL;
    }
    k->next = kernels;
    kernels = k;
    return k;
}

struct boot_kernel *boot_kernel_get(const struct boot_file *f, uint64_t offset, uint64_t len,
                                    uint64_t max_bytes, struct err *e)
{
    struct boot_kernel *k;

    if (len > f->size_bytes) {
        err_set(e, ENODATA, "its payload is truncated");
        return NULL;
    }
    pthread_mutex_lock(&lock);
    for (k = kernels; k; k = k->next)
        if (same_file(k, f, offset, len))
            break;
    if (!k)
        k = kernel_new(f, offset, len, max_bytes, e);
    if (k)
        k->refs++;
    pthread_mutex_unlock(&lock);
    return k;
}

void boot_kernel_put(struct boot_kernel *k)
{
    struct boot_kernel **p;

    if (!k)
        return;
    pthread_mutex_lock(&lock);
    if (--k->refs == 0) {
        for (p = &kernels; *p != k;)
            p = &(*p)->next;
        *p = k->next;
        kernel_free(k);
    }
    pthread_mutex_unlock(&lock);
}

struct boot_kernel_view boot_kernel_view(const struct boot_kernel *k)
{
    return (struct boot_kernel_view){.elf = &k->elf,
                                     .relocs = &k->relocs,
                                     .packer = k->packer->name,
                                     .from_cache = k->from_cache};
}

/* Length of the run of pages at `p` that are all zero, or all not. */
static size_t page_run(const uint8_t *p, size_t len, bool *zero)
{
    size_t at = 0;

    while (at < len) {
        size_t n = len - at < GMEM_PAGE_BYTES ? len - at : GMEM_PAGE_BYTES;
        bool z = is_zero(p + at, n);

        if (at > 0 && z != *zero)
            break;
        *zero = z;
        at += n;
    }
    return at;
}

/* Guest memory is clean: pages of zeros are left out, which saves the guest its bss. The other
 * pages are asked for in one call per run, instead of a page fault for each. */
static void copy_nonzero(uint8_t *dst, const uint8_t *src, size_t len)
{
    while (len > 0) {
        bool zero = true;
        size_t n = page_run(src, len, &zero);

        if (!zero) {
            madvise(dst, n, MADV_POPULATE_WRITE);
            memcpy(dst, src, n);
        }
        dst += n;
        src += n;
        len -= n;
    }
}

int boot_kernel_load(const struct boot_kernel *k, struct gmem *m, uint64_t gpa, uint64_t delta)
{
    uint64_t len = k->elf.end - k->elf.start;
    uint8_t *image = gmem_ptr(m, gpa, len);

    if (!image)
        return -EFAULT;
    for (unsigned i = 0; i < k->elf.nsegs; i++) {
        const struct boot_seg *s = &k->elf.segs[i];

        copy_nonzero(image + (s->paddr - k->elf.start), k->data + s->offset, s->filesz);
    }
    if (delta)
        boot_relocs_apply(&k->relocs, &k->elf, image, delta);
    gmem_dirty(m, gpa, len);
    return 0;
}
