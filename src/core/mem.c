/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gmem: see mem.h. Private anonymous memory, not a memfd: only it gets huge pages on a host
 * with the usual settings (shared memory has none: a guest then takes a second-level fault for
 * every 4 KiB it first touches, and twice as long to boot), only it can be merged by KSM, and
 * there is no descriptor that could be truncated or mapped a second time.
 */
#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define GUARD_BYTES (1ull << 20)
#define HUGE_BYTES (2ull << 20)

struct gmem {
    uint64_t size_bytes;
    uint64_t low_bytes; /* what lies below the hole */
    uint8_t *reservation;
    uint64_t reservation_bytes;
    uint8_t *host; /* inside the reservation, the whole RAM contiguous */
    bool mergeable;
    void (*dirty_fn)(void *arg, uint64_t gpa, uint64_t len);
    void *dirty_arg;
};

static int gmem_check_size(uint64_t size, struct err *e)
{
    if (size < GMEM_MIN_BYTES || size > GMEM_MAX_BYTES)
        return err_set(e, EINVAL, "memory must be between 1M and 64G; give for example memory: 128M");
    return 0;
}

static int gmem_map(struct gmem *m, const char *name, struct err *e)
{
    char label[64];
    uint8_t *p;

    m->reservation_bytes = m->size_bytes + 2 * GUARD_BYTES + HUGE_BYTES;
    p = mmap(NULL, m->reservation_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return err_set(e, errno, "cannot reserve address space for guest memory: %s", strerror(errno));
    m->reservation = p;
    m->host = (uint8_t *)(((uintptr_t)p + GUARD_BYTES + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
    p = mmap(m->host, m->size_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return err_set(e, errno, "cannot map %llu MiB of guest memory: %s",
                       (unsigned long long)(m->size_bytes >> 20), strerror(errno));
    madvise(m->host, m->size_bytes, MADV_DONTDUMP);
    madvise(m->host, m->size_bytes, MADV_DONTFORK);
    madvise(m->host, m->size_bytes, MADV_HUGEPAGE);
    snprintf(label, sizeof label, "guest RAM %s", name);
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, m->host, m->size_bytes, label); /* for /proc/self/maps */
    return 0;
}

struct gmem *gmem_new(const char *name, uint64_t size_bytes, struct err *e)
{
    struct gmem *m;

    if (gmem_check_size(size_bytes, e) < 0)
        return NULL;
    m = calloc(1, sizeof *m);
    if (!m) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    m->size_bytes = (size_bytes + GMEM_PAGE_BYTES - 1) & ~(GMEM_PAGE_BYTES - 1);
    m->low_bytes = m->size_bytes < GMEM_HOLE_START ? m->size_bytes : GMEM_HOLE_START;
    if (gmem_map(m, name, e) < 0) {
        gmem_free(m);
        return NULL;
    }
    return m;
}

void gmem_free(struct gmem *m)
{
    if (!m)
        return;
    if (m->reservation)
        munmap(m->reservation, m->reservation_bytes);
    free(m);
}

uint64_t gmem_size_bytes(const struct gmem *m)
{
    return m->size_bytes;
}

unsigned gmem_regions(const struct gmem *m, struct gmem_region out[2])
{
    out[0] = (struct gmem_region){.gpa = 0, .size_bytes = m->low_bytes, .host = m->host};
    if (m->size_bytes == m->low_bytes)
        return 1;
    out[1] = (struct gmem_region){.gpa = GMEM_HIGH_START,
                                  .size_bytes = m->size_bytes - m->low_bytes,
                                  .host = m->host + m->low_bytes};
    return 2;
}

void *gmem_ptr(struct gmem *m, uint64_t gpa, uint64_t len)
{
    uint64_t high = m->size_bytes - m->low_bytes;

    if (len == 0)
        return NULL;
    if (len <= m->low_bytes && gpa <= m->low_bytes - len)
        return m->host + gpa;
    if (gpa < GMEM_HIGH_START)
        return NULL;
    gpa -= GMEM_HIGH_START;
    if (len <= high && gpa <= high - len)
        return m->host + m->low_bytes + gpa;
    return NULL;
}

int gmem_read(struct gmem *m, uint64_t gpa, void *buf, size_t len)
{
    const void *p = gmem_ptr(m, gpa, len);

    if (len == 0)
        return 0;
    if (!p)
        return -EFAULT;
    memcpy(buf, p, len);
    return 0;
}

int gmem_write(struct gmem *m, uint64_t gpa, const void *buf, size_t len)
{
    void *p = gmem_ptr(m, gpa, len);

    if (len == 0)
        return 0;
    if (!p)
        return -EFAULT;
    memcpy(p, buf, len);
    gmem_dirty(m, gpa, len);
    return 0;
}

void gmem_dirty(struct gmem *m, uint64_t gpa, uint64_t len)
{
    if (m->dirty_fn)
        m->dirty_fn(m->dirty_arg, gpa, len);
}

void gmem_set_dirty_hook(struct gmem *m, void (*fn)(void *arg, uint64_t gpa, uint64_t len), void *arg)
{
    m->dirty_fn = fn;
    m->dirty_arg = arg;
}

int gmem_discard(struct gmem *m, uint64_t gpa, uint64_t len)
{
    uint64_t first = (gpa + GMEM_PAGE_BYTES - 1) & ~(GMEM_PAGE_BYTES - 1);
    uint64_t end = (gpa + len) & ~(GMEM_PAGE_BYTES - 1);
    uint8_t *p;

    if (gpa + len < gpa || first < gpa)
        return -EFAULT;
    if (first >= end)
        return 0;
    p = gmem_ptr(m, first, end - first);
    if (!p)
        return -EFAULT;
    if (madvise(p, end - first, MADV_DONTNEED) < 0)
        return -errno;
    gmem_dirty(m, first, end - first);
    return 0;
}

void gmem_clear(struct gmem *m)
{
    struct gmem_region r[2];
    unsigned n;

    if (madvise(m->host, m->size_bytes, MADV_DONTNEED) < 0)
        memset(m->host, 0, m->size_bytes);
    n = gmem_regions(m, r);
    for (unsigned i = 0; i < n; i++)
        gmem_dirty(m, r[i].gpa, r[i].size_bytes);
}

uint64_t gmem_resident_bytes(const struct gmem *m)
{
    unsigned char in[4096];
    uint64_t pages = m->size_bytes / GMEM_PAGE_BYTES, resident = 0;

    for (uint64_t at = 0, n; at < pages; at += n) {
        n = pages - at < sizeof in ? pages - at : sizeof in;
        if (mincore(m->host + at * GMEM_PAGE_BYTES, n * GMEM_PAGE_BYTES, in) < 0)
            return 0;
        for (uint64_t i = 0; i < n; i++)
            resident += in[i] & 1;
    }
    return resident * GMEM_PAGE_BYTES;
}

int gmem_merge(struct gmem *m)
{
    if (madvise(m->host, m->size_bytes, MADV_MERGEABLE) < 0)
        return -errno; /* EINVAL: a kernel without KSM */
    madvise(m->host, m->size_bytes, MADV_NOHUGEPAGE); /* what is merged is a small page */
    m->mergeable = true;
    return 0;
}

/* Adds the "KSM:" line of one mapping after the other, if it lies in guest memory. */
static uint64_t sum_merged(const struct gmem *m, FILE *smaps)
{
    const uintptr_t first = (uintptr_t)m->host, end = first + m->size_bytes;
    unsigned long long from, to, kib;
    uint64_t sum = UINT64_MAX;
    bool ours = false;
    char line[512];

    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            ours = from >= first && to <= end;
        else if (ours && sscanf(line, "KSM: %llu kB", &kib) == 1)
            sum = (sum == UINT64_MAX ? 0 : sum) + (kib << 10);
    }
    return sum;
}

uint64_t gmem_shared_bytes(const struct gmem *m)
{
    uint64_t sum = UINT64_MAX;
    FILE *f;

    if (!m->mergeable)
        return 0;
    f = fopen("/proc/self/smaps", "re");
    if (f) {
        sum = sum_merged(m, f);
        fclose(f);
    }
    return sum;
}

bool gmem_owns(const struct gmem *m, const void *host)
{
    const uint8_t *p = host;

    return p >= m->reservation && p < m->reservation + m->reservation_bytes;
}
